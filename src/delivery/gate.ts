import { Outage, type PastOutage } from '../runtime/outage.ts'
import { Backoff } from '../runtime/retry.ts'

const firstRetryMs = 500
/**
 * One small request in ten seconds costs a server in trouble nothing, and its recovery is noticed
 * soon.
 */
const maxRetryMs = 10_000

/**
 * - open: requests go out.
 * - closed: none begins before `until`. After it requests are tries: one that succeeds opens the
 *   gate, one that fails closes it for longer.
 */
type State = { readonly is: 'open' } | { readonly is: 'closed'; readonly until: number }

/** The gate was closed. */
export interface Closing {
  readonly retryMs: number
  /** Tries that failed before. */
  readonly tries: number
  /** A log line is due. */
  readonly isNews: boolean
}

const open: State = { is: 'open' }

/**
 * Whether requests may go to a server: all of them wait when one failed as a whole. Pure: times are
 * arguments, in ms of a clock that never goes back.
 */
export class Gate {
  readonly #backoff: Backoff
  readonly #outage = new Outage()
  #state: State = open

  /** @param random as `Math.random`, for the jitter of the delays */
  constructor(random?: () => number) {
    this.#backoff = new Backoff({
      firstMs: firstRetryMs,
      maxMs: maxRetryMs,
      ...(random === undefined ? {} : { random }),
    })
  }

  /** Why the server does not take requests, until it has taken one; undefined while all is well. */
  get reason(): string | undefined {
    return this.#outage.reason
  }

  /** How long a request has to wait, in ms; 0 if it may go. */
  waitMs(now: number): number {
    return this.#state.is === 'open' ? 0 : Math.max(0, this.#state.until - now)
  }

  /**
   * A request failed as a whole. @returns undefined if the gate is closed already: others that were
   * in flight fail for the same reason, and one of them counts
   */
  close(reason: string, now: number): Closing | undefined {
    const retryMs = this.pause(now)
    if (retryMs === undefined) return undefined
    const tries = this.#outage.failures
    return { retryMs, tries, isNews: this.#outage.failed(reason, now) }
  }

  /**
   * The server took a request in part and wants the rest later: the gate is closed without an
   * outage. @returns for how long, in ms; undefined if it is closed already
   */
  pause(now: number): number | undefined {
    if (this.waitMs(now) > 0) return undefined
    const retryMs = this.#backoff.next()
    this.#state = { is: 'closed', until: now + retryMs }
    return retryMs
  }

  /** A request succeeded. @returns the outage that ends with it */
  open(now: number): PastOutage | undefined {
    this.#backoff.reset()
    this.#state = open
    return this.#outage.over(now)
  }
}
