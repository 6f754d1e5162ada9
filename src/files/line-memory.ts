/**
 * The memory that lines of all buckets take. Told of every change, in bytes: `gathering` while they may still grow or be spilled,
 * `writing` from then on until they are in a file.
 */
export class LineMemory {
  readonly #relieved: () => void
  #gathering = 0
  #writing = 0

  /** `relieved` is called whenever less is held than before. */
  constructor(relieved: () => void) {
    this.#relieved = relieved
  }

  /** Bytes that `spill` could write. */
  get gatheringBytes(): number {
    return this.#gathering
  }

  get heldBytes(): number {
    return this.#gathering + this.#writing
  }

  gathering(delta: number): void {
    this.#gathering += delta
    if (delta < 0) this.#relieved()
  }

  writing(delta: number): void {
    this.#writing += delta
    if (delta < 0) this.#relieved()
  }
}
