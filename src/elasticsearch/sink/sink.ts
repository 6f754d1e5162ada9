import PQueue from 'p-queue'
import { PendingBatches } from '../../delivery/pending.ts'
import type { Sink, SinkPosition } from '../../pipeline/sink.ts'
import { valueOfLine } from '../../record/line/decoder.ts'
import { lineStart, type RecordBatch, type TopicPartition } from '../../record/record.ts'
import { messageOf } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { Backoff } from '../../runtime/retry.ts'
import { list, number, object, optional } from '../../runtime/shape.ts'
import { type Elasticsearch, RequestFailure } from '../client/client.ts'
import { IndexNames } from '../index-name.ts'
import { fitsReject, type Rejection, rejectedDocument } from '../rejected.ts'
import type { IndexProfile } from '../templates/index-profile.ts'
import { TemplateWatch } from '../templates/watch.ts'
import {
  type BulkItem,
  type ItemError,
  isAboutShards,
  isUnknown,
  judgeItem,
  judgeRequest,
  kindOf,
  reasonOf,
  rejectionOf,
  type Scope,
  sayableOf,
} from './answer.ts'
import { BodyLimit } from './body-limit.ts'
import { Breaker } from './breaker.ts'
import {
  BulkQueue,
  type BulkRequest,
  documentId,
  indexOf,
  type Part,
  type Replacement,
} from './bulk.ts'
import { itemErrorShape } from './bulk-item.ts'
import { AdaptiveConcurrency } from './concurrency.ts'
import { HeldIndices, type HoldReason, probeDocuments } from './held-indices.ts'
import { mendMixedNumbers } from './mixed-numbers.ts'
import { RejectLog } from './reject-log.ts'
import { DocumentSearch, isUnexplained, splitParts } from './search.ts'

export interface ElasticsearchSinkOptions {
  readonly indexPrefix: string
  /** Bytes of one bulk request. */
  readonly bulkBytes: number
  /** Most bulk requests in flight. */
  readonly bulkConcurrency: number
  /** How long a document may wait for others to fill a request, in ms. */
  readonly bulkLingerMs: number
  /**
   * How long the server may wait for a shard or a new index within a request, in ms; less than the
   * request's own timeout.
   */
  readonly shardTimeoutMs: number
  /**
   * Of how many documents of an index more than half must be refused for one reason to hold it; 0:
   * never.
   */
  readonly rejectBreaker: number
  /** How long such an index is held before its documents are rejected after all, in ms. */
  readonly rejectHoldMs: number
  /** Bytes of records in memory at which partitions are paused. */
  readonly memoryLimit: number
  /** Files are kept of the same records: a value that is omitted here is in them. */
  readonly hasFiles: boolean
  /** Log lines may hold parts of refused records. */
  readonly logSamples: boolean
  readonly installTemplates: boolean
  /** How often it is looked whether the templates are still there, and still win, in ms. */
  readonly templateCheckMs: number
  /** Of the templates; undefined: as it is on the cluster. */
  readonly indexProfile?: IndexProfile | undefined
}

/** Counts since the start, for status lines and metrics. */
export interface ElasticsearchCounts {
  documents: number
  requests: number
  retries: number
  conflicts: number
  rejected: number
}

/** The sink does not get on: since when, and what a person was told of it. */
interface Trouble {
  readonly since: number
  readonly message: string
  tries: number
  saidAt: number
}

const mgetShape = object({
  docs: list(
    object({
      error: optional(itemErrorShape),
      _source: optional(object({ kafka: optional(object({ timestamp: optional(number) })) })),
    }),
  ),
})

interface MgetAnswer {
  readonly docs: readonly {
    readonly found?: boolean
    readonly error?: ItemError
    readonly _source?: { readonly kafka?: { readonly timestamp?: number } }
  }[]
}

const firstRetryMs = 500
/**
 * One small request in ten seconds costs an engine in trouble nothing, and it is noticed soon that
 * the trouble is over.
 */
const mostRetryMs = 10_000
const mgetDocuments = 1000
/** Of one request at the end: a server that does not answer holds up nobody. */
const stopTimeoutMs = 3000
/** A body is not made smaller than this, except for its documents' sake. */
const leastBodyBytes = 64 * 1024
/** Reasons quote values: of each so many characters are kept. */
const longestReason = 500
const probeShardTimeoutMs = 1000
const space = 0x20
const openBrace = 0x7b
/** For what no document can be blamed. */
const forEver = { mostMs: Number.POSITIVE_INFINITY, forRefusals: false }
/** What goes on is said again after this time. */
const sayAgainMs = 60_000

