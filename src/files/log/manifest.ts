import { createHash } from 'node:crypto'
import { NotRegular, type ReadableHome, type Staged } from '../../home/home.ts'
import type { Gap, OffsetRange, TopicPartition } from '../../record/record.ts'
import { topicOfSegment, topicSegment } from '../../record/segment.ts'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import type { ChainLink } from './chain.ts'
import { readJsonFile } from './json-file.ts'
import { checkHead, checkManifest, checkOrigin, invalidManifest } from './manifest-check.ts'
import {
  type CompactedName,
  compactedName,
  manifestDirectory,
  manifestName,
  manifestsDirectory,
  originName,
  originOf,
} from './path.ts'

/**
 * The commit log of a topic-partition: `origin.json`, then one manifest a flush, each named by the
 * offset that it begins at. A manifest's name is created exclusively, and begins exactly at the
 * `next` of the previous one. Two workers at the same position contend for the same name, and one
 * loses. `compaction.ts` folds old manifests into compacted ones; `log-listing.ts` says which ones
 * are in force.
 */

/** A data file, as its manifest describes it, and where it was until it was published. */
export type ManifestFile = Staged & DataFile

interface DataFile {
  /** Relative to the root, with `/`. */
  readonly path: string
  /**
   * The type as messages give it. The path may show it encoded or as a hash. Absent for reserved
   * types.
   */
  readonly type?: string
  readonly records: number
  readonly first: number
  readonly last: number
  /** Size of the file. */
  readonly bytes: number
  /** Size of its lines. */
  readonly line_bytes: number
  readonly sha256: string
  /** Kafka's timestamps in ms, lowest and highest. */
  readonly min_timestamp: number
  readonly max_timestamp: number
  /**
   * Present if the file is new with this compacted manifest: the files that were merged into it,
   * which are gone once it is completed. Empty if its records were read from Kafka again.
   */
  readonly replaces?: readonly string[]
}

/** What one flush committed, or several flushes if it has a `generation`. */
export interface Manifest extends TopicPartition, OffsetRange, Partial<ChainLink> {
  readonly format: number
  readonly worker: string
  readonly written: string
  readonly records: number
  readonly files: readonly ManifestFile[]
  /** Offsets of the range that have no record, with the reason, in ascending order. */
  readonly gaps: readonly Gap[]
  /** How many gaps without loss are not listed, if there are too many to list. */
  readonly omitted_gaps?: number
  /** What the group had committed when this was written: a lower bound for what every sink held. */
  readonly committed?: number
  /** In a compacted manifest: of those that begin at the same offset, the highest is in force. */
  readonly generation?: number
  /** In a compacted manifest: it is full. No generation follows; the next begins at `next`. */
  readonly closed?: boolean
  /**
   * In a compacted manifest: how many of its files wait for a merge, because their hour closed too
   * recently.
   */
  readonly unmerged?: number
}

/**
 * The range of a compacted manifest, and its other fields before the list of its files. It never
 * changes.
 */
export interface CompactedHead extends OffsetRange, CompactedName {
  /** See `ChainLink`; absent in format 1. */
  readonly head?: string
  readonly committed: number | undefined
  readonly closed: boolean
  readonly unmerged: number
}

/** Where archiving of a topic-partition began. */
export interface Origin extends TopicPartition {
  readonly format: number
  readonly offset: number
  readonly worker: string
  readonly written: string
  /** See `ChainLink`; absent in format 1. */
  readonly nonce?: string
}

/**
 * Entries of a list in one piece of `manifestPieces`: some 100 KiB of text, a millisecond of the
 * event loop.
 */
const entriesInPiece = 200

/** A manifest as JSON for people and programs. */
export function printManifest(manifest: Manifest | Origin): string {
  return [...manifestPieces(manifest)].join('')
}

/**
 * The same in pieces, for `Staging.create`. A manifest may list more files than fit into one
 * string, and must not hold the event loop. Together the pieces are the output of `JSON.stringify`
 * with an indentation of one blank.
 */
