import { createHash, type Hash } from 'node:crypto'
import { dirname } from 'node:path/posix'
import {
  type HomeFile,
  NotRegular,
  type ReadableHome,
  type Staged,
  type StagedFacts,
  type Staging,
} from '../../home/home.ts'
import type { TopicPartition } from '../../record/record.ts'
import type { ManifestFile } from '../log/manifest.ts'
import { dataFileName, stagedName } from '../log/path.ts'
import { type FileOpener, ReadAhead } from '../read/read-ahead.ts'
import { bytesOf } from './plan.ts'

const copyBytes = 2 ** 20
/** Files that are open before it is their turn. */
const sourcesAhead = 8

/** A file that differs from its manifest. It stays as it is, and `verify` names it. */
export class Unlike extends Error {
  /** Relative to the root. */
  readonly path: string

  /** It is not there: others may have merged or pruned it. */
  readonly isGone: boolean

  constructor(path: string, why: string, isGone = false) {
    super(`${path}: ${why}`)
    this.path = path
    this.isGone = isGone
  }
}

/**
 * Appends files to one staged file, and makes it durable. It compares the copied bytes with the
 * sha256 of each file, so that damage never gets a matching checksum.
 * @throws Unlike if a file is damaged; then nothing is staged.
 */
export async function merge(
  home: ReadableHome,
  tp: TopicPartition,
  staging: Staging,
  files: readonly ManifestFile[],
  signal: AbortSignal | undefined,
): Promise<ManifestFile> {
  const first = files[0]!
  const last = files.at(-1)!
  const path = `${dirname(first.path)}/${dataFileName(tp, first.first, last.last)}`
  const target = staging.file(stagedName(first.first))
  const hash = createHash('sha256')
  try {
    await target.append(contentOf(home, files, hash, signal))
    const facts: StagedFacts = { path, bytes: bytesOf(files), sha256: hash.digest('hex') }
    return describeMerged(files, facts, await target.complete(facts))
  } catch (error) {
    await target.remove()
    throw error
  }
}

/** The entry of a merged file. */
function describeMerged(
  files: readonly ManifestFile[],
  { path, bytes, sha256 }: StagedFacts,
  staged: Staged,
): ManifestFile {
  const { type, first } = files[0]!
  const sum = (of: (file: ManifestFile) => number) =>
    files.reduce((total, file) => total + of(file), 0)
  return {
    path,
    ...staged,
    ...(type === undefined ? {} : { type }),
    records: sum(({ records }) => records),
    first,
    last: files.at(-1)!.last,
    bytes,
    line_bytes: sum(({ line_bytes }) => line_bytes),
    sha256,
    min_timestamp: files.reduce(
      (min, file) => Math.min(min, file.min_timestamp),
      Number.POSITIVE_INFINITY,
    ),
    max_timestamp: files.reduce(
      (max, file) => Math.max(max, file.max_timestamp),
      Number.NEGATIVE_INFINITY,
    ),
    replaces: files.map((file) => file.path),
  }
}

/** The bytes of files one after another; `whole` is the hash of all of them. */
async function* contentOf(
  home: ReadableHome,
  files: readonly ManifestFile[],
  whole: Hash,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  await using ahead = new ReadAhead(home, sourcesAhead)
  ahead.expect(files.map(({ path }) => path))
  for (const file of files) {
    const own = createHash('sha256')
    for await (const bytes of checkedBytes(ahead, file, signal)) {
      own.update(bytes)
      whole.update(bytes)
      yield bytes
    }
    if (own.digest('hex') !== file.sha256)
      throw new Unlike(file.path, 'its sha256 is not that of its manifest')
  }
}

/** The bytes of a file, as many as its manifest says. */
async function* checkedBytes(
  home: FileOpener,
  { path, bytes }: ManifestFile,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const source = await openSource(home, path)
  try {
    const buffer = Buffer.allocUnsafe(Math.min(copyBytes, bytes + 1))
    for (let copied = 0; ; ) {
      signal?.throwIfAborted()
      const read = await source.read(buffer, copied)
      if (read === 0) {
        if (copied !== bytes)
          throw new Unlike(path, `it has ${copied} bytes, ${bytes} were written`)
        return
      }
      copied += read
      if (copied > bytes)
        throw new Unlike(path, `it has more than the ${bytes} bytes that were written`)
      yield buffer.subarray(0, read)
    }
  } finally {
    await source.close()
  }
}

async function openSource(home: FileOpener, path: string): Promise<HomeFile> {
  try {
    const source = await home.open(path)
    if (source !== undefined) return source
  } catch (error) {
    throw error instanceof NotRegular ? new Unlike(path, error.message) : error
  }
  throw new Unlike(path, 'it is gone', true)
}
