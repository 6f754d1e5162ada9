import type { OffsetRange, TopicPartition } from '../../record/record.ts'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { Backoff, sleep } from '../../runtime/retry.ts'
import {
  anything,
  count,
  digits,
  list,
  nullable,
  number,
  object,
  optional,
  type Shape,
  text,
} from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { maxRawBytes, RequestFailure } from '../client/failure.ts'

/** A document as a person finds it again. */
export interface DocumentPlace {
  readonly index: string
  readonly id: string
  readonly offset: number
}

/**
 * What Elasticsearch holds of a range: how many documents, and which offsets have more than one.
 */
export interface RangeCount {
  readonly documents: number
  /** Offsets with more than one document, and how many they have. */
  readonly doubled: ReadonlyMap<number, number>
}

interface Bucket {
  readonly key: number
  readonly doc_count: number
}

interface SearchAnswer {
  readonly hits: {
    readonly total?: { readonly value: number }
    readonly hits: readonly {
      readonly _index: string
      readonly _id: string
      readonly fields?: { readonly 'kafka.offset'?: readonly number[] }
    }[]
  }
  readonly aggregations?: { readonly offsets: { readonly buckets: readonly Bucket[] } }
}

const searchShape = object({
  hits: object({
    total: optional(object({ value: count })),
    hits: list(
      object({
        _index: text,
        _id: text,
        fields: optional(object({ 'kafka.offset': optional(list(count)) })),
      }),
    ),
  }),
  aggregations: optional(
    object({ offsets: object({ buckets: list(object({ key: number, doc_count: count })) }) }),
  ),
})

const listedShape = list(
  object({
    index: text,
    'docs.count': optional(nullable(digits)),
    'pri.store.size': optional(nullable(digits)),
  }),
)

/** One document of a multi-get. */
export interface StoredDocument {
  readonly _index: string
  readonly _id: string
  readonly found?: boolean
  readonly _source?: unknown
}

/**
 * A histogram with a bucket an offset must stay below `search.max_buckets` (65,536 where nobody
 * changed it).
 */
export const mostOffsetsAtOnce = 49_152

const firstRetryMs = 200
const mostRetryMs = 2000
/** How long shards may take until they answer. */
const patienceMs = 30_000
/**
 * An index that is not there counts as empty; a shard that does not answer is a failure, never a
 * smaller count.
 */
const searchQuery = {
  ignore_unavailable: 'true',
  allow_no_indices: 'true',
  allow_partial_search_results: 'false',
}

/**
 * What the indices of a prefix hold, by topic, partition and offset. Exact: counts come from the
 * indexed offsets, never from an estimate.
 */
export class DocumentReader {
  readonly #client: Elasticsearch
  readonly #prefix: string
  /** All indices of the archive, as an expression. */
  readonly #all: string

  /** `others`: patterns of other archives whose prefix begins with this one. */
  constructor(client: Elasticsearch, prefix: string, others: readonly string[] = []) {
    this.#client = client
    this.#prefix = prefix
    this.#all = [`${prefix}*`, ...others.map((pattern) => `-${pattern}`)].join(',')
  }

