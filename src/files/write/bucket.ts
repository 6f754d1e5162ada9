import { createHash, type Hash, hash } from 'node:crypto'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Staged, StagedFacts, StagedFile, Staging } from '../../home/home.ts'
import type { RecordBatch, RecordType, TopicPartition } from '../../record/record.ts'
import { lineStart } from '../../record/record.ts'
import type { ManifestFile } from '../log/manifest.ts'
import { dataFileName, hourDirectory, stagedName } from '../log/path.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { LineMemory } from './line-memory.ts'
import type { Extent, SpillFile } from './spill.ts'

const compress = promisify(gzip)

/**
 * Lines are compressed in members of at most this many bytes: measured, twice as many make files 1
 * % smaller.
 */
export const memberBytes = 2 ** 19
const smallestBuffer = 1024
/** The largest window of deflate, in bits; a member that fits into a smaller one needs no more. */
const mostWindowBits = 15
/**
 * Lines up to here have fewer matches and literals than the smaller setting of zlib holds for one
 * block.
 */
const smallMember = 2 ** 16

/** The first `used` bytes of a buffer. */
interface Lines {
  readonly buffer: Buffer
  readonly used: number
}

/**
 * Few different sizes, so that the pool has one that fits. Lines that are a member by themselves
 * get what they need.
 */
function capacityFor(bytes: number): number {
  if (bytes > memberBytes) return bytes
  let capacity = smallestBuffer
  while (capacity < bytes) capacity *= 2
  return capacity
}

/**
 * How much memory zlib sets up, and clears, before it compresses this many bytes. Ten thousand
 * buckets have as many small members: the 384 KiB of the largest setting cost as much as
 * compressing 20 kB (measured: 230 µs of CPU against 140 µs, to the same size).
 */
function zlibMemory(bytes: number): { readonly windowBits: number; readonly memLevel: number } {
  if (bytes > smallMember) return { windowBits: mostWindowBits, memLevel: 9 }
  return {
    windowBits: Math.min(mostWindowBits, Math.max(9, Math.ceil(Math.log2(bytes)))),
    memLevel: 8,
  }
}

/** What all buckets of a sink share. */
export interface BucketContext {
  readonly gzipLevel: number
  readonly buffers: BufferPool
  readonly memory: LineMemory
  /** Runs a task on a staged file; bounds how many are open, or compressed, at once. */
  readonly onFile: <T>(task: () => Promise<T>) => Promise<T>
}

/**
 * One file in the making: the records of one topic-partition, type and hour of one range. Lines
 * gather in a buffer; when there are enough for a member, they become a gzip member (RFC 1952,
 * section 2.2: members stand one after another) at the end of the staged file. When memory is
 * short, what is in the buffer waits for that in the range's spill file. A bucket keeps neither a
 * zlib stream nor a descriptor open.
 */
export class Bucket {
  readonly type: RecordType
  readonly hour: number
  readonly #context: BucketContext
  readonly #file: StagedFile
  readonly #first: number
  #buffer: Buffer | undefined
  #used = 0
  /** The lines before those in the buffer, of the same member. */
  #spilled: Extent[] | undefined
  #spilledBytes = 0
  #spillFile: SpillFile | undefined
  #records = 0
  #last: number
  #lineBytes = 0
  #bytes = 0
  /** Undefined while the file has one member at the most. */
  #hash: Hash | undefined
  #complete: (StagedFacts & { readonly staged: Staged }) | undefined
  #minTimestamp = Number.POSITIVE_INFINITY
  #maxTimestamp = Number.NEGATIVE_INFINITY
  /**
   * The members before are written when this settles; undefined before the first. A failure stays
   * in it and comes out of `complete`.
   */
  #written: Promise<void> | undefined

  /** `first`: the offset of the first record to come. */
  constructor(
    context: BucketContext,
    staging: Staging,
    type: RecordType,
    hour: number,
    first: number,
  ) {
    this.#context = context
    this.#file = staging.file(stagedName(first))
    this.type = type
    this.hour = hour
    this.#first = first
    this.#last = first
  }

  /** Takes record `i` of a batch. */
  append(batch: RecordBatch, i: number): void {
    const start = lineStart(batch, i)
    const end = batch.ends[i]!
    const length = end - start
    const waiting = this.#spilledBytes + this.#used
    if (waiting > 0 && waiting + length > memberBytes) this.#seal(undefined)
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
    const capacity = capacityFor(needed)
    const larger = this.#context.buffers.take(capacity)
    if (present !== undefined) {
      present.copy(larger, 0, 0, this.#used)
      this.#context.buffers.give(present)
    }
    this.#context.memory.gather(capacity - (present?.length ?? 0))
    this.#buffer = larger
    return larger
  }

  /**
   * The buffer is not this bucket's any more; what becomes of it the memory is told by who takes
   * it.
   */
  #takeBuffer(): Lines | undefined {
    const buffer = this.#buffer
    if (buffer === undefined) return undefined
    const used = this.#used
    this.#buffer = undefined
    this.#used = 0
    return { buffer, used }
  }

