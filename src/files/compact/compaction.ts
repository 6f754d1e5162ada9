import { randomBytes } from 'node:crypto'
import { MayBeCreated, type ReadableHome, type Staging, StagingGone } from '../../home/home.ts'
import type { TopicPartition } from '../../record/record.ts'
import { errorFields } from '../../runtime/errors.ts'
import { faultPoint } from '../../runtime/fault.ts'
import { DamagedFiles } from '../log/damaged-files.ts'
import { listLog } from '../log/log-listing.ts'
import { type ManifestFile, manifestPieces } from '../log/manifest.ts'
import { compactedName, compactionStaging, manifestDirectory, stagingOf } from '../log/path.ts'
import { readPruned } from '../log/pruned.ts'
import { rollForward } from '../log/roll-forward.ts'
import { type CompactedContent, describeCompacted } from './compacted-manifest.ts'
import { type CompletionContext, completeCompaction } from './completion.ts'
import { type Shortage, shortageOf } from './free-space.ts'
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
 * Compaction merges the small files of a past hour into one, and folds old manifests into one.
 *
 *     before   0.json  6185.json  11020.json … 98000.json  99500.json
 *     after    compacted-0-1.json [0, 98000)   98000.json  99500.json
 *     later    compacted-0-2.json [0, 212000)  212000.json …
 *
 * A pass of one topic-partition:
 *
 * 1. It appends neighbours of an hour to one staged file. Gzip members follow one another, so
 *    it compresses nothing again. `tiers.ts` chooses the neighbours: no byte is copied more often
 *    than the logarithm of what is written.
 * 2. It writes the compacted manifest `[from, next)` beside them, fsyncs it, and links it to
 *    `compacted-<from>-<generation>.json`. That is the commit point. It is also the
 *    compare-and-swap between two that compact the same partition. From then on, every manifest of
 *    a flush inside the range is void, and so is every lower generation.
 * 3. Completion: it renames merged files into place, then removes the files that they replace, then
 *    the void manifests. Anyone can repeat each step at any time. A void manifest is removed last,
 *    so it shows that a completion is not done, and anyone who finds one repeats it.
 *
 * **Invariants.** A name in the commit log becomes free only after a compacted manifest has its
 * offset: see step 2 of a flush. The highest generation of a range is never removed. A data file's
 * name is never used again: a merged file begins or ends elsewhere than each file that it replaces.
 * So when a frozen process thaws at any step, its renames and removals find nothing left to act on.
 */

export interface CompactionContext extends CompletionContext {
  readonly worker: string
  /** What earlier passes found damaged. */
  readonly damaged?: DamagedFiles
}

export interface CompactionOptions extends PlanOptions {
  /** Gives up before the commit point. */
  readonly signal?: AbortSignal
  readonly limits?: Partial<CompactionLimits>
}

/** What a pass did, or what a dry run would do. */
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

/**
 * One pass over a topic-partition. Safe while its owner runs, and while others compact it.
 * @throws ArchiverError `DAMAGED`, `MANIFEST_INVALID`, or the file system's error. The next pass
 *   continues what this one began.
 */
export async function compactPartition(
  context: CompactionContext,
  tp: TopicPartition,
  options: CompactionOptions,
): Promise<Compaction> {
  let inPlace = Number.POSITIVE_INFINITY
  if (options.dryRun !== true) {
    await completeCompaction(context, tp)
    const end = await rollForward(context, tp)
    // What is lost is read from Kafka again, by the owner of the partition, before it is merged.
    inPlace = end?.incomplete[0]?.manifest.from ?? end?.next ?? 0
  }
  const { home, damaged = new DamagedFiles() } = context
  const limits = { ...standardLimits, ...options.limits }
  const plan = await makePlan({ home, tp, inPlace, limits, damaged }, options)
  if (plan === undefined) return nothing
  return options.dryRun === true
    ? describePlan(plan)
    : carryOut({ ...context, damaged }, tp, plan, limits, options)
}

function describePlan({ merges, folded, isMore }: Plan): Compaction {
  const files = merges.flat()
  return { merged: merges.length, replaced: files.length, bytes: bytesOf(files), folded, isMore }
}

type PassContext = CompactionContext & { readonly damaged: DamagedFiles }

