import type { UnreadableRange } from '../record.ts'
import { type AbortedTransaction, type FetchedMessage, UnreadableMessage, withoutAborted } from './record-set.ts'

/** What kafkajs has of one partition of a fetch response. */
export interface FetchedPartition {
  readonly partition: number
  readonly highWatermark: string
  readonly messages: readonly FetchedMessage[]
  readonly abortedTransactions?: readonly AbortedTransaction[] | null
}

/**
 * What one fetch brought of one partition, with all that kafkajs's consumer asks of it; in place of kafkajs's `Batch`, which
 * makes two big integers a record, and keeps batches of only transaction markers, or only aborted records, to itself. Here they
 * reach `eachBatch`, without messages, so that the position moves past them like past all others.
 */
export class FetchedPartitionBatch {
  readonly topic: string
  readonly partition: number
  readonly highWatermark: string
  readonly fetchedOffset: number
  /** Records of users, in order. */
  readonly messages: readonly FetchedMessage[]
  /** Behind the last of them: what could not be read, up to the last offset of this batch. */
  readonly unreadable: UnreadableRange | undefined
  readonly #last: number
  readonly #first: number | null
  readonly #brought: boolean

  constructor(topic: string, fetchedOffset: string | number, fetched: FetchedPartition) {
    const { partition, highWatermark, abortedTransactions } = fetched
    this.topic = topic
    this.partition = partition
    this.highWatermark = highWatermark
    this.fetchedOffset = Number(fetchedOffset)
    this.#brought = fetched.messages.length > 0
    // A broker answers with whole record batches, which may begin before what was asked for.
    const begins = fetched.messages.findIndex(({ offset }) => offset >= this.fetchedOffset)
    const within = begins === 0 ? fetched.messages : begins === -1 ? [] : fetched.messages.slice(begins)
    this.#first = within[0]?.offset ?? null
    this.#last = within.at(-1)?.offset ?? (this.#brought ? this.fetchedOffset : Number(highWatermark) - 1)
    const end = within.at(-1)
    this.unreadable =
      end instanceof UnreadableMessage
        ? { ...end.range, from: Math.max(end.range.from, this.fetchedOffset) }
        : undefined
    const delivered = withoutAborted({ messages: within, abortedTransactions: abortedTransactions ?? null })
    this.messages = delivered.some(isControl) ? delivered.filter((message) => !isControl(message)) : delivered
  }

  /** True where the fetch brought nothing at all. */
  isEmpty(): boolean {
    return !this.#brought
  }

  /** kafkajs would keep a batch back for which this is true. */
  isEmptyDueToFiltering(): boolean {
    return false
  }

  firstOffset(): string | null {
    return this.#first === null ? null : String(this.#first)
  }

  /** Of the last record, delivered or not: the position goes on behind it. */
  lastOffset(): string {
    return String(this.#last)
  }

  /** Offsets from the last of this batch to the last in the log. */
  offsetLag(): string {
    return String(Number(this.highWatermark) - 1 - this.#last)
  }

  /** Offsets from the first of this batch to the last in the log. */
  offsetLagLow(): string {
    return this.#first === null ? '0' : String(Number(this.highWatermark) - 1 - this.#first)
  }
}

function isControl({ isControlRecord }: FetchedMessage): boolean {
  return isControlRecord
}
