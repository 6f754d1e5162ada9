import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { ArchiverError, systemCode } from '../../runtime/errors.ts'
import { faultPoint } from '../../runtime/fault.ts'
import { inLanes } from '../../runtime/lanes.ts'
import type { Logger } from '../../runtime/log.ts'
import {
  linkExclusively,
  makeDirectory,
  removeIfThere,
  syncPath,
  writeDurably,
} from '../fs/durable.ts'
import { type Shortage, type Space, shortageOf, spaceOf } from '../fs/free-space.ts'
import { removeStaging, requireDirectories } from '../fs/no-links.ts'
import { DamagedFiles } from '../log/damaged-files.ts'
import { listLog } from '../log/log-listing.ts'
import {
  type CompactedHead,
  describeGaps,
  type Manifest,
  type ManifestFile,
  manifestFormat,
  manifestPieces,
  readManifest,
} from '../log/manifest.ts'
import {
  type CompactedName,
  compactedName,
  compactionStaging,
  manifestDirectory,
  manifestName,
  parseCompactionStaging,
  stagingOf,
} from '../log/path.ts'
import { isPruned, readPruned } from '../log/pruned.ts'
import {
  isThere,
  type PublishContext,
  type PublishPoints,
  publish,
  rollForward,
  syncDirectories,
} from '../log/publish.ts'
import { merge, Unlike } from './merge.ts'
import {
  bytesOf,
  type CompactionLimits,
  makePlan,
  type Plan,
  type PlanOptions,
  standardLimits,
} from './plan.ts'

/**
 * Compaction: the small files of an hour that is over become one, and old manifests are folded into
 * one.
 *
 *     before   0.json  6185.json  11020.json … 98000.json  99500.json
 *     after    compacted-0-1.json [0, 98000)   98000.json  99500.json
 *     later    compacted-0-2.json [0, 212000)  212000.json …
 *
 * A pass of one topic-partition:
 *
 * 1. Neighbours of an hour are appended to one staged file: gzip members stand one after another,
 *    so nothing is
 *    compressed again. `tiers.ts` says which: no byte is copied more often than the logarithm of what is written.
 * 2. The compacted manifest `[from, next)` is written beside them, fsynced, and linked to
 *    `compacted-<from>-<generation>.json`. That is
 *    the commit point, and the compare-and-swap between two that compact the same partition. From now on every manifest of a
 *    flush inside the range, and every lower generation, is void.
 * 3. Completion: merged files are renamed into place, the files that they replace removed, then the
 *    void manifests. Each step can be
 *    repeated by anyone at any time, and is by whoever finds a void manifest: they go last, so they say that it is not done.
 *
 * **Invariants.** A name in the commit log becomes free only after a compacted manifest has its
 * offset: see step 2 of a flush. The highest generation of a range is never removed. A data file's
 * name is never used again: a merged file begins or ends elsewhere than each that it replaces. So
 * whoever was frozen anywhere in here finds, when it thaws, that its renames and removals have
 * nothing left to act upon.
 */

export interface CompactionContext extends PublishContext {
  readonly worker: string
  readonly log: Logger
  /** What earlier passes found damaged. */
  readonly damaged?: DamagedFiles
  /** The space of the archive's file system; undefined if it does not say. */
  readonly space?: (root: string) => Promise<Space | undefined>
}

export interface CompactionOptions extends PlanOptions {
  /** Gives up before the commit point. */
  readonly signal?: AbortSignal
  readonly limits?: Partial<CompactionLimits>
}

/** What a pass did, or, of a dry run, would do. */
export interface Compaction {
  /** Files that took the place … */
  readonly merged: number
  /** … of this many. */
  readonly replaced: number
  /** Bytes that were copied for it. */
  readonly bytes: number
  /** Manifests that became part of the compacted one. */
  readonly folded: number
  /** There is more to do at once. */
  readonly isMore: boolean
  /** The first merge that waits because archiving needs the room. */
  readonly shortage?: Shortage
}

const nothing: Compaction = { merged: 0, replaced: 0, bytes: 0, folded: 0, isMore: false }

const publishPoints: PublishPoints = [
  'compaction.renamed-one',
  'compaction.renamed',
  'compaction.directories-synced',
]

/**
 * One pass over a topic-partition. Safe beside its live owner, and beside others that compact it.
 * @throws ArchiverError `DAMAGED`, `MANIFEST_INVALID`, or the file system's error; what was begun
 *   is taken up by the next pass.
 */
export async function compactPartition(
  context: CompactionContext,
  tp: TopicPartition,
  options: CompactionOptions,
): Promise<Compaction> {
  let inPlace = Number.POSITIVE_INFINITY
  if (options.dryRun !== true) {
    await completeCompaction(context, tp)
    inPlace = (await rollForward(context, tp))?.next ?? 0
  }
  const { root, damaged = new DamagedFiles() } = context
  const limits = { ...standardLimits, ...options.limits }
  const plan = await makePlan({ root, tp, inPlace, limits, damaged }, options)
  if (plan === undefined) return nothing
  return options.dryRun === true
    ? describePlan(plan)
    : carryOut({ ...context, damaged }, tp, plan, limits, options)
}

