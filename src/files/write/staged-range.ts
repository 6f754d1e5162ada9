import type { Staging } from '../../home/home.ts'
import type { Gap, OffsetRange, RecordBatch, TopicPartition } from '../../record/record.ts'
import { inLanes } from '../../runtime/lanes.ts'
import { spillName } from '../log/path.ts'
import { Bucket, type BucketContext } from './bucket.ts'
import { BucketIndex, type HourBuckets } from './bucket-index.ts'
import { SpillFile } from './spill.ts'

/** What the ranges of a sink share. */
export interface RangeContext extends BucketContext {
  /** A range is flushed before it has more buckets, see `maxBuckets`. */
  readonly maxBuckets: number
  /** Milliseconds that only move forward. */
  readonly now: () => number
  /** Runs a task that reads a whole spill file; limits the memory that this takes. */
  readonly onSpilled: (task: () => Promise<void>) => Promise<void>
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** A range `[from, next)` whose records are in staged files, and who waits for its commit. */
export class StagedRange {
  readonly from: number
  next: number
  /** When it was begun, in ms of `now`. */
  readonly since: number
  lineBytes = 0
  records = 0
  /** In the order of their beginning. */
  readonly buckets: Bucket[] = []
  readonly gaps: Gap[] = []
  readonly #context: RangeContext
  readonly #staging: Staging
  readonly #index = new BucketIndex()
  /** Lines wait here since memory was short. */
  #spillFile: SpillFile | undefined
  readonly #waiters: Waiter[] = []

  constructor(context: RangeContext, staging: Staging, from: number) {
    this.#context = context
    this.#staging = staging
    this.from = from
    this.next = from
    this.since = context.now()
  }

  /**
   * Takes records of a batch from record `start` on, and the gaps before and between them. Returns
   * `count`, or the record that would begin one bucket too many: it begins the next range.
   */
  take(batch: RecordBatch, start: number): number {
    const from = this.next
    const end = this.#stage(batch, start)
    const next = end < batch.count ? batch.offsets[end]! : batch.next
    takeGaps(this.gaps, batch.gaps, { from, next })
    if (end > 0) this.lineBytes += batch.ends[end - 1]! - (start === 0 ? 0 : batch.ends[start - 1]!)
    this.next = next
    return end
  }

  #stage(batch: RecordBatch, start: number): number {
    // The bucket of each type of the batch, for the hour of its last record: most records have the
    // hour of the one before.
    const hourOfType = new Int32Array(batch.types.length).fill(-2)
    const bucketOfType = new Array<Bucket>(batch.types.length)
    const bucketsOfType = batch.types.map((type) => this.#index.of(type))
    for (let i = start; i < batch.count; i++) {
      if (batch.offsets[i]! < this.next) continue
      const typeIndex = batch.typeIndexes[i]!
      const hour = batch.hours[i]!
      if (hourOfType[typeIndex] !== hour) {
        const present = bucketsOfType[typeIndex]!.get(hour)
        if (present === undefined && this.buckets.length >= this.#context.maxBuckets) return i
        hourOfType[typeIndex] = hour
        bucketOfType[typeIndex] = present ?? this.#begin(bucketsOfType[typeIndex]!, batch, i)
      }
      bucketOfType[typeIndex]!.append(batch, i)
      this.records++
    }
    return batch.count
  }

  /** Begins the bucket of record `i`. */
  #begin(bucketsOfType: HourBuckets, batch: RecordBatch, i: number): Bucket {
    const type = batch.types[batch.typeIndexes[i]!]!
    const hour = batch.hours[i]!
    const bucket = new Bucket(this.#context, this.#staging, type, hour, batch.offsets[i]!)
    bucketsOfType.set(hour, bucket)
    this.buckets.push(bucket)
    this.#context.memory.bucketOpened()
    return bucket
  }

  /** Moves the lines in memory to a spill file. */
  spill(): void {
    this.#spillFile ??= new SpillFile(this.#staging.scratch(spillName(this.from)), {
      buffers: this.#context.buffers,
      written: (bytes) => this.#context.memory.spilled(bytes),
    })
    for (const bucket of this.buckets) bucket.spill(this.#spillFile)
    this.#spillFile.endWave()
  }

  /** Settles when `acknowledge` or `reject` is called. */
  committed(): Promise<void> {
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  acknowledge(): void {
    for (const { resolve } of this.#waiters) resolve()
  }

  reject(error: unknown): void {
    for (const { reject } of this.#waiters) reject(error)
  }

  /** Makes all staged files complete and durable. */
  async complete(tp: TopicPartition): Promise<void> {
    const complete = () => inLanes(this.buckets, (bucket) => bucket.complete(tp))
    const spillFile = this.#spillFile
    if (spillFile === undefined) return await complete()
    await this.#context.onSpilled(() => {
      spillFile.readInOrder()
      return complete()
    })
    await spillFile.drop()
  }

  /** Waits until nothing is being written, ignores failures, and gives the memory back. */
  async drop(): Promise<void> {
    await Promise.all(this.buckets.map((bucket) => bucket.drop()))
    await this.#spillFile?.drop()
  }
}

/** Adds the parts of gaps that lie in a range. */
function takeGaps(taken: Gap[], gaps: readonly Gap[], { from, next }: OffsetRange): void {
  for (const gap of gaps) {
    const part = { ...gap, from: Math.max(gap.from, from), next: Math.min(gap.next, next) }
    if (part.from < part.next) taken.push(part)
  }
}
