import type { RecordType } from '../record/record.ts'
import { hourOf } from '../record/time.ts'
import { isSameType, nameOfType } from '../record/type-name.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { Backoff, sleep } from '../runtime/retry.ts'
import {
  anything,
  count,
  list,
  nullable,
  number,
  object,
  optional,
  type Shape,
  text,
} from '../runtime/shape.ts'
import type { Elasticsearch } from './client/client.ts'
import { AnswerTooLarge, RequestFailure } from './client/failure.ts'
import { IndexNames } from './index-name.ts'
import { lineOfRejected, type RejectedSource, typeOfRejected } from './rejected.ts'
import { type BulkItem, judgeItem, judgeRequest, kindOf, rejectionOf } from './sink/answer.ts'
import { documentId } from './sink/part.ts'
import { numberTemplatesOfLine } from './templates/number-templates.ts'

/** Which rejects are meant. */
export interface RejectSelection {
  /** All if undefined. */
  readonly types?: readonly RecordType[] | undefined
  /** An `error.type`, or words of the reason. */
  readonly reason?: string | undefined
}

/** What became of the rejects of one type that were refused for one thing. */
export interface RetryTally {
  readonly type: string
  readonly reason: string
  rejects: number
  /** They are in their index now, and no longer among the rejects. */
  stored: number
  /** They were there already: only the reject was removed. */
  present: number
  /** They are rejects as before; some perhaps in their index as well (`why` says so). */
  stay: number
  /** Why, of the last one that stays. */
  why?: string
}

interface Hit {
  readonly _index: string
  readonly _id: string
  readonly _source: RejectedSource
  readonly sort: readonly unknown[]
}

interface SearchAnswer {
  readonly hits: { readonly total?: { readonly value: number }; readonly hits: readonly Hit[] }
}

const headerShape = object({
  key: text,
  value: optional(nullable(text)),
  value_base64: optional(text),
})
const pageShape = object({
  hits: object({
    total: optional(object({ value: count })),
    hits: list(
      object({
        _index: text,
        _id: text,
        sort: list(anything),
        _source: object({
          type: optional(text),
          kafka: object({
            topic: text,
            partition: count,
            offset: count,
            timestamp: number,
            key: optional(text),
            key_base64: optional(text),
            headers: optional(list(headerShape)),
          }),
          value_text: optional(text),
          value_base64: optional(text),
          error: object({ type: text, reason: text }),
        }),
      }),
    ),
  }),
})
const storedShape = object({
  docs: list(
    object({
      _source: optional(object({ kafka: optional(object({ timestamp: optional(number) })) })),
    }),
  ),
})

/** How a record came to be in its index. */
type Outcome = 'stored' | 'present'

/** A reject with the document that it becomes. */
interface Candidate {
  readonly hit: Hit
  readonly tally: RetryTally
  readonly index: string
  readonly id: string
  readonly line: Buffer
}

/** A reject may hold 8 MiB of text. */
const pageSize = 50
const mostTries = 8
/** Reasons quote values: of each so many characters are shown. */
const longestReason = 300
const requestTimeoutMs = 20_000

/** Sends rejects again, once what refused them is mended, and removes those that went through. */
export class RejectRetry {
  readonly #client: Elasticsearch
  readonly #names: IndexNames
  readonly #signal: AbortSignal
  readonly #bulkBytes: number
  readonly #tallies = new Map<string, RetryTally>()

  constructor(
    client: Elasticsearch,
    options: { indexPrefix: string; bulkBytes: number; signal: AbortSignal },
  ) {
    this.#client = client
    this.#names = new IndexNames(options.indexPrefix)
    this.#bulkBytes = options.bulkBytes
    this.#signal = options.signal
  }

  get tallies(): readonly RetryTally[] {
    return [...this.#tallies.values()].sort((a, b) =>
      a.type === b.type ? b.rejects - a.rejects : a.type < b.type ? -1 : 1,
    )
  }

