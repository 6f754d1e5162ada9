import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { ArchiverError, systemCode } from '../../runtime/errors.ts'
import { requireDirectories } from '../fs/no-links.ts'
import { type CompactedHead, readCompactedHead } from './manifest.ts'
import {
  type CompactedName,
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
   * Compacted manifests of which there is a higher generation. In ascending order of their
   * generations.
   */
  readonly voidCompacted: readonly CompactedName[]
}

/** Heads of compacted manifests that were read before, by name: they never change. */
export type KnownHeads = Map<string, CompactedHead>

const mostTries = 20

/**
 * Lists the commit log of a topic-partition: one `readdir`, and the heads of compacted manifests
 * that are not known yet.
 * @throws ArchiverError `MANIFEST_INVALID`, or the file system's error.
 */
export async function listLog(
  root: string,
  tp: TopicPartition,
  known: KnownHeads = new Map(),
): Promise<LogListing> {
  for (let tries = 0; tries < mostTries; tries++) {
    const { flushes, compacted } = await readNames(root, tp)
    const heads = await readHeads(root, tp, inForce(compacted), known)
    // One that was removed since it was listed gave way to a higher generation.
    if (heads !== undefined) return resolve(flushes, compacted, heads)
  }
  throw new ArchiverError(
    'MANIFEST_INVALID',
    `${partitionKey(tp)}: compacted manifests vanish as fast as they are listed`,
  )
}

async function readNames(
  root: string,
  tp: TopicPartition,
): Promise<{ flushes: number[]; compacted: CompactedName[] }> {
  const flushes: number[] = []
  const compacted: CompactedName[] = []
  await requireDirectories(root, [manifestDirectory(tp)])
  try {
    for (const name of await readdir(join(root, manifestDirectory(tp)))) {
      const from = parseManifestName(name)
      const merged = from === undefined ? parseCompactedName(name) : undefined
      if (from !== undefined) flushes.push(from)
      else if (merged !== undefined) compacted.push(merged)
    }
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
  return {
    flushes: flushes.sort((a, b) => a - b),
    compacted: compacted.sort((a, b) => a.from - b.from || a.generation - b.generation),
  }
}

/** Of those that begin at the same offset the last, which is the highest generation. */
function inForce(compacted: readonly CompactedName[]): CompactedName[] {
  return compacted.filter(({ from }, i) => compacted[i + 1]?.from !== from)
}

async function readHeads(
  root: string,
  tp: TopicPartition,
  names: readonly CompactedName[],
  known: KnownHeads,
): Promise<CompactedHead[] | undefined> {
  const heads: CompactedHead[] = []
  for (const name of names) {
    const key = compactedName(name)
    const head = known.get(key) ?? (await readCompactedHead(root, tp, name))
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
  heads: CompactedHead[],
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
  for (const head of heads) {
    takeFlushes(head.from)
    entries.push({ from: head.from, compacted: head })
    end = Math.max(end, head.next)
  }
  takeFlushes(Number.POSITIVE_INFINITY)
  const current = new Set(heads.map(compactedName))
  const voidCompacted = compacted
    .filter((name) => !current.has(compactedName(name)))
    .sort((a, b) => a.generation - b.generation)
  return { entries, voidFlushes, voidCompacted }
}

/** The compacted manifest in force whose range holds an offset; undefined where none does. */
export function compactedOver({ entries }: LogListing, offset: number): CompactedHead | undefined {
  return entries.find(
    ({ compacted }) =>
      compacted !== undefined && compacted.from <= offset && offset < compacted.next,
  )?.compacted
}
