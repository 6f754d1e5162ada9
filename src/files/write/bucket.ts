import { createHash, type Hash, hash } from 'node:crypto'
import type { Staged, StagedFacts, StagedFile, Staging } from '../../home/home.ts'
import type { RecordBatch, RecordType, TopicPartition } from '../../record/record.ts'
import { lineStart } from '../../record/record.ts'
import type { ManifestFile } from '../log/manifest.ts'
import { dataFileName, hourDirectory, stagedName } from '../log/path.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { GzipMembers } from './gzip-members.ts'
import type { LineMemory } from './line-memory.ts'
import type { Extent, SpillFile } from './spill.ts'

/** The max size of a gzip member, in bytes of lines. Measured: twice as many save 1 %. */
export const memberBytes = 2 ** 19
const minBuffer = 1024

/** The first `used` bytes of a buffer. */
interface Lines {
  readonly buffer: Buffer
  readonly used: number
}

/**
 * The size of a buffer for this many bytes. There are few sizes, so the pool has one that fits.
 * Lines that form a member alone get exactly their size.
 */
function capacityFor(bytes: number): number {
  if (bytes > memberBytes) return bytes
  let capacity = minBuffer
  while (capacity < bytes) capacity *= 2
  return capacity
}

/** What all buckets of a sink share. */
export interface BucketContext {
  readonly members: GzipMembers
  readonly buffers: BufferPool
  readonly memory: LineMemory
  /** Runs a task on a staged file; limits how many are open or compressed at once. */
  readonly onFile: <T>(task: () => Promise<T>) => Promise<T>
}

/**
 * One file in the making: the records of one topic-partition, type and hour of one range. Lines
 * gather in a buffer. Enough of them become a gzip member at the end of the staged file (RFC 1952,
 * section 2.2: a file is a series of members). When memory is short, buffered lines wait in the
 * range's spill file instead. A bucket keeps neither a zlib stream nor a descriptor open.
 */
export class Bucket {
  readonly type: RecordType
  readonly hour: number
  readonly #context: BucketContext
  readonly #file: StagedFile
  readonly #first: number
  #buffer: Buffer | undefined
  #used = 0
  /** Lines of the same member, before those in the buffer. */
  #spilled: Extent[] | undefined
  #spilledBytes = 0
  #spillFile: SpillFile | undefined
  #records = 0
  #last: number
  #lineBytes = 0
  #bytes = 0
  /** Undefined while the file has at most one member. */
  #hash: Hash | undefined
  #complete: (StagedFacts & { readonly staged: Staged }) | undefined
  #minTimestamp = Number.POSITIVE_INFINITY
  #maxTimestamp = Number.NEGATIVE_INFINITY
  /**
   * Settles when all members so far are written; undefined before the first. A failure stays in it
   * until `complete` throws it.
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
    this.#context.memory.gather(capacity - (present?.length ?? 0))
    if (present !== undefined) {
      present.copy(larger, 0, 0, this.#used)
      this.#context.buffers.give(present)
    }
    this.#buffer = larger
    return larger
  }

  /** Hands over the buffer; the caller updates `LineMemory`. */
  #takeBuffer(): Lines | undefined {
    const buffer = this.#buffer
    if (buffer === undefined) return undefined
    const used = this.#used
    this.#buffer = undefined
    this.#used = 0
    return { buffer, used }
  }

  /** Moves the buffered lines to a spill file. */
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
   * Makes a member of the lines that wait. With `tp`, their partition, it is the last one of the
   * file. Compression runs in zlib's thread pool; members are written in order.
   */
  #seal(tp: TopicPartition | undefined): void {
    const { memory, buffers, members, onFile } = this.#context
    const taken = this.#takeBuffer()
    if (taken !== undefined) memory.compress(taken.buffer.length)
    const spilled = this.#spilled
    const spilledBytes = this.#spilledBytes
    const before = this.#written
    this.#spilled = undefined
    this.#spilledBytes = 0
    this.#written = (async () => {
      try {
        // Compression waits for its turn too: zlib takes 384 KiB each time, and a flush seals ten
        // thousand buckets at once.
        await onFile(async () => {
          const lines =
            spilledBytes === 0 ? taken! : await this.#gather(spilled ?? [], spilledBytes, taken)
          const bytes = await members.compress(lines.buffer.subarray(0, lines.used))
          if (lines !== taken) buffers.give(lines.buffer)
          await before
          await this.#write(bytes, tp)
        })
      } finally {
        if (taken !== undefined) {
          const { length } = taken.buffer
          buffers.give(taken.buffer)
          memory.compressed(length)
        }
      }
    })()
    // Nobody may be waiting yet; `complete` throws the failure.
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
   * Writes the rest and makes the file's data durable; nothing is appended after that. Throws the
   * first failure of any member.
   */
  async complete(tp: TopicPartition): Promise<void> {
    this.#seal(tp)
    await this.#written
  }

  /** Waits until nothing is being written, ignores failures, and gives the memory back. */
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
