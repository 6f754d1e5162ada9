import PQueue from 'p-queue'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { plural } from '../../runtime/format.ts'
import type { Logger } from '../../runtime/log.ts'
import { Backoff, sleep } from '../../runtime/retry.ts'
import { isPassing, storeCode } from './errors.ts'
import { type Attempt, explainStore } from './explain.ts'
import type { BucketSettings } from './settings.ts'

const firstMs = 100
const maxMs = 20_000
/** A store that asks once to slow down is no news; one that keeps asking is. */
const quietFailures = 2
const sayAgainMs = 60_000
/** The max number of concurrent requests. More would wait for a socket, and time out. */
const maxRequests = 64

/** A request that is not answered yet. */
interface Waiting {
  readonly attempt: Attempt
  failures: number
  /** Why it failed last. */
  error: unknown
}

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
  readonly #givingUp = new AbortController()
  /** Requests that are not answered yet, the oldest first. */
  readonly #waiting = new Set<Waiting>()
  readonly #lanes = new PQueue({ concurrency: maxRequests })
  /** How long a request is tried, in ms. */
  patienceMs: number
  #saidAt = Number.NEGATIVE_INFINITY

  constructor(settings: BucketSettings, log: Logger, patienceMs: number) {
    this.#settings = settings
    this.#log = log
    this.patienceMs = patienceMs
  }

  /**
   * @param isAnswer true for an error that is an answer to the caller, and is thrown as it is.
   * @throws ArchiverError `ARCHIVE_UNUSABLE`, or `UNREACHABLE` also after `giveUp`.
   */
  async send<T>(
    attempt: Attempt,
    request: () => Promise<T>,
    isAnswer: (error: unknown) => boolean = () => false,
  ): Promise<T> {
    const { signal } = this.#givingUp
    const waiting: Waiting = { attempt, failures: 0, error: undefined }
    const since = performance.now()
    this.#waiting.add(waiting)
    try {
      const backoff = new Backoff({ firstMs, maxMs })
      for (;;) {
        try {
          return await this.#lanes.add(request, { signal })
        } catch (error) {
          if (isAnswer(error)) throw error
          if (signal.aborted) throw this.#givenUp(waiting)
          const isOver = performance.now() - since >= this.patienceMs
          if (!isPassing(error) || isOver) throw explainStore(this.#settings, attempt, error)
          const retryMs = backoff.next()
          waiting.failures = backoff.failures
          waiting.error = error
          this.#tell(attempt, error, backoff.failures, retryMs)
          if (!(await sleep(retryMs, signal))) throw this.#givenUp(waiting)
        }
      }
    } finally {
      this.#waiting.delete(waiting)
    }
  }

  /**
   * From now on every request fails, also those that are on their way: they may arrive, as after a
   * lost answer.
   *
   * @returns what was waited for, for people; undefined if nothing was
   */
  giveUp(): string | undefined {
    const [oldest] = this.#waiting
    const others = this.#waiting.size - 1
    this.#givingUp.abort()
    if (oldest === undefined) return undefined
    return (
      this.#describe(oldest) + (others === 0 ? '' : ` (and ${plural(others, 'other request')})`)
    )
  }

  #givenUp(waiting: Waiting): ArchiverError {
    const { operation, key } = waiting.attempt
    const { bucket } = this.#settings
    return new ArchiverError('UNREACHABLE', `gave up ${this.#describe(waiting)}`, {
      ...{ bucket, key, operation },
    })
  }

  #describe({ attempt, failures, error }: Waiting): string {
    const what = `${attempt.operation} of s3://${this.#settings.bucket}/${attempt.key ?? ''}`
    if (failures === 0) return `${what}, which was not answered`
    const why = messageOf(explainStore(this.#settings, attempt, error))
    return `${what}, which failed ${failures === 1 ? 'once' : `${failures} times`}: ${why}`
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
