import { createHash, randomBytes } from 'node:crypto'
import { type FileHandle, open, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ArchiverError, systemCode } from '../errors.ts'
import { faultPoint } from '../fault.ts'
import { hourOf } from '../line.ts'
import type { Logger } from '../log.ts'
import { type Gap, partitionKey, type TopicPartition, unknownHour } from '../record.ts'
import { linkExclusively, makeDirectory, removeIfThere, syncPath, writeDurably } from './durable.ts'
import { inLanes } from './lanes.ts'
import { type LogListing, listLog } from './log-listing.ts'
import {
  type CompactedHead,
  describeGaps,
  type Manifest,
  type ManifestFile,
  manifestFormat,
  manifestPieces,
  readManifest,
  readOrigin,
} from './manifest.ts'
import {
  type CompactedName,
  compactedName,
  compactionStaging,
  dataFileName,
  manifestDirectory,
  manifestName,
  parseCompactionStaging,
  stagedName,
  stagingOf,
} from './path.ts'
import { isPruned, type Pruned, readPruned } from './pruned.ts'
import { isThere, type PublishContext, type PublishPoints, publish, rollForward, syncDirectories } from './publish.ts'

/**
 * Compaction: the small files of an hour that is over become one, and old manifests are folded into one.
 *
 *     before   0.json  6185.json  11020.json … 98000.json  99500.json
 *     after    compacted-0-1.json [0, 98000)   98000.json  99500.json
 *     later    compacted-0-2.json [0, 212000)  212000.json …
 *
 * A pass of one topic-partition:
 *
 * 1. The files of each hour to be merged are appended to one staged file: gzip members stand one after another, so nothing is
 *    compressed again. They are fsynced.
 * 2. The compacted manifest `[from, next)` is written beside them, fsynced, and linked to `compacted-<from>-<generation>.json`. That is
 *    the commit point, and the compare-and-swap between two that compact the same partition. From now on every manifest of a
 *    flush inside the range, and every lower generation, is void.
 * 3. Completion: merged files are renamed into place, the files that they replace removed, then the void manifests. Each step can be
 *    repeated by anyone at any time, and is by whoever finds a void manifest: they go last, so they say that it is not done.
 *
 * **Invariants.** A name in the commit log becomes free only after a compacted manifest has its offset: see step 2 of a flush. The
 * highest generation of a range is never removed. A data file's name is never used again: a merged file begins or ends elsewhere
 * than each that it replaces. So whoever was frozen anywhere in here finds, when it thaws, that its renames and removals
 * have nothing left to act upon.
 */

export interface CompactionContext extends PublishContext {
  readonly worker: string
  readonly log: Logger
}

export interface CompactionOptions {
  /** An hour is merged so long after it has closed and its newest file was written, in ms. Manifests this old are folded. */
  readonly compactAfterMs: number
  /** Ms since 1970. */
  readonly now: number
  /** Say what would be done, and do nothing. */
  readonly dryRun?: boolean
  /** Gives up before the commit point. */
  readonly signal?: AbortSignal
  readonly limits?: Partial<CompactionLimits>
}

/** What bounds the cost of a pass. */
export interface CompactionLimits {
  /** A compacted manifest with so many files is closed, and the next one begins behind it. */
  readonly mostFiles: number
  /** One pass takes up so many files of flushes … */
  readonly mostTaken: number
  /** … or so many bytes; another one goes on behind them. */
  readonly mostBytes: number
  /** Fewer manifests than these are not worth a pass of their own. */
  readonly leastFolded: number
}

const standardLimits: CompactionLimits = {
  mostFiles: 10_000,
  mostTaken: 20_000,
  mostBytes: 8 * 2 ** 30,
  leastFolded: 32,
}

/** What a pass did, or, of a dry run, would do. */
export interface Compaction {
  /** Files that took the place … */
  readonly merged: number
  /** … of so many. */
  readonly replaced: number
  /** Bytes that were copied for it. */
  readonly bytes: number
  /** Manifests that became part of the compacted one. */
  readonly folded: number
  /** There is more to do at once. */
  readonly isMore: boolean
}

const nothing: Compaction = { merged: 0, replaced: 0, bytes: 0, folded: 0, isMore: false }

const msPerHour = 3_600_000
/** A producer's broken clock: such an hour is not waited for. */
const farAheadMs = 24 * msPerHour
/** Manifests behind the range that are looked at for files of its hours. */
const mostLookedAt = 10_000
const copyBytes = 2 ** 20
const publishPoints: PublishPoints = ['compaction.renamed-one', 'compaction.renamed', 'compaction.directories-synced']

