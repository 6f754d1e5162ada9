import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ArchiverError, systemCode } from '../errors.ts'
import { hourOf } from '../line.ts'
import { malformedType, partitionKey, type RecordType, type TopicPartition, untypedType } from '../record.ts'
import { readIdentity } from './archive.ts'
import { listManifests, type Manifest, type ManifestFile, readManifest, readOrigin } from './manifest.ts'
import { manifestsDirectory } from './path.ts'

/** Manifests that are read at once, ahead of who goes through them. */
const manifestsAhead = 16
const rememberedManifests = 64

/** @throws ArchiverError `ARCHIVE_MISMATCH` where the directory is no archive. */
export async function requireArchive(root: string): Promise<void> {
  if ((await readIdentity(root)) === undefined) {
    throw new ArchiverError(
      'ARCHIVE_MISMATCH',
      `${root} is not an archive: it has no _archive.json; name one with --archive-dir`,
    )
  }
}

/** The topic-partitions of an archive by topic and partition, as their commit logs name them. */
export async function listPartitions(root: string): Promise<TopicPartition[]> {
  const found: TopicPartition[] = []
  for (const segment of await namesIn(join(root, manifestsDirectory))) {
    for (const name of await namesIn(join(root, manifestsDirectory, segment))) {
      if (!/^\d+$/.test(name)) continue
      // A topic's segment is a segment of itself; the origin has the topic whole where the segment is cut.
      const partition = Number(name)
      const origin = await readOrigin(root, { topic: segment, partition })
      found.push({ topic: origin?.topic ?? segment, partition })
    }
  }
  return found.sort((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition))
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

/** The commit log of one topic-partition, to read: manifests in order, and the one that covers an offset. */
export class CommitLog {
  readonly tp: TopicPartition
  readonly #root: string
  readonly #remembered = new Map<number, Manifest>()
  #froms: readonly number[]
  /** Where archiving began; undefined where `origin.json` is gone. */
  readonly origin: number | undefined

  private constructor(root: string, tp: TopicPartition, origin: number | undefined, froms: readonly number[]) {
    this.#root = root
    this.tp = tp
    this.origin = origin
    this.#froms = froms
  }

  /** @throws ArchiverError `MANIFEST_INVALID` */
  static async open(root: string, tp: TopicPartition): Promise<CommitLog> {
    const origin = await readOrigin(root, tp)
    return new CommitLog(root, tp, origin?.offset, await listManifests(root, tp))
  }

  /** Offsets at which manifests begin, in ascending order. */
  get froms(): readonly number[] {
    return this.#froms
  }

  /** Looks again what is there: a worker may have committed meanwhile. */
  async refresh(): Promise<void> {
    this.#froms = await listManifests(this.#root, this.tp)
  }

  /**
   * The manifest that begins at `from`.
   * @throws ArchiverError `MANIFEST_INVALID`, also where it is gone.
   */
  async manifest(from: number): Promise<Manifest> {
    const known = this.#remembered.get(from)
    if (known !== undefined) return known
    const manifest = await readManifest(this.#root, this.tp, from)
    if (manifest === undefined) {
      throw new ArchiverError(
        'MANIFEST_INVALID',
        `${partitionKey(this.tp)}: manifest ${from} vanished while it was read`,
      )
    }
    const [oldest] = this.#remembered.keys()
    if (this.#remembered.size >= rememberedManifests && oldest !== undefined) this.#remembered.delete(oldest)
    this.#remembered.set(from, manifest)
    return manifest
  }

  /** All manifests in order, read a few ahead; one that cannot be read comes as its error. */
  async *manifests(): AsyncGenerator<Manifest | { readonly from: number; readonly error: unknown }> {
    const reading: Promise<Manifest | { from: number; error: unknown }>[] = []
    const froms = this.#froms
    for (let i = 0; i < froms.length + manifestsAhead; i++) {
      const from = froms[i]
      if (from !== undefined) reading.push(this.manifest(from).catch((error: unknown) => ({ from, error })))
      if (i >= manifestsAhead || i >= froms.length) {
        const first = reading.shift()
        if (first === undefined) return
        yield await first
      }
    }
  }

  /** The manifest whose range would hold an offset; undefined before the first and behind the last. */
  async covering(offset: number): Promise<Manifest | undefined> {
    let low = 0
    let high = this.#froms.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#froms[middle]! <= offset) low = middle + 1
      else high = middle
    }
    const from = this.#froms[low - 1]
    if (from === undefined) return undefined
    const manifest = await this.manifest(from)
    return offset < manifest.next ? manifest : undefined
  }

  /** The position behind the last manifest. */
  async next(): Promise<number | undefined> {
    const last = this.#froms.at(-1)
    return last === undefined ? this.origin : (await this.manifest(last)).next
  }
}

/** Every data file of some partitions as manifests list them. @throws ArchiverError `MANIFEST_INVALID` */
export async function* filesOf(
  root: string,
  partitions: readonly TopicPartition[],
): AsyncGenerator<{ readonly tp: TopicPartition; readonly file: ManifestFile }> {
  for (const tp of partitions) {
    const log = await CommitLog.open(root, tp)
    for await (const manifest of log.manifests()) {
      if ('error' in manifest) throw manifest.error
      for (const file of manifest.files) yield { tp, file }
    }
  }
}
