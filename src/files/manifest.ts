import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ArchiverError, messageOf, systemCode } from '../errors.ts'
import { type Gap, type OffsetRange, partitionKey, type TopicPartition } from '../record.ts'
import { type CompactedName, compactedName, manifestDirectory, manifestName, originName } from './path.ts'

/**
 * The commit log of a topic-partition: `origin.json`, then one manifest a flush, each named by the offset that it begins at.
 * A manifest's name is created exclusively, and begins exactly at the `next` of the one before: two workers at the same
 * position contend for the same name, and one loses. Old manifests are folded into compacted ones, see `compaction.ts`; which
 * of them all are in force says `log-listing.ts`.
 */

export const manifestFormat = 1

/** A data file, as its manifest describes it. */
export interface ManifestFile {
  /** Relative to the root, with `/`. */
  readonly path: string
  /** Where it was staged, relative to the root: what a crash between link and rename left there is renamed by who comes next. */
  readonly staged: string
  /** The type as messages give it, which the path may only show encoded or as a hash. Absent for reserved types. */
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
  /** The files that were merged into this one by the compaction that wrote this manifest: gone once it is completed. */
  readonly replaces?: readonly string[]
}

/** What one flush committed, or, where it has a `generation`, what several did. */
export interface Manifest extends TopicPartition, OffsetRange {
  readonly format: number
  readonly worker: string
  readonly written: string
  readonly records: number
  readonly files: readonly ManifestFile[]
  /** Offsets of the range without a record, why, in ascending order. */
  readonly gaps: readonly Gap[]
  /** How many gaps without loss are not listed, where there are very many. */
  readonly omitted_gaps?: number
  /** What the group had committed when this was written; a lower bound for what every sink held. */
  readonly committed?: number
  /** Of a compacted manifest: of those that begin at the same offset the highest is in force. */
  readonly generation?: number
  /** Of a compacted manifest: it is full, no generation follows; the next one begins at its `next`. */
  readonly closed?: boolean
  /** Of a compacted manifest: how many of its files wait to become one with others, because their hour has not closed long enough. */
  readonly unmerged?: number
}

/** The range of a compacted manifest, and what else is known without reading the list of its files. Never changes. */
export interface CompactedHead extends OffsetRange, CompactedName {
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
}

/** One manifest as JSON for people and programs. */
export function printManifest(manifest: Manifest | Origin): string {
  return `${JSON.stringify(manifest, undefined, 1)}\n`
}

async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  let content: string
  try {
    content = await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    return JSON.parse(content) as Record<string, unknown>
  } catch (error) {
    throw invalid(path, `it is not JSON: ${messageOf(error)}`)
  }
}

function invalid(path: string, why: string): ArchiverError {
  return new ArchiverError(
    'MANIFEST_INVALID',
    `${path}: ${why}. Restore this file from a copy of the archive, or run verify`,
    {
      path,
    },
  )
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/**
 * The manifest that begins at `from`, of a flush or, with a generation, compacted; undefined where there is none.
 * @throws ArchiverError `MANIFEST_INVALID`, or the file system's error.
 */
export async function readManifest(
  root: string,
  tp: TopicPartition,
  from: number,
  generation?: number,
): Promise<Manifest | undefined> {
  const name = generation === undefined ? manifestName(from) : compactedName({ from, generation })
  const path = join(root, manifestDirectory(tp), name)
  const read = await readJson(path)
  return read === undefined ? undefined : checked(path, tp, from, generation, read)
}

function checked(
  path: string,
  tp: TopicPartition,
  from: number,
  generation: number | undefined,
  read: Record<string, unknown>,
): Manifest {
  const manifest = read as unknown as Manifest
  if (manifest.format !== manifestFormat)
    throw invalid(path, `its format is ${String(read.format)}, known is ${manifestFormat}`)
  if (manifest.topic !== tp.topic || manifest.partition !== tp.partition) {
    throw invalid(path, `it is of ${manifest.topic}/${manifest.partition}, not of ${partitionKey(tp)}`)
  }
  if (manifest.from !== from || !isOffset(manifest.next) || manifest.next <= from || !Array.isArray(manifest.files)) {
    throw invalid(path, `its range [${manifest.from}, ${manifest.next}) does not fit its name`)
  }
  if (manifest.generation !== generation) {
    throw invalid(path, `its generation ${manifest.generation} does not fit its name`)
  }
  return manifest
}

/** Where the lists of a compacted manifest begin; the head stands before them. */
const listsMark = ',\n "gaps": ['
const headBytes = 4096

/**
 * The head of a compacted manifest, without reading its list of ten thousand files; undefined where it is gone.
 * @throws ArchiverError `MANIFEST_INVALID`, or the file system's error.
 */
export async function readCompactedHead(
  root: string,
  tp: TopicPartition,
  name: CompactedName,
): Promise<CompactedHead | undefined> {
  const path = join(root, manifestDirectory(tp), compactedName(name))
  const start = await readStart(path)
  if (start === undefined) return undefined
  // Where it is not as this program writes it, it is read whole, and that says what is wrong.
  const read = parseHead(start) ?? (await readJson(path))
  if (read === undefined) return undefined
  const { next, committed, closed, unmerged } = checked(path, tp, name.from, name.generation, read)
  return { ...name, next, committed, closed: closed === true, unmerged: unmerged ?? 0 }
}

function parseHead(start: string): Record<string, unknown> | undefined {
  try {
    const head = JSON.parse(`${start.slice(0, start.indexOf(listsMark))},"gaps":[],"files":[]}`) as Record<
      string,
      unknown
    >
    return head.next === undefined ? undefined : head
  } catch {
    return undefined
  }
}

async function readStart(path: string): Promise<string | undefined> {
  try {
    const handle = await open(path, 'r')
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0)
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** The origin of a topic-partition, or undefined where archiving has not begun. */
export async function readOrigin(root: string, tp: TopicPartition): Promise<Origin | undefined> {
  const path = join(root, manifestDirectory(tp), originName)
  const read = await readJson(path)
  if (read === undefined) return undefined
  if (!isOffset(read.offset)) throw invalid(path, 'it has no offset')
  return read as unknown as Origin
}

/** A manifest lists no more gaps than this: in a much compacted topic they would be larger than the data. */
const mostGaps = 1000

/** Gaps in order, neighbours with the same reason joined. Beyond `mostGaps` only those that are a loss are listed. */
export function describeGaps(gaps: readonly Gap[]): { gaps: readonly Gap[]; omitted_gaps?: number } {
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
