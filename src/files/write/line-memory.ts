/**
 * What a bucket costs by itself, in bytes, whatever its lines are: its object, its place in the
 * maps of its range, and the entry of its file at the flush. Measured with a type for each record
 * (`heapUsed` after a collection, Node 24): 0.6 kB while it is open, and 1.2 kB for the entry.
 */
export const bucketBytes = 2048

/**
 * The memory that buckets take, in bytes. Their lines gather, then they are spilled or compressed,
 * and then they are in a file; each bucket has a fixed cost besides, from when it is begun until
 * its range is committed or dropped.
 */
export class LineMemory {
  readonly #relieved: () => void
  #openBuckets = 0
  #closingBuckets = 0
  #gathering = 0
  #spilling = 0
  #compressing = 0

  /** `relieved` is called whenever less is held than before. */
  constructor(relieved: () => void) {
    this.#relieved = relieved
  }

  /** Bytes that `spill` could write. */
  get gatheringBytes(): number {
    return this.#gathering
  }

  /** Bytes that are compressed, or wait for that. */
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

  /** A flush of them began. */
  closeBuckets(buckets: number): void {
    this.#openBuckets -= buckets
    this.#closingBuckets += buckets
  }

  /** They are committed, or given up. */
  bucketsClosed(buckets: number): void {
    this.#closingBuckets -= buckets
    this.#relieved()
  }

  gather(bytes: number): void {
    this.#gathering += bytes
  }

  /** What gathered is not wanted any more. */
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

  /** And written. */
  compressed(bytes: number): void {
    this.#compressing -= bytes
    this.#relieved()
  }
}