  /** Makes all that was acknowledged visible to searches. */
  async refresh(): Promise<void> {
    await this.#ask('POST', [this.#all, '_refresh'], undefined, {
      ignore_unavailable: 'true',
      allow_no_indices: 'true',
    })
  }

  /**
   * Counts a range of at most `mostOffsetsAtOnce` offsets. `since`: only documents whose Kafka
   * timestamp is this or later (or that have none that means a day), in ms.
   */
  async count(
    tp: TopicPartition,
    range: OffsetRange,
    since?: number,
    indices?: string,
  ): Promise<RangeCount> {
    const { hits, aggregations } = await this.#search(
      {
        size: 0,
        track_total_hits: true,
        query: queryFor(tp, range, since),
        aggs: { offsets: { histogram: { field: 'kafka.offset', interval: 1, min_doc_count: 2 } } },
      },
      indices,
    )
    const doubled = new Map(
      (aggregations?.offsets.buckets ?? []).map(({ key, doc_count }) => [key, doc_count]),
    )
    return { documents: hits.total?.value ?? 0, doubled }
  }

  /** How many documents a range of any length holds. `indices`: instead of all of the prefix. */
  async total(
    tp: TopicPartition,
    range: Partial<OffsetRange>,
    since?: number,
    indices = this.#all,
  ): Promise<number> {
    const { hits } = await this.#search(
      { size: 0, track_total_hits: true, query: queryFor(tp, range, since) },
      indices,
    )
    return hits.total?.value ?? 0
  }

  /** How many documents of a range were refused and are kept in the rejected indices. */
  rejected(tp: TopicPartition, range: Partial<OffsetRange>, since?: number): Promise<number> {
    return this.total(tp, range, since, `${this.#prefix}_rejected-*`)
  }

  /**
   * The very offsets of a range of at most `mostOffsetsAtOnce`, and how many documents each has.
   */
  async offsets(
    tp: TopicPartition,
    range: OffsetRange,
    since?: number,
  ): Promise<Map<number, number>> {
    const { aggregations } = await this.#search({
      size: 0,
      query: queryFor(tp, range, since),
      aggs: { offsets: { histogram: { field: 'kafka.offset', interval: 1, min_doc_count: 1 } } },
    })
    return new Map(
      (aggregations?.offsets.buckets ?? []).map(({ key, doc_count }) => [key, doc_count]),
    )
  }

  /** Those of some offsets, at most `mostOffsetsAtOnce`, of which some indices have documents. */
  async held(
    tp: TopicPartition,
    offsets: readonly number[],
    indices: string,
  ): Promise<ReadonlySet<number>> {
    const { aggregations } = await this.#search(
      {
        size: 0,
        query: { bool: { filter: [queryFor(tp, {}), { terms: { 'kafka.offset': offsets } }] } },
        aggs: { offsets: { histogram: { field: 'kafka.offset', interval: 1, min_doc_count: 1 } } },
      },
      indices,
    )
    return new Set((aggregations?.offsets.buckets ?? []).map(({ key }) => key))
  }

  /** Documents of a range by offset, at most `limit`: where they lie. */
  async places(
    tp: TopicPartition,
    range: Partial<OffsetRange>,
    limit: number,
    since?: number,
  ): Promise<DocumentPlace[]> {
    const { hits } = await this.#search({
      size: limit,
      query: queryFor(tp, range, since),
      _source: false,
      fields: ['kafka.offset'],
      sort: [{ 'kafka.offset': { order: 'asc', unmapped_type: 'long' } }],
    })
    return hits.hits.map(({ _index, _id, fields }) => ({
      index: _index,
      id: _id,
      offset: fields?.['kafka.offset']?.[0] ?? -1,
    }))
  }

  /** Documents by id, in the order asked for, as the bytes of the answer: see `hitsIn`. */
  get(documents: readonly { readonly index: string; readonly id: string }[]): Promise<Buffer> {
    const docs = documents.map(({ index, id }) => ({ _index: index, _id: id }))
    return this.#patiently(() =>
      this.#client.raw('POST', ['_mget'], { docs }, { realtime: 'false' }, maxRawBytes),
    )
  }

  /**
   * Every document of the prefix, index by index in the order in which the engine keeps them.
   * `topics`: only documents of these. Sources are the bytes that were stored, good until the next
   * page.
   */
  async *scan(topics: readonly string[] | undefined): AsyncGenerator<DocumentPage> {
    const query = topics === undefined ? { match_all: {} } : { terms: { 'kafka.topic': topics } }
    const indices = await this.#ask<readonly ListedIndex[]>(
      'GET',
      ['_cat', 'indices', this.#all],
      undefined,
      {
        format: 'json',
        h: 'index,docs.count,pri.store.size',
        bytes: 'b',
        expand_wildcards: 'open',
      },
      listedShape,
    )
    for (const listed of indices)
      yield* this.#scanIndex(listed.index, query, documentsAtOnce(listed))
  }

  async *#scanIndex(
    index: string,
    query: Record<string, unknown>,
    documents: number,
  ): AsyncGenerator<DocumentPage> {
    const isRejected = index.startsWith(`${this.#prefix}_rejected-`)
    const first = { size: documents, sort: ['_doc'], query }
    const options = { ...searchQuery, scroll: scrollKeepAlive }
    let answer = await this.#patiently(() =>
      this.#client.raw('POST', [index, '_search'], first, options, maxRawBytes),
    )
    const scrollId = scrollIdIn(answer)
    try {
      for (;;) {
        const hits = [...hitsIn(answer)]
        if (hits.length === 0) return
        yield { index, isRejected, hits }
        const next = { scroll: scrollKeepAlive, scroll_id: scrollId }
        answer = await this.#guard(() =>
          this.#client.raw('POST', ['_search', 'scroll'], next, {}, maxRawBytes),
        )
      }
    } finally {
      if (scrollId !== undefined) {
        const body = { scroll_id: scrollId }
        await this.#guard(() =>
          this.#client.request('DELETE', ['_search', 'scroll'], { body, ignore: [404] }),
        )
      }
    }
  }

  #search(body: Record<string, unknown>, indices = this.#all): Promise<SearchAnswer> {
    return this.#ask<SearchAnswer>('POST', [indices, '_search'], body, searchQuery, searchShape)
  }

  async #ask<T>(
    method: string,
    path: readonly string[],
    body: unknown,
    query: Readonly<Record<string, string>>,
    shape: Shape = anything,
  ): Promise<T> {
    return (
      await this.#patiently(() =>
        this.#client.request<T>(method, path, {
          ...(body === undefined ? {} : { body }),
          query,
          shape,
        }),
      )
    ).body
  }

  /** As `#guard`, for questions that may be asked twice. */
  #patiently<T>(ask: () => Promise<T>): Promise<T> {
    return this.#guard(() => askUntilShardsAnswer(ask))
  }

  async #guard<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof RequestFailure)) throw error
      throw new ArchiverError(
        'UNREACHABLE',
        `Elasticsearch did not answer: ${messageOf(error)}`,
        {},
        error,
      )
    }
  }
}

