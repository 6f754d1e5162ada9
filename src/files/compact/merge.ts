import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { TopicPartition } from '../../record/record.ts'
import { systemCode } from '../../runtime/errors.ts'
import { removeIfThere } from '../fs/durable.ts'
import { NotRegular, openRegular, requireDirectories } from '../fs/no-links.ts'
import type { ManifestFile } from '../log/manifest.ts'
import { dataFileName, stagedName } from '../log/path.ts'
import { bytesOf } from './plan.ts'

const copyBytes = 2 ** 20

/** A file that is not as its manifest says: it is left as it is, for `verify` to name it. */
export class Unlike extends Error {
  /** Relative to the root. */
  readonly path: string

  constructor(path: string, why: string) {
    super(`${path}: ${why}`)
    this.path = path
  }
}

/**
 * Appends files to one staged file, and fsyncs it. What is copied is compared with the sha256 of
 * each file, so that no damage gets a checksum that fits it.
 * @throws Unlike if a file is damaged; then nothing is staged.
 */
export async function merge(
  root: string,
  tp: TopicPartition,
  staging: string,
  files: readonly ManifestFile[],
  signal: AbortSignal | undefined,
): Promise<ManifestFile> {
  const first = files[0]!
  const staged = `${staging}/${stagedName(first.first)}`
  await requireDirectories(root, [dirname(first.path)])
  const hash = createHash('sha256')
  const target = await open(join(root, staged), 'wx')
  try {
    for (const file of files) await append(target, join(root, file.path), file, hash, signal)
    await target.sync()
  } catch (error) {
    await removeIfThere(join(root, staged))
    throw error
  } finally {
    await target.close()
  }
  const sum = (of: (file: ManifestFile) => number) =>
    files.reduce((total, file) => total + of(file), 0)
  const last = files.at(-1)!.last
  return {
    path: `${dirname(first.path)}/${dataFileName(tp, first.first, last)}`,
    staged,
    ...(first.type === undefined ? {} : { type: first.type }),
    records: sum(({ records }) => records),
    first: first.first,
    last,
    bytes: bytesOf(files),
    line_bytes: sum(({ line_bytes }) => line_bytes),
    sha256: hash.digest('hex'),
    min_timestamp: files.reduce(
      (least, file) => Math.min(least, file.min_timestamp),
      Number.POSITIVE_INFINITY,
    ),
    max_timestamp: files.reduce(
      (most, file) => Math.max(most, file.max_timestamp),
      Number.NEGATIVE_INFINITY,
    ),
    replaces: files.map(({ path }) => path),
  }
}

async function append(
  target: FileHandle,
  path: string,
  file: ManifestFile,
  whole: ReturnType<typeof createHash>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const own = createHash('sha256')
  const source = await openSource(path, file)
  try {
    const buffer = Buffer.allocUnsafe(Math.min(copyBytes, file.bytes + 1))
    for (let copied = 0; ; ) {
      signal?.throwIfAborted()
      const { bytesRead } = await source.read(buffer, 0, buffer.length)
      if (bytesRead === 0) {
        if (copied !== file.bytes)
          throw new Unlike(file.path, `it has ${copied} bytes, ${file.bytes} were written`)
        break
      }
      const read = buffer.subarray(0, bytesRead)
      copied += bytesRead
      if (copied > file.bytes)
        throw new Unlike(file.path, `it has more than the ${file.bytes} bytes that were written`)
      own.update(read)
      whole.update(read)
      await target.writeFile(read)
    }
  } finally {
    await source.close()
  }
  if (own.digest('hex') !== file.sha256)
    throw new Unlike(file.path, 'its sha256 is not that of its manifest')
}

async function openSource(path: string, file: ManifestFile): Promise<FileHandle> {
  try {
    return await openRegular(path)
  } catch (error) {
    if (error instanceof NotRegular) throw new Unlike(file.path, error.message)
    if (systemCode(error) === 'ENOENT') throw new Unlike(file.path, 'it is gone')
    throw error
  }
}
