/**
 * Node's own `monitorEventLoopDelay` wakes up every 10 ms, which is half a percent of a core, and
 * misses what begins just after it was read.
 */
const intervalMs = 100

/** The longest time for which the event loop did nothing else than one task. */
export class LoopStalls {
  readonly #timer = setInterval(() => this.#wake(), intervalMs).unref()
  #wokenAt = performance.now()
  #longestMs = 0

  /** The longest since the last call, in ms. */
  takeMs(): number {
    this.#wake()
    const longestMs = this.#longestMs
    this.#longestMs = 0
    return longestMs
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Later than when the timer was due is a stall. */
  #wake(): void {
    const now = performance.now()
    this.#longestMs = Math.max(this.#longestMs, now - this.#wokenAt - intervalMs)
    this.#wokenAt = now
  }
}