function describePlan({ merges, folded, isMore }: Plan): Compaction {
  const files = merges.flat()
  return { merged: merges.length, replaced: files.length, bytes: bytesOf(files), folded, isMore }
}

async function carryOut(
  context: CompactionContext & { readonly damaged: DamagedFiles },
  tp: TopicPartition,
  plan: Plan,
  { minFolded }: CompactionLimits,
  { signal }: CompactionOptions,
): Promise<Compaction> {
  const { root, worker, log } = context
  const unique = `${worker}-${randomBytes(3).toString('hex')}`
  const staging = `${stagingOf(tp)}/${compactionStaging(plan, unique)}`
  const directory = join(root, manifestDirectory(tp))
  const path = join(directory, compactedName(plan))
  const beside = join(root, staging, compactedName(plan))
  /** From the first try to link it on, until it is known that there is no link. */
  let mayBeLinked = false
  try {
    await makeDirectory(root, staging)
    const copies = await mergeAll(context, tp, staging, plan, signal)
    if (copies === undefined) return nothing
    const { merged, shortage } = copies
    const isShort = shortage !== undefined
    if (merged.length === 0 && plan.folded < minFolded && (isShort || !plan.closed)) {
      return isShort ? { ...nothing, shortage } : nothing
    }
    await syncPath(join(root, staging))
    faultPoint('compaction.merged')
    const manifest = describeCompacted(tp, worker, plan, copies)
    await writeDurably(beside, manifestPieces(manifest))
    faultPoint('compaction.manifest-written')
    signal?.throwIfAborted()
    // Lists the log: its directory is no link.
    if (await isOvertaken(root, tp, plan)) return nothing
    mayBeLinked = true
    if (!(await linkExclusively(beside, path))) {
      mayBeLinked = false
      return nothing
    }
    faultPoint('compaction.linked')
    // What is in force is completed, and everything else removed: also this one, if its name was
    // free because it is void.
    await completeCompaction(context, tp)
    const replaced = merged.flatMap(({ replaces }) => replaces!).length
    const { from, next, generation, folded } = plan
    log.debug(
      {
        ...tp,
        from,
        next,
        generation,
        files: manifest.files.length,
        merged: merged.length,
        replaced,
        folded,
      },
      'compacted',
    )
    const done = {
      merged: merged.length,
      replaced,
      bytes: bytesOf(merged),
      folded,
      isMore: plan.isMore && !isShort,
    }
    return isShort ? { ...done, shortage } : done
  } catch (error) {
    // Whoever completes a compaction removes what slower ones stage for the same one; what is not
    // there was not linked.
    const isRemoved = systemCode(error) === 'ENOENT' && !(await isThere(beside))
    if (!isRemoved || !(await isOvertaken(root, tp, plan))) throw error
    return nothing
  } finally {
    if (!mayBeLinked) await removeStaging(root, staging)
  }
}

interface Copies {
  readonly merged: readonly ManifestFile[]
  /** Files of merges that wait for room. */
  readonly delayed: readonly ManifestFile[]
  /** Files of merges that cannot be done, because one of them is damaged. */
  readonly unmergeable: readonly ManifestFile[]
  readonly shortage: Shortage | undefined
}

/** Stages the merged files of a plan; undefined if others overtook it. */
async function mergeAll(
  { root, log, damaged, space = spaceOf }: CompactionContext & { readonly damaged: DamagedFiles },
  tp: TopicPartition,
  staging: string,
  plan: Plan,
  signal: AbortSignal | undefined,
): Promise<Copies | undefined> {
  const merged: ManifestFile[] = []
  const delayed: ManifestFile[] = []
  const unmergeable: ManifestFile[] = []
  let shortage: Shortage | undefined
  for (const files of plan.merges) {
    const short = shortageOf(await space(root), bytesOf(files))
    if (short !== undefined) {
      shortage ??= short
      delayed.push(...files)
      continue
    }
    try {
      merged.push(await merge(root, tp, staging, files, signal))
    } catch (error) {
      if (!(error instanceof Unlike)) throw error
      if (await isOvertaken(root, tp, plan)) return undefined
      await damaged.add(root, error.path)
      unmergeable.push(...files)
      log.warn(
        { ...tp, path: error.path },
        `${dirname(error.path)} is not merged: ${error.message}; run verify`,
      )
    }
    if (merged.length === 1) faultPoint('compaction.merged-one')
  }
  return { merged, delayed, unmergeable, shortage }
}