/**
 * One pass over a topic-partition. Safe beside its live owner, and beside others that compact it.
 * @throws ArchiverError `DAMAGED`, `MANIFEST_INVALID`, or the file system's error; what was begun is taken up by the next pass.
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
  const plan = await makePlan(context.root, tp, inPlace, { ...standardLimits, ...options.limits }, options)
  if (plan === undefined) return nothing
  return options.dryRun === true ? describePlan(plan) : carryOut(context, tp, plan, options)
}

interface Plan extends CompactedName {
  readonly next: number
  /** In the order of their offsets: what stays as it is … */
  readonly kept: readonly ManifestFile[]
  /** … and what becomes one, each the files of one type and hour. */
  readonly merges: readonly (readonly ManifestFile[])[]
  readonly unmerged: number
  readonly closed: boolean
  readonly gaps: readonly Gap[]
  readonly omittedGaps: number
  readonly committed: number | undefined
  readonly folded: number
  readonly isMore: boolean
  readonly pruned: Pruned | undefined
}

function describePlan({ merges, folded, isMore }: Plan): Compaction {
  const files = merges.flat()
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  return { merged: merges.length, replaced: files.length, bytes, folded, isMore }
}

/**
 * What a pass would do; undefined where that is not worth it, or others are compacting. `inPlace`: the files of flushes below it are where
 * readers look; a flush that was linked since may be its writer's to complete yet.
 */
async function makePlan(
  root: string,
  tp: TopicPartition,
  inPlace: number,
  limits: CompactionLimits,
  options: CompactionOptions,
): Promise<Plan | undefined> {
  const listing = await listLog(root, tp)
  // A generation follows only when the one before is completed: its completion is that of its own files alone.
  const isCompleted = listing.voidFlushes.length === 0 && listing.voidCompacted.length === 0
  if (!isCompleted && options.dryRun !== true) return undefined
  const last = listing.entries.findLast(({ compacted }) => compacted !== undefined)?.compacted
  const base = last?.closed === false ? last : undefined
  const start = last?.next ?? (await readOrigin(root, tp))?.offset
  if (start === undefined) return undefined
  const taken = await takeFlushes(root, tp, listing, { start, inPlace }, limits, options)
  if (taken.manifests.length === 0 && (base === undefined || base.unmerged === 0)) return undefined
  const before = base === undefined ? undefined : await readManifest(root, tp, base.from, base.generation)
  if (base !== undefined && before === undefined) return undefined
  const { files: pruned } = await readPruned(root, tp)
  const sources = before === undefined ? taken.manifests : [before, ...taken.manifests]
  const files = sources.flatMap((manifest) => manifest.files.map(({ replaces: _, ...file }) => file))
  const { kept, merges, unmerged, closed } = sortOut(files, pruned, taken.younger, limits, options)
  const folded = taken.manifests.length
  if (merges.length === 0 && folded < limits.leastFolded) return undefined
  const from = base?.from ?? start
  return {
    from,
    generation: (base?.generation ?? 0) + 1,
    next: sources.at(-1)!.next,
    kept,
    merges,
    unmerged,
    closed,
    gaps: sources.flatMap(({ gaps }) => gaps),
    omittedGaps: sources.reduce((sum, { omitted_gaps = 0 }) => sum + omitted_gaps, 0),
    committed: sources.findLast(({ committed }) => committed !== undefined)?.committed,
    folded,
    isMore: taken.isMore,
    pruned,
  }
}

interface Taken {
  readonly manifests: readonly Manifest[]
  /** Directories of hours that got files since: they are not merged yet. */
  readonly younger: ReadonlySet<string>
  readonly isMore: boolean
}

/** The manifests of flushes from `start` to `inPlace` that are old enough, without a hole, and what lies behind them. */
async function takeFlushes(
  root: string,
  tp: TopicPartition,
  { entries }: LogListing,
  { start, inPlace }: { readonly start: number; readonly inPlace: number },
  limits: CompactionLimits,
  { compactAfterMs, now }: CompactionOptions,
): Promise<Taken> {
  const manifests: Manifest[] = []
  const younger = new Set<string>()
  let position = start
  let files = 0
  let bytes = 0
  let lookedAt = 0
  for (const { from } of entries.slice(entries.findIndex(({ from }) => from >= start))) {
    if (from < start) break
    const manifest = await readManifest(root, tp, from)
    if (manifest === undefined) break
    const isOld = now - Date.parse(manifest.written) >= compactAfterMs && manifest.next <= inPlace
    if (isOld && lookedAt === 0 && from === position) {
      if (files >= limits.mostTaken || bytes >= limits.mostBytes) return { manifests, younger, isMore: true }
      manifests.push(manifest)
      position = manifest.next
      files += manifest.files.length
      for (const file of manifest.files) bytes += file.bytes
      continue
    }
    for (const { path } of manifest.files) younger.add(dirname(path))
    if (++lookedAt === mostLookedAt) break
  }
  return { manifests, younger, isMore: false }
}

