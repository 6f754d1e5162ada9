import { type Courier, Outbox } from '../../delivery/outbox.ts'
import { type PartQueue, recordsOf } from '../../delivery/part-queue.ts'
import type { PendingBatch } from '../../delivery/pending.ts'
import { RejectLog } from '../../delivery/reject-log.ts'
import type { Logger } from '../../runtime/log.ts'
import { Outage } from '../../runtime/outage.ts'
import type { Elasticsearch } from '../client/client.ts'
import { RequestFailure } from '../client/failure.ts'
import { IndexNames } from '../index-name.ts'
import type { BulkItem, ItemError } from './answer.ts'
import { BulkBuilder, type BulkRequest } from './bulk.ts'
import type { BulkContext } from './context.ts'
import { HeldIndices } from './held-indices.ts'
import { BulkJudge } from './judge.ts'
import type { ElasticsearchSinkOptions } from './options.ts'
import { Pace } from './pace.ts'
import { bytesOfPart, original, type Part, partOf } from './part.ts'
import { RefusedRequests } from './refused-requests.ts'
import { DocumentSearch } from './search.ts'
import { reasonOfRequest, Settlement } from './settlement.ts'
import { wordsOf } from './verdicts.ts'

/**
 * What a request ended with.
 *
 * - stopped: the sink stops, and nothing is known.
 * - failed: there are no items to judge.
 * - created: every document was created.
 * - items: an item a document, in order.
 */
type Answer =
  | { readonly is: 'stopped' }
  | { readonly is: 'failed'; readonly failure: RequestFailure }
  | { readonly is: 'created' }
  | { readonly is: 'items'; readonly items: readonly BulkItem[] }

const probeShardTimeoutMs = 1000

/** Builds, sends and judges bulk requests. `answer.ts` and `verdicts.ts` say what answers mean. */
export class BulkCourier implements Courier<Part, BulkRequest, Answer>, BulkContext {
  readonly sink: string
  readonly client: Elasticsearch
  readonly options: ElasticsearchSinkOptions
  readonly log: Logger
  readonly names: IndexNames
  readonly builder: BulkBuilder
  readonly pace: Pace
  readonly outbox: Outbox<Part, BulkRequest, Answer>
  readonly held: HeldIndices
  readonly search: DocumentSearch
  readonly rejectLog: RejectLog
  readonly #judge: BulkJudge
  readonly #settlement = new Settlement(this)
  readonly #refused = new RefusedRequests(this)
  /** Documents that Elasticsearch wants later, while it takes others. */
  readonly #putOffs = new Outage()
  #control: Promise<boolean> | undefined

  constructor(parts: {
    readonly sink: string
    readonly client: Elasticsearch
    readonly options: ElasticsearchSinkOptions
    readonly log: Logger
  }) {
    const { sink, client, options, log } = parts
    this.sink = sink
    this.client = client
    this.options = options
    this.log = log
    this.names = new IndexNames(options.indexPrefix)
    this.builder = new BulkBuilder(this.names)
    this.pace = new Pace({
      maxBytes: options.bulkBytes,
      maxConcurrency: options.bulkConcurrency,
    })
    this.rejectLog = new RejectLog(log, sink)
    this.#judge = new BulkJudge(this, options.rejectBreaker)
    this.outbox = new Outbox({
      sink,
      courier: this,
      lingerMs: options.bulkLingerMs,
      concurrency: this.pace.concurrency,
      memoryLimit: options.memoryLimit,
      log,
    })
    this.held = new HeldIndices({
      log,
      stopping: this.stopping,
      sendProbe: (index, probe) => this.#sendProbe(index, probe),
      release: (released) => {
        this.queue.pushFirst(released)
        this.outbox.pump()
      },
    })
    this.search = new DocumentSearch({
      sink,
      host: {
        take: ({ parts, documents }) => this.#takeAlone(parts, documents),
        attempt: (request) => this.#attempt(request),
        failed: (request, failure) => this.#refused.handle(request, failure),
        controlPasses: () => this.controlPasses(),
        away: (reason) => this.failed(reason, 'warn'),
        waitMs: () => this.outbox.waitMs,
        passedInPieces: (bytes) => this.#sayLimit(this.pace.passedInPieces(bytes)),
        tried: () => this.outbox.pump(),
      },
      names: this.names,
      holdMs: options.rejectHoldMs,
      log,
      stopping: this.stopping,
    })
  }

  get queue(): PartQueue<Part> {
    return this.outbox.queue
  }

  get stopping(): AbortSignal {
    return this.outbox.stopping
  }

  get fullBytes(): number {
    return this.pace.maxBytes
  }

  bytesOf(part: Part): number {
    return bytesOfPart(part)
  }

  partOf(pending: PendingBatch): Part {
    return partOf(pending)
  }

  *batchesOf({ parts }: BulkRequest): Iterable<PendingBatch> {
    for (const { pending } of parts) yield pending
  }

