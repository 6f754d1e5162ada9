import type { IncompleteRange, Sink, SinkPosition } from '../../src/pipeline/sink.ts'
import {
  type Gap,
  partitionKey,
  type RecordBatch,
  type TopicPartition,
} from '../../src/record/record.ts'
import { recordsOf } from './fake-source.ts'

interface Taken {
  readonly batch: RecordBatch
  readonly stored: () => void
}

/**
 * A sink whose server a test takes away and gives back. One that `remembers` knows its position, as
 * files do.
 */
export class FakeSink implements Sink {
  readonly name: string
  readonly remembers: boolean
  keepsLines = true
  /** The offsets of one partition that are durable. */
  readonly durable: number[] = []
  readonly gaps: Gap[] = []
  readonly waiting = undefined
  readonly heldBytes = 0
  /** Records that were dropped before they were durable. */
  dropped = 0
  /** The partitions of each flush. */
  readonly flushed: string[][] = []
  /** Partitions that were closed. */
  readonly closed: string[] = []
  away = false
  next: number | undefined
  openError: Error | undefined
  committedBefore: number | undefined
  /** Ranges that it has lost again, and what it was given for them. */
  incomplete: readonly IncompleteRange[] = []
  readonly refilled: number[] = []
  #taken: Taken[] = []
  #relieved: () => void = () => {}
  /** How many records make it full. */
  full = Number.POSITIVE_INFINITY

  constructor(name: string, remembers: boolean) {
    this.name = name
    this.remembers = remembers
  }

  async refill(
    _tp: TopicPartition,
    { from, next }: IncompleteRange,
    batches: AsyncIterable<RecordBatch>,
    acceptsLoss: boolean,
  ): Promise<readonly Gap[]> {
    let position = from
    const lost: Gap[] = []
    for await (const batch of batches) {
      if (batch.from > position)
        lost.push({ from: position, next: batch.from, reason: 'file-lost' })
      this.refilled.push(...batch.offsets)
      position = batch.next
    }
    if (position < next) lost.push({ from: position, next, reason: 'file-lost' })
    if (lost.length === 0 || acceptsLoss)
      this.incomplete = this.incomplete.filter((range) => range.from !== from)
    return lost
  }

  async start(relieved: () => void): Promise<void> {
    this.#relieved = relieved
  }

  async open(_tp: TopicPartition, fallback: number): Promise<SinkPosition> {
    if (this.openError !== undefined) throw this.openError
    const next = this.remembers ? (this.next ?? fallback) : undefined
    const { incomplete } = this
    return { next, origin: undefined, committed: this.committedBefore, incomplete }
  }

  write(batch: RecordBatch): Promise<void> {
    return new Promise((stored) => {
      this.#taken.push({ batch, stored })
      if (!this.away) this.back()
    })
  }

  /** Stores all that was taken. */
  back(): void {
    this.away = false
    const taken = this.#taken
    this.#taken = []
    for (const { batch, stored } of taken) {
      this.durable.push(...batch.offsets)
      this.gaps.push(...batch.gaps)
      this.next = batch.next
      stored()
    }
    this.#relieved()
  }

  async flush(tps: readonly TopicPartition[]): Promise<void> {
    this.flushed.push(tps.map(partitionKey))
    const isAsked = isOneOf(tps)
    while (this.#taken.some(isAsked)) await new Promise((resolve) => setTimeout(resolve, 1))
  }

  async close(tp: TopicPartition): Promise<void> {
    this.closed.push(partitionKey(tp))
    const isClosed = isOneOf([tp])
    const dropped = this.#taken.filter(isClosed)
    this.dropped += dropped.reduce((sum, { batch }) => sum + batch.count, 0)
    this.#taken = this.#taken.filter((taken) => !isClosed(taken))
  }

  async stop(): Promise<void> {
    this.#taken = []
  }

  pressure(): number {
    return this.#taken.reduce((sum, { batch }) => sum + batch.count, 0) / this.full
  }
}

function isOneOf(tps: readonly TopicPartition[]): (taken: Taken) => boolean {
  const keys = new Set(tps.map(partitionKey))
  return ({ batch }) => keys.has(partitionKey(batch))
}

/** Files that know their last records, which are those of a life of the topic. */
export function filesWith(next: number, committedBefore: number | undefined, life = 1): FakeSink {
  const files = new FakeSink('files', true)
  return Object.assign(files, {
    next,
    committedBefore,
    lastRecords: async () => recordsOf({ from: files.next! - 5, next: files.next! }, life),
  })
}
