import { resolve } from 'node:path'
import { checkElasticsearchOptions } from '../config.ts'
import type { Elasticsearch } from '../elasticsearch/client.ts'
import { deleteIndex, type OldIndex, oldIndices } from '../elasticsearch/prune.ts'
import { ArchiverError } from '../errors.ts'
import { CommitLog, listPartitions, requireArchive } from '../files/catalog.ts'
import { notePruned, type PrunePlan, planPrune, pruneFiles } from '../files/pruned.ts'
import { partitionKey, type TopicPartition } from '../record.ts'
import type { PruneOptions } from './archive-options.ts'
import { elasticsearchClient } from './elasticsearch-client.ts'
import { signalled } from './program.ts'
import { count, plural, size, table } from './table.ts'

const msPerDay = 86_400_000

/** Removes whole days from both stores: shows what goes, notes it in the archive, and does it. */
export async function prune(options: PruneOptions): Promise<void> {
  checkElasticsearchOptions(options)
  if (options.olderThan === undefined)
    throw new ArchiverError('USAGE', '--older-than is needed: such as --older-than 90d')
  if (options.olderThan < msPerDay)
    throw new ArchiverError('USAGE', '--older-than: days are removed whole; expected 1d or more')
  if (!options.files && options.elasticsearch === undefined) {
    throw new ArchiverError('USAGE', '--no-files with --no-elasticsearch leaves nothing to remove')
  }
  const root = resolve(options.archiveDir)
  const signal = signalled()
  await requireArchive(root)
  const before = Math.floor((Date.now() - options.olderThan) / msPerDay) * msPerDay
  const partitions = await listPartitions(root)
  const client = options.elasticsearch === undefined ? undefined : elasticsearchClient(options.elasticsearch, options)
  try {
    await client?.detect()
    const plans: PrunePlan[] = []
    for (const tp of options.files ? partitions : []) {
      const plan = await planPrune(root, tp, before)
      if (plan !== undefined) plans.push(plan)
    }
    const indices = client === undefined ? [] : await oldIndices(client, options.indexPrefix, before)
    show(before, plans, indices)
    if (options.dryRun) return
    for (const plan of plans) {
      signal.throwIfAborted()
      await pruneFiles(root, plan)
    }
    if (client !== undefined) await pruneIndices(client, root, partitions, before, indices, signal)
    process.stdout.write('done\n')
  } finally {
    await client?.close()
  }
}

function show(before: number, plans: readonly PrunePlan[], indices: readonly OldIndex[]): void {
  const rows = [
    ...plans
      .filter(({ files }) => files > 0)
      .map(({ tp, files, records, bytes }) => [partitionKey(tp), plural(files, 'file'), count(records), size(bytes)]),
    ...indices.map(({ index, documents, bytes }) => [index, 'index', count(documents), size(bytes)]),
  ]
  const day = new Date(before).toISOString().slice(0, 10)
  if (rows.length === 0) {
    process.stdout.write(`nothing is older than ${day}\n`)
    return
  }
  const columns = [{ head: 'what' }, { head: '' }, { head: 'records', right: true }, { head: 'bytes', right: true }]
  process.stdout.write(`of days before ${day}:\n${table(columns, rows)}\n`)
}

/** Noted for every partition first, so that whoever finds documents gone knows why. */
async function pruneIndices(
  client: Elasticsearch,
  root: string,
  partitions: readonly TopicPartition[],
  before: number,
  indices: readonly OldIndex[],
  signal: AbortSignal,
): Promise<void> {
  if (indices.length === 0) return
  for (const tp of partitions) {
    const committedUntil = await (await CommitLog.open(root, tp)).next()
    const pruned = { before, committed_until: committedUntil ?? 0, complete: true }
    await notePruned(root, tp, { elasticsearch: pruned })
  }
  for (const { index } of indices) {
    signal.throwIfAborted()
    await deleteIndex(client, index)
  }
}
