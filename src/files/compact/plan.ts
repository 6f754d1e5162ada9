import { basename, dirname } from 'node:path/posix'
import { setImmediate as turn } from 'node:timers/promises'
import type { ReadableHome } from '../../home/home.ts'
import type { Gap, TopicPartition } from '../../record/record.ts'
import { hourOf, msPerDay, msPerHour, unknownHour } from '../../record/time.ts'
import { mapAhead } from '../../runtime/lanes.ts'
import type { DamagedFiles } from '../log/damaged-files.ts'
import { manifestsAhead } from '../log/log-cursor.ts'
import { firstBehind, type LogListing, listLog } from '../log/log-listing.ts'
import {
  type Manifest,
  type ManifestFile,
  readHashedManifest,
  readManifest,
  readOrigin,
} from '../log/manifest.ts'
import { type CompactedName, parseCompactionStaging } from '../log/path.ts'
import { isPruned, type Pruned, readPruned } from '../log/pruned.ts'
import { chooseRuns, standardFreeBytes, type TierLimits } from './tiers.ts'

/** What bounds the cost of a pass. */
export interface CompactionLimits {
  /**
   * A compacted manifest that lists this many files is closed, and the next one begins behind it.
   */
  readonly maxFiles: number
  /** One pass takes up to this many files of flushes. */
  readonly maxTaken: number
  /** One pass copies up to this many bytes: it needs this much room until it is completed. */
  readonly maxCopied: number
  /** The min number of manifests that is worth a pass of its own. */
  readonly minFolded: number
  /** See `tiers.ts`. */
  readonly freeBytes: number
}

export const standardLimits: CompactionLimits = {
  maxFiles: 10_000,
  maxTaken: 20_000,
  maxCopied: 8 * 2 ** 30,
  minFolded: 32,
  freeBytes: standardFreeBytes,
}

const standardMaxBytes = 2 ** 30

/** Which hours and manifests are old enough, and how large a file may become. */
export interface PlanOptions {
  /**
   * The delay, in ms, before an hour is merged: after it has closed and its newest file was
   * written. Manifests this old are folded.
   */
  readonly compactAfterMs: number
  /** The max size of a merged file; 1 GiB without it. */
  readonly maxBytes?: number | undefined
  /** Ms since 1970: other workers' dates are compared with it. */
  readonly now: number
  /** Report what a pass would do, and do nothing. */
  readonly dryRun?: boolean
}

/** An hour that closed this long ago is merged while it still gets files from late records. */
const longOverMs = msPerDay
/**
 * Manifests behind those that a full pass takes: their hours wait for the next pass, to become one
 * file in one copy.
 */
const lookahead = 100
/** Manifests behind the range that are looked at for files of its hours. */
const maxLookedAt = 10_000
/** Files that are handled in one turn of the event loop. */
const filesPerTurn = 5000

/** What a pass does. */
export interface Plan extends CompactedName {
  readonly next: number
  /** In the order of their offsets: files that stay as they are … */
  readonly kept: readonly ManifestFile[]
  /** … and runs of neighbours of one type and hour, each of them merged into one file. */
  readonly merges: readonly (readonly ManifestFile[])[]
  /** Files that a later pass merges. */
  readonly unmerged: number
  readonly closed: boolean
  readonly gaps: readonly Gap[]
  readonly omittedGaps: number
  readonly committed: number | undefined
  readonly folded: number
  readonly isMore: boolean
  readonly pruned: Pruned | undefined
  /** What the first folded manifest has as `prev`, and the hash of the last one: see `chain.ts`. */
  readonly prev: string | undefined
  readonly head: string | undefined
}

/** What is planned for, and the limits. */
export interface PlanContext {
  readonly home: ReadableHome
  readonly tp: TopicPartition
  /**
   * The files of flushes below it are published. The writer of a flush that was linked since may
   * still have to complete it.
   */
  readonly inPlace: number
  readonly limits: CompactionLimits
  readonly damaged: DamagedFiles
}

