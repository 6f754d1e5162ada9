import type { Home, ReadableHome } from '../../home/home.ts'
import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { faultPoint } from '../../runtime/fault.ts'
import type { Logger } from '../../runtime/log.ts'
import { listLog } from '../log/log-listing.ts'
import {
  type CompactedHead,
  type Manifest,
  type ManifestFile,
  printManifest,
  readManifest,
} from '../log/manifest.ts'
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
import { describeCompacted } from './compacted-manifest.ts'

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
 * @throws ArchiverError `DAMAGED` if a merged file is missing and cannot be taken back: then
 *   nothing is removed. Or the home's error.
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
    const merged = lost.filter(({ replaces }) => replaces!.length > 0)
    reportMissing(log, tp, lost)
    if (merged.length === 0) return { manifest, head: manifest.head, missing: lost }
    await takeBack(context, tp, manifest, merged, { flushes, compacted })
    return undefined
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

/**
 * Commits a generation that has, in place of merged files that are lost, those that were merged:
 * they are removed only once all merged files are in place. The next pass merges them again.
 *
 * @throws ArchiverError `DAMAGED` if a manifest that describes them is gone.
 */
async function takeBack(
  context: CompletionContext,
  tp: TopicPartition,
  manifest: Manifest,
  merged: readonly ManifestFile[],
  voided: Pick<Leftovers, 'flushes' | 'compacted'>,
): Promise<void> {
  const { home, log } = context
  const described = await filesOf(home, tp, voided)
  const sources = merged.flatMap(({ path, replaces }) =>
    replaces!.map((source) => {
      const file = described.get(source)
      if (file !== undefined) return file
      throw new ArchiverError(
        'DAMAGED',
        `${partitionKey(tp)}: ${path} was merged and is neither there nor in staging; nothing that it replaces is removed`,
        { path },
      )
    }),
  )
  const generation = manifest.generation! + 1
  const content = describeCompacted({ home, worker: manifest.worker }, tp, {
    ...manifest,
    generation,
    committed: manifest.committed,
    closed: false,
    unmerged: (manifest.unmerged ?? 0) + sources.length,
    omittedGaps: manifest.omitted_gaps ?? 0,
    files: [...manifest.files.filter((file) => !merged.includes(file)), ...sources],
    prev: manifest.prev,
    head: manifest.head,
  })
  const name = `${manifestDirectory(tp)}/${compactedName({ from: manifest.from, generation })}`
  // Of two that do the same, one gets the name; both go on with what is in force then.
  await home.create(name, printManifest(content))
  const { topic, partition } = tp
  log.warn(
    { event: 'merge_taken_back', topic, partition, generation, files: merged.length },
    'took lost merged files back',
  )
  await completeCompaction(context, tp)
}

/** The files that void manifests describe, by path. */
async function filesOf(
  home: ReadableHome,
  tp: TopicPartition,
  { flushes, compacted }: Pick<Leftovers, 'flushes' | 'compacted'>,
): Promise<ReadonlyMap<string, ManifestFile>> {
  const files = new Map<string, ManifestFile>()
  const names = [...flushes.map((from) => ({ from, generation: undefined })), ...compacted]
  for (const { from, generation } of names) {
    const manifest = await readManifest(home, tp, from, generation)
    for (const { replaces: _, ...file } of manifest?.files ?? []) files.set(file.path, file)
  }
  return files
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
