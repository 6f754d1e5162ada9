/** What an operator paused: nothing, some topics, or all that the worker has and gets. */
export class Pauses {
  #isWhole = false
  readonly #topics = new Set<string>()

  /** True if nothing of the topic may be read. */
  holds(topic: string): boolean {
    return this.#isWhole || this.#topics.has(topic)
  }

  /** True if the worker as a whole is paused. */
  get isWhole(): boolean {
    return this.#isWhole
  }

  /** The paused topics, if it is not the worker as a whole. */
  get topics(): readonly string[] {
    return this.#isWhole ? [] : [...this.#topics].sort()
  }

  /** @param topics none for the worker as a whole */
  pause(topics: readonly string[]): void {
    if (topics.length === 0) this.#isWhole = true
    for (const topic of topics) this.#topics.add(topic)
  }

  /** @param topics none for all that is paused */
  resume(topics: readonly string[]): void {
    if (topics.length === 0) {
      this.#isWhole = false
      this.#topics.clear()
    }
    for (const topic of topics) this.#topics.delete(topic)
  }
}
