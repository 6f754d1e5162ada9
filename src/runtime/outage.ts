/** A reason is logged again after this time, in ms. */
const sayAgainMs = 60_000
/** Reasons logged within that time: texts that differ from failure to failure are no flood. */
const maxReasons = 10

/** An outage that is over. */
export interface PastOutage {
  readonly ms: number
  readonly failures: number
}

interface Current {
  readonly since: number
  reason: string
  failures: number
  /** Reasons that were logged, and when. */
  readonly saidAt: Map<string, number>
}

/**
 * Something fails and is retried: since when, why, how often, and when to log it. A log line is due
 * for each new reason, and once a minute while the outage lasts. So an outage of hours is neither
 * silent nor a flood. Pure: times are arguments, in ms of a clock that never goes back.
 */
export class Outage {
  readonly #sayAgainMs: number
  #current: Current | undefined

  /** @param options.sayAgainMs after which a reason is due again */
  constructor(options: { readonly sayAgainMs?: number } = {}) {
    this.#sayAgainMs = options.sayAgainMs ?? sayAgainMs
  }

  /** Why it failed last; undefined while nothing fails. */
  get reason(): string | undefined {
    return this.#current?.reason
  }

  /** How often it failed. */
  get failures(): number {
    return this.#current?.failures ?? 0
  }

  /** It failed. @returns whether a log line is due */
  failed(reason: string, now: number): boolean {
    this.#current ??= { since: now, reason, failures: 0, saidAt: new Map() }
    const current = this.#current
    current.reason = reason
    current.failures++
    for (const [said, at] of current.saidAt)
      if (now - at >= this.#sayAgainMs) current.saidAt.delete(said)
    if (current.saidAt.has(reason) || current.saidAt.size >= maxReasons) return false
    current.saidAt.set(reason, now)
    return true
  }

  /** It works. @returns the outage that ends; undefined if nothing had failed */
  over(now: number): PastOutage | undefined {
    if (this.#current === undefined) return undefined
    const { since, failures } = this.#current
    this.#current = undefined
    return { ms: now - since, failures }
  }

  /** Why it failed last, once it has failed for a minute: what a person should hear of. */
  lasting(now: number): string | undefined {
    const { since, reason } = this.#current ?? {}
    return since !== undefined && now - since >= sayAgainMs ? reason : undefined
  }
}