/** The lists stand last: who only needs the range does not read them. */
function describeCompacted(
  tp: TopicPartition,
  worker: string,
  { from, next, generation, committed, closed, kept, unmerged, gaps, omittedGaps }: Plan,
  { merged, delayed, unmergeable }: Copies,
): Manifest {
  const files = [...kept, ...delayed, ...unmergeable, ...merged].sort((a, b) => a.first - b.first)
  const described = describeGaps(gaps)
  const omitted = omittedGaps + (described.omitted_gaps ?? 0)
  return {
    format: manifestFormat,
    topic: tp.topic,
    partition: tp.partition,
    from,
    next,
    generation,
    worker,
    written: new Date().toISOString(),
    records: files.reduce((sum, { records }) => sum + records, 0),
    ...(committed === undefined ? {} : { committed }),
    // What waits for room is merged later: then no generation may have been the last.
    ...(closed && delayed.length === 0 ? { closed } : {}),
    unmerged: unmerged + delayed.length,
    ...(omitted === 0 ? {} : { omitted_gaps: omitted }),
    gaps: described.gaps,
    files,
  }
}

/**
 * True where others compacted meanwhile, or a prune took some of the files: they are not to be
 * merged with what it leaves.
 */
async function isOvertaken(root: string, tp: TopicPartition, plan: Plan): Promise<boolean> {
  const { files: pruned } = await readPruned(root, tp)
  if (
    pruned?.before !== plan.pruned?.before ||
    pruned?.committed_until !== plan.pruned?.committed_until
  )
    return true
  const { entries } = await listLog(root, tp)
  return entries.some(
    ({ from, compacted }) => from === plan.from && (compacted?.generation ?? 0) >= plan.generation,
  )
}

async function isInForce(
  root: string,
  tp: TopicPartition,
  { from, generation }: CompactedName,
): Promise<boolean> {
  const { entries } = await listLog(root, tp)
  return entries.some(
    ({ compacted }) => compacted?.from === from && compacted.generation === generation,
  )
}

// Completion.

/**
 * Completes compactions of a partition that were committed, whoever began them: step 3. Does
 * nothing but a look where nothing is left over.
 *
 * @throws ArchiverError `DAMAGED` where a merged file is nowhere: then nothing is removed. Or the
 *   file system's error.
 */
export async function completeCompaction(
  context: CompactionContext,
  tp: TopicPartition,
): Promise<void> {
  const { root } = context
  const listing = await listLog(root, tp)
  const staged = (await stagedCompactions(root, tp)).filter(({ from, generation }) => {
    const inForce = listing.entries.find((entry) => entry.from === from)?.compacted
    // Of a higher one the manifest may yet be linked.
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
    if (Object.values(leftovers).some(({ length }) => length > 0))
      await complete(context, tp, compacted, leftovers)
  }
}

async function stagedCompactions(
  root: string,
  tp: TopicPartition,
): Promise<(CompactedName & { name: string })[]> {
  await requireDirectories(root, [stagingOf(tp)])
  let names: string[]
  try {
    names = await readdir(join(root, stagingOf(tp)))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
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
  context: CompactionContext,
  tp: TopicPartition,
  head: CompactedHead,
  { flushes, compacted, staged }: Leftovers,
): Promise<void> {
  const { root, onFile } = context
  const directory = join(root, manifestDirectory(tp))
  const manifest = await readManifest(root, tp, head.from, head.generation)
  // A higher generation is in force by now; whoever made it completes both.
  if (manifest === undefined) return
  // Its writer may have ended before this; what it replaces must not be gone when it is.
  await syncPath(directory)
  const merged = manifest.files.filter(({ replaces }) => replaces !== undefined)
  const missing = await publish(context, merged, publishPoints)
  const { files: pruned } = await readPruned(root, tp)
  const lost = missing.find((file) => !isPruned(pruned, file))
  if (lost !== undefined) {
    if (!(await isInForce(root, tp, head))) return
    throw new ArchiverError(
      'DAMAGED',
      `${partitionKey(tp)}: ${lost.path} was merged and is neither there nor in staging; nothing that it replaces is removed`,
      { path: lost.path },
    )
  }
  const replaced = merged.flatMap(({ replaces }) => replaces!)
  await requireDirectories(root, replaced.map(dirname))
  await inLanes(replaced, async (path) => {
    await onFile(() => removeIfThere(join(root, path)))
    faultPoint('compaction.replaced-removed-one')
  })
  // A prune that began before the merged files were in place did not see them.
  for (const file of merged) if (isPruned(pruned, file)) await removeIfThere(join(root, file.path))
  await syncDirectories(context, replaced)
  faultPoint('compaction.replaced-removed')
  // Last, and the lowest first.
  for (const from of flushes) {
    await removeIfThere(join(directory, manifestName(from)))
    faultPoint('compaction.manifest-removed-one')
  }
  for (const name of compacted) await removeIfThere(join(directory, compactedName(name)))
  await syncPath(directory)
  faultPoint('compaction.manifests-removed')
  for (const name of staged) await removeStaging(root, join(stagingOf(tp), name))
}
