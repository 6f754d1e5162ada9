import type { VerifyOptions } from '../config/commands/verify.ts'
import { listPartitions, requireArchive } from '../files/log/commit-log.ts'
import { damageOf } from '../files/log/damage.ts'
import type { ReadableHome } from '../home/home.ts'
import type { KafkaPosition } from '../kafka/positions.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'
import { ArchiverError } from '../runtime/errors.ts'
import { count, plural } from '../runtime/format.ts'
import { mapAhead } from '../runtime/lanes.ts'
import { createLogger } from '../runtime/log.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { createTerminal } from '../runtime/terminal.ts'
import { HashedNames } from '../verify/hashed-names.ts'
import { ListedFiles } from '../verify/listed-files.ts'
import { checkPartition, type Thoroughness } from '../verify/partition.ts'
import { lookForReaders, type ReadersVerdict } from '../verify/readers.ts'
import { type ComparedPart, type ScannedDocuments, scanDocuments } from '../verify/scan.ts'
import { comparedPart } from '../verify/scope.ts'
import { strayFiles } from '../verify/strays.ts'
import { compareValues, describeDifference, type ValuesVerdict } from '../verify/values.ts'
import { throwUnlessProven, type Verdict } from '../verify/verdict.ts'
import { openArchive } from './lib/archive-home.ts'
import { signalled, unlessStopped } from './lib/program.ts'
import {
  describeReaders,
  describeTotals,
  describeValues,
  describeVerdict,
  type Findings,
  summary,
} from './lib/verify-report.ts'
import { openSources, type Sources } from './verify/sources.ts'

/** Partitions that are checked at once: by manifests alone, and with what their files hold. */
const listedAhead = 8
const readAhead = 2

/** What the steps of a verification share. */
interface Verification {
  readonly options: VerifyOptions
  readonly home: ReadableHome
  readonly archived: readonly TopicPartition[]
  readonly sources: Sources
  /** Files that manifests name, as far as partitions were checked. */
  readonly named: HashedNames
  /** Shows the current step. @throws the reason of a signal to stop */
  readonly progress: (line: string) => void
  /** Prints lines for people, at once; nothing with `--json`. */
  readonly print: (...lines: readonly string[]) => void
}

/**
 * Proves that files, Elasticsearch, MySQL and Kafka agree, offset by offset, and prints a verdict a
 * partition.
 * @throws ArchiverError `DAMAGED` if anything is not proven.
 */
export async function verify(options: VerifyOptions): Promise<void> {
  await using home = await openArchive(options)
  const signal = signalled()
  await unlessStopped(requireArchive(home))
  const archived = await unlessStopped(listPartitions(home))
  const log = createLogger({ level: options.logLevel, stream: standardError })
  await using sources = await unlessStopped(openSources(options, { home, archived, log }))
  const terminal = createTerminal(standardError)
  const findings = await findingsOf({
    options,
    home,
    archived,
    sources,
    named: new HashedNames(),
    progress: (line) => {
      signal.throwIfAborted()
      terminal.setStatus(line)
    },
    print: (...lines) => {
      terminal.setStatus(undefined)
      if (!options.json) for (const line of lines) standardOutput.print(line)
    },
  }).finally(() => terminal.close())
  if (options.json) standardOutput.printJson(summary(findings))
  const { verdicts, strays, values } = findings
  throwUnlessProven(verdicts, strays.length, values?.differences.length)
  if (!options.json) standardOutput.print(`proven: ${describeTotals(verdicts)}`)
}

async function findingsOf(verification: Verification): Promise<Findings> {
  const { options } = verification
  return {
    verdicts: await checkPartitions(verification),
    strays: await findStrays(verification),
    values: options.values ? await checkValues(verification) : undefined,
    readers: options.readers ? await checkReaders(verification) : undefined,
  }
}

