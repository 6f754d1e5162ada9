import type { Observer } from '../../pipeline/observer.ts'
import { Elasticsearch, RequestFailure } from '../client/client.ts'
import type { ElasticsearchConnection } from '../connection.ts'
import { type BulkItem, judgeItem, rejectionOf } from './answer.ts'

/** A client that tells how long bulk requests take, and why requests and documents come back. */
export class ObservedElasticsearch extends Elasticsearch {
  readonly #observer: Observer

  constructor(connection: ElasticsearchConnection, observer: Observer) {
    super(connection)
    this.#observer = observer
  }

  override async bulk(
    ...args: Parameters<Elasticsearch['bulk']>
  ): Promise<readonly BulkItem[] | undefined> {
    const startedAt = performance.now()
    try {
      const items = await super.bulk(...args)
      this.#observer.done('elasticsearch', performance.now() - startedAt)
      if (items !== undefined) this.#countTroubles(items)
      return items
    } catch (error) {
      const [, , { signal }] = args
      if (error instanceof RequestFailure && !signal.aborted) {
        this.#observer.happened('elasticsearch', 'retry', reasonOfRequest(error), 1)
      }
      throw error
    }
  }

  #countTroubles(items: readonly BulkItem[]): void {
    const counts = { retry: new Map<string, number>(), reject: new Map<string, number>() }
    for (const item of items) {
      const scope = judgeItem(item)
      if (scope === 'stored' || scope === 'exists') continue
      const ofEvent = scope === 'document' ? counts.reject : counts.retry
      const reason = rejectionOf(item, 0).type
      ofEvent.set(reason, (ofEvent.get(reason) ?? 0) + 1)
    }
    for (const event of ['retry', 'reject'] as const) {
      for (const [reason, count] of counts[event])
        this.#observer.happened('elasticsearch', event, reason, count)
    }
  }
}

/** Few different words, so that they can be counted. */
function reasonOfRequest({ type, status }: RequestFailure): string {
  if (type !== undefined) return type
  return status === undefined ? 'no answer' : `status ${status}`
}