  build(queue: PartQueue<Part>): BulkRequest | undefined {
    const held = this.held.isEmpty ? undefined : this.held
    return this.builder.build(queue, { maxBytes: this.pace.maxBytes, held })
  }

  async send({ body, buffer, documents, probes }: BulkRequest): Promise<Answer> {
    const timeoutMs = probes === undefined ? this.options.shardTimeoutMs : probeShardTimeoutMs
    const { observer } = this.options
    const startedAt = performance.now()
    let items: readonly BulkItem[] | undefined
    try {
      items = await this.client.bulk(body, documents, { timeoutMs, signal: this.stopping })
    } catch (error) {
      if (this.stopping.aborted) return { is: 'stopped' }
      if (!(error instanceof RequestFailure)) throw error
      observer?.happened(this.sink, 'retry', reasonOfRequest(error), 1)
      return { is: 'failed', failure: error }
    }
    // Only if it was answered: a part of a request that failed may still be on its way out of this
    // buffer.
    this.builder.give(buffer)
    const now = performance.now()
    const tookMs = now - startedAt
    observer?.done(this.sink, tookMs)
    const isSaturated = !this.queue.isEmpty
    const tooLarge = this.pace.answered({ bytes: body.length, tookMs, isSaturated }, now)
    this.outbox.concurrency = this.pace.concurrency
    this.#sayLimit(tooLarge)
    return items === undefined ? { is: 'created' } : { is: 'items', items }
  }

  async judge(request: BulkRequest, answer: Answer): Promise<void> {
    if (answer.is === 'failed') await this.#refused.handle(request, answer.failure)
    else if (answer.is === 'created') this.#created(request)
    else if (answer.is === 'items') await this.#judgeItems(request, answer.items)
  }

  putBack({ parts, probes }: BulkRequest): void {
    if (probes === undefined) this.queue.pushFirst(parts.map(original))
    else this.held.putBack(probes, parts)
  }

  sendNow(parts: readonly Part[], probes?: string): void {
    const request = this.#takeAlone(parts, Number.POSITIVE_INFINITY)
    if (request !== undefined) this.outbox.start({ ...request, probes })
  }

  failed(reason: string, level: 'warn' | 'error'): void {
    if (this.outbox.failed(reason, level)) this.#slowDown()
  }

  recovered(): void {
    this.outbox.recovered()
  }

  controlPasses(): Promise<boolean> {
    const alias = `${this.options.indexPrefix}_control`
    // Those who ask at the same time get one answer.
    this.#control ??= this.client.takesBulk(alias, this.stopping).finally(() => {
      this.#control = undefined
    })
    return this.#control
  }

  /** A request of these documents and no others. What has no room in it waits as the first. */
  #takeAlone(parts: readonly Part[], documents: number): BulkRequest | undefined {
    const open = parts.filter(({ pending }) => !pending.closed)
    if (open.length === 0) return undefined
    this.queue.pushFirst(open)
    const limit = Math.min(recordsOf(open), documents)
    return this.builder.build(this.queue, { maxBytes: this.pace.maxBytes, limit })
  }

  /** @returns the failure of a request that has no answer to judge */
  async #attempt(request: BulkRequest): Promise<RequestFailure | undefined> {
    const answer = await this.send(request)
    if (answer.is === 'failed') return answer.failure
    await this.judge(request, answer)
    return undefined
  }

  #sendProbe(index: string, parts: readonly Part[]): void {
    if (this.outbox.waitMs > 0) this.held.putBack(index, parts)
    else this.sendNow(parts, index)
  }

  #created(request: BulkRequest): void {
    this.recovered()
    for (const part of request.parts) this.#settlement.stored(part, part.end - part.start)
    this.#judge.created(request)
  }

  async #judgeItems(request: BulkRequest, items: readonly BulkItem[]): Promise<void> {
    const { documents, verdicts } = this.#judge.judge(request, items)
    const { retried, error, conflicts } = this.#settlement.settle(documents, verdicts)
    this.#judge.probed(request, verdicts)
    if (retried === request.documents) this.failed(this.#words(error), 'warn')
    else if (retried > 0) this.#putOff(retried, error)
    else this.recovered()
    await this.#settlement.settleConflicts(conflicts)
  }

  /** Elasticsearch wants some documents of a request later, and took others. */
  #putOff(documents: number, error: ItemError | undefined): void {
    if (this.outbox.pause()) this.#slowDown()
    const reason = this.#words(error)
    if (!this.#putOffs.failed(reason, performance.now())) return
    this.log.warn(
      { event: 'documents_put_off', sink: this.sink, documents, reason },
      'sending documents again that were put off',
    )
  }

  #words(error: ItemError | undefined): string {
    return wordsOf(error, this.options.logSamples)
  }

  #slowDown(): void {
    this.pace.slowDown()
    this.outbox.concurrency = this.pace.concurrency
  }

  #sayLimit(tooLarge: number | undefined): void {
    if (tooLarge === undefined) return
    this.log.warn(
      { event: 'request_too_large', sink: this.sink, bytes: tooLarge },
      'sending smaller requests',
    )
  }
}