async function checkPartitions(verification: Verification): Promise<Verdict[]> {
  const { options, home, archived, sources, named, progress, print } = verification
  const { kafka, elasticsearch, mysql } = sources
  const thoroughness: Thoroughness = options.deep ? 'deep' : options.fast ? 'fast' : 'full'
  const partitions = selected(archived, kafka?.positions, options.topics)
  const scanned = options.deep ? await scan(verification, partitions) : undefined
  progress('listing files')
  // Of some topics, a look at each file may be less than a listing of all.
  const listed = options.topics === undefined ? await ListedFiles.of(home) : undefined
  const verdicts: Verdict[] = []
  const ahead = options.fast ? listedAhead : readAhead
  const checks = mapAhead(partitions.entries(), ahead, ([i, tp]) => {
    const documents = scanned?.get(partitionKey(tp))
    return checkPartition({
      home,
      tp,
      thoroughness,
      listed,
      named,
      elasticsearch,
      mysql,
      kafka: positionOf(sources, tp),
      records: kafka?.records,
      ...(documents === undefined ? {} : { scanned: documents }),
      onProgress: ({ position, records }) =>
        progress(
          `${i + 1}/${partitions.length} ${partitionKey(tp)} at ${count(position)}, ${plural(records, 'record')}`,
        ),
    })
  })
  for await (const verdict of checks) {
    verdicts.push(verdict)
    print(describeVerdict(verdict))
  }
  return verdicts
}

function positionOf({ kafka }: Sources, tp: TopicPartition): KafkaPosition | 'absent' | undefined {
  return kafka === undefined ? undefined : (kafka.positions.get(partitionKey(tp)) ?? 'absent')
}

/** The documents of all partitions, for `--deep`, by partition. */
async function scan(
  { options, home, sources, progress }: Verification,
  partitions: readonly TopicPartition[],
): Promise<ReadonlyMap<string, ScannedDocuments & { readonly end: number }> | undefined> {
  if (sources.elasticsearch === undefined) return undefined
  const parts = new Map<string, ComparedPart>()
  for (const tp of partitions) {
    // No document of a damaged partition is compared; its verdict says why.
    const part = await comparedPart(home, tp, positionOf(sources, tp)).catch((error: unknown) => {
      if (damageOf(tp, error) === undefined) throw error
    })
    if (part !== undefined) parts.set(partitionKey(tp), part)
  }
  const { reader } = sources.elasticsearch
  const scanned = await scanDocuments(reader, [...parts.values()], options, (documents) =>
    progress(`reading ${plural(documents, 'document')}`),
  )
  return new Map(
    [...scanned].map(([key, documents]) => [key, { ...documents, end: parts.get(key)!.end }]),
  )
}

async function findStrays({
  options,
  home,
  archived,
  named,
  progress,
  print,
}: Verification): Promise<string[]> {
  const strays: string[] = []
  progress('looking for files that no manifest names')
  for await (const path of strayFiles(home, archived, options.topics, named)) {
    strays.push(path)
    print(`BAD  stray-file: ${path}: no manifest names it`)
  }
  return strays
}

async function checkValues({
  options,
  home,
  sources,
  progress,
  print,
}: Verification): Promise<ValuesVerdict> {
  // A relation of the options: --values needs --elasticsearch.
  const { client, reader, indexPrefix } = sources.elasticsearch!
  await reader.refresh()
  const values = await compareValues({
    home,
    client,
    indexPrefix,
    topics: options.topics,
    onProgress: (type, day, records) =>
      progress(`values of type ${type}, ${day}, ${plural(records, 'record')}`),
    onDifference: (difference) => print(`BAD  value-differs: ${describeDifference(difference)}`),
  })
  print(...describeValues(values))
  return values
}

async function checkReaders({
  options,
  home,
  progress,
  print,
}: Verification): Promise<ReadersVerdict> {
  const readers = await lookForReaders(home, options.topics, (records) =>
    progress(`what strict readers refuse, ${plural(records, 'record')}`),
  )
  print(...describeReaders(readers))
  return readers
}

/**
 * The archive's partitions, and those that Kafka has of the same topics.
 * @throws ArchiverError `NO_SUCH_TOPIC`
 */
function selected(
  archived: readonly TopicPartition[],
  kafka: ReadonlyMap<string, KafkaPosition> | undefined,
  topics: readonly string[] | undefined,
): TopicPartition[] {
  const known = new Set(archived.map(partitionKey))
  const unknown = [...(kafka?.keys() ?? [])]
    .filter((key) => !known.has(key))
    .map((key) => ({
      topic: key.slice(0, key.lastIndexOf('/')),
      partition: Number(key.slice(key.lastIndexOf('/') + 1)),
    }))
  for (const topic of topics ?? []) {
    if (!archived.some((tp) => tp.topic === topic)) {
      throw new ArchiverError(
        'NO_SUCH_TOPIC',
        `the archive holds no topic ${topic}; ls --by partition shows what it holds`,
      )
    }
  }
  return [...archived, ...unknown].filter(({ topic }) => topics?.includes(topic) ?? true)
}
