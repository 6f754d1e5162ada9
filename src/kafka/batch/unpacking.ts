import { partitionKey, type TopicPartition } from '../../record/record.ts'
import type { FetchedPartitionBatch } from './fetched-batch.ts'

/** The fetched batches of one partition that are being unpacked, and what they keep in memory. */
export class Unpacking {
  readonly tp: TopicPartition
  readonly key: string
  /** The first is being unpacked, once that has begun. */
  readonly queue: FetchedPartitionBatch[]
  hasBegun = false
  /** What its open stream keeps in memory. */
  streamBytes = 0
  /** Behind the last piece that was delivered. */
  position: number
  #isClosed = false
  #isHeld = false
  #wake = () => {}

  constructor(first: FetchedPartitionBatch) {
    this.tp = { topic: first.topic, partition: first.partition }
    this.key = partitionKey(first)
    this.queue = [first]
    this.position = first.fetchedOffset
  }

  /** Nobody wants it any more. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** It waits for the worker. */
  get isHeld(): boolean {
    return this.#isHeld
  }

  get heldBytes(): number {
    return this.queue.reduce((sum, fetched) => sum + fetched.byteLength, this.streamBytes)
  }

  add(fetched: FetchedPartitionBatch): void {
    if (this.#isHeld) fetched.detach()
    this.queue.push(fetched)
  }

  /** It begins to wait for the worker: batches that wait keep little memory. */
  hold(): void {
    this.#isHeld = true
    for (const fetched of this.queue.slice(this.hasBegun ? 1 : 0)) fetched.detach()
  }

  /** The worker wants more of it. */
  release(): void {
    this.#isHeld = false
  }

  /** Settles at the next `wake`, or when it is closed. */
  async woken(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
  }

  wake(): void {
    this.#wake()
  }

  close(): void {
    this.#isClosed = true
    this.#wake()
  }
}
