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
import { mysqlColumns } from '../mapping/mysql-columns.ts'
import { proposalOf } from '../mapping/proposal.ts'
import { duckdbQuery, jsonSchema, sparkSchema } from '../mapping/schemas.ts'
import { typeColumns } from '../mysql/row.ts'
import { columnNames } from '../mysql/schema.ts'
import type { RecordType, TopicPartition } from '../record/record.ts'
import { typeSegments } from '../record/segment.ts'
import { isoDay, msPerDay, msPerHour } from '../record/time.ts'
import { nameOfType, typeOfName } from '../record/type-name.ts'
import { type DayOutcome, rebuildDay } from '../restore/rebuild.ts'
import { ArchiverError } from '../runtime/errors.ts'
import { count, plural } from '../runtime/format.ts'
import { Proxies } from '../runtime/proxies.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { createTerminal } from '../runtime/terminal.ts'
import { openArchive } from './lib/archive-home.ts'
import { isConfirmed } from './lib/confirm.ts'
import { explainNothing } from './lib/nothing-selected.ts'
import { plainLog } from './lib/plain-log.ts'
import { signalled, unlessStopped } from './lib/program.ts'
import { checkRange } from './lib/selection-options.ts'
import { applyMapping, planMapping } from './mapping/apply.ts'
import { collectFacts } from './mapping/collect-facts.ts'
import { describeMapping, describeNotes, type Today } from './mapping/report.ts'

const hoursPerDay = msPerDay / msPerHour

/**
 * Says what the fields of a type are, and proposes a mapping, from the files; installs it with
 * `--apply`.
 */
export async function mapping(options: MappingOptions): Promise<void> {
  const type = typeOfName(options.type!)
  await using home = await openArchive(options)
  const signal = signalled()
  await unlessStopped(requireArchive(home))
  if (options.apply || options.rebuild !== undefined)
    return await change(options, home, type, signal)
  const selection = selectionFor(options, [type])
  const facts = await factsFrom(options, home, selection, signal)
  if (facts === undefined) return
  const schema = schemaText(options, type, facts)
  if (schema === undefined) return await report(options, home, type, facts)
  standardOutput.print(schema)
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
  { topic, partition, from, until }: MappingOptions,
  types: readonly RecordType[],
): Selection {
  const partitions = partition === undefined ? undefined : [partition]
  checkRange(from, until, 'until')
  return { types, topics: topic, partitions, from, to: until }
}

/** Installs the mapping, makes days again with it, or both. */
async function change(
  options: MappingOptions,
  home: ReadableHome,
  type: RecordType,
  signal: AbortSignal,
): Promise<void> {
  if (type.reserved)
    throw new ArchiverError('USAGE', `--type ${type.name}: such records have no fields`)
  const client = new Elasticsearch(elasticsearchConnection(options, new Proxies(process.env))!)
  try {
    await unlessStopped(client.detect())
    const { types, partitions } = await contentOf(home)
    const names = new IndexNames(options.indexPrefix)
    // Types that differ only in case share an index, and so a mapping.
    const sharing = types.filter((other) => names.of(other, 0) === names.of(type, 0))
    const subject = { options, home, client, type, types, sharing, partitions, signal }
    if (sharing.length === 0) await explainNothing(home, { types: [type] })
    else {
      const applied = options.apply ? await apply(subject) : 'as it is'
      if (applied !== 'declined') await rebuild(subject, applied)
    }
  } finally {
    await client.close()
  }
}

interface Subject {
  readonly options: MappingOptions
  readonly home: ReadableHome
  readonly client: Elasticsearch
  readonly type: RecordType
  readonly types: readonly RecordType[]
  readonly sharing: readonly RecordType[]
  readonly partitions: readonly TopicPartition[]
  readonly signal: AbortSignal
}

/**
 * What became of the template: `declined` if the person said no or there is no record, `shown` if
 * it would change, but for `--dry-run`.
 */
type Applied = 'as it is' | 'installed' | 'shown' | 'declined'

async function apply(subject: Subject): Promise<Applied> {
  const { options, home, client, type, types, sharing, signal } = subject
  const facts = await factsFrom(options, home, selectionFor(options, sharing), signal)
  if (facts === undefined) return 'declined'
  const proposal = proposalOf(facts)
  const { indexPrefix, nested = [] } = options
  // Whichever of the types that share it is named, the template is the same.
  const [first = type] = sharing.toSorted((a, b) => (nameOfType(a) < nameOfType(b) ? -1 : 1))
  const wanted = { type: first, indexPrefix, types, proposal, nested }
  const plan = await planMapping(client, wanted)
  const { name, version } = plan.templates.component
  if (plan.isSame) {
    standardOutput.print(`nothing to install: ${name} is as the files say`)
    return 'as it is'
  }
  for (const line of plan.differences) standardOutput.print(line)
  if (plan.differences.length === 0)
    standardOutput.print('no field changes, only what the template says besides')
  const of = options.sample === undefined ? '' : 'a sample of '
  standardOutput.print(`from ${of}${plural(facts.records, 'record')}`)
  for (const note of describeNotes(proposal)) standardOutput.print(note)
  if (options.dryRun) return 'shown'
  if (!(await mayGoOn(options, `install ${name}?`, signal))) {
    standardOutput.print('nothing was installed')
    return 'declined'
  }
  await applyMapping(client, wanted, plan, plainLog(options))
  standardOutput.print(`installed ${name}, version ${version}: for indices made from now on`)
  return 'installed'
}

