import type { Kafka } from 'kafkajs'
import type { VerifyOptions } from '../config/commands/verify.ts'
import { elasticsearchConnection } from '../config/elasticsearch.ts'
import { kafkaConnection } from '../config/kafka.ts'
import { mysqlConnection } from '../config/mysql.ts'
import { Elasticsearch } from '../elasticsearch/client/client.ts'
import { DocumentReader } from '../elasticsearch/read/reader.ts'
import { readIdentity } from '../files/log/archive.ts'
import { listPartitions, requireArchive } from '../files/log/commit-log.ts'
import { damageOf } from '../files/log/damage.ts'
import type { ReadableHome } from '../home/home.ts'
import { openHome } from '../home/open-home.ts'
import { kafkaClient } from '../kafka/client.ts'
import { type KafkaPosition, readPositions } from '../kafka/positions.ts'
import { RecordLookup } from '../kafka/record-lookup.ts'
import { withAdmin } from '../kafka/topics.ts'
import { Mysql } from '../mysql/client.ts'
import { RowReader } from '../mysql/reader.ts'
import { partitionKey, type SourceRecord, type TopicPartition } from '../record/record.ts'
import { isoDate } from '../record/time.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { count, plural, size } from '../runtime/format.ts'
import { createLogger, type Logger } from '../runtime/log.ts'
import { Proxies } from '../runtime/proxies.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { createTerminal } from '../runtime/terminal.ts'
import {
  checkPartition,
  comparedPart,
  isNothing,
  type Thoroughness,
  throwUnlessProven,
  type Verdict,
} from '../verify/partition.ts'
import { lookForReaders, type ReadersVerdict } from '../verify/readers.ts'
import { type ComparedPart, scanDocuments } from '../verify/scan.ts'
import { strayFiles } from '../verify/strays.ts'
import { compareValues, describeDifference, type ValuesVerdict } from '../verify/values.ts'
import { describeReaders } from './lib/describe-readers.ts'
import { otherArchives } from './lib/other-archives.ts'
import { signalled } from './lib/program.ts'

/**
 * Proves that files, Elasticsearch, MySQL and Kafka agree, offset by offset, and prints a verdict a
 * partition.
 * @throws ArchiverError `DAMAGED` where anything is not proven.
 */