/** What a pass would do; undefined if that is not worth it, or if others are compacting. */
export async function makePlan(
  context: PlanContext,
  options: PlanOptions,
): Promise<Plan | undefined> {
  const { home, tp, limits } = context
  const listing = await listLog(home, tp)
  // A generation follows only when the previous one is completed, because a completion covers only
  // the files of its own generation.
  const isCompleted = listing.voidFlushes.length === 0 && listing.voidCompacted.length === 0
  if (!isCompleted && options.dryRun !== true) return undefined
  const last = listing.entries.findLast(({ compacted }) => compacted !== undefined)?.compacted
  const base = last?.closed === false ? last : undefined
  const start = last?.next ?? (await readOrigin(home, tp))?.offset
  if (start === undefined) return undefined
  let taken = await takeFlushes(context, listing, start, options)
  if (taken.manifests.length === 0 && (base === undefined || base.unmerged === 0)) return undefined
  const before =
    base === undefined ? undefined : await readManifest(home, tp, base.from, base.generation)
  if (base !== undefined && before === undefined) return undefined
  // It is full, and merging it takes more than one pass: finish that first.
  if (before !== undefined && before.files.length >= limits.maxFiles) {
    taken = { ...nothingTaken, isMore: taken.isMore || taken.manifests.length > 0 }
  }
  const { files: pruned } = await readPruned(home, tp)
  const sources = before === undefined ? taken.manifests : [before, ...taken.manifests]
  const choice = await chooseMerges(context, sources, pruned, taken, options)
  const folded = taken.manifests.length
  if (choice.merges.length === 0 && folded < limits.minFolded && !choice.closed) return undefined
  return {
    ...choice,
    from: base?.from ?? start,
    generation: (base?.generation ?? 0) + 1,
    next: sources.at(-1)!.next,
    gaps: sources.flatMap(({ gaps }) => gaps),
    omittedGaps: sources.reduce((sum, { omitted_gaps = 0 }) => sum + omitted_gaps, 0),
    committed: sources.findLast(({ committed }) => committed !== undefined)?.committed,
    folded,
    isMore: taken.isMore || choice.isMore,
    pruned,
    prev: sources[0]!.prev,
    head: taken.head ?? before?.head,
  }
}

interface Taken {
  readonly manifests: readonly Manifest[]
  /** Directories of hours that got files since. */
  readonly younger: ReadonlySet<string>
  /** Directories of hours that the next pass takes more files of. */
  readonly continued: ReadonlySet<string>
  readonly isMore: boolean
  /** The hash of the last manifest; undefined if there is none. */
  readonly head: string | undefined
}

const nothingTaken: Taken = {
  head: undefined,
  manifests: [],
  younger: new Set(),
  continued: new Set(),
  isMore: false,
}

/**
 * The manifests of flushes from `start` to `inPlace` that are old enough, without a hole, and what
 * lies behind them.
 */
async function takeFlushes(
  { home, tp, inPlace, limits }: PlanContext,
  { entries }: LogListing,
  start: number,
  options: PlanOptions,
): Promise<Taken> {
  const manifests: Manifest[] = []
  const younger = new Set<string>()
  const continued = new Set<string>()
  let position = start
  let files = 0
  let lookedAt = 0
  let head: string | undefined
  const behind = entries.slice(firstBehind(entries, start - 1))
  const reads = mapAhead(behind, manifestsAhead, ({ from }) => readHashedManifest(home, tp, from))
  for await (const read of reads) {
    const isFull = files >= limits.maxTaken
    if (read === undefined) break
    const manifest = read.content
    const { from, next } = manifest
    const isReady = from === position && next <= inPlace && isOld(manifest, options)
    if (isReady && !isFull && lookedAt === 0) {
      manifests.push(manifest)
      files += manifest.files.length
      position = next
      head = read.sha256
      continue
    }
    if (isReady && isFull) position = next
    const directories = isReady && isFull ? continued : younger
    for (const { path } of manifest.files) directories.add(dirname(path))
    if (++lookedAt === (isFull ? lookahead : maxLookedAt)) break
  }
  return {
    manifests,
    younger,
    continued,
    head,
    isMore: manifests.length > 0 && position > manifests.at(-1)!.next,
  }
}

/**
 * False while a manifest is young. Another worker's clock may be wrong: a date in the future, or
 * one that cannot be read, is no reason to wait. Waiting is a courtesy to readers that list
 * directories.
 */
function isOld({ written }: Manifest, { compactAfterMs, now }: PlanOptions): boolean {
  const age = now - Date.parse(written)
  return !(age >= 0 && age < compactAfterMs)
}

/**
 * True if the hour of a timestamp closed this many ms ago. Also true if the hour has not begun,
 * because of a producer's wrong clock.
 */
function isOver(timestamp: number, closedMs: number, now: number): boolean {
  const hour = hourOf(timestamp)
  return hour === unknownHour || (hour + 1) * msPerHour + closedMs <= now || hour * msPerHour > now
}

