import { partitionKey, type RecordBatch, type TopicPartition } from '../record/record.ts'

/** A batch on its way into a server. */
export interface PendingBatch {
  readonly batch: RecordBatch
  /** The partition was given up: nobody waits for what is left of the batch. */
  readonly closed: boolean
  /** Settles as the contract of `Sink.write` says. */
  readonly written: Promise<void>
  /** Settles when every record is stored or the partition was given up. */
  readonly done: Promise<void>
  /** This many more of its records are stored. */
  acknowledge(records: number): void
  /** Something that must not happen: whoever wrote the batch reads its records again. */
  fail(error: unknown): void
}

/** At most this many partitions share the memory as if all of them were busy. */
const maxSharers = 4

/**
 * What a sink that sends to a server has taken and not yet stored, by partition: who waits for it,
 * and what memory it takes.
 */
export class PendingBatches {
  readonly #memoryLimit: number
  readonly #batches = new Map<string, Set<OpenBatch>>()
  readonly #heldByPartition = new Map<string, number>()
  #heldBytes = 0
  /** Called whenever there is more room. */
  relieved: () => void = () => {}

  /** @param memoryLimit bytes of records at which partitions are to be paused */
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

  /** Takes a batch that has records. @returns undefined if the partition was given up */
  add(batch: RecordBatch): PendingBatch | undefined {
    const key = partitionKey(batch)
    const ofPartition = this.#batches.get(key)
    if (ofPartition === undefined) return undefined
    const pending = new OpenBatch(batch, () => {
      ofPartition.delete(pending)
      this.#changeHeld(key, -batch.lines.length)
    })
    ofPartition.add(pending)
    this.#changeHeld(key, batch.lines.length)
    return pending
  }

  /** What is pending of these partitions. */
  of(tps: readonly TopicPartition[]): PendingBatch[] {
    return tps.flatMap((tp) => [...(this.#batches.get(partitionKey(tp)) ?? [])])
  }

  /** Gives a partition up: its batches are closed. @returns false if it was not open */
  close(tp: TopicPartition): boolean {
    const key = partitionKey(tp)
    const ofPartition = this.#batches.get(key)
    if (ofPartition === undefined) return false
    this.#batches.delete(key)
    for (const pending of ofPartition) pending.close()
    this.#heldByPartition.delete(key)
    return true
  }

  /**
   * As `Sink.pressure`. Partitions share the limit, so that one that stalls does not keep the
   * others from going on.
   */
  pressure(tp: TopicPartition): number {
    const held = this.#heldByPartition.get(partitionKey(tp)) ?? 0
    const sharers = Math.max(
      Math.min(maxSharers, this.#batches.size),
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

class OpenBatch implements PendingBatch {
  readonly batch: RecordBatch
  readonly #written = Promise.withResolvers<void>()
  readonly #done = Promise.withResolvers<void>()
  readonly #release: () => void
  #remaining: number
  #closed = false

  /** @param release called once, when nothing of the batch is pending any more */
  constructor(batch: RecordBatch, release: () => void) {
    this.batch = batch
    this.#remaining = batch.count
    this.#release = release
  }

  get closed(): boolean {
    return this.#closed
  }

  get written(): Promise<void> {
    return this.#written.promise
  }

  get done(): Promise<void> {
    return this.#done.promise
  }

  acknowledge(records: number): void {
    if (this.#closed) return
    this.#remaining -= records
    if (this.#remaining !== 0) return
    this.#end()
    this.#written.resolve()
  }

  /** The partition is given up: `written` never settles. */
  close(): void {
    this.#closed = true
    this.#end()
  }

  fail(error: unknown): void {
    this.#written.reject(error)
  }

  #end(): void {
    this.#release()
    this.#done.resolve()
  }
}
