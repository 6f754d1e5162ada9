/**
 * Runs the steps of each key one after another, and of different keys beside each other. A sink has
 * closed a partition before it opens it again.
 */
export class StepQueue {
  readonly #failed: (error: unknown) => void
  readonly #last = new Map<string, Promise<void>>()

  /** @param failed hears of what a step throws; the steps after it run all the same */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed
  }

  add(key: string, step: () => Promise<void>): void {
    const done = (this.#last.get(key) ?? Promise.resolve()).then(step).catch(this.#failed)
    this.#last.set(key, done)
    void done.then(() => {
      if (this.#last.get(key) === done) this.#last.delete(key)
    })
  }

  /** Resolves when no step is left. */
  async idle(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values())
  }
}
