import { partitionKey, type RecordBatch, type TopicPartition } from '../record/record.ts'

/** A batch on its way into a server. */
export interface PendingBatch {
  readonly batch: RecordBatch
  /** Records that are not stored yet. */
  remaining: number
  /** The partition was given up: what is left needs not be sent. */
  closed: boolean
  /** To be called when every record is stored. */
  readonly stored: () => void
  /** Settles when every record is stored or the partition was given up. */
  readonly done: Promise<void>
}

/** At most so many partitions share the memory as if all of them were busy. */
const mostSharers = 4

/**
 * What a sink that sends to a server has taken and not yet stored, by partition: who waits for it,
 * and what memory it takes.
 */
export class PendingBatches {
  readonly #memoryLimit: number
  readonly #batches = new Map<string, Set<PendingBatch>>()
  readonly #failWrite = new WeakMap<PendingBatch, (error: unknown) => void>()
  readonly #heldByPartition = new Map<string, number>()
  #heldBytes = 0
  /** Told whenever there is more room. */
  relieved: () => void = () => {}

  /** `memoryLimit`: bytes of records at which partitions are to be paused. */
  constructor(memoryLimit: number) {
    this.#memoryLimit = memoryLimit
  }

  /** Bytes of the lines of all that is pending. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  open(tp: TopicPartition): void {
    this.#batches.set(partitionKey(tp), new Set())
  }

  /**
   * Takes a batch that has records; `written` settles as the contract of `Sink.write` says.
   * Undefined where the partition was given up.
   */
  add(
    batch: RecordBatch,
  ): { readonly pending: PendingBatch; readonly written: Promise<void> } | undefined {
    const key = partitionKey(batch)
    const ofPartition = this.#batches.get(key)
    if (ofPartition === undefined) return undefined
    const { promise: done, resolve: settle } = Promise.withResolvers<void>()
    const { promise: written, resolve, reject } = Promise.withResolvers<void>()
    const pending: PendingBatch = {
      batch,
      remaining: batch.count,
      closed: false,
      done,
      stored: () => {
        ofPartition.delete(pending)
        this.#changeHeld(key, -batch.lines.length)
        settle()
        if (!pending.closed) resolve()
      },
    }
    this.#failWrite.set(pending, reject)
    ofPartition.add(pending)
    this.#changeHeld(key, batch.lines.length)
    return { pending, written }
  }

  /** Whoever wrote the batch reads its records again. */
  fail(pending: PendingBatch, error: unknown): void {
    this.#failWrite.get(pending)?.(error)
  }

  /** What is pending of these partitions. */
  of(tps: readonly TopicPartition[]): PendingBatch[] {
    return tps.flatMap((tp) => [...(this.#batches.get(partitionKey(tp)) ?? [])])
  }

  /** Gives a partition up: its batches are closed. False where it was not open. */
  close(tp: TopicPartition): boolean {
    const key = partitionKey(tp)
    const ofPartition = this.#batches.get(key)
    if (ofPartition === undefined) return false
    this.#batches.delete(key)
    for (const pending of ofPartition) {
      pending.closed = true
      pending.stored()
    }
    this.#heldByPartition.delete(key)
    return true
  }

  /**
   * As `Sink.pressure`. Partitions share the limit, so that one that does not get on does not keep
   * the others from going on.
   */
  pressure(tp: TopicPartition): number {
    const held = this.#heldByPartition.get(partitionKey(tp)) ?? 0
    const sharers = Math.max(
      Math.min(mostSharers, this.#batches.size),
      this.#heldByPartition.size,
      1,
    )
    return held / (this.#memoryLimit / sharers)
  }

  #changeHeld(key: string, delta: number): void {
    this.#heldBytes += delta
    const held = (this.#heldByPartition.get(key) ?? 0) + delta
    if (held > 0) this.#heldByPartition.set(key, held)
    else this.#heldByPartition.delete(key)
    if (delta < 0) this.relieved()
  }
}

/**
 * For a record that a sink keeps without its value while there are no files that have it: such a
 * loss is named, one by one.
 */
export function omittedMessage(
  sink: string,
  { topic, partition, offset }: TopicPartition & { readonly offset: number },
  reason: string,
): string {
  return `the value of offset ${offset} of ${topic}/${partition} is kept nowhere: ${sink} does not take it (${reason}), and without files (--no-files) only Kafka has it, until its retention is over; raise the limit and read it again`
}