/**
 * Asks again where a shard cannot answer just now: one of an index that a worker has just made, or
 * one that moves.
 */
async function askUntilShardsAnswer<T>(ask: () => Promise<T>): Promise<T> {
  const backoff = new Backoff({ firstMs: firstRetryMs, mostMs: mostRetryMs })
  const until = performance.now() + patienceMs
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      const mayPass =
        error instanceof RequestFailure && (error.status === 503 || error.status === 429)
      if (!mayPass || performance.now() > until) throw error
      await sleep(backoff.next())
    }
  }
}

function queryFor(
  { topic, partition }: TopicPartition,
  { from, next }: Partial<OffsetRange>,
  since?: number,
) {
  const range = {
    ...(from === undefined ? {} : { gte: from }),
    ...(next === undefined ? {} : { lt: next }),
  }
  return {
    bool: {
      filter: [
        { term: { 'kafka.topic': topic } },
        { term: { 'kafka.partition': partition } },
        ...(from === undefined && next === undefined ? [] : [{ range: { 'kafka.offset': range } }]),
      ],
      ...(since === undefined
        ? {}
        : { must_not: [{ range: { 'kafka.timestamp': { gte: 0, lt: since } } }] }),
    },
  }
}

const maxPageDocuments = 5000
const pageBytes = 32 * 2 ** 20
/** How much smaller an index is than its sources, at the utmost of what was seen. */
const compression = 10
const scrollKeepAlive = '2m'
const quote = 0x22
const backslash = 0x5c

interface ListedIndex {
  readonly index: string
  readonly 'docs.count'?: string | null
  readonly 'pri.store.size'?: string | null
}

/** How many documents of an index a page has, so that it is not much larger than `pageBytes`. */
function documentsAtOnce({
  'docs.count': documents,
  'pri.store.size': bytes,
}: ListedIndex): number {
  const bytesEach = (Number(bytes ?? 0) / Math.max(1, Number(documents ?? 0))) * compression
  return Math.max(10, Math.min(maxPageDocuments, Math.floor(pageBytes / Math.max(1, bytesEach))))
}

/** A document: its source as the bytes that were stored. */
export interface Hit {
  readonly id: string
  readonly source: Buffer
}

