import PQueue from 'p-queue'
import type { Logger } from '../log.ts'
import { lineStart, partitionKey, type RecordBatch, type TopicPartition } from '../record.ts'
import { Backoff, sleep } from '../retry.ts'
import type { Sink, SinkPosition } from '../sink.ts'
import { type BulkItem, type ItemError, judgeItem, judgeRequest, reasonOf } from './answer.ts'
import { BulkQueue, type BulkRequest, documentId, indexOf, type Part, type PendingBatch } from './bulk.ts'
import { type Elasticsearch, RequestFailure } from './client.ts'
import { AdaptiveConcurrency } from './concurrency.ts'
import { IndexNames } from './index-name.ts'
import { type Rejection, rejectedDocument } from './rejected.ts'
import { installTemplates } from './templates.ts'

export interface ElasticsearchSinkOptions {
  readonly indexPrefix: string
  /** Bytes of one bulk request. */
  readonly bulkBytes: number
  /** Most bulk requests in flight. */
  readonly bulkConcurrency: number
  /** How long a document may wait for others to fill a request, in ms. */
  readonly bulkLingerMs: number
  /** Bytes of records in memory at which partitions are paused. */
  readonly memoryLimit: number
  readonly installTemplates: boolean
}

/** Counts since the start, for status lines and metrics. */
export interface ElasticsearchCounts {
  documents: number
  requests: number
  retries: number
  conflicts: number
  rejected: number
}

/** Documents of one index that waits for somebody to mend it. */
interface HeldIndex {
  readonly parts: Part[]
  readonly reason: string
  readonly backoff: Backoff
  probing: boolean
}

interface MgetAnswer {
  readonly docs: readonly {
    readonly found?: boolean
    readonly error?: ItemError
    readonly _source?: { readonly kafka?: { readonly timestamp?: number } }
  }[]
}

const firstRetryMs = 500
const mostRetryMs = 30_000
/** A held index is asked again with few documents, so that an index that stays closed costs nothing. */
const probeDocuments = 50
const mgetDocuments = 1000
const bulkQuery = { filter_path: 'errors,items.*.error,items.*.status,items.*.failure_store' }

/**
 * Sends records to Elasticsearch, each under the `_id` that its position gives it, with operation `create`: whatever is sent twice
 * is there once.
 *
 * Every document ends in one of two places: under its `_id` in the index of its type and day, or, refused for its own content, under the
 * same `_id` in the rejected index. Everything else is waited for: see `answer.ts`.
 */
export class ElasticsearchSink implements Sink {
  readonly name = 'elasticsearch'
  readonly counts: ElasticsearchCounts = { documents: 0, requests: 0, retries: 0, conflicts: 0, rejected: 0 }
  readonly #options: ElasticsearchSinkOptions
  readonly #client: Elasticsearch
  readonly #log: Logger
  readonly #names: IndexNames
  readonly #queue: BulkQueue
  readonly #sending: PQueue
  readonly #concurrency: AdaptiveConcurrency
  readonly #pending = new Map<string, Set<PendingBatch>>()
  readonly #heldByPartition = new Map<string, number>()
  readonly #heldIndices = new Map<string, HeldIndex>()
  readonly #warned = new Set<string>()
  readonly #stopping = new AbortController()
  readonly #backoff = new Backoff({ firstMs: firstRetryMs, mostMs: mostRetryMs })
  #relieved: () => void = () => {}
  #heldBytes = 0
  #openPartitions = 0
  #lingerTimer: NodeJS.Timeout | undefined
  /** Someone waits for all that is queued: nothing lingers. */
  #flushing = 0
  /** No request begins before this moment (ms of `performance.now`): the last one failed. */
  #resumeAt = 0
  #requestTrouble: string | undefined