  /**
   * Goes through the rejects in the order of Kafka. Whatever stops it, the next run goes on where
   * it stood.
   *
   * @throws ArchiverError `UNREACHABLE` where Elasticsearch does not answer for long, or refuses
   *   us.
   */
  async run(
    selection: RejectSelection,
    options: { dryRun: boolean; onProgress?: (seen: number, total: number) => void },
  ): Promise<void> {
    const everywhere = { ignore_unavailable: 'true', allow_no_indices: 'true' }
    await this.#ask('POST', [this.#names.rejectedPattern, '_refresh'], undefined, everywhere)
    let after: readonly unknown[] | undefined
    let total: number | undefined
    let seen = 0
    let size = pageSize
    for (;;) {
      this.#signal.throwIfAborted()
      const page = await this.#ask<SearchAnswer>(
        'POST',
        [this.#names.rejectedPattern, '_search'],
        {
          size,
          query: queryFor(selection),
          sort: [
            { 'kafka.topic': 'asc' },
            { 'kafka.partition': 'asc' },
            { 'kafka.offset': 'asc' },
            { _index: 'asc' },
          ],
          track_total_hits: after === undefined,
          ...(options.dryRun ? { _source: { excludes: ['value_text'] } } : {}),
          ...(after === undefined ? {} : { search_after: after }),
        },
        { ...everywhere, allow_partial_search_results: 'false' },
        pageShape,
      ).catch((error: unknown) => {
        if (!(error instanceof AnswerTooLarge) || size === 1) throw error
        return undefined
      })
      if (page === undefined) {
        size = Math.ceil(size / 4)
        continue
      }
      total ??= page.hits.total?.value ?? 0
      const { hits } = page.hits
      if (hits.length === 0) return
      const chosen = hits.filter(
        ({ _source }) =>
          selection.types?.some((type) => isSameType(type, typeOfRejected(_source))) ?? true,
      )
      const candidates = chosen.flatMap((hit) => this.#candidate(hit, options.dryRun))
      for (const body of chunks(candidates, this.#bulkBytes)) await this.#retry(body)
      seen += hits.length
      options.onProgress?.(seen, total)
      after = hits[hits.length - 1]!.sort
    }
  }

  #candidate(hit: Hit, dryRun: boolean): Candidate[] {
    const { _source: source } = hit
    const type = typeOfRejected(source)
    const tally = this.#tally(nameOfType(type), source)
    tally.rejects++
    if (dryRun) return []
    const line = lineOfRejected(source)
    const { offset, timestamp } = source.kafka
    const index = this.#names.of(type, hourOf(timestamp))
    const id = documentId(source.kafka, offset)
    if (line !== undefined) return [{ hit, tally, index, id, line }]
    tally.stay++
    tally.why = 'the reject does not hold the whole value; "archiver restore" has it in the files'
    return []
  }

  #tally(type: string, { error }: RejectedSource): RetryTally {
    const reason = kindOf(error)
    const key = JSON.stringify([type, reason])
    const tally = this.#tallies.get(key) ?? {
      type,
      reason,
      rejects: 0,
      stored: 0,
      present: 0,
      stay: 0,
    }
    this.#tallies.set(key, tally)
    return tally
  }

