import { createInterface } from 'node:readline/promises'
import type { PruneOptions } from '../config/commands/prune.ts'
import { elasticsearchConnection } from '../config/elasticsearch.ts'
import { mysqlConnection } from '../config/mysql.ts'
import { Elasticsearch } from '../elasticsearch/client/client.ts'
import { IndexNames } from '../elasticsearch/index-name.ts'
import {
  deleteIndex,
  type KnownIndices,
  type OldIndices,
  oldIndices,
} from '../elasticsearch/prune.ts'
import { type PrunePlan, planPrune, pruneFiles, typesByDay } from '../files/compact/prune.ts'
import { CommitLog, listPartitions, requireArchive } from '../files/log/commit-log.ts'
import { type PrunedStores, readPruned, updatePruned } from '../files/log/pruned.ts'
import { DamagedPartitions } from '../files/read/damaged-partitions.ts'
import type { Home } from '../home/home.ts'
import { openHome } from '../home/open-home.ts'
import { Mysql } from '../mysql/client.ts'
import { countOldRows, deleteOldRows, type OldRows } from '../mysql/prune.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'
import { isoDate, msPerDay } from '../record/time.ts'
import { count, plural, size } from '../runtime/format.ts'
import { Proxies } from '../runtime/proxies.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { signalled } from './lib/program.ts'
import { table } from './lib/table.ts'

type Server = 'elasticsearch' | 'mysql'

/**
 * The start of the first day that is kept, in ms; undefined for `--finish`: each store has its own.
 */
type Before = number | undefined

/** What a prune takes, and what it leaves although it is old. */
interface Takings {
  readonly plans: readonly PrunePlan[]
  readonly indices: (OldIndices & { readonly before: number }) | undefined
  readonly rows: (OldRows & { readonly before: number }) | undefined
}

/** Removes whole days from the stores: shows what goes, notes it in the archive, and does it. */
export async function prune(options: PruneOptions): Promise<void> {
  const before = dateOf(options)
  const elasticsearch = elasticsearchConnection(options, new Proxies(process.env))
  const mysql = mysqlConnection(options)
  await using home = await openHome(options.archiveDir)
  const signal = signalled()
  await requireArchive(home)
  const damaged = new DamagedPartitions()
  const listed = await listPartitions(home)
  const archive: Archive = {
    home,
    partitions: damaged.sound(listed),
    topics: [...new Set(listed.map(({ topic }) => topic))],
    damaged,
  }
  const client = elasticsearch && new Elasticsearch(elasticsearch)
  const database = mysql && new Mysql(mysql)
  try {
    await client?.detect()
    await database?.detect()
    const takings = await look(options, { ...archive, client, database }, before)
    const isAnything = show(takings, { before, rowsTable: options.mysqlTable })
    if (options.dryRun) return damaged.throwIfAny()
    if (isAnything && !options.yes && process.stdin.isTTY && !(await isConfirmed(signal))) {
      standardOutput.print('nothing was removed')
      return damaged.throwIfAny()
    }
    await take(options, { ...archive, client, database }, takings, signal)
    if (isAnything) standardOutput.print('done')
    damaged.throwIfAny()
  } finally {
    await client?.close()
    await database?.close()
  }
}

function dateOf({ olderThan }: PruneOptions): Before {
  if (olderThan === undefined) return undefined
  return Math.floor((Date.now() - olderThan) / msPerDay) * msPerDay
}

interface Archive {
  readonly home: Home
  /** Those that can be read. */
  readonly partitions: readonly TopicPartition[]
  /** Of all partitions, damaged ones included. */
  readonly topics: readonly string[]
  readonly damaged: DamagedPartitions
}

interface Stores extends Archive {
  readonly client: Elasticsearch | undefined
  readonly database: Mysql | undefined
}

async function look(options: PruneOptions, stores: Stores, before: Before): Promise<Takings> {
  const { home, partitions, topics, damaged, client, database } = stores
  const plans: PrunePlan[] = []
  for (const tp of options.files ? partitions : []) {
    const plan = await damaged.attempt(tp, () => planPrune(home, tp, before))
    if (plan !== undefined) plans.push(plan)
  }
  const dateFor = async (store: Server) => before ?? (await interruptedDate(stores, store))
  const indicesBefore = client === undefined ? undefined : await dateFor('elasticsearch')
  const rowsBefore = database === undefined ? undefined : await dateFor('mysql')
  return {
    plans,
    indices:
      indicesBefore === undefined
        ? undefined
        : {
            ...(await oldIndices(
              client!,
              options.indexPrefix,
              indicesBefore,
              await knownIndices(stores, options.indexPrefix),
            )),
            before: indicesBefore,
          },
    rows:
      rowsBefore === undefined
        ? undefined
        : {
            ...(await countOldRows(database!, options.mysqlTable, rowsBefore, topics)),
            before: rowsBefore,
          },
  }
}

/** Every index that the manifests send records to, with those of refused documents. */
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

/** The latest date of prunes of a store that were interrupted; undefined if none was. */
async function interruptedDate(
  { home, partitions, damaged }: Archive,
  store: Server,
): Promise<number | undefined> {
  let date: number | undefined
  for (const tp of partitions) {
    const noted = (await damaged.attempt(tp, () => readPruned(home, tp)))?.[store]
    if (noted?.complete === false) date = Math.max(date ?? 0, noted.before)
  }
  return date
}

