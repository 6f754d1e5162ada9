import type { Home, ReadableHome } from '../../home/home.ts'
import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { faultPoint } from '../../runtime/fault.ts'
import type { Logger } from '../../runtime/log.ts'
import { listLog } from '../log/log-listing.ts'
import { type CompactedHead, readManifest } from '../log/manifest.ts'
import {
  type CompactedName,
  compactedName,
  compactionBeginning,
  manifestDirectory,
  manifestName,
  parseCompactionStaging,
  stagingOf,
} from '../log/path.ts'
import { isPruned, readPruned } from '../log/pruned.ts'
import { type Incomplete, reportMissing } from '../log/roll-forward.ts'

/** What completing a compaction needs. */
export interface CompletionContext {
  readonly home: Home
  readonly log: Logger
}

/**
 * Completes committed compactions of a partition, including those of others: step 3. If nothing is
 * left to complete, it only looks.
 *
 * @returns those that miss files that were read from Kafka again: nothing of them is removed.
 * @throws ArchiverError `DAMAGED` if a merged file is missing: then nothing is removed. Or the file
 *   system's error.
 */
export async function completeCompaction(
  context: CompletionContext,
  tp: TopicPartition,
): Promise<readonly Incomplete[]> {
  const { home } = context
  const incomplete: Incomplete[] = []
  const listing = await listLog(home, tp)
  const staged = (await stagedCompactions(home, tp)).filter(({ from, generation }) => {
    const inForce = listing.entries.find((entry) => entry.from === from)?.compacted
    // The manifest of a higher generation may still be linked.
    return inForce !== undefined && generation <= inForce.generation
  })
  for (const { compacted } of listing.entries) {
    if (compacted === undefined) continue
    const isWithin = ({ from }: { from: number }) => compacted.from <= from && from < compacted.next
    const leftovers = {
      flushes: listing.voidFlushes.filter((from) => isWithin({ from })),
      compacted: listing.voidCompacted.filter(isWithin),
      staged: staged.filter(isWithin).map(({ name }) => name),
    }
    if (Object.values(leftovers).every(({ length }) => length === 0)) continue
    const left = await complete(context, tp, compacted, leftovers)
    if (left !== undefined) incomplete.push(left)
  }
  return incomplete
}

async function stagedCompactions(
  home: ReadableHome,
  tp: TopicPartition,
): Promise<(CompactedName & { name: string })[]> {
  const names = await home.list(stagingOf(tp), compactionBeginning)
  return names.flatMap((name) => {
    const parsed = parseCompactionStaging(name)
    return parsed === undefined ? [] : [{ ...parsed, name }]
  })
}

interface Leftovers {
  readonly flushes: readonly number[]
  readonly compacted: readonly CompactedName[]
  /** Directories of staging, by name. */
  readonly staged: readonly string[]
}

async function complete(
  context: CompletionContext,
  tp: TopicPartition,
  head: CompactedHead,
  { flushes, compacted, staged }: Leftovers,
): Promise<Incomplete | undefined> {
  const { home, log } = context
  const inLog = (name: string) => `${manifestDirectory(tp)}/${name}`
  const manifest = await readManifest(home, tp, head.from, head.generation)
  // A higher generation is in force by now; its owner completes both.
  if (manifest === undefined) return undefined
  // What it replaces must not be gone when it is.
  await home.confirm(inLog(compactedName(head)))
  const added = manifest.files.filter(({ replaces }) => replaces !== undefined)
  const missing = await home.publish(added, 'compaction')
  const { files: pruned } = await readPruned(home, tp)
  const lost = missing.filter((file) => !isPruned(pruned, file))
  if (lost.length > 0) {
    if (!(await isInForce(home, tp, head))) return undefined
    const merged = lost.find(({ replaces }) => replaces!.length > 0)
    reportMissing(log, tp, lost)
    if (merged === undefined) return { manifest, head: manifest.head, missing: lost }
    throw new ArchiverError(
      'DAMAGED',
      `${partitionKey(tp)}: ${merged.path} was merged and is neither there nor in staging; nothing that it replaces is removed`,
      { path: merged.path },
    )
  }
  const replaced = added.flatMap(({ replaces }) => replaces!)
  // A prune that began before the merged files were in place did not see them.
  const unseen = added.filter((file) => isPruned(pruned, file)).map(({ path }) => path)
  await home.remove([...replaced, ...unseen], { label: 'compaction.replaced' })
  faultPoint('compaction.replaced-removed')
  // Last: while one of them exists, the completion is repeated.
  const voided = [...flushes.map(manifestName), ...compacted.map(compactedName)]
  await home.remove(voided.map(inLog), { label: 'compaction.manifest' })
  faultPoint('compaction.manifest-removed')
  await home.removeStaging(staged.map((name) => `${stagingOf(tp)}/${name}`))
  return undefined
}

async function isInForce(
  home: ReadableHome,
  tp: TopicPartition,
  { from, generation }: CompactedName,
): Promise<boolean> {
  const { entries } = await listLog(home, tp)
  return entries.some(
    ({ compacted }) => compacted?.from === from && compacted.generation === generation,
  )
}