/**
 * Sends records to Elasticsearch, each under the `_id` that its position gives it, with operation
 * `create`: whatever is sent twice is there once.
 *
 * Every document ends in one of two places: under its `_id` in the index of its type and day, or,
 * refused for its own content, under the same `_id` in the rejected index. Everything else is
 * waited for: see `answer.ts`.
 */
export class ElasticsearchSink implements Sink {
  readonly name = 'elasticsearch'
  readonly keepsLines = true
  readonly counts: ElasticsearchCounts = {
    documents: 0,
    requests: 0,
    retries: 0,
    conflicts: 0,
    rejected: 0,
  }
  readonly #options: ElasticsearchSinkOptions
  readonly #client: Elasticsearch
  readonly #log: Logger
  readonly #names: IndexNames
  readonly #queue: BulkQueue
  readonly #sending: PQueue
  readonly #concurrency: AdaptiveConcurrency
  readonly #breaker: Breaker
  readonly #held: HeldIndices
  readonly #pending: PendingBatches
  /**
   * Refusals that were held long enough: type and kind of the refusal. Their documents are rejected
   * at once.
   */
  readonly #givenWay = new Set<string>()
  readonly #rejectLog: RejectLog
  readonly #stopping = new AbortController()
  readonly #backoff = new Backoff({ firstMs: firstRetryMs, mostMs: mostRetryMs })
  #lingerTimer: NodeJS.Timeout | undefined
  #gateTimer: NodeJS.Timeout | undefined
  /** Someone waits for all that is queued: nothing lingers until the queue is empty. */
  #urgent = false
  /** No request begins before this moment (ms of `performance.now`): the last one failed. */
  #resumeAt = 0
  #trouble: Trouble | undefined
  #putOffSaidAt = Number.NEGATIVE_INFINITY
  readonly #bodyLimit: BodyLimit
  #controlling: Promise<boolean> | undefined
  readonly #search: DocumentSearch

