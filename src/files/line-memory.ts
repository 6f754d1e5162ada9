/** The memory that lines of all buckets take, in bytes: they gather, then they are spilled or compressed, and then they are in a file. */
export class LineMemory {
  readonly #relieved: () => void
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
    return this.#gathering + this.#spilling + this.#compressing
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