  /** Lets what is buffered wait in a spill file. */
  spill(file: SpillFile): void {
    const taken = this.#takeBuffer()
    if (taken === undefined) return
    this.#context.memory.spill(taken.buffer.length)
    this.#spillFile = file
    this.#spilled ??= []
    this.#spilled.push(file.add(taken.buffer, taken.used))
    this.#spilledBytes += taken.used
  }

  /**
   * Makes a member of what waits: the last one of the file if `tp` says of which partition it is.
   * Compression runs in zlib's thread pool; members are written in their order.
   */
  #seal(tp: TopicPartition | undefined): void {
    const { memory, buffers, gzipLevel, onFile } = this.#context
    const taken = this.#takeBuffer()
    if (taken !== undefined) memory.compress(taken.buffer.length)
    const spilled = this.#spilled
    const spilledBytes = this.#spilledBytes
    const before = this.#written
    this.#spilled = undefined
    this.#spilledBytes = 0
    this.#written = (async () => {
      try {
        // Compressing waits for its turn too: it takes zlib 384 KiB each, and a flush seals ten
        // thousand buckets at once.
        await onFile(async () => {
          const lines =
            spilledBytes === 0 ? taken! : await this.#gather(spilled ?? [], spilledBytes, taken)
          const bytes = await compress(lines.buffer.subarray(0, lines.used), {
            level: gzipLevel,
            ...zlibMemory(lines.used),
            // One chunk for most members: each further one is a turn through the event loop.
            chunkSize: Math.max(1024, lines.used >> 1),
          })
          if (lines !== taken) buffers.give(lines.buffer)
          await before
          await this.#write(bytes, tp)
        })
      } finally {
        if (taken !== undefined) {
          buffers.give(taken.buffer)
          memory.compressed(taken.buffer.length)
        }
      }
    })()
    // Nobody may be waiting yet; `complete` is where the failure is met.
    this.#written.catch(() => {})
  }

  /** The lines in the spill file, then those in the buffer. */
  async #gather(
    spilled: readonly Extent[],
    spilledBytes: number,
    buffered: Lines | undefined,
  ): Promise<Lines> {
    const used = spilledBytes + (buffered?.used ?? 0)
    const buffer = this.#context.buffers.take(capacityFor(used))
    await this.#spillFile!.read(spilled, buffer)
    buffered?.buffer.copy(buffer, spilledBytes, 0, buffered.used)
    return { buffer, used }
  }

  /** Appends a member to the staged file, or completes the file with the last one. */
  async #write(bytes: Buffer, tp: TopicPartition | undefined): Promise<void> {
    this.#bytes += bytes.length
    if (tp === undefined) {
      await this.#file.append(bytes)
      this.#hash ??= createHash('sha256')
      this.#hash.update(bytes)
      return
    }
    const facts: StagedFacts = {
      path: `${hourDirectory(this.type, this.hour)}/${dataFileName(tp, this.#first, this.#last)}`,
      bytes: this.#bytes,
      sha256: this.#hash?.update(bytes).digest('hex') ?? hash('sha256', bytes),
    }
    this.#complete = { ...facts, staged: await this.#file.complete(facts, bytes) }
  }

  /**
   * Writes what is left and makes the file's data durable; nothing is appended after that. Throws
   * what any member met.
   */
  async complete(tp: TopicPartition): Promise<void> {
    this.#seal(tp)
    await this.#written
  }

  /** Waits for what is being written, whatever comes of it, and gives the memory back. */
  async drop(): Promise<void> {
    if (this.#buffer !== undefined) this.#context.memory.drop(this.#buffer.length)
    this.#buffer = undefined
    await Promise.allSettled([this.#written])
  }

  /** The entry of the complete file. */
  manifestFile(): ManifestFile {
    const { path, bytes, sha256, staged } = this.#complete!
    return {
      path,
      ...staged,
      ...(this.type.reserved ? {} : { type: this.type.name }),
      records: this.#records,
      first: this.#first,
      last: this.#last,
      bytes,
      line_bytes: this.#lineBytes,
      sha256,
      min_timestamp: this.#minTimestamp,
      max_timestamp: this.#maxTimestamp,
    }
  }
}
