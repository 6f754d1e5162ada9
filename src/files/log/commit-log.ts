import { dirname } from 'node:path/posix'
import type { ReadableHome } from '../../home/home.ts'
import {
  malformedType,
  partitionKey,
  type RecordType,
  type TopicPartition,
  untypedType,
} from '../../record/record.ts'
import { hourOf } from '../../record/time.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { inLanes } from '../../runtime/lanes.ts'
import { readIdentity, refuseHalfCopy } from './archive.ts'
import {
  type CursorSource,
  LogCursor,
  type LoggedManifest,
  maxTries,
  type UnreadableManifest,
} from './log-cursor.ts'
import {
  firstBehind,
  type KnownHeads,
  type LogEntry,
  type LogListing,
  listLog,
} from './log-listing.ts'
import {
  type ListedPartition,
  type Manifest,
  type ManifestFile,
  partitionOf,
  readManifest,
  readOrigin,
} from './manifest.ts'
import { manifestsDirectory, parseDataFileName } from './path.ts'

/** Limits of the cache: the number of manifests, and of the files that they list together. */
const rememberedManifests = 64
const rememberedFiles = 20_000

/** @throws ArchiverError `ARCHIVE_MISMATCH` if the home has no archive. */
export async function requireArchive(home: ReadableHome): Promise<void> {
  if ((await readIdentity(home)) === undefined) {
    await refuseHalfCopy(home)
    const why = (await home.list('')).length === 0 ? 'nothing is there' : 'it has no _archive.json'
    throw new ArchiverError(
      'ARCHIVE_MISMATCH',
      `${home.title} is not an archive: ${why}; name one with --archive-dir`,
    )
  }
}

/**
 * The topic-partitions of an archive by topic and partition, as their commit logs name them. One
 * with a damaged origin comes with its error, and does not hide the others.
 */
export async function listPartitions(home: ReadableHome): Promise<ListedPartition[]> {
  const directories: (readonly [segment: string, partition: number])[] = []
  const isTopic = (directory: string) => directory.split('/').length === 2
  for await (const directory of home.walk(manifestsDirectory, isTopic)) {
    const [, segment, name] = directory.split('/')
    if (name !== undefined && /^(0|[1-9]\d{0,9})$/.test(name))
      directories.push([segment!, Number(name)])
  }
  const found: ListedPartition[] = []
  await inLanes(directories, async ([segment, partition]) => {
    found.push(await partitionOf(home, segment, partition))
  })
  return found.sort((a, b) =>
    a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition,
  )
}

/** The type of a data file's records, from its manifest. */
export function typeOf(file: ManifestFile): RecordType {
  if (file.type !== undefined) return { name: file.type, reserved: false }
  return file.path.startsWith(`type=${malformedType.name}/`) ? malformedType : untypedType
}

/** The hour of a data file's records. */
export function hourOfFile(file: ManifestFile): number {
  return hourOf(file.min_timestamp)
}

/** True if the entry means only the offsets `first` to `last`, and the data file holds more. */
export function isSlice(file: ManifestFile): boolean {
  const name = parseDataFileName(file.path.slice(file.path.lastIndexOf('/') + 1))
  return name !== undefined && (name.first !== file.first || name.last !== file.last)
}

/**
 * The commit log of one topic-partition, to read: manifests in order, and the one that covers an
 * offset.
 *
 * A compaction may replace manifests and files while they are read. A manifest that is gone is
 * looked up again by its offsets; for a file that is gone, `replacementOf` finds the one that has
 * its records.
 */
export class CommitLog implements CursorSource {
  readonly tp: TopicPartition
  readonly #home: ReadableHome
  readonly #known: KnownHeads
  readonly #remembered = new Map<string, Manifest>()
  #rememberedFiles = 0
  #entries: readonly LogEntry[]
  /** The offset at which archiving began; undefined if `origin.json` is missing or unusable. */
  readonly origin: number | undefined
  /** Why the origin cannot be trusted. The manifests can still be read. */
  readonly originError: ArchiverError | undefined

