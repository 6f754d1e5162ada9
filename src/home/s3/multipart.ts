import PQueue from 'p-queue'
import type { UploadedPart, Uploads } from './uploads.ts'

/**
 * Amazon takes parts from 5 MiB on, but for the last, and R2 wants them equal. A part is one Buffer
 * in memory, so this bounds it.
 */
export const partBytes = 16 * 2 ** 20
/** Amazon S3, "Multipart upload limits". */
const maxParts = 10_000
/** Files that are uploaded at once, and those among them that may hold a large part. */
const lanes = 16
const largeLanes = 4
const largeBytes = 2 ** 20

/** Where the bytes of an upload are. */
export interface UploadSource {
  readonly bytes: number
  /** Bytes `[at, at + length)`; may be the same memory each time. */
  read(at: number, length: number): Promise<Buffer>
}

/** Uploads files, some at once, within bounded memory: 64 MiB of large parts, 16 MiB of small. */
export class Uploader {
  readonly #uploads: Uploads
  readonly #lanes = new PQueue({ concurrency: lanes })
  readonly #large = new PQueue({ concurrency: largeLanes })

  constructor(uploads: Uploads) {
    this.#uploads = uploads
  }

  /**
   * Uploads all parts and leaves the upload open: nothing can be seen of it until it is completed.
   *
   * @param begun hears the id of the upload as soon as there is one.
   */
  async upload(
    key: string,
    sha256: string,
    source: UploadSource,
    begun: (id: string) => void,
  ): Promise<UploadedPart[]> {
    const queue = source.bytes > largeBytes ? this.#large : this.#lanes
    return await queue.add(async () => {
      const id = await this.#uploads.create(key, sha256)
      begun(id)
      const parts: UploadedPart[] = []
      const size = partSize(source.bytes)
      // An empty object has one empty part.
      for (let at = 0; at < source.bytes || at === 0; at += size) {
        const body = await source.read(at, Math.min(size, source.bytes - at))
        parts.push(await this.#uploads.uploadPart(key, id, parts.length + 1, body))
      }
      return parts
    })
  }
}

/** Parts grow only when 10,000 of them would not hold the file: from 156 GiB on. */
export function partSize(bytes: number): number {
  return Math.max(partBytes, Math.ceil(bytes / maxParts))
}