async function take(
  options: PruneOptions,
  { home, partitions, topics, damaged, client, database }: Stores,
  { plans, indices, rows }: Takings,
  signal: AbortSignal,
): Promise<void> {
  for (const plan of plans) {
    signal.throwIfAborted()
    await damaged.attempt(plan.tp, () => pruneFiles(home, plan))
  }
  if (damaged.isAny && (indices?.own.length ?? 0) + (rows?.own ?? 0) > 0) {
    standardError.print('indices and rows stay: they hold records of the damaged partitions, too')
    damaged.throwIfAny()
  }
  if (client !== undefined && indices !== undefined && indices.own.length > 0) {
    await noted({ home, partitions, store: 'elasticsearch', before: indices.before }, async () => {
      for (const { index } of indices.own) {
        signal.throwIfAborted()
        await deleteIndex(client, index)
      }
    })
  }
  if (database !== undefined && rows !== undefined && rows.own > 0) {
    await noted({ home, partitions, store: 'mysql', before: rows.before }, () =>
      deleteOldRows(database, options.mysqlTable, rows.before, topics, () =>
        signal.throwIfAborted(),
      ),
    )
  }
}

async function isConfirmed(signal: AbortSignal): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return /^y(es)?$/i.test(
      (await terminal.question('remove all of it? [y/N] ', { signal })).trim(),
    )
  } finally {
    terminal.close()
  }
}

/** Shows what goes, with the date of each, and what stays. Returns false if nothing goes. */
function show(
  { plans, indices, rows }: Takings,
  { before, rowsTable }: { readonly before: Before; readonly rowsTable: string },
): boolean {
  const going = [
    ...plans
      .filter(({ files }) => files > 0)
      .map(({ tp, files, records, bytes, taking }) => [
        partitionKey(tp),
        plural(files, 'file'),
        count(records),
        size(bytes),
        isoDate(taking.before),
      ]),
    ...(indices?.own ?? []).map(({ index, documents, bytes }) => [
      index,
      'index',
      count(documents),
      size(bytes),
      isoDate(indices!.before),
    ]),
    ...(rows === undefined || rows.own === 0
      ? []
      : [[rowsTable, 'rows', count(rows.own), '', isoDate(rows.before)]]),
  ]
  const waiting = before === undefined ? [] : plans.filter(({ ofLastFlush }) => ofLastFlush > 0)
  if (going.length === 0) {
    const isAnyOld = waiting.length + (indices?.left.length ?? 0) + (rows?.left ?? 0) > 0
    if (before === undefined) standardOutput.print('no prune was interrupted')
    else
      standardOutput.print(
        `nothing ${isAnyOld ? 'that can go ' : ''}is older than ${isoDate(before)}`,
      )
  } else {
    const columns = [
      { head: 'what' },
      { head: '' },
      { head: 'records', right: true },
      { head: 'bytes', right: true },
      { head: 'of days before' },
    ]
    standardOutput.print(table(columns, going))
  }
  for (const { tp, interrupted } of plans) {
    if (interrupted === undefined || interrupted.files === 0) continue
    standardOutput.print(
      `stays: ${plural(interrupted.files, 'file')} of ${partitionKey(tp)}, although an earlier prune that was interrupted had asked for everything before ${isoDate(interrupted.before)}; --finish removes them`,
    )
  }
  for (const { tp, ofLastFlush } of waiting) {
    standardOutput.print(
      `stays: ${plural(ofLastFlush, 'file')} of ${partitionKey(tp)}: of its last flush; a prune after the next flush takes ${ofLastFlush === 1 ? 'it' : 'them'}`,
    )
  }
  for (const { index, why } of indices?.left ?? [])
    standardOutput.print(`stays: index ${index}: ${why}`)
  if (rows !== undefined && rows.left > 0) {
    standardOutput.print(
      `stays: ${plural(rows.left, 'row')} of ${rowsTable}: of topics that this archive does not have`,
    )
  }
  return going.length > 0
}

interface Noted {
  readonly home: Home
  readonly partitions: readonly TopicPartition[]
  readonly store: Server
  readonly before: number
}

/**
 * Notes for every partition what a store is about to lose, so that whoever finds it gone knows why;
 * then that it is gone.
 */
async function noted(
  { home, partitions, store, before }: Noted,
  remove: () => Promise<void>,
): Promise<void> {
  const update = async (
    tp: TopicPartition,
    change: (noted: PrunedStores[Server]) => PrunedStores[Server],
  ) => {
    await updatePruned(home, tp, (stores) => {
      const changed = change(stores[store])
      return changed === undefined ? stores : { ...stores, [store]: changed }
    })
  }
  const wasComplete = new Set<TopicPartition>()
  for (const tp of partitions) {
    if ((await readPruned(home, tp))[store]?.complete === true) wasComplete.add(tp)
    const committedUntil = (await (await CommitLog.open(home, tp)).next()) ?? 0
    await update(tp, (noted) => ({
      before: Math.max(noted?.before ?? 0, before),
      committed_until: Math.max(noted?.committed_until ?? 0, committedUntil),
      complete: false,
    }))
  }
  await remove()
  // One that goes further, or was interrupted on the way there, is not done by this one; one that
  // was done still is.
  for (const tp of partitions) {
    await update(tp, (noted) =>
      noted !== undefined &&
      (noted.before === before || (noted.before > before && wasComplete.has(tp)))
        ? { ...noted, complete: true }
        : noted,
    )
  }
}
