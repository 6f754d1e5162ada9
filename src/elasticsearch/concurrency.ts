/**
 * How many bulk requests are in flight: up while that helps, down at once when the engine says that it is too much. Pure: time
 * is an argument.
 *
 * It watches windows of a few requests. In a window that had work all the time it compares bytes per second with the window
 * before: one more request is kept where it brought at least `worthwhile`, and taken back where it did not; then it rests
 * before it tries again, because the engine's own load changes.
 */
export class AdaptiveConcurrency {
  readonly #most: number
  #limit: number
  #windowStart: number | undefined
  #windowRequests = 0
  #windowBytes = 0
  #before: { readonly limit: number; readonly bytesPerMs: number } | undefined
  #restWindows = 0

  constructor(options: { first: number; most: number }) {
    this.#most = options.most
    this.#limit = Math.min(options.first, options.most)
  }

  get limit(): number {
    return this.#limit
  }

  /** A request was answered. `saturated`: more was waiting, so that the limit is what held it back. */
  succeeded(bytes: number, saturated: boolean, now: number): void {
    if (!saturated) {
      this.#beginWindow(undefined)
      return
    }
    if (this.#windowStart === undefined) {
      this.#beginWindow(now)
      return
    }
    this.#windowRequests++
    this.#windowBytes += bytes
    if (this.#windowRequests < windowRequestsPerSlot * this.#limit || now <= this.#windowStart) return
    this.#judge(this.#windowBytes / (now - this.#windowStart))
    this.#beginWindow(now)
  }

  /** The engine refused for lack of room (429), or did not answer in time. */
  overloaded(): void {
    this.#limit = Math.max(1, this.#limit >> 1)
    this.#before = undefined
    this.#restWindows = restAfterOverload
    this.#beginWindow(undefined)
  }

  #judge(bytesPerMs: number): void {
    if (this.#restWindows > 0) {
      this.#restWindows--
      this.#before = undefined
      return
    }
    const before = this.#before
    this.#before = { limit: this.#limit, bytesPerMs }
    if (before !== undefined && before.limit < this.#limit && bytesPerMs < before.bytesPerMs * worthwhile) {
      this.#limit = before.limit
      this.#restWindows = restAfterTry
      return
    }
    if (this.#limit < this.#most) this.#limit++
  }

  #beginWindow(now: number | undefined): void {
    this.#windowStart = now
    this.#windowRequests = 0
    this.#windowBytes = 0
  }
}

const windowRequestsPerSlot = 4
const worthwhile = 1.03
const restAfterTry = 20
const restAfterOverload = 10