async function carryOut(
  context: PassContext,
  tp: TopicPartition,
  plan: Plan,
  limits: CompactionLimits,
  { signal }: CompactionOptions,
): Promise<Compaction> {
  const { home, worker } = context
  const unique = `${worker}-${randomBytes(3).toString('hex')}`
  const staging = await home.stage(`${stagingOf(tp)}/${compactionStaging(plan, unique)}`)
  let owner: StagingOwner = 'pass'
  try {
    const copies = await mergeAll(context, tp, staging, plan, signal)
    if (copies === undefined) return nothing
    if (!isWorthIt(plan, copies, limits)) return { ...nothing, ...shortageIn(copies) }
    // The directories of merged files exist: the files that they replace lie in them.
    await staging.sync([])
    faultPoint('compaction.synced')
    const manifest = describeCompacted(context, tp, contentOf(plan, copies))
    signal?.throwIfAborted()
    if (await isOvertaken(home, tp, plan)) return nothing
    const name = `${manifestDirectory(tp)}/${compactedName(plan)}`
    if (!(await staging.create(name, manifestPieces(manifest), 'compaction'))) return nothing
    owner = 'log'
    // This completes the manifest in force and removes all others. It also removes this one, if its
    // name was free because it is void.
    await completeCompaction(context, tp)
    return report(context, tp, plan, copies)
  } catch (error) {
    if (error instanceof MayBeCreated) owner = 'log'
    // Completing a compaction removes what slower passes stage for the same one.
    if (error instanceof StagingGone && (await isOvertaken(home, tp, plan))) return nothing
    throw error
  } finally {
    if (owner === 'pass') await staging.remove()
  }
}

/**
 * Who removes staged files: the pass that staged them. Once a manifest may name them, it is the one
 * that completes the compaction.
 */
type StagingOwner = 'pass' | 'log'

function isWorthIt(
  { folded, closed }: Plan,
  { merged, shortage }: Copies,
  { minFolded }: CompactionLimits,
): boolean {
  return merged.length > 0 || folded >= minFolded || (closed && shortage === undefined)
}

function shortageIn({ shortage }: Copies): { readonly shortage?: Shortage } {
  return shortage === undefined ? {} : { shortage }
}

function report(
  { log }: PassContext,
  tp: TopicPartition,
  { from, next, generation, folded, isMore }: Plan,
  copies: Copies,
): Compaction {
  const { merged, shortage } = copies
  const replaced = merged.flatMap(({ replaces }) => replaces!).length
  log.debug(
    {
      event: 'partition_compacted',
      ...tp,
      from,
      next,
      generation,
      merged: merged.length,
      replaced,
      folded,
    },
    'compacted',
  )
  return {
    merged: merged.length,
    replaced,
    bytes: bytesOf(merged),
    folded,
    isMore: isMore && shortage === undefined,
    ...shortageIn(copies),
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
  { home, log, damaged }: PassContext,
  tp: TopicPartition,
  staging: Staging,
  plan: Plan,
  signal: AbortSignal | undefined,
): Promise<Copies | undefined> {
  const merged: ManifestFile[] = []
  const delayed: ManifestFile[] = []
  const unmergeable: ManifestFile[] = []
  let shortage: Shortage | undefined
  for (const files of plan.merges) {
    const short = shortageOf(await home.space(), bytesOf(files))
    if (short !== undefined) {
      shortage ??= short
      delayed.push(...files)
      continue
    }
    try {
      merged.push(await merge(home, tp, staging, files, signal))
    } catch (error) {
      if (!(error instanceof Unlike)) throw error
      if (await isOvertaken(home, tp, plan)) return undefined
      await damaged.add(home, error.path)
      unmergeable.push(...files)
      log.warn(
        { event: 'file_not_merged', ...tp, path: error.path, ...errorFields(error) },
        'leaving the files of an hour unmerged: one of them is damaged',
      )
    }
    if (merged.length === 1) faultPoint('compaction.merged-one')
  }
  return { merged, delayed, unmergeable, shortage }
}

function contentOf(
  {
    from,
    next,
    generation,
    committed,
    closed,
    kept,
    unmerged,
    gaps,
    omittedGaps,
    prev,
    head,
  }: Plan,
  { merged, delayed, unmergeable }: Copies,
): CompactedContent {
  return {
    from,
    next,
    generation,
    committed,
    // Merges that wait for room come later, so no generation may be the last one until then.
    closed: closed && delayed.length === 0,
    unmerged: unmerged + delayed.length,
    gaps,
    omittedGaps,
    files: [...kept, ...delayed, ...unmergeable, ...merged],
    prev,
    head,
  }
}

/**
 * True if others compacted meanwhile, or if a prune took some of the files. Those must not be
 * merged with the files that it leaves.
 */
async function isOvertaken(home: ReadableHome, tp: TopicPartition, plan: Plan): Promise<boolean> {
  const { files: pruned } = await readPruned(home, tp)
  if (
    pruned?.before !== plan.pruned?.before ||
    pruned?.committed_until !== plan.pruned?.committed_until
  )
    return true
  const { entries } = await listLog(home, tp)
  return entries.some(
    ({ from, compacted }) => from === plan.from && (compacted?.generation ?? 0) >= plan.generation,
  )
}
