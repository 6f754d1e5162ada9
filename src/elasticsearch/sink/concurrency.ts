/**
 * How many bulk requests are in flight: up while that helps, down at once when the engine says that
 * it is too much, or takes much longer than it did. Pure: time is an argument.
 *
 * It watches windows of a few requests. In a window that always had work it compares bytes per
 * second with the window before: one more request is kept if it brought at least `worthwhile`, and
 * taken back if it did not. Then it rests before it tries again, because the engine's own load
 * changes.
 */
export class AdaptiveConcurrency {
  readonly #max: number
  #limit: number
  #windowStart: number | undefined
  #windowRequests = 0
  #windowBytes = 0
  #before: { readonly limit: number; readonly bytesPerMs: number } | undefined
  #restWindows = 0
  /** Smoothed ms that a request took; undefined until some were seen at about this limit. */
  #usualMs: number | undefined
  #seen = 0

  constructor(options: { readonly first: number; readonly max: number }) {
    this.#max = options.max
    this.#limit = Math.min(options.first, options.max)
  }

  get limit(): number {
    return this.#limit
  }

  /**
   * A request was answered. `saturated`: more was waiting, so the limit held it back. `tookMs`: how
   * long its answer took; 0 if that is not known.
   */
  succeeded(bytes: number, saturated: boolean, now: number, tookMs = 0): void {
    if (this.#isSlow(tookMs)) {
      this.#lower(Math.max(1, this.#limit - 1), restAfterSlow)
      return
    }
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
    if (this.#windowRequests < windowRequestsPerSlot * this.#limit || now <= this.#windowStart)
      return
    this.#judge(this.#windowBytes / (now - this.#windowStart))
    this.#beginWindow(now)
  }

  /** The engine refused for lack of room (429), or did not answer in time. */
  overloaded(): void {
    this.#lower(Math.max(1, this.#limit >> 1), restAfterOverload)
  }

  #lower(limit: number, restWindows: number): void {
    this.#limit = limit
    this.#before = undefined
    this.#restWindows = restWindows
    this.#usualMs = undefined
    this.#seen = 0
    this.#beginWindow(undefined)
  }

  /**
   * Compares with what is usual, and learns it. Each alarm is one step down: what is usual is
   * learnt again after it.
   */
  #isSlow(tookMs: number): boolean {
    if (tookMs <= 0) return false
    const usual = this.#usualMs
    const slow =
      usual !== undefined &&
      this.#seen >= learntAfter &&
      tookMs >= slowMs &&
      tookMs > usual * slowerTimes
    this.#usualMs = usual === undefined ? tookMs : usual + (tookMs - usual) * smoothing
    this.#seen++
    return slow
  }

  #judge(bytesPerMs: number): void {
    if (this.#restWindows > 0) {
      this.#restWindows--
      this.#before = undefined
      return
    }
    const before = this.#before
    this.#before = { limit: this.#limit, bytesPerMs }
    if (
      before !== undefined &&
      before.limit < this.#limit &&
      bytesPerMs < before.bytesPerMs * worthwhile
    ) {
      this.#limit = before.limit
      this.#restWindows = restAfterTry
      return
    }
    if (this.#limit < this.#max) this.#limit++
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
const restAfterSlow = 10
/**
 * Garbage collection, a merge or a refresh makes single answers slow; below this nothing is an
 * alarm.
 */
const slowMs = 1000
const slowerTimes = 3
const learntAfter = 8
const smoothing = 0.1
