import type { AbortedTransaction } from './aborted-transactions.ts'
import { holdAnswer } from './answer-memory.ts'
import { endOfOldMessages, type OldMessage, type OldMessages } from './old-messages.ts'
import { emptyRecordSet, isRecordBatch, type RecordSet, readRecordSet } from './record-set.ts'
import type { UnpackedFetch } from './unpack.ts'

/**
 * What a broker sent for one partition, as it came. Nothing is inflated before the sinks have room.
 */
export interface FetchedBytes {
  readonly bytes: Buffer
  readonly decodeOld: (bytes: Buffer) => Promise<readonly OldMessage[]>
}

/**
 * One partition of a fetch response as kafkajs has it. `messages` is what its decoder returned:
 * here, bytes.
 */
export interface FetchedPartition {
  readonly partition: number
  readonly highWatermark: string
  readonly messages: FetchedBytes | readonly never[]
  readonly abortedTransactions?: readonly AbortedTransaction[] | null
  /** Why the broker returned nothing for the partition; see `partition-errors.ts`. */
  readonly failure?: Error
}

const noBytes = Buffer.alloc(0)

/**
 * What one fetch returned for one partition, with everything that kafkajs's consumer asks of it. It
 * replaces kafkajs's `Batch`. That one makes two bigints a record, and does not pass on batches of
 * only transaction markers or only aborted records. Here they reach `eachBatch`, so the position
 * moves past them like past all others.
 */
export class FetchedPartitionBatch implements UnpackedFetch {
  readonly topic: string
  readonly partition: number
  readonly highWatermark: string
  readonly fetchedOffset: number
  readonly abortedTransactions: readonly AbortedTransaction[]
  readonly old: OldMessages | undefined
  /** kafkajs looks for the last of them. */
  readonly messages: readonly never[] = []
  /** The offset behind everything that came; the offset of the fetch when nothing moves it. */
  readonly next: number
  #set: RecordSet
  /** The broker answered for the partition: with records, or with an error. */
  readonly #brought: boolean
  /** The broker's error, or the one that occurred while the batch was split. */
  readonly failure: unknown
  readonly #bytes: Buffer
  /** Ends the hold on the answer of the broker that this is a part of. */
  readonly letGo: () => void

  constructor(topic: string, fetchedOffset: string | number, fetched: FetchedPartition) {
    const { partition, highWatermark, abortedTransactions } = fetched
    this.topic = topic
    this.partition = partition
    this.highWatermark = highWatermark
    this.fetchedOffset = Number(fetchedOffset)
    this.abortedTransactions = abortedTransactions ?? []
    const { bytes, decodeOld } =
      'bytes' in fetched.messages ? fetched.messages : { bytes: undefined, decodeOld: undefined }
    this.failure = fetched.failure
    // An error is not an empty answer, which kafkajs would not pass on.
    this.#brought = this.failure !== undefined || (bytes !== undefined && bytes.length > 0)
    this.#bytes = bytes ?? noBytes
    this.letGo = holdAnswer(this.#bytes)
    this.#set = emptyRecordSet
    this.old = undefined
    let next: number | undefined
    try {
      if (bytes !== undefined && isRecordBatch(bytes)) {
        const context = { fetchedOffset: this.fetchedOffset, highWatermark: Number(highWatermark) }
        this.#set = readRecordSet(bytes, context)
        next = this.#set.damaged?.next ?? this.#set.batches.at(-1)?.next
      } else if (bytes !== undefined && bytes.length > 0) {
        next = endOfOldMessages(bytes)
        if (next !== undefined) this.old = { bytes, next, decode: decodeOld! }
      }
    } catch (error) {
      // Thrown here it would end the fetch of all partitions.
      this.failure = error
    }
    this.next = Math.max(this.fetchedOffset, next ?? this.fetchedOffset)
  }

  get batches(): RecordSet['batches'] {
    return this.#set.batches
  }

  get damaged(): RecordSet['damaged'] {
    return this.#set.damaged
  }

  /** It brought something, but nothing at or behind the requested offset. */
  get isStalled(): boolean {
    return this.#brought && this.next === this.fetchedOffset
  }

  /** Bytes as they came. */
  get byteLength(): number {
    return (
      this.old?.bytes.length ?? this.batches.reduce((sum, { byteLength }) => sum + byteLength, 0)
    )
  }

  /**
   * Copies the batches, because they have to wait: so the rest of the broker's answer is freed.
   * None of them may be unpacked yet.
   */
  detach(): void {
    const { batches, damaged } = this.#set
    if (batches.length === 0 || this.#bytes.buffer.byteLength < 2 * this.#bytes.length) return
    this.#set = { batches: batches.map((batch) => batch.detached()), damaged }
    this.letGo()
  }

  /** Keeps the answer, which holds what was read, until the returned function is called. */
  hold(): () => void {
    return holdAnswer(this.#bytes)
  }

  /** True when the fetch returned nothing at all. */
  isEmpty(): boolean {
    return !this.#brought
  }

  /** kafkajs does not pass on a batch for which this is true. */
  isEmptyDueToFiltering(): boolean {
    return false
  }

  firstOffset(): string | null {
    return this.#brought ? String(this.fetchedOffset) : null
  }

  /** The offset of the last record, delivered or not: the position moves behind it. */
  lastOffset(): string {
    return String(this.#brought ? this.next - 1 : Number(this.highWatermark) - 1)
  }

  /** Offsets from the last of this batch to the last in the log. */
  offsetLag(): string {
    return String(Number(this.highWatermark) - 1 - Number(this.lastOffset()))
  }

  /** Offsets from the first of this batch to the last in the log. */
  offsetLagLow(): string {
    return this.#brought ? String(Number(this.highWatermark) - 1 - this.fetchedOffset) : '0'
  }
}
