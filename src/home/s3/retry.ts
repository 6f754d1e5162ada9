import PQueue from 'p-queue'
import type { Logger } from '../../runtime/log.ts'
import { Backoff, sleep } from '../../runtime/retry.ts'
import { type Attempt, explainStore, isPassing, storeCode } from './errors.ts'
import type { BucketSettings } from './settings.ts'

const firstMs = 100
const maxMs = 20_000
/** A store that asks once to slow down is no news; one that keeps asking is. */
const quietFailures = 2
const sayAgainMs = 60_000
/** The max number of concurrent requests. More would wait for a socket, and time out. */
const maxRequests = 64

/**
 * Sends requests until they are answered. It retries what passes by itself: a store that is away,
 * overloaded or restarting, a reset, a clock that is being set. It throws anything else as one line
 * for people.
 *
 * The SDK's own retries are off. After a lost answer a retry may find the object that the first try
 * wrote. Only the caller knows whether that is a success.
 */
export class Retrier {
  readonly #settings: BucketSettings
  readonly #log: Logger
  readonly #signal: AbortSignal | undefined
  readonly #lanes = new PQueue({ concurrency: maxRequests })
  /** How long a request is tried, in ms. */
  patienceMs: number
  #saidAt = Number.NEGATIVE_INFINITY

  constructor(
    settings: BucketSettings,
    log: Logger,
    { patienceMs, signal }: { readonly patienceMs: number; readonly signal?: AbortSignal },
  ) {
    this.#settings = settings
    this.#log = log
    this.#signal = signal
    this.patienceMs = patienceMs
  }

  /**
   * @param isAnswer true for an error that is an answer to the caller, and is thrown as it is.
   * @throws ArchiverError `ARCHIVE_UNUSABLE` or `UNREACHABLE`.
   */
  async send<T>(
    attempt: Attempt,
    request: () => Promise<T>,
    isAnswer: (error: unknown) => boolean = () => false,
  ): Promise<T> {
    const backoff = new Backoff({ firstMs, maxMs })
    const since = performance.now()
    for (;;) {
      try {
        return await this.#lanes.add(request)
      } catch (error) {
        if (isAnswer(error)) throw error
        const isOver = performance.now() - since >= this.patienceMs
        if (!isPassing(error) || isOver) throw explainStore(this.#settings, attempt, error)
        const retryMs = backoff.next()
        this.#tell(attempt, error, backoff.failures, retryMs)
        if (!(await sleep(retryMs, this.#signal)))
          throw explainStore(this.#settings, attempt, error)
      }
    }
  }

  #tell(attempt: Attempt, error: unknown, failures: number, retryMs: number): void {
    const now = performance.now()
    const isNews = failures > quietFailures && now - this.#saidAt >= sayAgainMs
    if (isNews) this.#saidAt = now
    this.#log[isNews ? 'warn' : 'debug'](
      {
        event: 'store_request_retried',
        operation: attempt.operation,
        key: attempt.key,
        failures,
        retry_ms: retryMs,
        reason: storeCode(error),
        err: explainStore(this.#settings, attempt, error).message,
      },
      'retrying a request to the object store',
    )
  }
}