export async function verify(options: VerifyOptions): Promise<void> {
  const proxies = new Proxies(process.env)
  const elasticsearchAt = elasticsearchConnection(options, proxies)
  const mysqlAt = mysqlConnection(options)
  const thoroughness: Thoroughness = options.deep ? 'deep' : options.fast ? 'fast' : 'full'
  await using home = await openHome(options.archiveDir)
  const signal = signalled()
  await requireArchive(home)
  const archived = await listPartitions(home)
  const log = createLogger({ level: options.logLevel, stream: standardError })
  const kafkaOf = options.kafka
    ? kafkaClient(kafkaConnection(options, proxies), {
        clientId: 'archiver-verify',
        log,
        retry: { retries: 4 },
      })
    : undefined
  const kafka = kafkaOf && (await askKafka(kafkaOf, options.brokers, home, archived))
  const lookup =
    kafkaOf && new RecordLookup(kafkaOf, (error) => log.debug(`disconnecting: ${messageOf(error)}`))
  const partitions = select(archived, kafka, options.topics)
  const client = elasticsearchAt && new Elasticsearch(elasticsearchAt)
  const database = mysqlAt && new Mysql(mysqlAt)
  const terminal = createTerminal(standardError)
  const verdicts: Verdict[] = []
  const strays: string[] = []
  let values: ValuesVerdict | undefined
  let readers: ReadersVerdict | undefined
  try {
    await client?.detect()
    await database?.detect()
    const mysql = database && {
      reader: new RowReader(database, options.mysqlTable),
      table: options.mysqlTable,
    }
    const elasticsearch =
      client === undefined
        ? undefined
        : {
            reader: new DocumentReader(
              client,
              options.indexPrefix,
              await otherArchives(client, options.indexPrefix, home, archived),
            ),
            indexPrefix: options.indexPrefix,
          }
    await elasticsearch?.reader.refresh()
    const print = (text: string) => standardOutput.print(text)
    const positionOf = (tp: TopicPartition) =>
      kafka === undefined ? undefined : (kafka.get(partitionKey(tp)) ?? 'absent')
    const parts = new Map<string, ComparedPart>()
    if (thoroughness === 'deep') {
      for (const tp of partitions) {
        // Of a damaged one no document is compared; its verdict says why.
        const part = await comparedPart(home, tp, positionOf(tp)).catch((error: unknown) => {
          if (damageOf(tp, error) === undefined) throw error
        })
        if (part !== undefined) parts.set(partitionKey(tp), part)
      }
    }
    const scanned =
      thoroughness === 'deep' && elasticsearch !== undefined
        ? await scanDocuments(elasticsearch.reader, [...parts.values()], options, (documents) => {
            signal.throwIfAborted()
            terminal.setStatus(`reading ${plural(documents, 'document')}`)
          })
        : undefined
    for (const [i, tp] of partitions.entries()) {
      const documents = scanned?.get(partitionKey(tp))
      const verdict = await checkPartition({
        home,
        tp,
        thoroughness,
        elasticsearch,
        mysql,
        kafka: positionOf(tp),
        records: lookup && ((of, offset) => lookUp(lookup, of, offset, log)),
        ...(documents === undefined
          ? {}
          : { scanned: { ...documents, end: parts.get(partitionKey(tp))!.end } }),
        onProgress: ({ position, records }) => {
          signal.throwIfAborted()
          terminal.setStatus(
            `${i + 1}/${partitions.length} ${partitionKey(tp)} at ${count(position)}, ${plural(records, 'record')}`,
          )
        },
      })
      verdicts.push(verdict)
      terminal.setStatus(undefined)
      if (!options.json) print(describe(verdict))
    }
    terminal.setStatus('looking for files that no manifest names')
    for await (const path of strayFiles(home, archived, options.topics)) {
      strays.push(path)
      terminal.setStatus(undefined)
      if (!options.json) print(`BAD  stray-file: ${path}: no manifest names it`)
    }
    if (options.values) {
      await elasticsearch?.reader.refresh()
      values = await compareValues({
        home,
        client: client!,
        indexPrefix: options.indexPrefix,
        topics: options.topics,
        onProgress: (type, day, records) => {
          signal.throwIfAborted()
          terminal.setStatus(`values of type ${type}, ${day}, ${plural(records, 'record')}`)
        },
        onDifference: (difference) => {
          terminal.setStatus(undefined)
          if (!options.json) print(`BAD  value-differs: ${describeDifference(difference)}`)
        },
      })
      terminal.setStatus(undefined)
      if (!options.json) for (const line of describeValues(values)) print(line)
    }
    if (options.readers) {
      readers = await lookForReaders(home, options.topics, (records) => {
        signal.throwIfAborted()
        terminal.setStatus(`what strict readers refuse, ${plural(records, 'record')}`)
      })
      terminal.setStatus(undefined)
      if (!options.json) for (const line of describeReaders(readers)) print(line)
    }
  } finally {
    terminal.close()
    await lookup?.disconnect()
    await client?.close()
    await database?.close()
  }
  if (options.json)
    standardOutput.printJson({ ...summary(verdicts, strays, values), ...(readers && { readers }) })
  throwUnlessProven(verdicts, strays.length, values?.differences.length)
  if (!options.json) standardOutput.print(`proven: ${describeTotals(verdicts)}`)
}

/**
 * Whoever may ask for offsets need not have the right to read: then records cannot be compared,
 * which is said.
 */
async function lookUp(
  lookup: RecordLookup,
  tp: TopicPartition,
  offset: number,
  log: Logger,
): Promise<readonly SourceRecord[]> {
  try {
    return await lookup.records(tp, offset)
  } catch (error) {
    if (!(error instanceof ArchiverError) || error.context.isRefusal !== true) throw error
    log.warn(
      { topic: tp.topic, partition: tp.partition },
      `${messageOf(error)}; it is not compared with the archive`,
    )
    return []
  }
}

async function askKafka(
  kafka: Kafka,
  brokers: readonly string[],
  home: ReadableHome,
  archived: readonly TopicPartition[],
): Promise<Map<string, KafkaPosition>> {
  return withAdmin(kafka, brokers, async (admin) => {
    const { clusterId } = await admin.describeCluster()
    const identity = await readIdentity(home)
    if (identity?.cluster_id !== clusterId) {
      throw new ArchiverError(
        'ARCHIVE_MISMATCH',
        `${home.title} is the archive of Kafka cluster ${identity?.cluster_id}, this is ${clusterId}: name its --brokers, or use --no-kafka`,
      )
    }
    const topics = [...new Set(archived.map(({ topic }) => topic))]
    return readPositions(admin, identity.group, topics)
  })
}

/**
 * The archive's partitions, and those that Kafka has of the same topics. @throws ArchiverError
 * `NO_SUCH_TOPIC`
 */
