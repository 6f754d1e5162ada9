import type { ReadableHome } from '../../home/home.ts'
import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { type CompactedHead, readCompactedHead } from './manifest.ts'
import {
  type CompactedName,
  compactedBeginning,
  compactedName,
  manifestDirectory,
  parseCompactedName,
  parseManifestName,
} from './path.ts'

/** A manifest in force: that of a flush, or a compacted one. */
export interface LogEntry {
  readonly from: number
  readonly compacted?: CompactedHead
}

/** The names in the directory of a commit log: what is in force, and what is void. */
export interface LogListing {
  /** In ascending order of where they begin. */
  readonly entries: readonly LogEntry[]
  /**
   * Manifests of flushes that begin inside a compacted range: neither data nor an error. In
   * ascending order.
   */
  readonly voidFlushes: readonly number[]
  /**
   * Compacted manifests with a higher generation beside them, or inside another compacted range. In
   * ascending order of generation.
   */
  readonly voidCompacted: readonly CompactedName[]
}

/** Heads of compacted manifests that were read before, by name. They never change. */
export type KnownHeads = Map<string, CompactedHead>

const maxTries = 20

/** The index of the first entry that begins behind an offset; their number if none does. */
export function firstBehind(entries: readonly LogEntry[], offset: number): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (entries[middle]!.from <= offset) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Lists the commit log of a topic-partition: one listing, and the heads of compacted manifests that
 * are not known yet.
 * @throws ArchiverError `MANIFEST_INVALID`, or the home's error.
 */
export async function listLog(
  home: ReadableHome,
  tp: TopicPartition,
  known: KnownHeads = new Map(),
): Promise<LogListing> {
  const { names, heads } = await listNames(home, tp, '', known)
  return resolve(names.flushes, names.compacted, heads)
}

/**
 * The compacted manifest in force whose range holds an offset; undefined if none does. Lists no
 * manifests of flushes.
 * @throws ArchiverError `MANIFEST_INVALID`, or the home's error.
 */
export async function compactedOver(
  home: ReadableHome,
  tp: TopicPartition,
  offset: number,
  known?: KnownHeads,
): Promise<CompactedHead | undefined> {
  const { heads } = await listNames(home, tp, compactedBeginning, known)
  return heads.find(({ from, next }) => from <= offset && offset < next)
}

interface Names {
  readonly flushes: number[]
  readonly compacted: CompactedName[]
}

async function listNames(
  home: ReadableHome,
  tp: TopicPartition,
  beginning: string,
  known: KnownHeads = new Map(),
): Promise<{ readonly names: Names; readonly heads: CompactedHead[] }> {
  for (let tries = 0; tries < maxTries; tries++) {
    const names = parse(await home.list(manifestDirectory(tp), beginning))
    const heads = await readHeads(home, tp, inForce(names.compacted), known)
    // If one was removed since the listing, a higher generation has replaced it.
    if (heads !== undefined) return { names, heads }
  }
  throw new ArchiverError(
    'MANIFEST_INVALID',
    `${partitionKey(tp)}: compacted manifests vanish as fast as they are listed`,
  )
}

function parse(names: readonly string[]): Names {
  const flushes: number[] = []
  const compacted: CompactedName[] = []
  for (const name of names) {
    const from = parseManifestName(name)
    const merged = from === undefined ? parseCompactedName(name) : undefined
    if (from !== undefined) flushes.push(from)
    else if (merged !== undefined) compacted.push(merged)
  }
  return {
    flushes: flushes.sort((a, b) => a - b),
    compacted: compacted.sort((a, b) => a.from - b.from || a.generation - b.generation),
  }
}

/**
 * Of the manifests that begin at the same offset: the last one, which has the highest generation.
 */
function inForce(compacted: readonly CompactedName[]): CompactedName[] {
  return compacted.filter(({ from }, i) => compacted[i + 1]?.from !== from)
}

async function readHeads(
  home: ReadableHome,
  tp: TopicPartition,
  names: readonly CompactedName[],
  known: KnownHeads,
): Promise<CompactedHead[] | undefined> {
  const heads: CompactedHead[] = []
  for (const name of names) {
    const key = compactedName(name)
    const head = known.get(key) ?? (await readCompactedHead(home, tp, name))
    if (head === undefined) return undefined
    known.set(key, head)
    heads.push(head)
  }
  if (known.size > names.length) {
    const current = new Set(names.map(compactedName))
    for (const key of known.keys()) if (!current.has(key)) known.delete(key)
  }
  return heads
}

function resolve(
  flushes: readonly number[],
  compacted: readonly CompactedName[],
  heads: readonly CompactedHead[],
): LogListing {
  const entries: LogEntry[] = []
  const voidFlushes: number[] = []
  let end = 0
  let i = 0
  const takeFlushes = (below: number) => {
    for (; i < flushes.length && flushes[i]! < below; i++) {
      if (flushes[i]! < end) voidFlushes.push(flushes[i]!)
      else entries.push({ from: flushes[i]! })
    }
  }
  const current = new Set<string>()
  for (const head of heads) {
    takeFlushes(head.from)
    // A zombie created it after others had folded its range.
    if (head.from < end) continue
    current.add(compactedName(head))
    entries.push({ from: head.from, compacted: head })
    end = Math.max(end, head.next)
  }
  takeFlushes(Number.POSITIVE_INFINITY)
  const voidCompacted = compacted
    .filter((name) => !current.has(compactedName(name)))
    .sort((a, b) => a.generation - b.generation)
  return { entries, voidFlushes, voidCompacted }
}
