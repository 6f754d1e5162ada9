import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { hourOf } from '../../record/line.ts'
import {
  malformedType,
  partitionKey,
  type RecordType,
  type TopicPartition,
  untypedType,
} from '../../record/record.ts'
import { ArchiverError, systemCode } from '../../runtime/errors.ts'
import { readIdentity } from './archive.ts'
import { type KnownHeads, type LogEntry, type LogListing, listLog } from './log-listing.ts'
import {
  type ListedPartition,
  type Manifest,
  type ManifestFile,
  partitionOf,
  readManifest,
  readOrigin,
} from './manifest.ts'
import { manifestsDirectory, parseDataFileName } from './path.ts'

/** Manifests that are read at once, ahead of who goes through them. */
const manifestsAhead = 16
/** Manifests that are kept for who asks again, and the files that they list together. */
const rememberedManifests = 64
const rememberedFiles = 20_000

/** @throws ArchiverError `ARCHIVE_MISMATCH` where the directory is no archive. */
export async function requireArchive(root: string): Promise<void> {
  if ((await readIdentity(root)) === undefined) {
    throw new ArchiverError(
      'ARCHIVE_MISMATCH',
      `${root} is not an archive: it has no _archive.json; name one with --archive-dir`,
    )
  }
}

/**
 * The topic-partitions of an archive by topic and partition, as their commit logs name them. One
 * with a damaged origin comes with its error: it is no reason to keep the others from anyone.
 */
export async function listPartitions(root: string): Promise<ListedPartition[]> {
  const found: ListedPartition[] = []
  for (const segment of await namesIn(join(root, manifestsDirectory))) {
    for (const name of await namesIn(join(root, manifestsDirectory, segment))) {
      if (/^(0|[1-9]\d{0,9})$/.test(name))
        found.push(await partitionOf(root, segment, Number(name)))
    }
  }
  return found.sort((a, b) =>
    a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition,
  )
}

/** The names in a directory, sorted; none where it is not there or is none. */
export async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort()
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return []
    throw error
  }
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

/** A manifest as readers get it. */
export interface LoggedManifest extends Manifest {
  /**
   * True where it took the place of manifests of which some had been read already: it begins where
   * those ended, and a file of it may begin earlier than its `first` says (see `isSlice`). The
   * number of its records is not known then.
   */
  readonly isPart?: boolean
}

/**
 * True where only the offsets `first` to `last` of a data file are meant, and it holds more than
 * those.
 */
export function isSlice(file: ManifestFile): boolean {
  const name = parseDataFileName(file.path.slice(file.path.lastIndexOf('/') + 1))
  return name !== undefined && (name.first !== file.first || name.last !== file.last)
}

const mostTries = 20

/**
 * The commit log of one topic-partition, to read: manifests in order, and the one that covers an
 * offset.
 *
 * A compaction may replace manifests and files while they are read. A manifest that is gone is
 * looked up again by its offsets; for a file that is gone, `replacementOf` finds the one that has
 * its records.
 */
export class CommitLog {
  readonly tp: TopicPartition
  readonly #root: string
  readonly #known: KnownHeads
  readonly #remembered = new Map<string, Manifest>()
  #rememberedFiles = 0
  #entries: readonly LogEntry[]
  /** Where archiving began; undefined where `origin.json` is gone or cannot be trusted. */
  readonly origin: number | undefined
  /** Why the origin cannot be trusted: the manifests can be read all the same. */
  readonly originError: ArchiverError | undefined

  private constructor(
    root: string,
    tp: TopicPartition,
    origin: number | ArchiverError | undefined,
    known: KnownHeads,
    listing: LogListing,
  ) {
    this.#root = root
    this.tp = tp
    this.origin = typeof origin === 'number' ? origin : undefined
    this.originError = typeof origin === 'number' ? undefined : origin
    this.#known = known
    this.#entries = listing.entries
  }

  /** @throws ArchiverError `MANIFEST_INVALID` */
  static async open(root: string, tp: TopicPartition): Promise<CommitLog> {
    const origin = await readOrigin(root, tp).then(
      (read) => read?.offset,
      (error: unknown) => {
        if (error instanceof ArchiverError) return error
        throw error
      },
    )
    const known: KnownHeads = new Map()
    return new CommitLog(root, tp, origin, known, await listLog(root, tp, known))
  }

  /** The manifests in force, in ascending order. */
  get entries(): readonly LogEntry[] {
    return this.#entries
  }

