import type { PruneOptions } from '../config/commands/prune.ts'
import { elasticsearchConnection } from '../config/elasticsearch.ts'
import { mysqlConnection } from '../config/mysql.ts'
import { Elasticsearch } from '../elasticsearch/client/client.ts'
import { IndexNames } from '../elasticsearch/index-name.ts'
import { deleteIndex, type KnownIndices, oldIndices } from '../elasticsearch/prune.ts'
import { planPrune, pruneFiles, typesByDay } from '../files/compact/prune.ts'
import { removeNoted } from '../files/compact/prune-stores.ts'
import { listPartitions, requireArchive } from '../files/log/commit-log.ts'
import { readPruned } from '../files/log/pruned.ts'
import { DamagedPartitions } from '../files/read/damaged-partitions.ts'
import type { Home } from '../home/home.ts'
import { Mysql } from '../mysql/client.ts'
import { countOldRows, deleteOldRows } from '../mysql/prune.ts'
import type { TopicPartition } from '../record/record.ts'
import { msPerDay } from '../record/time.ts'
import { mapInLanes } from '../runtime/lanes.ts'
import { Proxies } from '../runtime/proxies.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { openArchive } from './lib/archive-home.ts'
import { isConfirmed } from './lib/confirm.ts'
import { signalled, unlessStopped } from './lib/program.ts'
import { describeTakings, type Takings, takesAnything } from './prune/report.ts'

/**
 * The start of the first day that is kept, in ms; undefined for `--finish`: each store has its own.
 */
type Before = number | undefined

/** Partitions that are looked at, or pruned, at once. */
const partitionsAhead = 8

/** Removes whole days from the stores: shows what goes, notes it in the archive, and removes it. */
export async function prune(options: PruneOptions): Promise<void> {
  const before = dateOf(options)
  const elasticsearch = elasticsearchConnection(options, new Proxies(process.env))
  const mysql = mysqlConnection(options)
  await using home = await openArchive(options)
  const signal = signalled()
  await unlessStopped(requireArchive(home))
  const damaged = new DamagedPartitions()
  const listed = await unlessStopped(listPartitions(home))
  const stores: Stores = {
    home,
    partitions: damaged.sound(listed),
    topics: [...new Set(listed.map(({ topic }) => topic))],
    damaged,
    client: elasticsearch && new Elasticsearch(elasticsearch),
    database: mysql && new Mysql(mysql),
  }
  try {
    if (stores.client !== undefined) await unlessStopped(stores.client.detect())
    if (stores.database !== undefined) await unlessStopped(stores.database.detect())
    const takings = await look(options, stores, before)
    for (const line of describeTakings(takings, before)) standardOutput.print(line)
    if (!options.dryRun) await takeIfWanted(options, stores, takings, signal)
    damaged.throwIfAny()
  } finally {
    await stores.client?.close()
    await stores.database?.close()
  }
}

/** Asks first, if there is a terminal to ask. */
async function takeIfWanted(
  options: PruneOptions,
  stores: Stores,
  takings: Takings,
  signal: AbortSignal,
): Promise<void> {
  const isAnything = takesAnything(takings)
  const asks = isAnything && !options.yes && process.stdin.isTTY
  if (asks && !(await isConfirmed('remove all of it?', signal))) {
    standardOutput.print('nothing was removed')
    return
  }
  await take(stores, takings, signal)
  if (isAnything) standardOutput.print('done')
}

function dateOf({ olderThan }: PruneOptions): Before {
  if (olderThan === undefined) return undefined
  return Math.floor((Date.now() - olderThan) / msPerDay) * msPerDay
}

interface Archive {
  readonly home: Home
  /** The partitions that can be read. */
  readonly partitions: readonly TopicPartition[]
  /** Those of all partitions, damaged ones included. */
  readonly topics: readonly string[]
  readonly damaged: DamagedPartitions
}

interface Stores extends Archive {
  readonly client: Elasticsearch | undefined
  readonly database: Mysql | undefined
}

async function look(options: PruneOptions, stores: Stores, before: Before): Promise<Takings> {
  const { home, partitions, damaged, client, database } = stores
  const plans = await mapInLanes(options.files ? partitions : [], partitionsAhead, (tp) =>
    damaged.attempt(tp, () => planPrune(home, tp, before)),
  )
  return {
    plans: plans.filter((plan) => plan !== undefined),
    indices: client && (await lookAtIndices(options.indexPrefix, client, stores, before)),
    rows: database && (await lookAtRows(options.mysqlTable, database, stores, before)),
  }
}

async function lookAtIndices(
  prefix: string,
  client: Elasticsearch,
  archive: Archive,
  before: Before,
): Promise<Takings['indices']> {
  const date = before ?? (await interruptedDate(archive, 'elasticsearch'))
  if (date === undefined) return undefined
  const known = await knownIndices(archive, prefix)
  return { ...(await oldIndices(client, prefix, date, known)), before: date }
}

async function lookAtRows(
  table: string,
  database: Mysql,
  archive: Archive,
  before: Before,
): Promise<Takings['rows']> {
  const date = before ?? (await interruptedDate(archive, 'mysql'))
  if (date === undefined) return undefined
  return { ...(await countOldRows(database, table, date, archive.topics)), table, before: date }
}

/** Every index that the manifests send records to, and the indices of rejected documents. */
async function knownIndices(
  { home, partitions, topics, damaged }: Archive,
  indexPrefix: string,
): Promise<KnownIndices> {
  const names = new Set<string>()
  const of = new IndexNames(indexPrefix)
  for (const tp of partitions) {
    await damaged.attempt(tp, async () => {
      for await (const { type, hour } of typesByDay(home, tp)) {
        for (const name of of.every(type, hour)) names.add(name)
        names.add(of.rejected(hour))
      }
    })
  }
  return { names, topics }
}

/** The latest date of the interrupted prunes of a store; undefined if there is none. */
async function interruptedDate(
  { home, partitions, damaged }: Archive,
  store: 'elasticsearch' | 'mysql',
): Promise<number | undefined> {
  let date: number | undefined
  for (const tp of partitions) {
    const noted = (await damaged.attempt(tp, () => readPruned(home, tp)))?.[store]
    if (noted?.complete === false) date = Math.max(date ?? 0, noted.before)
  }
  return date
}

async function take(
  { home, partitions, topics, damaged, client, database }: Stores,
  { plans, indices, rows }: Takings,
  signal: AbortSignal,
): Promise<void> {
  await mapInLanes(plans, partitionsAhead, async (plan) => {
    signal.throwIfAborted()
    await damaged.attempt(plan.tp, () => pruneFiles(home, plan))
  })
  if (damaged.isAny && (indices?.own.length ?? 0) + (rows?.own ?? 0) > 0) {
    standardError.print('indices and rows stay: they also hold records of the damaged partitions')
    damaged.throwIfAny()
  }
  if (client !== undefined && indices !== undefined && indices.own.length > 0) {
    const removal = { home, partitions, store: 'elasticsearch', before: indices.before } as const
    await removeNoted(removal, async () => {
      for (const { index } of indices.own) {
        signal.throwIfAborted()
        await deleteIndex(client, index)
      }
    })
  }
  if (database !== undefined && rows !== undefined && rows.own > 0) {
    const removal = { home, partitions, store: 'mysql', before: rows.before } as const
    await removeNoted(removal, () =>
      deleteOldRows(database, rows.table, rows.before, topics, () => signal.throwIfAborted()),
    )
  }
}
