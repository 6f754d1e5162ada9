import { BodyLimit } from './body-limit.ts'
import { AdaptiveConcurrency } from './concurrency.ts'

/** A body is not made smaller than this, except for a size that the server refuses. */
const minBodyBytes = 64 * 1024
const firstConcurrency = 2

/**
 * How many bulk requests are in flight, and how large they are. Both shrink when the server has too
 * much to do, and grow while that helps. Pure: times are arguments.
 */
export class Pace {
  readonly #bodyLimit: BodyLimit
  readonly #concurrency: AdaptiveConcurrency
  #maxBytes: number

  constructor(options: { readonly maxBytes: number; readonly maxConcurrency: number }) {
    this.#maxBytes = options.maxBytes
    this.#bodyLimit = new BodyLimit(options.maxBytes)
    this.#concurrency = new AdaptiveConcurrency({
      first: firstConcurrency,
      max: options.maxConcurrency,
    })
  }

  /** The largest body to send, except for a document that is larger alone. */
  get maxBytes(): number {
    return this.#maxBytes
  }

  /** Requests in flight. */
  get concurrency(): number {
    return this.#concurrency.limit
  }

  /**
   * A request was answered after `tookMs`. `isSaturated`: more is waiting.
   * @returns the size that is too large, if that is learnt now
   */
  answered(
    { bytes, tookMs, isSaturated }: { bytes: number; tookMs: number; isSaturated: boolean },
    now: number,
  ): number | undefined {
    this.#concurrency.succeeded(bytes, isSaturated, now, tookMs)
    const tooLarge = this.#bodyLimit.taken(bytes)
    this.#maxBytes = Math.min(this.#bodyLimit.maxBytes, this.#maxBytes * 2)
    return tooLarge
  }

  /** The server has too much to do, or does not answer. */
  slowDown(): void {
    if (this.#concurrency.limit === 1) {
      const min = Math.min(minBodyBytes, this.#bodyLimit.maxBytes)
      this.#maxBytes = Math.max(min, this.#maxBytes >> 1)
    }
    this.#concurrency.overloaded()
  }

  /** As `BodyLimit.refused`. */
  refusedForSize(bytes: number): void {
    this.#bodyLimit.refused(bytes)
  }

  /** As `BodyLimit.forget`. */
  forgetRefusals(): void {
    this.#bodyLimit.forget()
  }

  /** As `BodyLimit.passedInPieces`. */
  passedInPieces(bytes: number): number | undefined {
    const tooLarge = this.#bodyLimit.passedInPieces(bytes)
    this.#maxBytes = Math.min(this.#maxBytes, this.#bodyLimit.maxBytes)
    return tooLarge
  }
}