  /**
   * Creates the documents, removes the rejects of those that are there. `naming`: with the dynamic
   * templates that numbers need.
   */
  async #retry(candidates: readonly Candidate[], naming = true): Promise<void> {
    const stored: Candidate[] = []
    const conflicts: Candidate[] = []
    const withoutTemplates: Candidate[] = []
    const items = await this.#bulk(
      candidates.map((candidate) => [createAction(candidate, naming), candidate.line]),
    )
    candidates.forEach((candidate, i) => {
      const item = items === undefined ? { status: 201 } : items[i]!
      switch (judgeItem(item)) {
        case 'template':
          withoutTemplates.push(candidate)
          break
        case 'stored':
          stored.push(candidate)
          break
        case 'exists':
          conflicts.push(candidate)
          break
        default:
          stays(candidate, rejectionOf(item, longestReason).reason)
      }
    })
    if (stored.length > 0) await this.#removeRejects(stored, 'stored')
    const present = conflicts.length === 0 ? [] : await this.#presentOf(conflicts)
    if (present.length > 0) await this.#removeRejects(present, 'present')
    if (withoutTemplates.length > 0) await this.#retry(withoutTemplates, false)
  }

  async #removeRejects(candidates: readonly Candidate[], outcome: Outcome): Promise<void> {
    const items = await this.#bulk(
      candidates.map(
        ({ hit }) => [JSON.stringify({ delete: { _index: hit._index, _id: hit._id } })] as const,
      ),
    )
    candidates.forEach((candidate, i) => {
      const item = items?.[i]
      // Another run may have removed it.
      if (item === undefined || item.status < 300 || item.status === 404) candidate.tally[outcome]++
      else
        stays(
          candidate,
          `it is in its index, but the reject could not be removed: ${rejectionOf(item, longestReason).reason}`,
        )
    })
  }

  /** Of documents that were there already, those that are the same record. */
  async #presentOf(conflicts: readonly Candidate[]): Promise<Candidate[]> {
    interface Docs {
      readonly docs: readonly {
        readonly _source?: { readonly kafka?: { readonly timestamp?: number } }
      }[]
    }
    const wanted = conflicts.map(({ index, id }) => ({
      _index: index,
      _id: id,
      _source: ['kafka.timestamp'],
    }))
    const { docs } = await this.#ask<Docs>('POST', ['_mget'], { docs: wanted }, {}, storedShape)
    return conflicts.filter((candidate, i) => {
      const found = docs[i]?._source?.kafka?.timestamp
      if (found === candidate.hit._source.kafka.timestamp) return true
      stays(candidate, `its index holds another record under its id, of Kafka timestamp ${found}`)
      return false
    })
  }

  async #bulk(
    operations: readonly (readonly (string | Buffer)[])[],
  ): Promise<readonly BulkItem[] | undefined> {
    const body = Buffer.concat(
      operations.flatMap(([action, line]) => [
        Buffer.from(`${String(action)}\n`),
        ...(line === undefined ? [] : [line as Buffer]),
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

  async #ask<T>(
    method: string,
    path: readonly string[],
    body: unknown,
    query: Readonly<Record<string, string>>,
    shape: Shape = anything,
  ): Promise<T> {
    return this.#patiently(async () => {
      const content = body === undefined ? {} : { body }
      const answer = await this.#client.request<T>(method, path, { ...content, query, shape })
      return answer.body
    })
  }

  async #patiently<T>(ask: () => Promise<T>): Promise<T> {
    const backoff = new Backoff({ firstMs: 500, mostMs: 10_000 })
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        this.#signal.throwIfAborted()
        if (!(error instanceof RequestFailure) || error instanceof AnswerTooLarge) throw error
        if (judgeRequest(error.status, error.type) !== 'again' || backoff.failures >= mostTries) {
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

function createAction({ index, id, line }: Candidate, naming: boolean): string {
  const place = JSON.stringify({ create: { _index: index, _id: id } })
  const templates = naming ? numberTemplatesOfLine(line) : undefined
  return templates === undefined
    ? place
    : `${place.slice(0, -2)},"dynamic_templates":${templates}}}`
}

function stays({ tally }: Candidate, why: string): void {
  tally.stay++
  tally.why = why
}

function queryFor({ types, reason }: RejectSelection): unknown {
  const named = {
    terms: { type: (types ?? []).filter((type) => !type.reserved).map(({ name }) => name) },
  }
  // What has no type of its own is told apart by its document, not by a query.
  const untyped = { bool: { must_not: { exists: { field: 'type' } } } }
  const mayBeUntyped = types?.some((type) => type.reserved) ?? false
  const ofType =
    types === undefined ? [] : [{ bool: { should: mayBeUntyped ? [named, untyped] : [named] } }]
  const ofReason =
    reason === undefined
      ? []
      : [
          {
            bool: {
              should: [
                { term: { 'error.type': reason } },
                { match_phrase: { 'error.reason': reason } },
              ],
            },
          },
        ]
  return { bool: { filter: [...ofType, ...ofReason] } }
}

/** Requests of at most so many bytes, except where one document is larger. */
function* chunks(
  candidates: readonly Candidate[],
  mostBytes: number,
): Iterable<readonly Candidate[]> {
  let chunk: Candidate[] = []
  let bytes = 0
  for (const candidate of candidates) {
    if (chunk.length > 0 && bytes + candidate.line.length > mostBytes) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push(candidate)
    bytes += candidate.line.length
  }
  if (chunk.length > 0) yield chunk
}
