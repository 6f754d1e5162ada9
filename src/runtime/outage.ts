import type { Logger } from './log.ts'

const sayAgainMs = 60_000

/**
 * Something that is tried again until it goes well: said when it begins to fail, and once a minute
 * as long as it goes on.
 */
export class Trouble {
  readonly #log: Logger
  readonly #now: () => number
  #failing: { readonly since: number; saidAt: number; message: string } | undefined

  /** @param now milliseconds of a clock that never goes back */
  constructor(log: Logger, now: () => number = () => performance.now()) {
    this.#log = log
    this.#now = now
  }

  failed(message: string): void {
    const now = this.#now()
    this.#failing ??= { since: now, saidAt: Number.NEGATIVE_INFINITY, message }
    this.#failing.message = message
    const isDue = now - this.#failing.saidAt >= sayAgainMs
    if (isDue) this.#failing.saidAt = now
    this.#log[isDue ? 'warn' : 'debug'](message)
  }

  over(): void {
    this.#failing = undefined
  }

  /** What went wrong last, once it has gone on for a minute. */
  get lasting(): string | undefined {
    const { since, message } = this.#failing ?? {}
    return since !== undefined && this.#now() - since >= sayAgainMs ? message : undefined
  }
}
