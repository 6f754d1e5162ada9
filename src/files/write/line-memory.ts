/**
 * The fixed cost of a bucket in bytes, besides its lines: its object, its place in the maps of its
 * range, and the entry of its file at the flush. Measured with a type for each record (`heapUsed`
 * after a collection, Node 24): 0.6 kB while it is open, and 1.2 kB for the entry.
 */
export const bucketBytes = 2048

/**
 * The memory that buckets take, in bytes. Lines gather, then they are spilled or compressed, and
 * then they are in a file. Besides, each bucket has a fixed cost from its beginning until its range
 * is committed or dropped.
 */
export class LineMemory {
  readonly #relieved: () => void
  #openBuckets = 0
  #closingBuckets = 0
  #gathering = 0
  #spilling = 0
  #compressing = 0

  /** `relieved` is called whenever the memory shrinks. */
  constructor(relieved: () => void) {
    this.#relieved = relieved
  }

  /** Bytes that `spill` could write. */
  get gatheringBytes(): number {
    return this.#gathering
  }

  /** Bytes that are being compressed, or wait for it. */
  get compressingBytes(): number {
    return this.#compressing
  }

  get heldBytes(): number {
    return (
      this.#gathering +
      this.#spilling +
      this.#compressing +
      this.openBucketsBytes +
      this.#closingBuckets * bucketBytes
    )
  }

  /** The fixed cost of buckets that a flush would end. */
  get openBucketsBytes(): number {
    return this.#openBuckets * bucketBytes
  }

  bucketOpened(): void {
    this.#openBuckets++
  }

  /** Their flush has begun. */
  closeBuckets(buckets: number): void {
    this.#openBuckets -= buckets
    this.#closingBuckets += buckets
  }

  /** They are committed or dropped. */
  bucketsClosed(buckets: number): void {
    this.#closingBuckets -= buckets
    this.#relieved()
  }

  gather(bytes: number): void {
    this.#gathering += bytes
  }

  /** Gathered lines are not needed any more. */
  drop(bytes: number): void {
    this.#gathering -= bytes
    this.#relieved()
  }

  spill(bytes: number): void {
    this.#gathering -= bytes
    this.#spilling += bytes
  }

  spilled(bytes: number): void {
    this.#spilling -= bytes
    this.#relieved()
  }

  compress(bytes: number): void {
    this.#gathering -= bytes
    this.#compressing += bytes
  }

  /** Compressed, and written. */
  compressed(bytes: number): void {
    this.#compressing -= bytes
    this.#relieved()
  }
}
