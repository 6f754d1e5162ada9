import type { Sink, SinkPosition } from '../../pipeline/sink.ts'
import type { RecordBatch, TopicPartition } from '../../record/record.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Elasticsearch } from '../client/client.ts'
import { TemplateWatch } from '../templates/watch.ts'
import { BulkCourier } from './courier.ts'
import { mendAtTheEnd } from './mixed-numbers.ts'
import type { ElasticsearchSinkOptions } from './options.ts'

/**
 * Sends records to Elasticsearch, each under the `_id` that its position gives it, with operation
 * `create`: a record that is sent twice is there once.
 *
 * Every document ends in one of two places: under its `_id` in the index of its type and day, or,
 * refused for its own content, under the same `_id` in the rejected index. Everything else is
 * waited for: see `answer.ts`.
 */
export class ElasticsearchSink implements Sink {
  readonly name = 'elasticsearch'
  readonly keepsLines = true
  readonly #client: Elasticsearch
  readonly #options: ElasticsearchSinkOptions
  readonly #log: Logger
  readonly #courier: BulkCourier

  constructor(client: Elasticsearch, options: ElasticsearchSinkOptions, log: Logger) {
    this.#client = client
    this.#options = options
    this.#log = log
    this.#courier = new BulkCourier({ sink: this.name, client, options, log })
  }

  get waiting(): string | undefined {
    const { outbox, search, held } = this.#courier
    return outbox.waiting ?? search.waiting ?? held.waiting
  }

  get heldBytes(): number {
    return this.#courier.outbox.heldBytes
  }

  async start(relieved: () => void): Promise<void> {
    const { outbox } = this.#courier
    outbox.relieved = relieved
    const client = this.#client
    await client.detect()
    const { installTemplates, templateCheckMs, indexPrefix, indexProfile } = this.#options
    if (!installTemplates) return
    await new TemplateWatch({
      client,
      indexPrefix,
      profile: indexProfile,
      everyMs: templateCheckMs,
      stopping: outbox.stopping,
      log: this.#log,
    }).start()
  }

  async open(tp: TopicPartition): Promise<SinkPosition> {
    await this.close(tp)
    this.#courier.outbox.open(tp)
    return { next: undefined, origin: undefined, committed: undefined }
  }

  write(batch: RecordBatch): Promise<void> {
    return this.#courier.outbox.write(batch)
  }

  flush(tps: readonly TopicPartition[]): Promise<void> {
    return this.#courier.outbox.flush(tps)
  }

  async close(tp: TopicPartition): Promise<void> {
    const { outbox, held, search } = this.#courier
    if (!outbox.close(tp)) return
    held.dropClosed()
    search.dropClosed()
  }

  async stop(): Promise<void> {
    const { outbox, search, rejectLog, builder } = this.#courier
    const idle = outbox.stop()
    rejectLog.flush()
    await idle
    await search.stop()
    // Who asks next gets the right sums of what this sink stored last.
    const { installTemplates, indexPrefix } = this.#options
    if (builder.hasNamedTemplates && installTemplates && outbox.waiting === undefined)
      await mendAtTheEnd(this.#client, indexPrefix, this.#log)
    await this.#client.close()
  }

  pressure(tp: TopicPartition): number {
    return this.#courier.outbox.pressure(tp)
  }
}