/** Asks if there is a terminal to ask. */
async function mayGoOn(
  options: MappingOptions,
  question: string,
  signal: AbortSignal,
): Promise<boolean> {
  return options.yes || !process.stdin.isTTY || (await isConfirmed(question, signal))
}

async function rebuild(subject: Subject, applied: Applied): Promise<void> {
  const { options, home, client, sharing: types, partitions, signal } = subject
  const { rebuild: days, indexPrefix } = options
  if (days === undefined) return
  const today = Math.floor(Date.now() / msPerDay)
  if (days.last >= today)
    throw new ArchiverError('USAGE', `--rebuild: ${isoDay(days.last)} is not over yet`)
  const names = new IndexNames(indexPrefix)
  const first = names.of(types[0]!, days.first * hoursPerDay)
  const question = `make ${first} ${days.last > days.first ? `and the ${plural(days.last - days.first, 'day')} after it ` : ''}again from the files?`
  const { dryRun } = options
  if (!dryRun && !(await mayGoOn(options, question, signal))) {
    standardOutput.print('nothing was rebuilt')
    return
  }
  const terminal = createTerminal(standardError)
  const progress = (line: string) => terminal.setStatus(line)
  const job = { home, client, indexPrefix, types, partitions, signal, dryRun, progress }
  try {
    for (let day = days.first; day <= days.last; day++) {
      signal.throwIfAborted()
      const outcome = await rebuildDay(job, day)
      terminal.setStatus(undefined)
      // The day was compared with the template that is there.
      const isDue = applied === 'shown' && outcome.is === 'same'
      standardOutput.print(describeDay(isDue ? { ...outcome, is: 'due' } : outcome))
    }
  } finally {
    terminal.close()
  }
}

function describeDay({ name, is, documents, late }: DayOutcome): string {
  if (is === 'none') return `${name}: there is no such index`
  if (is === 'same') return `${name}: it has this mapping already`
  if (is === 'due') return `${name}: it has another mapping, and would be rebuilt`
  const more = late === 0 ? '' : `, and ${count(late)} that no file had yet`
  return `${name}: rebuilt with ${plural(documents, 'record')} of the files${more}`
}

/** All types of the archive, and its partitions. */
async function contentOf(
  home: ReadableHome,
): Promise<{ readonly types: RecordType[]; readonly partitions: TopicPartition[] }> {
  const types = new Map<string, RecordType>()
  const damaged = new DamagedPartitions()
  const partitions = damaged.sound(await unlessStopped(listPartitions(home)))
  for (const tp of partitions)
    await damaged.attempt(tp, async () => {
      for await (const { type } of typesByDay(home, tp)) types.set(nameOfType(type), type)
    })
  damaged.throwIfAny()
  return { types: [...types.values()], partitions }
}

/** How another program reads the type; undefined if nobody asks. */
function schemaText(
  { format, to, mysqlTable: table }: MappingOptions,
  type: RecordType,
  facts: TypeFacts,
): string | undefined {
  if (to === 'mysql') {
    const { name = type.name } = typeColumns(type.name)
    return mysqlColumns({ type: name, table, taken: columnNames, facts })
  }
  switch (format) {
    case 'duckdb':
      return duckdbQuery({ facts, segments: typeSegments(type) })
    case 'spark':
      return sparkSchema(facts)
    case 'json-schema':
      return JSON.stringify(jsonSchema(nameOfType(type), facts), undefined, 2)
    case undefined:
      return undefined
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
    await unlessStopped(client.detect())
    const hours = await hoursOf(home, { types: [type] })
    const years = [...new Set(hours.map(({ key }) => key.slice(0, 4)))].filter((year) =>
      /^\d{4}$/.test(year),
    )
    const names = new IndexNames(options.indexPrefix)
    return await readMappedFields(client, names.ofYears(type, years.map(Number)))
  } catch (error) {
    if (!(error instanceof ArchiverError)) throw error
    standardError.print(
      `archiver: the column "today" is left out (--no-elasticsearch does so, too): ${error.message}`,
    )
    return undefined
  } finally {
    await client.close()
  }
}