type Choice = Pick<Plan, 'kept' | 'merges' | 'unmerged' | 'closed' | 'isMore'>

/**
 * Which files become one: neighbours of one directory, in the order of their offsets. A directory
 * is of one hour, and of one type unless an earlier version put several into it. Files of different
 * types are no neighbours: readers take the files of a directory one after another.
 */
async function chooseMerges(
  { home, limits, damaged }: PlanContext,
  sources: readonly Manifest[],
  pruned: Pruned | undefined,
  { younger, continued }: Taken,
  { compactAfterMs, now, maxBytes = standardMaxBytes }: PlanOptions,
): Promise<Choice> {
  const kept: ManifestFile[] = []
  const hours = new Map<string, ManifestFile[][]>()
  const unusable = await damaged.unchanged(home)
  let count = 0
  for (const source of sources) {
    for (const { replaces: _, ...file } of source.files) {
      if (++count % filesPerTurn === 0) await turn()
      const directory = dirname(file.path)
      let parts = hours.get(directory)
      if (parts === undefined) {
        parts = [[]]
        hours.set(directory, parts)
      }
      const before = parts.at(-1)!.at(-1)
      if (before !== undefined && before.type !== file.type) parts.push([])
      if (isPruned(pruned, file)) kept.push(file)
      else if (!unusable.has(file.path)) parts.at(-1)!.push(file)
      else {
        // Those before it and those behind it are no neighbours.
        kept.push(file)
        parts.push([])
      }
    }
  }
  const isReady = (directory: string, { min_timestamp }: ManifestFile) => {
    if (continued.has(directory) || !isOver(min_timestamp, compactAfterMs, now)) return false
    return !younger.has(directory) || isOver(min_timestamp, compactAfterMs + longOverMs, now)
  }
  const ready: ManifestFile[][] = []
  const waiting: ManifestFile[][] = []
  let looked = 0
  for (const [directory, parts] of hours) {
    for (const files of parts) {
      if (Math.floor((looked + files.length) / filesPerTurn) > Math.floor(looked / filesPerTurn))
        await turn()
      looked += files.length
      if (files.length < 2) {
        kept.push(...files)
        continue
      }
      const runs = runsOf(files, { maxBytes, freeBytes: limits.freeBytes }, kept)
      const into = isReady(directory, files[0]!) ? ready : waiting
      for (const run of runs) into.push(run)
    }
  }
  const mergedAway = ready.reduce((sum, { length }) => sum + length - 1, 0)
  // A full manifest is not written again, so files that wait for the rest of their hour are merged
  // without it.
  const isFull = count - mergedAway >= limits.maxFiles
  const { merges, left } = upTo(limits.maxCopied, isFull ? [...ready, ...waiting] : ready)
  const unmerged = [...left, ...(isFull ? [] : waiting)].flat()
  for (const file of unmerged) kept.push(file)
  const isMore = left.length > 0
  return { kept, merges, unmerged: unmerged.length, closed: isFull && !isMore, isMore }
}

/** The runs of neighbours to merge; the others go to `kept`. */
function runsOf(
  files: readonly ManifestFile[],
  limits: TierLimits,
  kept: ManifestFile[],
): ManifestFile[][] {
  const tiered = files.map((file) => ({ bytes: file.bytes, isMerged: wasMerged(file) }))
  const runs: ManifestFile[][] = []
  let at = 0
  for (const { start, end } of chooseRuns(tiered, limits)) {
    for (; at < start; at++) kept.push(files[at]!)
    runs.push(files.slice(start, end))
    at = end
  }
  for (; at < files.length; at++) kept.push(files[at]!)
  return runs
}

/**
 * True if a merge has copied the file's bytes before: compactions stage in directories of their
 * own.
 */
export function wasMerged(file: ManifestFile): boolean {
  if (!('staged' in file)) return file.replaces !== undefined
  return parseCompactionStaging(basename(dirname(file.staged))) !== undefined
}

/** Merges in order, up to a number of bytes but at least one. */
function upTo(
  maxCopied: number,
  merges: readonly ManifestFile[][],
): { merges: readonly ManifestFile[][]; left: readonly ManifestFile[][] } {
  let copied = 0
  for (const [i, files] of merges.entries()) {
    copied += bytesOf(files)
    if (i > 0 && copied > maxCopied) return { merges: merges.slice(0, i), left: merges.slice(i) }
  }
  return { merges, left: [] }
}

/** The size of files together. */
export function bytesOf(files: readonly ManifestFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0)
}
