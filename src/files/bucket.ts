import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { ArchiverError } from '../errors.ts'
import { faultPoint } from '../fault.ts'
import type { RecordBatch, RecordType, TopicPartition } from '../record.ts'
import { lineStart } from '../record.ts'
import type { BufferPool } from './buffer-pool.ts'
import { syncPath } from './durable.ts'
import type { ManifestFile } from './manifest.ts'
import { dataFileName, stagedName } from './path.ts'

const compress = promisify(gzip)

/** Lines are compressed in members of at most this many bytes: measured, twice as many make files 1 % smaller. */
export const memberBytes = 2 ** 19
const smallestBuffer = 4096

/** What all buckets of a sink share. */
export interface BucketContext {
  readonly root: string
  readonly gzipLevel: number
  readonly buffers: BufferPool
  /** Told of every change of the memory that buckets hold, in bytes. */
  readonly held: (delta: number) => void
  /** Runs a task on a file; bounds how many files are open at once. */
  readonly onFile: <T>(task: () => Promise<T>) => Promise<T>
}

/**
 * One file in the making: the records of one topic-partition, type and hour of one range. Lines gather in a buffer; when it is
 * full, or memory is short, it becomes a gzip member (RFC 1952, section 2.2: members stand one after another) at the end of
 * the staged file. A bucket keeps neither a zlib stream nor a descriptor open.
 */
export class Bucket {
  readonly #context: BucketContext
  readonly #stagedPath: string
  readonly #hash = createHash('sha256')
  readonly #type: RecordType
  #buffer: Buffer | undefined
  #used = 0
  #records = 0
  readonly #first: number
  #last: number
  #lineBytes = 0
  #bytes = 0
  #minTimestamp = Number.POSITIVE_INFINITY
  #maxTimestamp = Number.NEGATIVE_INFINITY
  /** The members before are written when this settles. A failure stays in it and comes out of `finish`. */
  #written: Promise<void> = Promise.resolve()

  /** `staging`: the directory of the staged file, relative to the root. `first`: the offset of the first record to come. */
  constructor(context: BucketContext, staging: string, type: RecordType, first: number) {
    this.#context = context
    this.#stagedPath = `${staging}/${stagedName(first)}`
    this.#type = type
    this.#first = first
    this.#last = first
  }

  /** Bytes of memory that the lines waiting for their member take. */
  get bufferBytes(): number {
    return this.#buffer?.length ?? 0
  }

  /** Takes record `i` of a batch. */
  append(batch: RecordBatch, i: number): void {
    const start = lineStart(batch, i)
    const end = batch.ends[i]!
    const length = end - start
    if (this.#used > 0 && this.#used + length > memberBytes) this.seal()
    const buffer = this.#room(length)
    batch.lines.copy(buffer, this.#used, start, end)
    this.#used += length
    this.#lineBytes += length
    this.#records++
    this.#last = batch.offsets[i]!
    const timestamp = batch.timestamps[i]!
    if (timestamp < this.#minTimestamp) this.#minTimestamp = timestamp
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp
  }

  #room(length: number): Buffer {
    const needed = this.#used + length
    const present = this.#buffer
    if (present !== undefined && needed <= present.length) return present
    let capacity = present?.length ?? smallestBuffer
    while (capacity < needed) capacity *= 2
    if (needed <= memberBytes) capacity = Math.min(capacity, memberBytes)
    const larger = this.#context.buffers.take(capacity)
    if (present !== undefined) {
      present.copy(larger, 0, 0, this.#used)
      this.#context.buffers.give(present)
    }
    this.#context.held(capacity - (present?.length ?? 0))
    this.#buffer = larger
    return larger
  }

  /** Makes a member of what is buffered. Compression runs in zlib's thread pool; members are written in their order. */
  seal(): void {
    const buffer = this.#buffer
    if (buffer === undefined) return
    const { buffers, gzipLevel, held, onFile, root } = this.#context
    const before = this.#written
    const lines = buffer.subarray(0, this.#used)
    this.#buffer = undefined
    this.#used = 0
    this.#written = (async () => {
      try {
        // Compressing waits for its turn too: it takes zlib 384 KiB each, and a flush seals ten thousand buckets at once.
        await onFile(async () => {
          const bytes = await compress(lines, {
            level: gzipLevel,
            memLevel: 9,
            // One chunk for most members: each further one is a turn through the event loop.
            chunkSize: Math.max(1024, lines.length >> 1),
          })
          await before
          this.#hash.update(bytes)
          this.#bytes += bytes.length
          const handle = await open(join(root, this.#stagedPath), 'a')
          try {
            await handle.writeFile(bytes)
          } finally {
            await handle.close()
          }
          faultPoint('files.staged')
        })
      } finally {
        buffers.give(buffer)
        held(-buffer.length)
      }
    })()
    // Nobody may be waiting yet; `finish` is where the failure is met.
    this.#written.catch(() => {})
  }

  /** Writes what is left. Throws what any member met. */
  async complete(): Promise<void> {
    this.seal()
    await this.#written
  }

  /** Makes the staged file's data durable. Throws where it cannot be known to be: then the file must be made anew. */
  async sync(): Promise<void> {
    const path = join(this.#context.root, this.#stagedPath)
    const size = await this.#context.onFile(() => syncPath(path))
    // Appending makes a file that was removed anew, without what was in it.
    if (size !== this.#bytes) {
      throw new ArchiverError('ARCHIVE_UNUSABLE', `${path} has ${size} bytes of ${this.#bytes}: somebody changed it`)
    }
  }

  /** Waits for what is being written, whatever comes of it, and gives the memory back. */
  async drop(): Promise<void> {
    if (this.#buffer !== undefined) this.#context.held(-this.#buffer.length)
    this.#buffer = undefined
    await Promise.allSettled([this.#written])
  }

  /** The entry of the complete file; `directory` relative to the root. */
  manifestFile(tp: TopicPartition, directory: string): ManifestFile {
    return {
      path: `${directory}/${dataFileName(tp, this.#first, this.#last)}`,
      staged: this.#stagedPath,
      ...(this.#type.reserved ? {} : { type: this.#type.name }),
      records: this.#records,
      first: this.#first,
      last: this.#last,
      bytes: this.#bytes,
      line_bytes: this.#lineBytes,
      sha256: this.#hash.digest('hex'),
      min_timestamp: this.#minTimestamp,
      max_timestamp: this.#maxTimestamp,
    }
  }
}
