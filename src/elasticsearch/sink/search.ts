import { recordsOf, splitParts } from '../../delivery/part-queue.ts'
import type { Logger } from '../../runtime/log.ts'
import { sleep } from '../../runtime/retry.ts'
import { NoAnswerInTime, type RequestFailure } from '../client/failure.ts'
import type { IndexNames } from '../index-name.ts'
import type { BulkRequest } from './bulk.ts'
import { bytesOfPart, indexOf, type Part, rejectIn, trialOf } from './part.ts'
import { type AloneCase, type GroupCase, isGroup, type SuspectFacts, Suspects } from './suspects.ts'

/** Documents that go in one request. */
interface Group {
  readonly parts: readonly Part[]
  readonly documents: number
}

/** What is known of a document that does not get through. */
interface DocumentFacts extends SuspectFacts {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly bytes: number
  readonly type: string
  readonly index: string
  /** What its request ended with. */
  failure: string
}

/** What the search needs of the sink. */
export interface SearchHost {
  /** A request of these documents and no others; undefined if nobody waits for them any more. */
  take(group: Group): BulkRequest | undefined
  /**
   * Sends a request once and settles what was answered.
   * @returns the failure of a request that has no answer to judge
   */
  attempt(request: BulkRequest): Promise<RequestFailure | undefined>
  /** Deals with a failed request as outside of a search. */
  failed(request: BulkRequest, failure: RequestFailure): Promise<void>
  /** Whether a request that is known to be good passes now. */
  controlPasses(): Promise<boolean>
  /** Nothing passes: all requests wait. */
  away(message: string): void
  /** How long requests have to wait, in ms; 0 if they may go. */
  waitMs(): number
  /** A request of this size failed, and all its documents passed in smaller ones. */
  passedInPieces(bytes: number): void
  /** A try is over. It may have put documents into the queue while nothing else is in flight. */
  tried(): void
}

/**
 * A failure that took this long may be that of a shard that does not answer, and not of the
 * document.
 */
const slowMs = 5000
/** How many documents are named if there is room for a few. */
const maxNamed = 3

/**
 * Looks for documents that do not get through to Elasticsearch while others do, one request at a
 * time beside the others, and logs what becomes of them. `Suspects` judges.
 */