  constructor(client: Elasticsearch, options: ElasticsearchSinkOptions, log: Logger) {
    this.#client = client
    this.#options = options
    this.#log = log
    this.#rejectLog = new RejectLog(log, {
      showsContent: options.logSamples,
      hasFiles: options.hasFiles,
    })
    this.#pending = new PendingBatches(options.memoryLimit)
    this.#names = new IndexNames(options.indexPrefix)
    this.#queue = new BulkQueue(this.#names, options.bulkBytes)
    this.#bodyLimit = new BodyLimit(options.bulkBytes)
    this.#concurrency = new AdaptiveConcurrency({ first: 2, most: options.bulkConcurrency })
    this.#sending = new PQueue({ concurrency: this.#concurrency.limit })
    this.#breaker = new Breaker(options.rejectBreaker)
    this.#held = new HeldIndices({
      log,
      stopping: this.#stopping.signal,
      sendProbe: (parts) => this.#sendProbe(parts),
      release: (parts) => {
        this.#queue.pushFirst(parts)
        this.#pump()
      },
      expired: (index, reason) => this.#giveWay(index, reason),
    })
    this.#search = new DocumentSearch({
      host: {
        take: ({ parts, documents }) => this.#takeAlone(parts, documents),
        attempt: (request) => this.#attempt(request),
        failed: (request, failure) => this.#requestFailed(request, failure),
        controlPasses: () => this.#controlPasses(),
        away: (message) => this.#failed(message, false),
        gateMs: () => this.#resumeAt - performance.now(),
        asReject: (part, rejection) =>
          this.#asReject(part, part.start, rejection, {
            valueOmitted: true,
            insteadOf: withoutProbe(part),
          }),
        passedInPieces: (bytes) => this.#limitBodies(this.#bodyLimit.passedInPieces(bytes)),
      },
      names: this.#names,
      holdMs: options.rejectHoldMs,
      log,
      stopping: this.#stopping.signal,
    })
  }

  get waiting(): string | undefined {
    return this.#trouble?.message ?? this.#search.waiting ?? this.#held.waiting
  }

  get heldBytes(): number {
    return this.#pending.heldBytes
  }

  async start(relieved: () => void): Promise<void> {
    this.#pending.relieved = relieved
    await this.#client.detect()
    const {
      installTemplates,
      templateCheckMs: everyMs,
      indexPrefix,
      indexProfile: profile,
    } = this.#options
    if (!installTemplates) return
    const [client, log, stopping] = [this.#client, this.#log, this.#stopping.signal]
    await new TemplateWatch({ client, indexPrefix, profile, everyMs, stopping, log }).start()
  }

  async open(tp: TopicPartition): Promise<SinkPosition> {
    await this.close(tp)
    this.#pending.open(tp)
    return { next: undefined, origin: undefined, committed: undefined }
  }

  write(batch: RecordBatch): Promise<void> {
    if (batch.count === 0) return Promise.resolve()
    const added = this.#pending.add(batch)
    // A partition that was given up: nobody waits for its records any more.
    if (added === undefined) return new Promise(() => {})
    this.#queue.push({ pending: added.pending, start: 0, end: batch.count })
    this.#pump()
    return added.written
  }

  async flush(tps: readonly TopicPartition[]): Promise<void> {
    const waited = this.#pending.of(tps)
    if (waited.length === 0) return
    this.#urgent = true
    this.#pump()
    await Promise.all(waited.map(({ done }) => done))
  }

  async close(tp: TopicPartition): Promise<void> {
    if (!this.#pending.close(tp)) return
    this.#queue.dropClosed()
    this.#held.dropClosed()
    this.#search.dropClosed()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const timer of [this.#lingerTimer, this.#gateTimer]) clearTimeout(timer)
    this.#rejectLog.flush()
    this.#sending.clear()
    await this.#sending.onIdle()
    await this.#search.stop()
    await this.#mendNumbers()
    await this.#client.close()
  }

  /** What this sink stored last is looked at before it goes: who asks next gets the right sums. */
  async #mendNumbers(): Promise<void> {
    if (
      !this.#queue.hasNamedTemplates ||
      !this.#options.installTemplates ||
      this.#trouble !== undefined
    )
      return
    try {
      const options = { refresh: true, timeoutMs: stopTimeoutMs }
      const failed = await mendMixedNumbers(
        this.#client,
        this.#options.indexPrefix,
        this.#log,
        options,
      )
      for (const message of failed) this.#log.warn(message)
    } catch (error) {
      this.#log.warn(
        { err: error },
        'fields of whole numbers and fractions could not be looked for',
      )
    }
  }

  pressure(tp: TopicPartition): number {
    return this.#pending.pressure(tp)
  }

  // Requests.

  /** Makes requests of what waits, as many as may be in flight. */
  #pump(): void {
    if (this.#stopping.signal.aborted || this.#isGated()) return
    while (this.#sending.pending + this.#sending.size < this.#concurrency.limit) {
      if (this.#queue.isEmpty) {
        this.#urgent = false
        return
      }
      if (this.#queue.bytes < this.#queue.mostBytes && !this.#urgent) {
        this.#linger()
        return
      }
      const isHeld = this.#held.isEmpty ? undefined : (index: string) => this.#held.has(index)
      const request = this.#queue.take(isHeld, (index, part) => this.#putAside(index, part))
      if (request !== undefined) this.#start(request)
    }
  }

  #linger(): void {
    this.#lingerTimer ??= setTimeout(() => {
      this.#lingerTimer = undefined
      this.#urgent = true
      this.#pump()
    }, this.#options.bulkLingerMs)
  }

  #isGated(): boolean {
    const delay = this.#resumeAt - performance.now()
    if (delay <= 0) return false
    this.#gateTimer ??= setTimeout(() => {
      this.#gateTimer = undefined
      this.#pump()
    }, delay)
    return true
  }

  /**
   * Documents of a held index, as the queue comes to them; or a probe that was given up before it
   * was sent.
   */
  #putAside(index: string, part: Part): void {
    const reason = this.#held.reasonOf(index)
    if (reason !== undefined) this.#held.hold(index, part, reason)
    else this.#queue.push(withoutProbe(part))
    if (part.probe === true) this.#held.probed(index, false)
  }

  #sendProbe(parts: readonly Part[]): void {
    if (this.#isGated()) {
      this.#putBack(parts)
      return
    }
    this.#queue.pushFirst(parts)
    this.#takeAndStart(probeDocuments)
  }

  /** The first documents of the queue, held or not, whatever is in flight. */
  #takeAndStart(documents: number): void {
    const request = this.#take(documents)
    if (request !== undefined) this.#start(request)
  }

  #take(documents: number): BulkRequest | undefined {
    return this.#queue.take(undefined, (index, part) => this.#putAside(index, part), documents)
  }

  /** A request of these parts and no others. What has no room in it goes the way of all. */
  #takeAlone(parts: readonly Part[], documents: number): BulkRequest | undefined {
    const open = parts.filter(({ pending }) => !pending.closed)
    if (open.length === 0) return undefined
    this.#queue.pushFirst(open)
    const left = open.reduce((sum, { start, end }) => sum + end - start, 0)
    return this.#take(Math.min(left, documents))
  }

  #start(request: BulkRequest): void {
    void this.#sending
      .add(() => this.#send(request))
      .catch((error: unknown) => this.#broken(request, error))
      .finally(() => this.#pump())
  }

  /** Something that must not happen: whoever wrote these records reads them again. */
  #broken({ parts }: BulkRequest, error: unknown): void {
    this.#log.error(
      { err: error },
      `a bulk request ended in a fault of this program: ${messageOf(error)}`,
    )
    for (const { pending } of parts) this.#pending.fail(pending, error)
  }

  /**
   * Sends a request once and sees to each of its documents; what is to be tried again is back in
   * the queue then.
   */
  async #send(request: BulkRequest): Promise<void> {
    if (this.#isGated()) {
      this.#putBack(request.parts)
      return
    }
    const failure = await this.#attempt(request)
    if (failure !== undefined) await this.#requestFailed(request, failure)
  }

  /**
   * Sends a request once and sees to each of its documents. Returns the failure of a request that
   * has no answer to judge.
   */
  async #attempt(request: BulkRequest): Promise<RequestFailure | undefined> {
    const { body, parts, documents } = request
    const timeoutMs = parts[0]?.probe === true ? probeShardTimeoutMs : this.#options.shardTimeoutMs
    const startedAt = performance.now()
    let items: readonly BulkItem[] | undefined
    try {
      items = await this.#client.bulk(body, documents, { timeoutMs, signal: this.#stopping.signal })
    } catch (error) {
      if (this.#stopping.signal.aborted) return undefined
      if (!(error instanceof RequestFailure)) throw error
      return error
    }
    // Only where it was answered: of a request that failed, something may still be on its way out
    // of this buffer.
    this.#queue.give(request.buffer)
    this.counts.requests++
    const now = performance.now()
    this.#concurrency.succeeded(body.length, !this.#queue.isEmpty, now, now - startedAt)
    this.#sending.concurrency = this.#concurrency.limit
    this.#limitBodies(this.#bodyLimit.taken(body.length))
    this.#queue.mostBytes = Math.min(this.#bodyLimit.maxBytes, this.#queue.mostBytes * 2)
    if (!this.#search.isIdle) this.#tellSearch(request, items)
    if (items !== undefined) await this.#seeToItems(request, items)
    else {
      this.#recovered()
      this.#allStored(request)
    }
    return undefined
  }

  /**
   * Parts come back to be sent again: a probe to what is held, and what was sent in the place of a
   * document as that document.
   */
  #putBack(parts: readonly Part[]): void {
    this.#queue.pushFirst(
      parts
        .filter(({ probe }) => probe !== true)
        .map((part) => part.replacement?.insteadOf ?? part),
    )
    for (const part of parts)
      if (part.probe === true) this.#putAside(indexOf(this.#names, part, part.start), part)
  }

  async #requestFailed(request: BulkRequest, error: RequestFailure): Promise<void> {
    const { parts, documents, body } = request
    const verdict = judgeRequest(error.status, error.type)
    switch (verdict) {
      case 'again':
      case 'refused':
        if (isUnexplained(error)) {
          if (await this.#isSuspect(request, error)) return
          this.#putBack(parts.map((part) => ({ ...part, failed: true })))
        } else this.#putBack(parts)
        this.#failed(error.message, verdict === 'refused')
        return
      case 'halve':
      case 'bisect':
        this.counts.retries++
        if (documents === 1) this.#requestOfOneFailed(parts[0]!, verdict, error)
        else {
          if (verdict === 'halve') this.#bodyLimit.refused(body.length)
          // One half at a time: where nothing gets through, it is seen after a few requests and not
          // after one a document.
          const left = documents >> 1
          this.#queue.pushFirst(splitParts(parts, left).flat())
          this.#takeAndStart(left)
        }
    }
  }

  /**
   * A request failed for the second time without an answer of Elasticsearch. Where another passes,
   * one of its documents may be to blame: those are looked for beside the others.
   */
  async #isSuspect({ parts, body }: BulkRequest, { message }: RequestFailure): Promise<boolean> {
    if (this.#search.isIdle && !parts.some(({ failed }) => failed === true)) return false
    if (!(await this.#controlPasses()) || this.#stopping.signal.aborted) return false
    const isProbe = ({ probe }: Part) => probe === true
    this.#putBack(parts.filter(isProbe))
    const suspects = parts
      .filter((part) => !isProbe(part))
      .map((part) => part.replacement?.insteadOf ?? part)
    if (this.#search.isIdle) {
      this.#log.warn(
        { bytes: body.length, reason: message },
        'a request does not get through to Elasticsearch while others do; looking for the document to blame',
      )
    }
    this.counts.retries++
    this.#search.add(suspects, body.length)
    this.#recovered()
    return true
  }

  /**
   * Whether a request that is known to be good passes now. Those who ask at the same time get one
   * answer.
   */
  #controlPasses(): Promise<boolean> {
    const alias = `${this.#options.indexPrefix}_control`
    this.#controlling ??= this.#client.takesBulk(alias, this.#stopping.signal).finally(() => {
      this.#controlling = undefined
    })
    return this.#controlling
  }

  /** Documents of an index that are stored say that the index is well. */
  #tellSearch({ parts }: BulkRequest, items: readonly BulkItem[] | undefined): void {
    let position = 0
    for (const part of parts) {
      for (let i = part.start; i < part.end; i++, position++) {
        if (items === undefined || items[position]!.status === 201)
          this.#search.stored(indexOf(this.#names, part, i))
      }
    }
  }

  /**
   * A document is alone, and its request is refused as a whole. What is kept of a reject is sent at
   * once: taken, the document was to blame; refused in the same way, nothing gets through, and the
   * document waits as it is.
   */
  #requestOfOneFailed(
    part: Part,
    verdict: 'halve' | 'bisect',
    { type, message, reason }: RequestFailure,
  ): void {
    const { replacement } = part
    if (part.probe === true) this.#held.probed(indexOf(this.#names, part, part.start), false)
    // As text a value is no smaller; without it, what is too large no longer is.
    const valueOmitted = verdict === 'halve'
    if (replacement === undefined || (valueOmitted && !replacement.valueOmitted)) {
      const rejection = {
        type: valueOmitted ? 'request_too_large' : (type ?? 'refused'),
        reason,
        sayable: message,
      }
      const insteadOf = replacement?.insteadOf ?? withoutProbe(part)
      this.#queue.pushFirst([
        this.#asReject(part, part.start, rejection, { valueOmitted, insteadOf }),
      ])
      this.#takeAndStart(1)
      return
    }
    this.#bodyLimit.forget()
    this.#putBack([part])
    this.#failed(message, true)
  }

  /** Bodies stay below a size that turned out to be too large; undefined if none did. */
  #limitBodies(tooLarge: number | undefined): void {
    if (tooLarge === undefined) return
    this.#log.warn(
      { bytes: tooLarge },
      `Elasticsearch takes no request of ${tooLarge} bytes (http.max_content_length, or a proxy's limit); from now on they are smaller`,
    )
    this.#queue.mostBytes = Math.min(this.#queue.mostBytes, this.#bodyLimit.maxBytes)
  }

  #recovered(): void {
    if (this.#trouble !== undefined) {
      const seconds = Math.round((performance.now() - this.#trouble.since) / 100) / 10
      const { tries } = this.#trouble
      this.#log.info(
        { seconds, tries },
        `Elasticsearch takes documents again, after ${seconds} s and ${tries} tries`,
      )
      this.#trouble = undefined
    }
    this.#backoff.reset()
    this.#resumeAt = 0
  }

  /** A request failed as a whole: all requests wait, fewer and smaller ones come back. */
  #failed(message: string, refused: boolean): void {
    const now = performance.now()
    // Others that were in flight fail for the same reason; one of them counts.
    const delay = this.#backOff(now)
    if (delay === undefined) return
    const last = this.#trouble
    const isNews = last === undefined || last.message !== message || now - last.saidAt >= sayAgainMs
    if (isNews) {
      this.#log[refused ? 'error' : 'warn'](
        { retry_ms: delay, tries: last?.tries ?? 0 },
        `Elasticsearch does not take documents: ${message}; nothing is lost, trying again until it does`,
      )
    }
    this.#trouble = {
      since: last?.since ?? now,
      message,
      tries: (last?.tries ?? 0) + 1,
      saidAt: isNews ? now : last.saidAt,
    }
  }

  /** Some documents of a request are to be sent again, others were taken. */
  #putOff(documents: number, error: ItemError | undefined): void {
    const now = performance.now()
    this.#backOff(now)
    if (now - this.#putOffSaidAt < sayAgainMs) return
    this.#putOffSaidAt = now
    this.#log.warn(
      `Elasticsearch put off ${documents} documents of a request (${this.#words(error)}); they are sent again until it takes them`,
    )
  }

  /** Closes the gate for a while; undefined where it is closed already. */
  #backOff(now: number): number | undefined {
    this.counts.retries++
    if (now < this.#resumeAt) return undefined
    if (this.#concurrency.limit === 1) {
      this.#queue.mostBytes = Math.max(
        Math.min(leastBodyBytes, this.#bodyLimit.maxBytes),
        this.#queue.mostBytes >> 1,
      )
    }
    this.#concurrency.overloaded()
    this.#sending.concurrency = this.#concurrency.limit
    const delay = this.#backoff.next()
    this.#resumeAt = now + delay
    return delay
  }

  // Documents.

  async #seeToItems({ parts, documents }: BulkRequest, items: readonly BulkItem[]): Promise<void> {
    const judged = items.map((item) => judgeItem(item))
    const tripped = this.#watchRefusals(parts, items, judged)
    const conflicts: Part[] = []
    const again: Part[] = []
    const withoutTemplates: Part[] = []
    let putOff: ItemError | undefined
    const probes = new Map<string, { documents: number; refused: number }>()
    let position = 0
    for (const part of parts) {
      for (let i = part.start; i < part.end; i++, position++) {
        const item = items[position]!
        const scope = judged[position]!
        const one: Part = withoutProbe({ ...part, start: i, end: i + 1 })
        if (scope === 'stored') {
          this.#stored(one, 1)
          if (part.probe === true) count(probes, indexOf(this.#names, part, i), false)
          continue
        }
        const index = indexOf(this.#names, part, i)
        const reason = this.#reasonToHold(index, part, item, scope, tripped)
        if (part.probe === true) count(probes, index, reason !== undefined || scope === 'request')
        if (reason !== undefined) this.#held.hold(index, one, reason)
        else if (scope === 'exists') conflicts.push(one)
        else if (scope === 'template') {
          this.#queue.nameNoTemplates(index)
          withoutTemplates.push(one)
        } else if (scope === 'document' || scope === 'index')
          this.#reject(one, i, rejectionOf(item, longestReason), kindOfRejection(item))
        else {
          putOff ??= item.error
          again.push(one)
        }
      }
    }
    for (const [index, { documents, refused }] of probes) this.#probed(index, documents, refused)
    this.#queue.pushFirst([...again, ...withoutTemplates])
    if (again.length === documents) this.#failed(this.#words(putOff), false)
    else if (again.length > 0) this.#putOff(again.length, putOff)
    else this.#recovered()
    for (let start = 0; start < conflicts.length; start += mgetDocuments) {
      await this.#seeToConflicts(conflicts.slice(start, start + mgetDocuments))
    }
  }

  /** Why a refused document waits with its index; undefined where it is dealt with by itself. */
  #reasonToHold(
    index: string,
    part: Part,
    item: BulkItem,
    scope: Scope,
    tripped: ReadonlyMap<string, HoldReason>,
  ): HoldReason | undefined {
    switch (scope) {
      case 'index': {
        const message = this.#words(item.error)
        // Of a reject no field can be wrong: whatever nobody has met, it is about the rejected
        // index.
        if (!isUnknown(item) || part.replacement !== undefined) return { message, ...forEver }
        const kind = kindOfRejection(item)
        if (this.#givenWay.has(givenWayKey(index, kind))) return undefined
        return { message, kind, mostMs: this.#options.rejectHoldMs, forRefusals: false }
      }
      case 'request':
        return isAboutShards(item.error)
          ? { message: this.#words(item.error), ...forEver }
          : undefined
      case 'document': {
        // Not even the envelope is taken: that is the rejected index's own fault.
        if (part.replacement?.valueOmitted === true)
          return { message: this.#words(item.error), ...forEver }
        const held = this.#held.reasonOf(index)
        if (this.#givenWay.has(givenWayKey(index, kindOfRejection(item)))) return undefined
        return held?.forRefusals === true ? held : tripped.get(index)
      }
      default:
        return undefined
    }
  }

  /**
   * Tells the breaker what became of the documents of each index. Returns the indices that are to
   * be held now, and why.
   */
  #watchRefusals(
    parts: readonly Part[],
    items: readonly BulkItem[],
    judged: readonly Scope[],
  ): ReadonlyMap<string, HoldReason> {
    const tripped = new Map<string, HoldReason>()
    if (this.#options.rejectBreaker === 0) return tripped
    if (this.#breaker.isIdle && !judged.includes('document')) return tripped
    const seen = new Map<string, { stored: number; refused: Map<string, number> }>()
    let position = 0
    for (const part of parts) {
      for (let i = part.start; i < part.end; i++, position++) {
        const scope = judged[position]!
        if (part.replacement !== undefined || (scope !== 'stored' && scope !== 'document')) continue
        if (scope === 'document' && isWithoutFields(part.pending.batch, i)) continue
        const index = indexOf(this.#names, part, i)
        let tally = seen.get(index)
        if (tally === undefined) {
          tally = { stored: 0, refused: new Map() }
          seen.set(index, tally)
        }
        if (scope === 'stored') tally.stored++
        else {
          const kind = kindOfRejection(items[position]!)
          tally.refused.set(kind, (tally.refused.get(kind) ?? 0) + 1)
        }
      }
    }
    for (const [index, { stored, refused }] of seen) {
      const kind = this.#breaker.observe(index, stored, refused)
      if (kind === undefined || this.#givenWay.has(givenWayKey(index, kind))) continue
      tripped.set(index, {
        message: `most of its documents are refused (${this.#options.logSamples ? kind : kind.slice(0, kind.indexOf(':'))})`,
        kind,
        mostMs: this.#options.rejectHoldMs,
        forRefusals: true,
      })
    }
    return tripped
  }

  #probed(index: string, documents: number, refused: number): void {
    const forRefusals = this.#held.reasonOf(index)?.forRefusals === true
    const taken = forRefusals ? refused * 2 <= documents : refused === 0
    if (taken && forRefusals) this.#breaker.reset(index)
    this.#held.probed(index, taken)
  }

  /**
   * Nobody mended it in time: from now on documents of this type that are refused so are rejected,
   * one by one.
   */
  #giveWay(index: string, { message, kind, mostMs }: HoldReason): void {
    this.#log.error(
      { index },
      `${index} was not mended within ${Math.round(mostMs / 6000) / 10} minutes (${message}); what is refused of this type is kept in ${this.#names.rejectedPattern} from now on, until it is sent again by "archiver retry-rejected"`,
    )
    if (kind !== undefined) this.#givenWay.add(givenWayKey(index, kind))
  }

  /**
   * A 409 is an acknowledgement once the stored record is the same one; a different one is a
   * collision.
   */
  async #seeToConflicts(parts: readonly Part[]): Promise<void> {
    this.counts.conflicts += parts.length
    const docs = parts.map((part) => ({
      _index: indexOf(this.#names, part, part.start),
      _id:
        documentId(part.pending.batch, part.pending.batch.offsets[part.start]!) +
        (part.replacement?.idSuffix ?? ''),
      _source: ['kafka.timestamp'],
    }))
    let answer: MgetAnswer
    try {
      const { body } = await this.#client.request<MgetAnswer>('POST', ['_mget'], {
        body: { docs },
        shape: mgetShape,
        signal: this.#stopping.signal,
      })
      if (body.docs.length !== docs.length)
        throw new RequestFailure('not an answer to _mget', undefined, undefined)
      answer = body
    } catch (error) {
      if (!(error instanceof RequestFailure)) throw error
      if (this.#stopping.signal.aborted) return
      // Sent again, they conflict again, and are looked at again.
      this.#queue.pushFirst(parts)
      this.#failed(error.message, judgeRequest(error.status) === 'refused')
      return
    }
    const gone: Part[] = []
    parts.forEach((part, i) => {
      const { found, error, _source } = answer.docs[i]!
      const timestamp = part.pending.batch.timestamps[part.start]!
      if (error !== undefined) {
        const message = `its documents cannot be read to compare them (${this.#words(error)})`
        this.#held.hold(docs[i]!._index, part, { message, ...forEver })
      } else if (found !== true) gone.push(part)
      else if (_source?.kafka?.timestamp === timestamp) this.#stored(part, 1)
      else this.#collided(part, timestamp, _source?.kafka?.timestamp)
    })
    // Deleted in the meantime: sent again they are created.
    this.#queue.pushFirst(gone)
  }

  #collided(part: Part, timestamp: number, found: number | undefined): void {
    const { replacement } = part
    if (replacement === undefined) {
      this.#reject(part, part.start, {
        type: 'id_collision',
        reason: `the index holds another record under this id, of Kafka timestamp ${found}; was the topic deleted and made again?`,
      })
    } else if (replacement.idSuffix === undefined) {
      // Even among the rejects another record has this id.
      this.#queue.push({ ...part, replacement: { ...replacement, idSuffix: `+${timestamp}` } })
    } else this.#stored(part, 1)
  }

  #allStored({ parts, documents }: BulkRequest): void {
    if (!this.#breaker.isIdle) {
      const all: Scope[] = new Array<Scope>(documents).fill('stored')
      this.#watchRefusals(parts, [], all)
    }
    const probes = new Map<string, number>()
    for (const part of parts) {
      this.#stored(part, part.end - part.start)
      if (part.probe === true)
        probes.set(indexOf(this.#names, part, part.start), part.end - part.start)
    }
    for (const [index, documents] of probes) this.#probed(index, documents, 0)
  }

  #stored(part: Part, documents: number): void {
    const { pending, replacement } = part
    if (replacement === undefined) this.counts.documents += documents
    if (pending.closed) return
    if (replacement !== undefined) {
      this.counts.rejected++
      this.#rejectLog.rejected(pending.batch, part.start, replacement)
    }
    pending.remaining -= documents
    if (pending.remaining === 0) pending.stored()
  }

  /** Keeps a record that will never be taken as it is findable, in the rejected index. */
  #reject(part: Part, i: number, rejection: Rejection, kind?: string): void {
    if (part.pending.closed) return
    // Refused as a reject too, it is kept without its value.
    const valueOmitted = part.replacement !== undefined
    this.#queue.push(
      this.#asReject(part, i, rejection, { valueOmitted, ...(kind === undefined ? {} : { kind }) }),
    )
  }

  /** What is kept of a refused record, as a part in its place. */
  #asReject(
    { pending }: Part,
    i: number,
    rejection: Rejection,
    how: Pick<Replacement, 'valueOmitted' | 'insteadOf'> & { readonly kind?: string },
  ): Part {
    const { batch } = pending
    const index = this.#names.rejected(batch.hours[i]!)
    const valueOmitted = how.valueOmitted || !fitsReject(batch, i)
    const source = rejectedDocument(batch, i, rejection, !valueOmitted)
    const replacement = { index, source, rejection, kind: rejection.type, ...how, valueOmitted }
    return { pending, start: i, end: i + 1, replacement }
  }

  #words(error: ItemError | undefined): string {
    if (error === undefined) return 'no reason given'
    return this.#options.logSamples
      ? `${error.type}: ${reasonOf(error, longestReason)}`
      : sayableOf(error, longestReason)
  }
}

function count(
  probes: Map<string, { documents: number; refused: number }>,
  index: string,
  refused: boolean,
): void {
  const tally = probes.get(index) ?? { documents: 0, refused: 0 }
  probes.set(index, tally)
  tally.documents++
  if (refused) tally.refused++
}

/** The index without its day: what was not mended for one day is not waited for on the next. */
function givenWayKey(index: string, kind: string): string {
  return `${index.slice(0, index.lastIndexOf('-'))} ${kind}`
}

/**
 * A number, a text, a list: where `value` is mapped as an object, it is refused for what it is, and
 * says nothing of the template.
 */
function isWithoutFields(batch: RecordBatch, i: number): boolean {
  const value = valueOfLine(batch.lines.subarray(lineStart(batch, i), batch.ends[i]!))
  return value !== undefined && value.find((byte) => byte > space) !== openBrace
}

function withoutProbe({ probe: _, ...part }: Part): Part {
  return part
}

function kindOfRejection(item: BulkItem): string {
  return item.error === undefined ? rejectionOf(item, longestReason).type : kindOf(item.error)
}
