/**
 * Node's `monitorEventLoopDelay` wakes up every 10 ms, which takes half a percent of a core, and
 * misses a stall that begins just after a reading.
 */
const intervalMs = 100

/** Measures the longest time that one task kept the event loop busy. */
export class LoopStalls {
  readonly #timer = setInterval(() => this.#wake(), intervalMs).unref()
  #wokenAt = performance.now()
  #maxMs = 0

  /** The longest since the last call, in ms. */
  takeMs(): number {
    this.#wake()
    const maxMs = this.#maxMs
    this.#maxMs = 0
    return maxMs
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** A timer that fires late shows a stall. */
  #wake(): void {
    const now = performance.now()
    this.#maxMs = Math.max(this.#maxMs, now - this.#wokenAt - intervalMs)
    this.#wokenAt = now
  }
}