/** Which files become one. Those of one directory are of one type and hour. */
function sortOut(
  files: readonly ManifestFile[],
  pruned: Pruned | undefined,
  younger: ReadonlySet<string>,
  { mostFiles }: CompactionLimits,
  options: CompactionOptions,
): Pick<Plan, 'kept' | 'merges' | 'unmerged' | 'closed'> {
  const kept: ManifestFile[] = []
  const hours = new Map<string, ManifestFile[]>()
  for (const file of files) {
    if (isPruned(pruned, file)) {
      kept.push(file)
      continue
    }
    const directory = dirname(file.path)
    const hour = hours.get(directory)
    if (hour === undefined) hours.set(directory, [file])
    else hour.push(file)
  }
  const several = [...hours].filter(([, { length }]) => length > 1)
  const ready = several.filter(([directory, [file]]) => !younger.has(directory) && isOver(file!.min_timestamp, options))
  const mergedAway = (groups: typeof several) => groups.reduce((sum, [, { length }]) => sum + length - 1, 0)
  // A full manifest is not written again: then what waits for the rest of its hour is merged without it.
  const closed = files.length - mergedAway(ready) >= mostFiles
  const chosen = new Map(closed ? several : ready)
  let unmerged = 0
  for (const [directory, hour] of hours) {
    if (chosen.has(directory)) continue
    kept.push(...hour)
    if (hour.length > 1) unmerged += hour.length
  }
  return { kept, merges: [...chosen.values()], unmerged, closed }
}

/** True where the hour of a timestamp closed so long ago that it is merged. */
function isOver(timestamp: number, { compactAfterMs, now }: CompactionOptions): boolean {
  const hour = hourOf(timestamp)
  return hour === unknownHour || (hour + 1) * msPerHour + compactAfterMs <= now || hour * msPerHour > now + farAheadMs
}

async function carryOut(
  context: CompactionContext,
  tp: TopicPartition,
  plan: Plan,
  { signal, limits }: CompactionOptions,
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
    const merged: ManifestFile[] = []
    const kept = [...plan.kept]
    for (const files of plan.merges) {
      try {
        merged.push(await merge(root, tp, staging, files, signal))
      } catch (error) {
        if (!(error instanceof Unlike)) throw error
        if (await isOvertaken(root, tp, plan)) return nothing
        kept.push(...files)
        log.warn(
          { topic: tp.topic, partition: tp.partition },
          `${dirname(files[0]!.path)} is not merged: ${error.message}; run verify`,
        )
      }
      if (merged.length === 1) faultPoint('compaction.merged-one')
    }
    const { leastFolded } = { ...standardLimits, ...limits }
    if (merged.length === 0 && plan.folded < leastFolded) return nothing
    await syncPath(join(root, staging))
    faultPoint('compaction.merged')
    const manifest = describeCompacted(tp, worker, plan, kept, merged)
    await writeDurably(beside, manifestPieces(manifest))
    faultPoint('compaction.manifest-written')
    signal?.throwIfAborted()
    if (await isOvertaken(root, tp, plan)) return nothing
    mayBeLinked = true
    if (!(await linkExclusively(beside, path))) {
      mayBeLinked = false
      return nothing
    }
    faultPoint('compaction.linked')
    // What is in force is completed, and everything else removed: also this one, if its name was free because it is void.
    await completeCompaction(context, tp)
    const replaced = merged.flatMap(({ replaces }) => replaces!)
    const bytes = merged.reduce((sum, file) => sum + file.bytes, 0)
    log.debug(
      {
        topic: tp.topic,
        partition: tp.partition,
        from: plan.from,
        next: plan.next,
        generation: plan.generation,
        files: manifest.files.length,
        merged: merged.length,
        replaced: replaced.length,
        folded: plan.folded,
      },
      'compacted',
    )
    return { merged: merged.length, replaced: replaced.length, bytes, folded: plan.folded, isMore: plan.isMore }
  } catch (error) {
    // Whoever completes a compaction removes what slower ones stage for the same one; what is not there was not linked.
    const isRemoved = systemCode(error) === 'ENOENT' && !(await isThere(beside))
    if (!isRemoved || !(await isOvertaken(root, tp, plan))) throw error
    return nothing
  } finally {
    if (!mayBeLinked) await rm(join(root, staging), { recursive: true, force: true })
  }
}

