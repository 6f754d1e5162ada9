import { resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { checkElasticsearchOptions, checkMysqlOptions } from '../config.ts'
import type { Elasticsearch } from '../elasticsearch/client.ts'
import { deleteIndex, type OldIndex, oldIndices } from '../elasticsearch/prune.ts'
import { ArchiverError } from '../errors.ts'
import { CommitLog, listPartitions, requireArchive } from '../files/catalog.ts'
import { notePruned, type PrunePlan, planPrune, pruneFiles } from '../files/pruned.ts'
import type { Mysql } from '../mysql/client.ts'
import { countOldRows, deleteOldRows } from '../mysql/prune.ts'
import { partitionKey, type TopicPartition } from '../record.ts'
import type { PruneOptions } from './archive-options.ts'
import { DamagedPartitions } from './damaged-partitions.ts'
import { elasticsearchClient } from './elasticsearch-client.ts'
import { mysqlClient } from './mysql-client.ts'
import { signalled } from './program.ts'
import { standardError, standardOutput } from './standard-streams.ts'
import { count, plural, size, table } from './table.ts'

const msPerDay = 86_400_000

/** Removes whole days from the stores: shows what goes, notes it in the archive, and does it. */
export async function prune(options: PruneOptions): Promise<void> {
  checkElasticsearchOptions(options)
  checkMysqlOptions(options)
  if (options.olderThan === undefined)
    throw new ArchiverError('USAGE', '--older-than is needed: such as --older-than 90d')
  if (options.olderThan < msPerDay)
    throw new ArchiverError('USAGE', '--older-than: days are removed whole; expected 1d or more')
  if (!options.files && options.elasticsearch === undefined && options.mysql === undefined) {
    throw new ArchiverError('USAGE', '--no-files with --no-elasticsearch and without --mysql leaves nothing to remove')
  }
  const root = resolve(options.archiveDir)
  const signal = signalled()
  await requireArchive(root)
  const before = Math.floor((Date.now() - options.olderThan) / msPerDay) * msPerDay
  const damaged = new DamagedPartitions()
  const partitions = damaged.sound(await listPartitions(root))
  const client = options.elasticsearch === undefined ? undefined : elasticsearchClient(options.elasticsearch, options)
  const database = options.mysql === undefined ? undefined : mysqlClient(options.mysql, options)
  try {
    await client?.detect()
    await database?.detect()
    const plans: PrunePlan[] = []
    for (const tp of options.files ? partitions : []) {
      const plan = await damaged.attempt(tp, () => planPrune(root, tp, before))
      if (plan !== undefined) plans.push(plan)
    }
    const indices = client === undefined ? [] : await oldIndices(client, options.indexPrefix, before)
    const oldRows = database === undefined ? 0 : await countOldRows(database, options.mysqlTable, before)
    const isAnything = show(before, plans, indices, { table: options.mysqlTable, rows: oldRows })
    if (options.dryRun) return damaged.throwIfAny()
    if (isAnything && !options.yes && process.stdin.isTTY && !(await isConfirmed(signal))) {
      standardOutput.print('nothing was removed')
      return damaged.throwIfAny()
    }
    for (const plan of plans) {
      signal.throwIfAborted()
      await damaged.attempt(plan.tp, () => pruneFiles(root, plan))
    }
    if (damaged.isAny && (indices.length > 0 || oldRows > 0)) {
      standardError.print('indices and rows stay: they hold records of the damaged partitions, too')
      damaged.throwIfAny()
    }
    if (client !== undefined) await pruneIndices(client, root, partitions, before, indices, signal)
    if (database !== undefined && oldRows > 0) {
      await pruneRows(database, options.mysqlTable, root, partitions, before, signal)
    }
    if (isAnything) standardOutput.print('done')
    damaged.throwIfAny()
  } finally {
    await client?.close()
    await database?.close()
  }
}

async function isConfirmed(signal: AbortSignal): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return /^y(es)?$/i.test((await terminal.question('remove all of it? [y/N] ', { signal })).trim())
  } finally {
    terminal.close()
  }
}

/** Returns false where there is nothing to show. */
function show(
  before: number,
  plans: readonly PrunePlan[],
  indices: readonly OldIndex[],
  { table: name, rows: oldRows }: { table: string; rows: number },
): boolean {
  const rows = [
    ...plans
      .filter(({ files }) => files > 0)
      .map(({ tp, files, records, bytes }) => [partitionKey(tp), plural(files, 'file'), count(records), size(bytes)]),
    ...indices.map(({ index, documents, bytes }) => [index, 'index', count(documents), size(bytes)]),
    ...(oldRows === 0 ? [] : [[name, 'rows', count(oldRows), '']]),
  ]
  const day = new Date(before).toISOString().slice(0, 10)
  if (rows.length === 0) {
    standardOutput.print(`nothing is older than ${day}`)
    return false
  }
  const columns = [{ head: 'what' }, { head: '' }, { head: 'records', right: true }, { head: 'bytes', right: true }]
  standardOutput.print(`of days before ${day}:\n${table(columns, rows)}`)
  return true
}

/** Noted for every partition first, so that whoever finds records gone knows why. */
async function note(
  root: string,
  partitions: readonly TopicPartition[],
  store: 'elasticsearch' | 'mysql',
  before: number,
): Promise<void> {
  for (const tp of partitions) {
    const committedUntil = await (await CommitLog.open(root, tp)).next()
    await notePruned(root, tp, { [store]: { before, committed_until: committedUntil ?? 0, complete: true } })
  }
}

async function pruneRows(
  database: Mysql,
  name: string,
  root: string,
  partitions: readonly TopicPartition[],
  before: number,
  signal: AbortSignal,
): Promise<void> {
  await note(root, partitions, 'mysql', before)
  await deleteOldRows(database, name, before, () => signal.throwIfAborted())
}

async function pruneIndices(
  client: Elasticsearch,
  root: string,
  partitions: readonly TopicPartition[],
  before: number,
  indices: readonly OldIndex[],
  signal: AbortSignal,
): Promise<void> {
  if (indices.length === 0) return
  await note(root, partitions, 'elasticsearch', before)
  for (const { index } of indices) {
    signal.throwIfAborted()
    await deleteIndex(client, index)
  }
}