/** Some documents of one index. */
export interface DocumentPage {
  readonly index: string
  /** It is a rejected index: sources are not lines. */
  readonly isRejected: boolean
  readonly hits: readonly Hit[]
}

/** The scroll id stands at the beginning of an answer, before anything that a document says. */
function scrollIdIn(answer: Buffer): string | undefined {
  return /^\{"_scroll_id":"([^"]+)"/.exec(answer.toString('latin1', 0, 65_536))?.[1]
}

const hitsMark = Buffer.from('"hits":[')
const hitIdMark = Buffer.from('"_id":')
const hitSourceMark = Buffer.from('"_source":')

/**
 * The documents in the answer to a search; sources are cut out of it unparsed.
 * @throws ArchiverError `UNREACHABLE` for what is no such answer, or only the beginning of one
 */
export function* hitsIn(answer: Buffer): Iterable<Hit> {
  let position = answer.indexOf(hitsMark)
  if (position === -1) return
  for (;;) {
    // Between two sources stand ids and names, in which quotes are escaped.
    const mark = answer.indexOf(hitSourceMark, position)
    if (mark === -1) return
    const id = answer.indexOf(hitIdMark, position)
    if (id === -1 || id > mark) throw unlikeSearch('a document has no _id')
    const start = mark + hitSourceMark.length
    position = endOfObject(answer, start)
    yield { id: idAt(answer, id + hitIdMark.length), source: answer.subarray(start, position) }
  }
}

/**
 * The JSON string that begins at `start`; ids of this program have nothing to escape, those of
 * others may.
 */
function idAt(bytes: Buffer, start: number): string {
  let end = start + 1
  while (end < bytes.length && bytes[end] !== quote) end += bytes[end] === backslash ? 2 : 1
  if (bytes[start] !== quote || end >= bytes.length) throw unlikeSearch('an _id has no end')
  const id = bytes.toString('utf8', start + 1, end)
  return id.includes('\\') ? (parsed(`"${id}"`) as string) : id
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json) as unknown
  } catch (error) {
    throw unlikeSearch(messageOf(error))
  }
}

function unlikeSearch(why: string): ArchiverError {
  return new ArchiverError(
    'UNREACHABLE',
    `what answers is not Elasticsearch, or its answer was cut off: ${why}`,
  )
}

/** Where the JSON object that begins at `start` ends. @throws ArchiverError `UNREACHABLE` */
function endOfObject(bytes: Buffer, start: number): number {
  let depth = 0
  for (let i = start; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte === quote) {
      for (i++; i < bytes.length && bytes[i] !== quote; i++) if (bytes[i] === backslash) i++
    } else if (byte === 0x7b || byte === 0x5b) depth++
    else if ((byte === 0x7d || byte === 0x5d) && --depth <= 0) {
      if (depth < 0) break
      return i + 1
    }
  }
  throw unlikeSearch('a _source is no object, or has no end')
}

const sourceMark = Buffer.from('"found":true,"_source":')

/**
 * How many documents at the beginning of the answer to a multi-get are, byte for byte, the expected
 * ones. Behind one that is not, nothing is known: what a value says may look like the frame around
 * documents.
 */
export function sameUntil(answer: Buffer, expected: readonly Buffer[]): number {
  let position = 0
  for (const [i, source] of expected.entries()) {
    const mark = answer.indexOf(sourceMark, position)
    const start = mark + sourceMark.length
    const end = start + source.length
    if (mark === -1 || end >= answer.length || answer[end] !== 0x7d) return i
    if (answer.compare(source, 0, source.length, start, end) !== 0) return i
    position = end
  }
  return expected.length
}

const documentsShape = object({ docs: list(object({ _index: text, _id: text })) })

/** The documents of the answer to a multi-get, parsed. @throws ArchiverError `UNREACHABLE` */
export function parseDocuments(answer: Buffer): readonly StoredDocument[] {
  const body = parsed(answer.toString('utf8'))
  try {
    documentsShape(body, 'the answer')
  } catch (error) {
    throw unlikeSearch(messageOf(error))
  }
  return (body as { docs: readonly StoredDocument[] }).docs
}