  private constructor(
    home: ReadableHome,
    tp: TopicPartition,
    origin: number | ArchiverError | undefined,
    known: KnownHeads,
    listing: LogListing,
  ) {
    this.#home = home
    this.tp = tp
    this.origin = typeof origin === 'number' ? origin : undefined
    this.originError = typeof origin === 'number' ? undefined : origin
    this.#known = known
    this.#entries = listing.entries
  }

  /** @throws ArchiverError `MANIFEST_INVALID` */
  static async open(home: ReadableHome, tp: TopicPartition): Promise<CommitLog> {
    const origin = await readOrigin(home, tp).then(
      (read) => read?.offset,
      (error: unknown) => {
        if (error instanceof ArchiverError) return error
        throw error
      },
    )
    const known: KnownHeads = new Map()
    return new CommitLog(home, tp, origin, known, await listLog(home, tp, known))
  }

  /** The manifests in force, in ascending order. */
  get entries(): readonly LogEntry[] {
    return this.#entries
  }

  /** Lists the log again: a worker may have committed or compacted meanwhile. */
  async refresh(): Promise<void> {
    this.#entries = (await listLog(this.#home, this.tp, this.#known)).entries
  }

  /** @returns undefined if it is gone. @throws ArchiverError `MANIFEST_INVALID` */
  async read({ from, compacted }: LogEntry): Promise<Manifest | undefined> {
    const key = `${from}/${compacted?.generation}`
    const remembered = this.#remembered.get(key)
    if (remembered !== undefined) return remembered
    const manifest = await readManifest(this.#home, this.tp, from, compacted?.generation)
    if (manifest === undefined) return undefined
    this.#remembered.set(key, manifest)
    this.#rememberedFiles += manifest.files.length
    for (const [oldest, { files }] of this.#remembered) {
      const isEnough =
        this.#remembered.size <= rememberedManifests && this.#rememberedFiles <= rememberedFiles
      if (isEnough || oldest === key) break
      this.#remembered.delete(oldest)
      this.#rememberedFiles -= files.length
    }
    return manifest
  }

  /**
   * All manifests in order. Reads a few ahead. A manifest that cannot be read comes as its error.
   */
  async *manifests(): AsyncGenerator<LoggedManifest | UnreadableManifest> {
    const cursor = new LogCursor(this)
    for (;;) {
      const manifest = await cursor.next()
      if (manifest === undefined) return
      yield manifest
    }
  }

  vanished(from: number): ArchiverError {
    return new ArchiverError(
      'MANIFEST_INVALID',
      `${partitionKey(this.tp)}: manifest ${from} vanished while it was read`,
    )
  }

  /**
   * The manifest whose range would hold an offset; undefined before the first and behind the last.
   */
  async covering(offset: number): Promise<Manifest | undefined> {
    for (let tries = 0; tries < maxTries; tries++) {
      const entry = this.#entries[firstBehind(this.#entries, offset) - 1]
      if (entry === undefined) return undefined
      const manifest = await this.read(entry)
      if (manifest !== undefined) return offset < manifest.next ? manifest : undefined
      await this.refresh()
    }
    throw this.vanished(offset)
  }

  /**
   * The file that has the merged records of a file that is gone; undefined if no manifest names
   * one.
   */
  async replacementOf(file: ManifestFile): Promise<ManifestFile | undefined> {
    await this.refresh()
    const manifest = await this.covering(file.first)
    return manifest?.files.find(
      ({ path, first, last }) =>
        path !== file.path &&
        dirname(path) === dirname(file.path) &&
        first <= file.first &&
        file.last <= last,
    )
  }

  /** The position behind the last manifest. */
  async next(): Promise<number | undefined> {
    for (let tries = 0; tries < maxTries; tries++) {
      const last = this.#entries.at(-1)
      if (last === undefined) return this.origin
      const next = last.compacted?.next ?? (await this.read(last))?.next
      if (next !== undefined) return next
      await this.refresh()
    }
    throw this.vanished(this.#entries.at(-1)?.from ?? 0)
  }
}