  constructor(client: Elasticsearch, options: ElasticsearchSinkOptions, log: Logger) {
    this.#client = client
    this.#options = options
    this.#log = log
    this.#names = new IndexNames(options.indexPrefix)
    this.#queue = new BulkQueue(this.#names, options.bulkBytes)
    this.#concurrency = new AdaptiveConcurrency({ first: 2, most: options.bulkConcurrency })
    this.#sending = new PQueue({ concurrency: this.#concurrency.limit })
  }

  get waiting(): string | undefined {
    if (this.#requestTrouble !== undefined) return this.#requestTrouble
    for (const [index, { reason }] of this.#heldIndices) return `${index} takes no documents: ${reason}`
    return undefined
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  async start(relieved: () => void): Promise<void> {
    this.#relieved = relieved
    await this.#client.detect()
    if (this.#options.installTemplates) await installTemplates(this.#client, this.#options.indexPrefix, this.#log)
  }

  async open(tp: TopicPartition): Promise<SinkPosition> {
    await this.close(tp)
    this.#openPartitions++
    this.#pending.set(partitionKey(tp), new Set())
    return { next: undefined, origin: undefined, committed: undefined }
  }

  write(batch: RecordBatch): Promise<void> {
    if (batch.count === 0) return Promise.resolve()
    const key = partitionKey(batch)
    const ofPartition = this.#pending.get(key)
    // A partition that was given up: nobody waits for its records any more.
    if (ofPartition === undefined) return new Promise(() => {})
    return new Promise<void>((resolve) => {
      let settle: () => void = () => {}
      const done = new Promise<void>((settled) => {
        settle = settled
      })
      const pending: PendingBatch = {
        batch,
        remaining: batch.count,
        closed: false,
        done,
        stored: () => {
          ofPartition.delete(pending)
          this.#changeHeld(key, -batch.lines.length)
          settle()
          if (!pending.closed) resolve()
        },
      }
      ofPartition.add(pending)
      this.#changeHeld(key, batch.lines.length)
      this.#queue.push({ pending, start: 0, end: batch.count })
      this.#pump()
    })
  }

  async flush(tps: readonly TopicPartition[]): Promise<void> {
    const waited = tps.flatMap((tp) => [...(this.#pending.get(partitionKey(tp)) ?? [])])
    if (waited.length === 0) return
    this.#flushing++
    try {
      this.#pump()
      await Promise.all(waited.map(({ done }) => done))
    } finally {
      this.#flushing--
    }
  }

  async close(tp: TopicPartition): Promise<void> {
    const key = partitionKey(tp)
    const ofPartition = this.#pending.get(key)
    if (ofPartition === undefined) return
    this.#pending.delete(key)
    this.#openPartitions--
    for (const pending of ofPartition) {
      pending.closed = true
      pending.stored()
    }
    this.#heldByPartition.delete(key)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#lingerTimer)
    this.#sending.clear()
    await this.#sending.onIdle()
    await this.#client.close()
  }

  /** Partitions share the limit, so that one whose index is held does not keep the others from going on. */
  pressure(tp: TopicPartition): number {
    const held = this.#heldByPartition.get(partitionKey(tp)) ?? 0
    const sharers = Math.max(Math.min(4, this.#openPartitions), this.#heldByPartition.size, 1)
    return held / (this.#options.memoryLimit / sharers)
  }

  #changeHeld(key: string, delta: number): void {
    this.#heldBytes += delta
    const held = (this.#heldByPartition.get(key) ?? 0) + delta
    if (held > 0) this.#heldByPartition.set(key, held)
    else this.#heldByPartition.delete(key)
    if (delta < 0) this.#relieved()
  }

  /** Makes requests of what waits, as many as may be in flight. */
  #pump(): void {
    while (!this.#stopping.signal.aborted && this.#sending.pending + this.#sending.size < this.#concurrency.limit) {
      if (this.#queue.isEmpty) return
      if (this.#queue.bytes < this.#options.bulkBytes && this.#flushing === 0 && !this.#lingered()) return
      const isHeld = this.#heldIndices.size === 0 ? undefined : (index: string) => this.#heldIndices.has(index)
      const request = this.#queue.take(isHeld, (index, part) => this.#hold(index, part))
      if (request === undefined) continue
      void this.#sending.add(() => this.#send(request)).then(() => this.#pump())
    }
  }

  /** True once what waits has waited long enough; until then a timer is set. */
  #lingered(): boolean {
    if (this.#lingerTimer === undefined) {
      this.#lingerTimer = setTimeout(() => {
        this.#flushing++
        this.#pump()
        this.#flushing--
        this.#lingerTimer = undefined
      }, this.#options.bulkLingerMs)
    }
    return false
  }

  /** Sends a request until it is answered, then sees to each of its documents. */
  async #send(request: BulkRequest): Promise<void> {
    for (;;) {
      const delay = this.#resumeAt - performance.now()
      if (delay > 0 && !(await sleep(delay, this.#stopping.signal))) return
      try {
        const { body } = await this.#client.request<{ errors?: boolean; items?: readonly Record<string, BulkItem>[] }>(
          'POST',
          '/_bulk',
          { bulkBody: request.body, query: bulkQuery, signal: this.#stopping.signal },
        )
        this.counts.requests++
        if (body.errors === undefined || (body.errors && body.items?.length !== request.documents)) {
          throw new RequestFailure('the answer is not that of a bulk request', undefined, undefined, undefined)
        }
        this.#recovered()
        this.#concurrency.succeeded(request.body.length, !this.#queue.isEmpty, performance.now())
        this.#sending.concurrency = this.#concurrency.limit
        if (body.errors) await this.#seeToItems(request, body.items!)
        else this.#allStored(request)
        return
      } catch (error) {
        if (this.#stopping.signal.aborted) return
        if (!(error instanceof RequestFailure)) throw error
        if (judgeRequest(error.status) === 'halve') {
          this.#halve(request, error)
          return
        }
        this.#failed(error.message, judgeRequest(error.status) === 'refused')
      }
    }
  }

  #recovered(): void {
    if (this.#requestTrouble !== undefined) this.#log.info('Elasticsearch takes documents again')
    this.#requestTrouble = undefined
    this.#backoff.reset()
    this.#resumeAt = 0
  }

  /** A request failed as a whole: all requests wait, fewer come back. */
  #failed(message: string, refused: boolean): void {
    this.counts.retries++
    this.#concurrency.overloaded()
    this.#sending.concurrency = this.#concurrency.limit
    const now = performance.now()
    // Others that were in flight failed for the same reason; one of them counts.
    if (now < this.#resumeAt) return
    const delay = this.#backoff.next()
    this.#resumeAt = now + delay
    if (this.#requestTrouble === undefined || refused) {
      this.#log[refused ? 'error' : 'warn'](
        { retry_ms: delay },
        `Elasticsearch does not take documents: ${message}; nothing is lost, trying again until it does`,
      )
    }
    this.#requestTrouble = message
  }

  /** A body was too large for the server (413): two halves; a single document becomes a reject. */
  #halve(request: BulkRequest, error: RequestFailure): void {
    this.counts.retries++
    if (request.documents > 1) {
      const [left, right] = splitParts(request.parts, request.documents >> 1)
      this.#queue.pushFirst([...left, ...right.map((part) => ({ ...part }))])
      this.#sendNow(request.documents >> 1)
      return
    }
    const [part] = request.parts
    this.#reject(part!, part!.start, { type: 'request_too_large', reason: error.message })
  }

  #sendNow(limit: number): void {
    const request = this.#queue.take(undefined, () => {}, limit)
    if (request !== undefined) void this.#sending.add(() => this.#send(request)).then(() => this.#pump())
  }

  async #seeToItems(request: BulkRequest, items: readonly Record<string, BulkItem>[]): Promise<void> {
    const conflicts: Part[] = []
    const again: Part[] = []
    let position = 0
    for (const part of request.parts) {
      for (let i = part.start; i < part.end; i++) {
        const item = Object.values(items[position++]!)[0]!
        const one: Part = { ...part, start: i, end: i + 1 }
        switch (judgeItem(item)) {
          case 'stored':
            this.#stored(part, 1)
            break
          case 'exists':
            // In the rejected index nothing but this record has this id.
            if (part.replacement === undefined) conflicts.push(one)
            else this.#stored(part, 1)
            break
          case 'request':
            again.push(withoutProbe(one))
            break
          case 'index':
            this.#hold(indexOf(this.#names, part, i), one, item.error)
            break
          case 'document':
            this.#reject(one, i, rejectionOf(item))
            break
        }
      }
      if (part.probe === true) this.#release(indexOf(this.#names, part, part.start))
    }
    if (again.length > 0) {
      this.#queue.pushFirst(again)
      this.#failed(`${again.length} documents of a request were put off`, false)
    }
    for (let start = 0; start < conflicts.length; start += mgetDocuments) {
      await this.#seeToConflicts(conflicts.slice(start, start + mgetDocuments))
    }
  }

  /** A 409 is an acknowledgement once the stored record is the same one; a different one is a collision. */
  async #seeToConflicts(parts: readonly Part[]): Promise<void> {
    this.counts.conflicts += parts.length
    const docs = parts.map((part) => ({
      _index: indexOf(this.#names, part, part.start),
      _id: documentId(part.pending.batch, part.pending.batch.offsets[part.start]!),
      _source: ['kafka.timestamp'],
    }))
    let answer: MgetAnswer
    try {
      const { body } = await this.#client.request<MgetAnswer>('POST', '/_mget', {
        body: { docs },
        signal: this.#stopping.signal,
      })
      answer = body
    } catch (error) {
      if (!(error instanceof RequestFailure)) throw error
      if (this.#stopping.signal.aborted) return
      // Sent again, they conflict again, and are looked at again.
      this.#queue.pushFirst(parts)
      this.#failed(error.message, false)
      return
    }
    parts.forEach((part, i) => {
      const stored = answer.docs[i]
      const timestamp = part.pending.batch.timestamps[part.start]!
      const found = stored?.found === true ? stored._source?.kafka?.timestamp : undefined
      if (found === timestamp) this.#stored(part, 1)
      else if (stored?.found === true) {
        this.#reject(part, part.start, {
          type: 'id_collision',
          reason: `the index holds another record under this id, of Kafka timestamp ${found}; was the topic deleted and made again?`,
        })
      } else this.#queue.pushFirst([part])
    })
  }

  #allStored({ parts }: BulkRequest): void {
    for (const part of parts) {
      this.#stored(part, part.end - part.start)
      if (part.probe === true) this.#release(indexOf(this.#names, part, part.start))
    }
  }

  #stored({ pending, replacement }: Part, documents: number): void {
    if (replacement === undefined) this.counts.documents += documents
    if (pending.closed) return
    pending.remaining -= documents
    if (pending.remaining === 0) pending.stored()
  }

  /** Keeps a record that will never be taken as it is findable, in the rejected index. */
  #reject(part: Part, i: number, rejection: Rejection): void {
    const { batch } = part.pending
    if (part.pending.closed) return
    const tooLarge = part.replacement !== undefined
    this.counts.rejected++
    const type = batch.types[batch.typeIndexes[i]!]!.name
    this.#warnOnce(`${type}: ${rejection.type}`, () => ({
      message: `Elasticsearch refused a document of type ${type}: ${rejection.reason.slice(0, 300)}; such documents are kept in ${this.#names.rejected(batch.hours[i]!)}`,
      details: {
        topic: batch.topic,
        partition: batch.partition,
        offset: batch.offsets[i]!,
        type,
        error: rejection.type,
        sample: batch.lines.toString('utf8', lineStart(batch, i), Math.min(batch.ends[i]!, lineStart(batch, i) + 300)),
      },
    }))
    const replacement = {
      index: this.#names.rejected(batch.hours[i]!),
      source: rejectedDocument(batch, i, rejection, !tooLarge),
    }
    this.#queue.push({ pending: part.pending, start: i, end: i + 1, replacement })
  }

  /** Says a thing once a kind; after that it is only counted. */
  #warnOnce(kind: string, describe: () => { message: string; details: Record<string, unknown> }): void {
    if (this.#warned.has(kind)) return
    if (this.#warned.size >= 1000) this.#warned.clear()
    this.#warned.add(kind)
    const { message, details } = describe()
    this.#log.warn(details, message)
  }

  /** Puts a document aside until its index takes documents again. */
  #hold(index: string, part: Part, error?: ItemError): void {
    let held = this.#heldIndices.get(index)
    if (held === undefined) {
      const reason = error === undefined ? 'unknown' : `${error.type}: ${reasonOf(error)}`
      held = { parts: [], reason, probing: false, backoff: new Backoff({ firstMs: firstRetryMs, mostMs: mostRetryMs }) }
      this.#heldIndices.set(index, held)
      this.#log.error(
        { index, error: error?.type },
        `${index} takes no documents: ${reason}; its records wait, the others go on`,
      )
      this.#probeLater(index, held)
    } else if (part.probe === true && held.probing) {
      held.probing = false
      this.#probeLater(index, held)
    }
    const last = held.parts.at(-1)
    const joins =
      last !== undefined &&
      last.pending === part.pending &&
      last.end === part.start &&
      last.replacement === undefined &&
      part.replacement === undefined
    if (joins) held.parts[held.parts.length - 1] = { ...last, end: part.end }
    else held.parts.push(withoutProbe(part))
  }

  #probeLater(index: string, held: HeldIndex): void {
    const delay = held.backoff.next()
    void sleep(delay, this.#stopping.signal).then((slept) => {
      if (slept) this.#probe(index, held)
    })
  }

  /** Sends a few documents of a held index to see whether it takes them. */
  #probe(index: string, held: HeldIndex): void {
    const open = held.parts.filter(({ pending }) => !pending.closed)
    held.parts.length = 0
    const first = open.shift()
    if (first === undefined) {
      this.#heldIndices.delete(index)
      return
    }
    const end = Math.min(first.end, first.start + probeDocuments)
    if (end < first.end) open.unshift({ ...first, start: end })
    held.parts.push(...open)
    held.probing = true
    this.#queue.pushFirst([{ ...first, end, probe: true }])
    this.#sendNow(end - first.start)
  }

  /** A probe came back. If none of it was held again, the index takes documents. */
  #release(index: string): void {
    const held = this.#heldIndices.get(index)
    if (held === undefined || !held.probing) return
    this.#heldIndices.delete(index)
    this.#log.info({ index }, `${index} takes documents again`)
    this.#queue.pushFirst(held.parts)
  }
}

function withoutProbe({ probe: _, ...part }: Part): Part {
  return part
}

function rejectionOf(item: BulkItem): Rejection {
  if (item.error === undefined)
    return { type: 'failure_store', reason: 'the index put the document into its failure store' }
  return { type: item.error.type, reason: reasonOf(item.error) }
}

/** The first `documents` of some parts, and the rest. */
function splitParts(parts: readonly Part[], documents: number): [Part[], Part[]] {
  const left: Part[] = []
  const right: Part[] = []
  let room = documents
  for (const part of parts) {
    const size = Math.min(room, part.end - part.start)
    room -= size
    if (size > 0) left.push({ ...part, end: part.start + size })
    if (part.start + size < part.end) right.push({ ...part, start: part.start + size })
  }
  return [left, right]
}