function select(
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

/** The verdict as a line, with a line for every problem. */
export function describe(verdict: Verdict): string {
  const {
    topic,
    partition,
    origin,
    next,
    records,
    files,
    documents,
    rows,
    gaps,
    pruned_records: pruned,
  } = verdict
  const parts = [
    origin === undefined || next === undefined
      ? 'nothing archived'
      : `offsets ${count(origin)} to ${count(next)}`,
    `${plural(records, 'record')} in ${plural(files, 'file')} (${size(verdict.bytes)})`,
    ...(pruned === 0 ? [] : [`${plural(pruned, 'record')} of them pruned`]),
    ...(documents === undefined
      ? []
      : [`${plural(documents, 'document')}${rejects(verdict.rejected)}`]),
    ...(rows === undefined ? [] : [`${plural(rows, 'row')}${rejects(verdict.rows_rejected)}`]),
    ...Object.entries(gaps).map(
      ([reason, offsets]) => `${plural(offsets, 'offset')} without a record (${reason})`,
    ),
    ...(verdict.committed === undefined ? [] : [`committed ${count(verdict.committed)}`]),
    ...(verdict.log_end === undefined
      ? []
      : [
          `log ${count(verdict.log_start!)} to ${count(verdict.log_end)}`,
          `lag ${count(verdict.lag!)}`,
        ]),
    ...(verdict.same_records === 'unknown'
      ? ['Kafka does not have the last archived records any more']
      : []),
  ]
  const head = `${verdict.proven ? 'ok  ' : isNothing(verdict) ? 'none' : 'BAD '} ${topic}/${partition}  ${parts.join('; ')}`
  const kept = new Map<string, number>()
  const lines = verdict.problems.map(({ kind, message }) => {
    kept.set(kind, (kept.get(kind) ?? 0) + 1)
    return `       ${kind}: ${message}`
  })
  for (const [kind, total] of Object.entries(verdict.problem_counts)) {
    const more = total - (kept.get(kind) ?? 0)
    if (more > 0) lines.push(`       ${kind}: ${count(more)} more`)
  }
  return [head, ...describePruned(verdict), ...lines].join('\n')
}

/** A line of its own: of what was pruned, only the note remains. */
function describePruned({ pruned, pruned_records: records }: Verdict): string[] {
  return Object.entries(pruned).map(([store, { before, committed_until: until }]) => {
    const day = isoDate(before)
    const share = store === 'files' ? plural(records, 'record') : 'records'
    return `       pruned, not proven: ${share} of ${store}, days before ${day}, offsets below ${count(until)}`
  })
}

function rejects(rejected: number | undefined): string {
  return rejected === undefined || rejected === 0 ? '' : `, ${count(rejected)} of them rejected`
}

/** What the comparison of numbers covered, as lines. */
function describeValues({
  days,
  fields,
  ignored,
  not_compared: notCompared,
}: ValuesVerdict): string[] {
  const beyond =
    ignored === 0
      ? ''
      : `; ${plural(ignored, 'number')} beyond what a field holds, ignored in Elasticsearch`
  return [
    `values: ${plural(fields, 'numeric field')} of ${plural(days, 'day')} of a type compared${beyond}`,
    ...notCompared.map(
      ({ type, day, reason }) => `values: type ${type}, ${day} is not compared: ${reason}`,
    ),
  ]
}

function summary(
  verdicts: readonly Verdict[],
  strays: readonly string[],
  values: ValuesVerdict | undefined,
): Record<string, unknown> {
  return {
    proven:
      strays.length === 0 &&
      (values === undefined || values.differences.length === 0) &&
      verdicts.some(({ proven }) => proven) &&
      verdicts.every((verdict) => verdict.proven || isNothing(verdict)),
    records: sum(verdicts, ({ records }) => records),
    documents: sum(verdicts, ({ documents }) => documents ?? 0),
    rows: sum(verdicts, ({ rows }) => rows ?? 0),
    stray_files: strays,
    ...(values === undefined ? {} : { values }),
    partitions: verdicts,
  }
}

function describeTotals(verdicts: readonly Verdict[]): string {
  const documents = stored(verdicts, 'document', (verdict) => verdict.documents)
  const rows = stored(verdicts, 'row', (verdict) => verdict.rows)
  const files = sum(verdicts, (verdict) => verdict.files)
  const records = sum(verdicts, (verdict) => verdict.records)
  const proven = verdicts.filter((verdict) => verdict.proven).length
  const pruned = sum(verdicts, (verdict) => verdict.pruned_records)
  const nothing = verdicts.length - proven
  const rest = [
    ...(pruned === 0 ? [] : [`${plural(pruned, 'record')} pruned`]),
    ...(nothing === 0 ? [] : [`nothing to prove of ${plural(nothing, 'partition')}`]),
  ]
  const beside = rest.length === 0 ? '' : `; ${rest.join(', ')}`
  return `${plural(proven, 'partition')}, ${plural(records, 'record')} in ${plural(files, 'file')}${documents}${rows}${beside}`
}

function stored(
  verdicts: readonly Verdict[],
  what: string,
  of: (verdict: Verdict) => number | undefined,
): string {
  if (verdicts.every((verdict) => of(verdict) === undefined)) return ''
  return `, ${plural(
    sum(verdicts, (verdict) => of(verdict) ?? 0),
    what,
  )}`
}

function sum(verdicts: readonly Verdict[], of: (verdict: Verdict) => number): number {
  return verdicts.reduce((total, verdict) => total + of(verdict), 0)
}
