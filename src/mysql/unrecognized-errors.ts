/** An error that did not come for this time is another one when it comes again, in ms. */
const forgetMs = 120_000

/**
 * Errors of the server that this program does not recognize, by their numbers. Each is waited out
 * for a time before a row may be to blame. Pure: times are arguments, in ms of a clock that never
 * goes back.
 */
export class UnrecognizedErrors {
  readonly #waitMs: number
  readonly #seen = new Map<number, { readonly since: number; readonly last: number }>()

  constructor(waitMs: number) {
    this.#waitMs = waitMs
  }

  /** The error came. @returns whether it has come for the whole time that it is waited out */
  isLasting(errno: number, now: number): boolean {
    const seen = this.#seen.get(errno)
    const since = seen === undefined || now - seen.last > forgetMs ? now : seen.since
    this.#seen.set(errno, { since, last: now })
    return now - since >= this.#waitMs
  }
}
