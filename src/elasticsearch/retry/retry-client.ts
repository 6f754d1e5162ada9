import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { Backoff, sleep } from '../../runtime/retry.ts'
import { anything, type Shape } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { AnswerTooLarge, RequestFailure } from '../client/failure.ts'
import { type BulkItem, judgeItem, judgeRequest } from '../sink/answer.ts'

const maxTries = 8
const requestTimeoutMs = 20_000

/** A bulk operation: its action, and its line if it has one. */
export type Operation = readonly [action: string, line?: Buffer]

/** Asks Elasticsearch patiently, for a command that changes something. */
export class RetryClient {
  readonly #client: Elasticsearch
  readonly #signal: AbortSignal

  constructor(client: Elasticsearch, signal: AbortSignal) {
    this.#client = client
    this.#signal = signal
  }

  /**
   * One bulk request. @returns an item an operation, in order; undefined if all of them were
   * created
   * @throws ArchiverError `UNREACHABLE`
   */
  bulk(operations: readonly Operation[]): Promise<readonly BulkItem[] | undefined> {
    const body = Buffer.concat(
      operations.flatMap(([action, line]) => [
        Buffer.from(`${action}\n`),
        ...(line === undefined ? [] : [line]),
      ]),
    )
    return this.#patiently(async () => {
      const options = { timeoutMs: requestTimeoutMs, signal: this.#signal }
      const items = await this.#client.bulk(body, operations.length, options)
      const busy = items?.find((item) => judgeItem(item) === 'request')
      // Those that were taken answer 409 the next time, which is as good.
      if (busy !== undefined)
        throw new RequestFailure(busy.error?.reason ?? 'busy', {
          status: busy.status,
          type: busy.error?.type,
        })
      return items
    })
  }

  /**
   * The parsed answer. `shape`: what it must have.
   * @throws ArchiverError `UNREACHABLE`; AnswerTooLarge
   */
  ask<T>(
    path: readonly string[],
    body: unknown,
    query: Readonly<Record<string, string>>,
    shape: Shape = anything,
  ): Promise<T> {
    return this.#patiently(async () => {
      const content = body === undefined ? {} : { body }
      const answer = await this.#client.request<T>('POST', path, { ...content, query, shape })
      return answer.body
    })
  }

  async #patiently<T>(ask: () => Promise<T>): Promise<T> {
    const backoff = new Backoff({ firstMs: 500, maxMs: 10_000 })
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        this.#signal.throwIfAborted()
        if (!(error instanceof RequestFailure) || error instanceof AnswerTooLarge) throw error
        if (judgeRequest(error.status, error.type) !== 'again' || backoff.failures >= maxTries) {
          throw new ArchiverError(
            'UNREACHABLE',
            `Elasticsearch: ${messageOf(error)}; what is done is done, run it again`,
          )
        }
        await sleep(backoff.next(), this.#signal)
      }
    }
  }
}
