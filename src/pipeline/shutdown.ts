import type { Logger } from '../runtime/log.ts'
import { maxTimerMs } from '../runtime/retry.ts'
import type { Sink } from './sink.ts'

/**
 * How long a worker takes to end. When the time is over, the sinks give up what they wait for: a
 * flush, an opening, a compaction. Nothing of that is committed, so the next start reads it again.
 */
export class Shutdown {
  readonly #sinks: readonly Sink[]
  readonly #timeoutMs: number
  readonly #log: Logger
  #endsAt: number | undefined
  #timer: NodeJS.Timeout | undefined
  #isExpired = false

  constructor(sinks: readonly Sink[], timeoutMs: number, log: Logger) {
    this.#sinks = sinks
    this.#timeoutMs = timeoutMs
    this.#log = log
  }

  /** The time runs from the first call on. @returns how much of it is left, in ms */
  begin(): number {
    const now = performance.now()
    if (this.#endsAt === undefined) {
      this.#endsAt = now + this.#timeoutMs
      this.#timer = setTimeout(() => this.expire(), Math.min(this.#timeoutMs, maxTimerMs))
      // What the sinks wait for keeps the process. This alone must not.
      this.#timer.unref()
    }
    return Math.max(0, this.#endsAt - now)
  }

  /** Begins as soon as a signal is aborted. */
  beginAt(signal: AbortSignal): void {
    if (signal.aborted) this.begin()
    else signal.addEventListener('abort', () => this.begin(), { once: true })
  }

  /** The time was over, and the sinks gave up. */
  get isExpired(): boolean {
    return this.#isExpired
  }

  /** The time is over. Only the first call counts. */
  expire(): void {
    if (this.#isExpired) return
    this.#isExpired = true
    clearTimeout(this.#timer)
    const waiting = this.#sinks.flatMap((sink) => {
      const why = sink.giveUp?.() ?? sink.waiting
      return why === undefined ? [] : [`${sink.name}: ${why}`]
    })
    this.#log.warn(
      { event: 'shutdown_timeout', timeout_ms: this.#timeoutMs, waiting },
      'the shutdown timeout is over; what is not flushed is read again at the next start',
    )
  }

  /** All is stopped: nothing is left to give up. */
  done(): void {
    clearTimeout(this.#timer)
  }
}
