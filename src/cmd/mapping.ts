import type { MappingOptions } from '../config/commands/mapping.ts'
import { elasticsearchConnection } from '../config/elasticsearch.ts'
import { Elasticsearch } from '../elasticsearch/client/client.ts'
import { IndexNames } from '../elasticsearch/index-name.ts'
import { readMappedFields } from '../elasticsearch/read/mapped-fields.ts'
import { typesByDay } from '../files/compact/prune.ts'
import { listPartitions, requireArchive } from '../files/log/commit-log.ts'
import { DamagedPartitions } from '../files/read/damaged-partitions.ts'
import { hoursOf, type Selection } from '../files/read/selection.ts'
import type { ReadableHome } from '../home/home.ts'
import type { TypeFacts } from '../mapping/facts.ts'
import { proposalOf } from '../mapping/proposal.ts'
import { duckdbQuery, jsonSchema, sparkSchema } from '../mapping/schemas.ts'
import type { RecordType } from '../record/record.ts'
import { typeSegments } from '../record/segment.ts'
import { nameOfType, typeOfName } from '../record/type-name.ts'
import { ArchiverError } from '../runtime/errors.ts'
import { plural } from '../runtime/format.ts'
import { Proxies } from '../runtime/proxies.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { createTerminal } from '../runtime/terminal.ts'
import { applyMapping, planMapping } from './lib/apply-mapping.ts'
import { openArchive } from './lib/archive-home.ts'
import { collectFacts } from './lib/collect-facts.ts'
import { isConfirmed } from './lib/confirm.ts'
import { describeMapping, describeNotes, type Today } from './lib/mapping-report.ts'
import { explainNothing } from './lib/nothing-selected.ts'
import { plainLog } from './lib/plain-log.ts'
import { signalled } from './lib/program.ts'

/**
 * Says what the fields of a type are, and proposes a mapping, from the files; installs it with
 * `--apply`.
 */
export async function mapping(options: MappingOptions): Promise<void> {
  const type = typeOfName(options.type!)
  await using home = await openArchive(options)
  const signal = signalled()
  await requireArchive(home)
  if (options.apply) return await apply(options, home, type, signal)
  const selection = selectionFor(options, [type])
  const facts = await factsFrom(options, home, selection, signal)
  if (facts === undefined) return
  if (options.format !== undefined) {
    standardOutput.print(schemaText(options.format, type, facts))
    return
  }
  await report(options, home, type, facts)
}

/** Undefined if no record is selected, which standard error explains. */
async function factsFrom(
  options: MappingOptions,
  home: ReadableHome,
  selection: Selection,
  signal: AbortSignal,
): Promise<TypeFacts | undefined> {
  const terminal = createTerminal(standardError)
  const facts = await collectFacts(home, selection, {
    sample: options.sample,
    signal,
    progress: (records) => terminal.setStatus(`reading ${plural(records, 'record')}`),
  }).finally(() => terminal.close())
  if (facts.records > 0) return facts
  await explainNothing(home, selection)
  return undefined
}

function selectionFor(
  { topic, partition, from, to }: MappingOptions,
  types: readonly RecordType[],
): Selection {
  const partitions = partition === undefined ? undefined : [partition]
  return { types, topics: topic, partitions, from, to }
}

/** Types that differ only in case share an index, and so a mapping. */
async function apply(
  options: MappingOptions,
  home: ReadableHome,
  type: RecordType,
  signal: AbortSignal,
): Promise<void> {
  if (type.reserved)
    throw new ArchiverError('USAGE', `--apply: records that are ${type.name} have no fields`)
  const { indexPrefix, nested = [] } = options
  const types = await typesOf(home)
  const names = new IndexNames(indexPrefix)
  const sharing = types.filter((other) => names.of(other, 0) === names.of(type, 0))
  const selection = selectionFor(options, sharing.length === 0 ? [type] : sharing)
  const facts = await factsFrom(options, home, selection, signal)
  if (facts === undefined) return
  const log = plainLog(options)
  const client = new Elasticsearch(elasticsearchConnection(options, new Proxies(process.env))!)
  try {
    await client.detect()
    const subject = { type, indexPrefix, types, proposal: proposalOf(facts), nested }
    const plan = await planMapping(client, subject)
    const { name } = plan.templates.component
    if (plan.isSame) {
      standardOutput.print(`nothing to do: ${name} is as the files say`)
      return
    }
    for (const line of plan.differences) standardOutput.print(line)
    for (const note of describeNotes(subject.proposal)) standardOutput.print(note)
    if (options.dryRun) return
    const asks = !options.yes && process.stdin.isTTY
    if (asks && !(await isConfirmed(`install ${name}?`, signal))) {
      standardOutput.print('nothing was installed')
      return
    }
    await applyMapping(client, subject, plan, log)
    standardOutput.print(
      `installed ${name}, version ${plan.templates.component.version}: for indices made from now on`,
    )
  } finally {
    await client.close()
  }
}

/** All types of the archive. */
async function typesOf(home: ReadableHome): Promise<RecordType[]> {
  const types = new Map<string, RecordType>()
  const damaged = new DamagedPartitions()
  for (const tp of damaged.sound(await listPartitions(home)))
    await damaged.attempt(tp, async () => {
      for await (const { type } of typesByDay(home, tp)) types.set(nameOfType(type), type)
    })
  return [...types.values()]
}

function schemaText(
  format: NonNullable<MappingOptions['format']>,
  type: RecordType,
  facts: TypeFacts,
): string {
  switch (format) {
    case 'duckdb':
      return duckdbQuery({ facts, segments: typeSegments(type) })
    case 'spark':
      return sparkSchema(facts)
    case 'json-schema':
      return JSON.stringify(jsonSchema(nameOfType(type), facts), undefined, 2)
  }
}

async function report(
  options: MappingOptions,
  home: ReadableHome,
  type: RecordType,
  facts: TypeFacts,
): Promise<void> {
  const proposal = proposalOf(facts)
  const today = await mappedToday(options, home, type)
  if (options.json) {
    standardOutput.printJson({
      type: nameOfType(type),
      facts,
      proposal,
      ...(today === undefined ? {} : { today: Object.fromEntries(today) }),
    })
    return
  }
  const width = standardOutput.columns
  for (const line of describeMapping(facts, proposal, today, width)) standardOutput.print(line)
  standardOutput.print(
    `${plural(facts.records, 'record')}, ${plural(facts.fields.length, 'field')}`,
  )
  for (const note of describeNotes(proposal)) standardOutput.print(note)
}

/** How the indices of the type map its fields; undefined without Elasticsearch. */
async function mappedToday(
  options: MappingOptions,
  home: ReadableHome,
  type: RecordType,
): Promise<Today> {
  const connection = elasticsearchConnection(options, new Proxies(process.env))
  if (connection === undefined) return undefined
  const client = new Elasticsearch(connection)
  try {
    await client.detect()
    const hours = await hoursOf(home, { types: [type] })
    const years = [...new Set(hours.map(({ key }) => key.slice(0, 4)))].filter((year) =>
      /^\d{4}$/.test(year),
    )
    const names = new IndexNames(options.indexPrefix)
    return await readMappedFields(client, names.ofYears(type, years.map(Number)))
  } catch (error) {
    if (!(error instanceof ArchiverError)) throw error
    standardError.print(
      `archiver: how fields are mapped today is not known: ${error.message}; --no-elasticsearch does not ask`,
    )
    return undefined
  } finally {
    await client.close()
  }
}