  /** Looks again what is there: a worker may have committed, or compacted, meanwhile. */
  async refresh(): Promise<void> {
    this.#entries = (await listLog(this.#root, this.tp, this.#known)).entries
  }

  /** @returns undefined where it is gone. @throws ArchiverError `MANIFEST_INVALID` */
  async #read({ from, compacted }: LogEntry): Promise<Manifest | undefined> {
    const key = `${from}/${compacted?.generation}`
    const remembered = this.#remembered.get(key)
    if (remembered !== undefined) return remembered
    const manifest = await readManifest(this.#root, this.tp, from, compacted?.generation)
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

  /** All manifests in order, read a few ahead; one that cannot be read comes as its error. */
  async *manifests(): AsyncGenerator<
    LoggedManifest | { readonly from: number; readonly error: unknown }
  > {
    const reading = new Map<
      LogEntry,
      Promise<Manifest | undefined | { from: number; error: unknown }>
    >()
    /** The next one begins behind this … */
    let given = -1
    /** … and exactly here, if nothing is missing. */
    let position: number | undefined
    for (let tries = 0; ; ) {
      // Of a listing that is younger than the position: it took the place of what was read, and of
      // more.
      const over = this.#entries.find((candidate) => isInside(candidate, position))
      const first = over === undefined ? this.#entries.findIndex(({ from }) => from > given) : -1
      const entry = over ?? this.#entries[first]
      if (entry === undefined) return
      const ahead = new Set(
        over === undefined ? this.#entries.slice(first, first + manifestsAhead) : [over],
      )
      for (const known of reading.keys()) if (!ahead.has(known)) reading.delete(known)
      for (const next of ahead) {
        if (!reading.has(next)) {
          reading.set(
            next,
            this.#read(next).catch((error: unknown) => ({ from: next.from, error })),
          )
        }
        // These may be a hundred times as large.
        if (next.compacted !== undefined) break
      }
      const manifest = await reading.get(entry)
      reading.delete(entry)
      const isHole = position !== undefined && entry.from > position
      if (manifest === undefined || (isHole && tries === 0)) {
        if (tries++ === mostTries) throw this.#vanished(entry.from)
        await this.refresh()
        continue
      }
      tries = 0
      if ('error' in manifest) {
        yield manifest
        position = undefined
        given = Math.max(given, manifest.from)
        continue
      }
      yield over === undefined ? manifest : partFrom(position!, manifest)
      position = manifest.next
      given = over === undefined ? manifest.from : manifest.next - 1
    }
  }

  #vanished(from: number): ArchiverError {
    return new ArchiverError(
      'MANIFEST_INVALID',
      `${partitionKey(this.tp)}: manifest ${from} vanished while it was read`,
    )
  }

  /**
   * The manifest whose range would hold an offset; undefined before the first and behind the last.
   */
  async covering(offset: number): Promise<Manifest | undefined> {
    for (let tries = 0; tries < mostTries; tries++) {
      let low = 0
      let high = this.#entries.length
      while (low < high) {
        const middle = (low + high) >> 1
        if (this.#entries[middle]!.from <= offset) low = middle + 1
        else high = middle
      }
      const entry = this.#entries[low - 1]
      if (entry === undefined) return undefined
      const manifest = await this.#read(entry)
      if (manifest !== undefined) return offset < manifest.next ? manifest : undefined
      await this.refresh()
    }
    throw this.#vanished(offset)
  }

  /**
   * The file that has the records of one that is gone, because they were merged; undefined where
   * none says so.
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
    for (let tries = 0; tries < mostTries; tries++) {
      const last = this.#entries.at(-1)
      if (last === undefined) return this.origin
      const next = last.compacted?.next ?? (await this.#read(last))?.next
      if (next !== undefined) return next
      await this.refresh()
    }
    throw this.#vanished(this.#entries.at(-1)?.from ?? 0)
  }
}

function isInside({ compacted }: LogEntry, position: number | undefined): boolean {
  return (
    compacted !== undefined &&
    position !== undefined &&
    compacted.from < position &&
    position < compacted.next
  )
}

/** What a manifest says of the offsets from `position` on, for who has read what is before. */
function partFrom(position: number, manifest: Manifest): LoggedManifest {
  return {
    ...manifest,
    from: position,
    files: manifest.files
      .filter(({ last }) => last >= position)
      .map((file) => (file.first >= position ? file : { ...file, first: position })),
    gaps: manifest.gaps
      .filter(({ next }) => next > position)
      .map((gap) => ({ ...gap, from: Math.max(gap.from, position) })),
    isPart: true,
  }
}
