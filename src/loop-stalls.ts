import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Node wakes up each time: every 10 ms, as it does unless told, is half a percent of a core for nothing. */
const resolutionMs = 100

/** The longest time for which the event loop did nothing else than one task. */
export class LoopStalls {
  // How long it was from one wake-up to the next; what is beyond the interval is the stall.
  readonly #wakeUps = monitorEventLoopDelay({ resolution: resolutionMs })

  constructor() {
    this.#wakeUps.enable()
  }

  /** The longest since the last call, in ms. */
  takeMs(): number {
    const longestMs = this.#wakeUps.max / 1e6
    this.#wakeUps.reset()
    return Number.isFinite(longestMs) ? Math.max(0, longestMs - resolutionMs) : 0
  }

  stop(): void {
    this.#wakeUps.disable()
  }
}
