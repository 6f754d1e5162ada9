import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ArchiverError, messageOf, systemCode } from '../errors.ts'
import { type Gap, type OffsetRange, partitionKey, type TopicPartition } from '../record.ts'
import { manifestDirectory, manifestName, originName, parseManifestName } from './path.ts'

/**
 * The commit log of a topic-partition: `origin.json`, then one manifest a flush, each named by the offset that it begins at.
 * A manifest's name is created exclusively, and begins exactly at the `next` of the one before: two workers at the same
 * position contend for the same name, and one loses.
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
}

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
 * The manifest that begins at `from`, or undefined where there is none.
 * @throws ArchiverError `MANIFEST_INVALID`, or the file system's error.
 */
export async function readManifest(root: string, tp: TopicPartition, from: number): Promise<Manifest | undefined> {
  const path = join(root, manifestDirectory(tp), manifestName(from))
  const read = await readJson(path)
  if (read === undefined) return undefined
  const manifest = read as unknown as Manifest
  if (manifest.format !== manifestFormat)
    throw invalid(path, `its format is ${String(read.format)}, known is ${manifestFormat}`)
  if (manifest.topic !== tp.topic || manifest.partition !== tp.partition) {
    throw invalid(path, `it is of ${manifest.topic}/${manifest.partition}, not of ${partitionKey(tp)}`)
  }
  if (manifest.from !== from || !isOffset(manifest.next) || manifest.next <= from || !Array.isArray(manifest.files)) {
    throw invalid(path, `its range [${manifest.from}, ${manifest.next}) does not fit its name`)
  }
  return manifest
}

/** The origin of a topic-partition, or undefined where archiving has not begun. */
export async function readOrigin(root: string, tp: TopicPartition): Promise<Origin | undefined> {
  const path = join(root, manifestDirectory(tp), originName)
  const read = await readJson(path)
  if (read === undefined) return undefined
  if (!isOffset(read.offset)) throw invalid(path, 'it has no offset')
  return read as unknown as Origin
}

/** The offsets at which manifests begin, in ascending order. */
export async function listManifests(root: string, tp: TopicPartition): Promise<number[]> {
  let names: string[]
  try {
    names = await readdir(join(root, manifestDirectory(tp)))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
  const offsets: number[] = []
  for (const name of names) {
    const from = parseManifestName(name)
    if (from !== undefined) offsets.push(from)
  }
  return offsets.sort((a, b) => a - b)
}

/** The last manifest, and how many there are; undefined where nothing was committed yet. */
export async function readLastManifest(root: string, tp: TopicPartition): Promise<Manifest | undefined> {
  const last = (await listManifests(root, tp)).at(-1)
  if (last === undefined) return undefined
  const manifest = await readManifest(root, tp, last)
  if (manifest === undefined) {
    throw new ArchiverError('MANIFEST_INVALID', `${partitionKey(tp)}: manifest ${last} vanished while it was read`)
  }
  return manifest
}