export function* manifestPieces(manifest: Manifest | Origin): Generator<string> {
  let before = '{'
  for (const [name, value] of Object.entries(manifest) as [string, unknown][]) {
    if (value === undefined) continue
    const field = `${before}\n ${JSON.stringify(name)}: `
    before = ','
    if (!Array.isArray(value) || value.length === 0) {
      yield `${field}${indented(value, 1)}`
      continue
    }
    for (let start = 0; start < value.length; start += entriesInPiece) {
      const entries = value
        .slice(start, start + entriesInPiece)
        .map((entry) => `\n  ${indented(entry, 2)}`)
      yield `${start === 0 ? `${field}[` : ','}${entries.join(',')}`
    }
    yield '\n ]'
  }
  yield '\n}\n'
}

/** Line breaks inside a text are escaped, so each one begins a line of its own. */
function indented(value: unknown, depth: number): string {
  return JSON.stringify(value, undefined, 1).replaceAll('\n', `\n${' '.repeat(depth)}`)
}

function readManifestFile(
  home: ReadableHome,
  name: string,
  observe?: (bytes: Buffer) => void,
): Promise<Record<string, unknown> | undefined> {
  return readJsonFile(home, name, {
    refuse: (why) => invalidManifest(home.locate(name), why),
    ...(observe === undefined ? {} : { observe }),
  })
}

/**
 * The manifest that begins at `from`, of a flush or, with a generation, compacted; undefined if
 * there is none.
 * @throws ArchiverError `MANIFEST_INVALID`, or the home's error.
 */
export async function readManifest(
  home: ReadableHome,
  tp: TopicPartition,
  from: number,
  generation?: number,
  observe?: (bytes: Buffer) => void,
): Promise<Manifest | undefined> {
  const last = generation === undefined ? manifestName(from) : compactedName({ from, generation })
  const name = `${manifestDirectory(tp)}/${last}`
  const read = await readManifestFile(home, name, observe)
  if (read === undefined) return undefined
  const place = { path: home.locate(name), format: home.manifestFormat, tp }
  return await checkManifest(place, from, generation, read)
}

/** A manifest or the origin, and the SHA-256 of its bytes: the `prev` of the next manifest. */
export interface Hashed<T> {
  readonly content: T
  readonly sha256: string
}

/**
 * The same with the hash of its bytes.
 * @throws ArchiverError `MANIFEST_INVALID`, or the home's error.
 */
export async function readHashedManifest(
  home: ReadableHome,
  tp: TopicPartition,
  from: number,
  generation?: number,
): Promise<Hashed<Manifest> | undefined> {
  const hash = createHash('sha256')
  const manifest = await readManifest(home, tp, from, generation, (bytes) => hash.update(bytes))
  return manifest && { content: manifest, sha256: hash.digest('hex') }
}

/** An origin has some 250 bytes. */
const maxOriginBytes = 2 ** 16
/** Where the lists of a compacted manifest begin. The head comes before them. */
const listsMark = ',\n "gaps": ['
const headBytes = 4096

/**
 * The head of a compacted manifest, without reading its list of ten thousand files; undefined if it
 * is gone.
 * @throws ArchiverError `MANIFEST_INVALID`, or the home's error.
 */
export async function readCompactedHead(
  home: ReadableHome,
  tp: TopicPartition,
  compacted: CompactedName,
): Promise<CompactedHead | undefined> {
  const name = `${manifestDirectory(tp)}/${compactedName(compacted)}`
  const start = await readStart(home, name)
  if (start === undefined) return undefined
  // If it is not as this program writes it, it is read whole, which tells what is wrong.
  const read = parseHead(start) ?? (await readManifestFile(home, name))
  if (read === undefined) return undefined
  const place = { path: home.locate(name), format: home.manifestFormat, tp }
  checkHead(place, compacted.from, compacted.generation, read)
  const { next, committed, closed, unmerged, head } = read as unknown as Manifest
  return {
    ...compacted,
    next,
    committed,
    closed: closed === true,
    unmerged: unmerged ?? 0,
    ...(head === undefined ? {} : { head }),
  }
}

function parseHead(start: string): Record<string, unknown> | undefined {
  try {
    const head = JSON.parse(
      `${start.slice(0, start.indexOf(listsMark))},"gaps":[],"files":[]}`,
    ) as Record<string, unknown>
    return head.next === undefined ? undefined : head
  } catch {
    return undefined
  }
}

async function readStart(home: ReadableHome, name: string): Promise<string | undefined> {
  try {
    const file = await home.open(name)
    if (file === undefined) return undefined
    try {
      const start = Buffer.alloc(headBytes)
      return start.toString('utf8', 0, await file.read(start, 0))
    } finally {
      await file.close()
    }
  } catch (error) {
    throw error instanceof NotRegular ? invalidManifest(home.locate(name), error.message) : error
  }
}

/**
 * The origin of a topic-partition, or undefined if archiving has not begun. @throws ArchiverError
 * `MANIFEST_INVALID`
 */
export async function readOrigin(
  home: ReadableHome,
  tp: TopicPartition,
): Promise<Origin | undefined> {
  return (await readHashedOrigin(home, tp))?.content
}

/** The same with the hash of its bytes. @throws ArchiverError `MANIFEST_INVALID` */
export async function readHashedOrigin(
  home: ReadableHome,
  tp: TopicPartition,
): Promise<Hashed<Origin> | undefined> {
  const name = originOf(tp)
  const hash = createHash('sha256')
  const read = await readSmall(home, name, (bytes) => hash.update(bytes))
  if (read === undefined) return undefined
  const place = { path: home.locate(name), format: home.manifestFormat, tp }
  return { content: checkOrigin(place, read), sha256: hash.digest('hex') }
}

/** A topic-partition of an archive and, if its `origin.json` cannot be trusted, the reason. */
export interface ListedPartition extends TopicPartition {
  readonly error?: ArchiverError
}

/**
 * The topic-partition of a directory below `_manifests`. The origin has the whole topic; the
 * segment of a long topic does not. A damaged origin concerns that partition alone, so it is
 * returned, never thrown.
 */
export async function partitionOf(
  home: ReadableHome,
  segment: string,
  partition: number,
): Promise<ListedPartition> {
  const name = `${manifestsDirectory}/${segment}/${partition}/${originName}`
  const path = home.locate(name)
  let tp: TopicPartition = { topic: topicOfSegment(segment), partition }
  try {
    const read = await readSmall(home, name)
    if (typeof read?.topic === 'string' && topicSegment(read.topic) === segment)
      tp = { topic: read.topic, partition }
    if (topicSegment(tp.topic) !== segment)
      throw invalidManifest(path, 'its directory is that of no topic')
    if (read !== undefined) checkOrigin({ path, format: home.manifestFormat, tp }, read)
    return tp
  } catch (error) {
    if (error instanceof ArchiverError) return { ...tp, error }
    return { ...tp, error: invalidManifest(path, `it cannot be read: ${messageOf(error)}`) }
  }
}

function readSmall(
  home: ReadableHome,
  name: string,
  observe: (bytes: Buffer) => void = () => {},
): Promise<Record<string, unknown> | undefined> {
  return readJsonFile(home, name, {
    refuse: (why) => invalidManifest(home.locate(name), why),
    maxBytes: maxOriginBytes,
    observe,
  })
}

/**
 * The max number of gaps that a manifest lists. In a heavily compacted topic, the list would be
 * larger than the data.
 */
const mostGaps = 1000

/**
 * Gaps in order; neighbours with the same reason are joined. Beyond `mostGaps`, only losses are
 * listed.
 */
export function describeGaps(gaps: readonly Gap[]): {
  gaps: readonly Gap[]
  omitted_gaps?: number
} {
  const joined: Gap[] = []
  for (const gap of gaps) {
    const last = joined.at(-1)
    const touches = last !== undefined && last.next === gap.from && last.reason === gap.reason
    if (touches) joined[joined.length - 1] = { ...last, next: gap.next }
    else joined.push(gap)
  }
  if (joined.length <= mostGaps) return { gaps: joined }
  const losses = joined.filter(({ reason }) => reason !== 'not-delivered')
  return { gaps: losses, omitted_gaps: joined.length - losses.length }
}