/** The lists stand last: who only needs the range does not read them. */
function describeCompacted(
  tp: TopicPartition,
  worker: string,
  { from, next, generation, committed, closed, unmerged, gaps, omittedGaps }: Plan,
  kept: readonly ManifestFile[],
  merged: readonly ManifestFile[],
): Manifest {
  const files = [...kept, ...merged].sort((a, b) => a.first - b.first)
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
    ...(closed ? { closed } : {}),
    unmerged,
    ...(omitted === 0 ? {} : { omitted_gaps: omitted }),
    gaps: described.gaps,
    files,
  }
}

/** True where others compacted meanwhile, or a prune took some of the files: they are not to be merged with what it leaves. */
async function isOvertaken(root: string, tp: TopicPartition, plan: Plan): Promise<boolean> {
  const { files: pruned } = await readPruned(root, tp)
  if (pruned?.before !== plan.pruned?.before || pruned?.committed_until !== plan.pruned?.committed_until) return true
  const { entries } = await listLog(root, tp)
  return entries.some(({ from, compacted }) => from === plan.from && (compacted?.generation ?? 0) >= plan.generation)
}

async function isInForce(root: string, tp: TopicPartition, { from, generation }: CompactedName): Promise<boolean> {
  const { entries } = await listLog(root, tp)
  return entries.some(({ compacted }) => compacted?.from === from && compacted.generation === generation)
}

// Merging.

/** A file that is not as its manifest says: it is left as it is, for `verify` to name it. */
class Unlike extends Error {}

/**
 * Appends files to one staged file, and fsyncs it. What is copied is held to the sha256 of each file, so that no damage gets a
 * checksum that fits it.
 * @throws Unlike where there is some; then nothing is staged.
 */
async function merge(
  root: string,
  tp: TopicPartition,
  staging: string,
  files: readonly ManifestFile[],
  signal: AbortSignal | undefined,
): Promise<ManifestFile> {
  const first = files[0]!
  const staged = `${staging}/${stagedName(first.first)}`
  const hash = createHash('sha256')
  const target = await open(join(root, staged), 'wx')
  try {
    for (const file of files) await append(target, join(root, file.path), file, hash, signal)
    await target.sync()
  } catch (error) {
    await removeIfThere(join(root, staged))
    throw error
  } finally {
    await target.close()
  }
  const sum = (of: (file: ManifestFile) => number) => files.reduce((total, file) => total + of(file), 0)
  const last = files.at(-1)!.last
  return {
    path: `${dirname(first.path)}/${dataFileName(tp, first.first, last)}`,
    staged,
    ...(first.type === undefined ? {} : { type: first.type }),
    records: sum(({ records }) => records),
    first: first.first,
    last,
    bytes: sum(({ bytes }) => bytes),
    line_bytes: sum(({ line_bytes }) => line_bytes),
    sha256: hash.digest('hex'),
    min_timestamp: files.reduce((least, file) => Math.min(least, file.min_timestamp), Number.POSITIVE_INFINITY),
    max_timestamp: files.reduce((most, file) => Math.max(most, file.max_timestamp), Number.NEGATIVE_INFINITY),
    replaces: files.map(({ path }) => path),
  }
}

async function append(
  target: FileHandle,
  path: string,
  file: ManifestFile,
  whole: ReturnType<typeof createHash>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const own = createHash('sha256')
  const source = await openSource(path, file)
  try {
    const buffer = Buffer.allocUnsafe(Math.min(copyBytes, file.bytes + 1))
    for (let copied = 0; ; ) {
      signal?.throwIfAborted()
      const { bytesRead } = await source.read(buffer, 0, buffer.length)
      if (bytesRead === 0) {
        if (copied !== file.bytes) throw new Unlike(`${file.path} has ${copied} bytes, written were ${file.bytes}`)
        break
      }
      const read = buffer.subarray(0, bytesRead)
      copied += bytesRead
      own.update(read)
      whole.update(read)
      await target.writeFile(read)
    }
  } finally {
    await source.close()
  }
  if (own.digest('hex') !== file.sha256) throw new Unlike(`the sha256 of ${file.path} is not that of its manifest`)
}

async function openSource(path: string, file: ManifestFile): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw new Unlike(`${file.path} is gone`)
    throw error
  }
}

// Completion.

/**
 * Completes compactions of a partition that were committed, whoever began them: step 3. Does nothing but a look where nothing is left
 * over.
 *
 * @throws ArchiverError `DAMAGED` where a merged file is nowhere: then nothing is removed. Or the file system's error.
 */
export async function completeCompaction(context: CompactionContext, tp: TopicPartition): Promise<void> {
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
    if (Object.values(leftovers).some(({ length }) => length > 0)) await complete(context, tp, compacted, leftovers)
  }
}

async function stagedCompactions(root: string, tp: TopicPartition): Promise<(CompactedName & { name: string })[]> {
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
  for (const name of staged) await rm(join(root, stagingOf(tp), name), { recursive: true, force: true })
}