export class DocumentSearch {
  readonly #host: SearchHost
  readonly #names: IndexNames
  readonly #sink: string
  readonly #log: Logger
  readonly #stopping: AbortSignal
  readonly #suspects: Suspects<Group, DocumentFacts>
  /** When a document of an index was stored last, for indices of documents that are alone. */
  readonly #storedAt = new Map<string, number>()
  #running: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(parts: {
    readonly sink: string
    readonly host: SearchHost
    readonly names: IndexNames
    readonly holdMs: number
    readonly log: Logger
    readonly stopping: AbortSignal
  }) {
    this.#sink = parts.sink
    this.#host = parts.host
    this.#names = parts.names
    this.#log = parts.log
    this.#stopping = parts.stopping
    this.#suspects = new Suspects({ split: halvesOf, holdMs: parts.holdMs })
  }

  get isIdle(): boolean {
    return this.#suspects.isIdle
  }

  /** The documents that do not get through, for people; undefined if there is none. */
  get waiting(): string | undefined {
    const { alone } = this.#suspects
    if (alone.length === 0) return undefined
    const named = alone
      .slice(0, maxNamed)
      .map(({ facts, rejectRefused }) => describe(facts, rejectRefused))
    const more = alone.length > maxNamed ? `; and ${alone.length - maxNamed} more` : ''
    return `${named.join('; ')}${more}; other documents get through`
  }

  /**
   * The request of these documents failed without an answer of Elasticsearch, while another passed.
   */
  add(parts: readonly Part[], bytes: number): void {
    const documents = recordsOf(parts)
    if (documents === 0) return
    this.#suspects.add({ parts, documents }, bytes)
    this.#goOn()
  }

  /** A document of this index was stored. */
  stored(index: string): void {
    this.#storedAt.set(index, performance.now())
  }

  /** Forgets the documents of partitions that were given up. */
  dropClosed(): void {
    this.#suspects.filter(({ parts }) => parts.some(({ pending }) => !pending.closed))
  }

  /**
   * Settles when no request of the search is in flight. To be called once `stopping` is aborted.
   */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#running
  }

  #goOn(): void {
    if (this.#stopping.aborted) return
    clearTimeout(this.#timer)
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      this.#goOnWhenDue()
    })
  }

  #goOnWhenDue(): void {
    const { nextAt } = this.#suspects
    if (this.#stopping.aborted || nextAt === undefined) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#goOn(), Math.max(1, nextAt - performance.now()))
  }

  async #run(): Promise<void> {
    while (!this.#stopping.aborted) {
      const waitMs = this.#host.waitMs()
      if (waitMs > 0) {
        await sleep(waitMs, this.#stopping)
        continue
      }
      const one = this.#suspects.next(performance.now())
      if (one === undefined) return
      if (isGroup(one)) await this.#tryGroup(one)
      else await this.#tryAlone(one)
      this.#host.tried()
    }
  }

  async #tryGroup({ item, root }: GroupCase<Group>): Promise<void> {
    const request = this.#host.take(item)
    const failure = request === undefined ? undefined : await this.#host.attempt(request)
    if (request === undefined || failure === undefined) {
      const bytes = this.#suspects.groupPassed({ item, root })
      if (bytes !== undefined) this.#host.passedInPieces(bytes)
      return
    }
    const sent: GroupCase<Group> = {
      item: { parts: request.parts, documents: request.documents },
      root,
    }
    if (!isUnexplained(failure)) {
      this.#suspects.groupPassed(sent)
      await this.#host.failed(request, failure)
      return
    }
    if (!(await this.#host.controlPasses())) {
      this.#suspects.groupAway(sent)
      this.#host.away(failure.message)
      return
    }
    const now = performance.now()
    const found = this.#suspects.groupRefused(sent, now, () =>
      this.#factsOf(sent.item.parts[0]!, failure),
    )
    if (found === undefined) return
    this.#log.error(
      { event: 'document_stuck', ...this.#fieldsOf(found.facts) },
      'a document does not get through while others do',
    )
  }

  async #tryAlone(one: AloneCase<Group, DocumentFacts>): Promise<void> {
    const { asReject, item, facts } = one
    if (!(await this.#host.controlPasses())) return this.#away(one, facts.failure)
    const startedAt = performance.now()
    const group = asReject ? { parts: [this.#trialOf(one)], documents: 1 } : item
    const request = this.#host.take(group)
    const failure = request === undefined ? undefined : await this.#host.attempt(request)
    if (request === undefined || failure === undefined) {
      this.#suspects.passed(one)
      if (request !== undefined && !asReject)
        this.#log.info(
          { event: 'document_passed', ...this.#fieldsOf(facts) },
          'a document gets through now',
        )
      return
    }
    if (this.#stopping.aborted) return
    if (!isUnexplained(failure)) {
      this.#suspects.passed(one)
      await this.#host.failed(request, failure)
      return
    }
    if (!(await this.#host.controlPasses())) return this.#away(one, failure.message)
    facts.failure = failure.message
    const now = performance.now()
    const isSlow = failure instanceof NoAnswerInTime || now - startedAt >= slowMs
    const isEvidence =
      !isSlow || (this.#storedAt.get(facts.index) ?? Number.NEGATIVE_INFINITY) > one.triedAt
    one.triedAt = startedAt
    const wasRefused = one.rejectRefused
    this.#suspects.refused(one, now, isEvidence)
    if (one.rejectRefused && !wasRefused) {
      this.#log.error(
        { event: 'reject_stuck', ...this.#fieldsOf(facts) },
        'the reject of a document does not get through either',
      )
    }
  }

  #away(one: AloneCase<Group, DocumentFacts>, message: string): void {
    this.#suspects.away(one, performance.now())
    if (!this.#stopping.aborted) this.#host.away(message)
  }

  #trialOf({ item, facts }: AloneCase<Group, DocumentFacts>): Part {
    const [part] = item.parts as readonly [Part]
    const reason = `something in front of Elasticsearch does not let the document through: ${facts.failure}`
    const rejection = rejectIn(part)?.rejection ?? { type: 'request_refused', reason }
    return trialOf(this.#names, part, rejection, { valueOmitted: true })
  }

  #fieldsOf({ kind: _, failure, ...facts }: DocumentFacts) {
    return { sink: this.#sink, ...facts, reason: failure }
  }

  #factsOf(part: Part, failure: RequestFailure): DocumentFacts {
    const { start: i, pending } = part
    const { batch } = pending
    const type = batch.types[batch.typeIndexes[i]!]!.name
    return {
      topic: batch.topic,
      partition: batch.partition,
      offset: batch.offsets[i]!,
      bytes: bytesOfPart(part),
      type,
      index: indexOf(this.#names, part, i),
      failure: failure.message,
      kind: `${type} ${failure.status ?? 'no answer'}`,
    }
  }
}

/**
 * True for a failure that says nothing of its cause: no answer at all, or one that is not
 * Elasticsearch's. A proxy or a firewall may have refused one document of the request. An answer
 * about who asks (401, 407), how often (429) or the size (413) does say its cause.
 */
export function isUnexplained({ status, type }: RequestFailure): boolean {
  return type === undefined && status !== 401 && status !== 407 && status !== 413 && status !== 429
}

function describe(
  { topic, partition, offset, bytes, type, index, failure }: DocumentFacts,
  rejectRefused: boolean,
) {
  const reject = rejectRefused ? ', nor does its reject' : ''
  return `offset ${offset} of ${topic}/${partition} (${bytes} bytes, type ${type}, for ${index}) does not get through${reject}: ${failure}`
}

function halvesOf({ parts, documents }: Group): readonly [Group, Group] | undefined {
  if (documents < 2) return undefined
  const left = documents >> 1
  const [first, second] = splitParts(parts, left)
  return [
    { parts: first, documents: left },
    { parts: second, documents: documents - left },
  ]
}
