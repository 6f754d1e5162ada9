import { setTimeout as wait } from 'node:timers/promises'

/** The longest time a timer can wait, in ms. Node waits 1 ms for anything longer. */
export const maxTimerMs = 2 ** 31 - 1

/**
 * Delays that grow with each failure, with jitter so that many workers do not retry at the same
 * moment ("full jitter" of the AWS Architecture Blog, "Exponential Backoff And Jitter", but half of
 * the delay is kept).
 */
export class Backoff {
  readonly #firstMs: number
  readonly #maxMs: number
  readonly #random: () => number
  #failures = 0

  constructor(options: { firstMs: number; maxMs: number; random?: () => number }) {
    this.#firstMs = options.firstMs
    this.#maxMs = options.maxMs
    this.#random = options.random ?? Math.random
  }

  /** Number of failures since the last success. */
  get failures(): number {
    return this.#failures
  }

  /** The delay before the next attempt, in ms. */
  next(): number {
    const full = Math.min(this.#maxMs, this.#firstMs * 2 ** Math.min(this.#failures, 30))
    this.#failures++
    return Math.round(full / 2 + (full / 2) * this.#random())
  }

  reset(): void {
    this.#failures = 0
  }
}

/** Sleeps; returns false as soon as the signal is aborted, true when the time is over. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<boolean> {
  if (signal === undefined) return wait(ms, true)
  try {
    return await wait(ms, true, { signal })
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}
