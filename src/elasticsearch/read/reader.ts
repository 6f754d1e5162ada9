import type { OffsetRange, TopicPartition } from '../../record/record.ts'
import { count, list, number, object, optional, text } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { type DocumentPage, scanDocuments } from './document-scan.ts'
import { PatientClient } from './patient-client.ts'
import { searchQuery } from './search-query.ts'

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

/**
 * A histogram with a bucket an offset must stay below `search.max_buckets` (65,536 unless somebody
 * changed it).
 */
export const maxOffsetsAtOnce = 49_152

/**
 * What the indices of a prefix hold, by topic, partition and offset. It is exact: counts come from
 * the indexed offsets, never from an estimate.
 */
export class DocumentReader {
  readonly #client: PatientClient
  readonly #prefix: string
  /** All indices of the archive, as an expression. */
  readonly #all: string

  /** @param others patterns of other archives whose prefix begins with this one */
  constructor(client: Elasticsearch, prefix: string, others: readonly string[] = []) {
    this.#client = new PatientClient(client)
    this.#prefix = prefix
    this.#all = [`${prefix}*`, ...others.map((pattern) => `-${pattern}`)].join(',')
  }

  /** Makes all that was acknowledged visible to searches. */
  async refresh(): Promise<void> {
    const { ignore_unavailable, allow_no_indices } = searchQuery
    const query = { ignore_unavailable, allow_no_indices }
    await this.#client.ask({ method: 'POST', path: [this.#all, '_refresh'], query })
  }

  /**
   * Counts a range of at most `maxOffsetsAtOnce` offsets. `since`: only documents whose Kafka
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

  /** How many documents of a range are in the rejected indices. */
  rejected(tp: TopicPartition, range: Partial<OffsetRange>, since?: number): Promise<number> {
    return this.total(tp, range, since, `${this.#prefix}_rejected-*`)
  }

  /** The offsets of a range of at most `maxOffsetsAtOnce`, and how many documents each has. */
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

  /** The offsets among these, at most `maxOffsetsAtOnce`, that have documents in some indices. */
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

  /** The places of a range's documents, by offset, at most `limit`. */
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

  /** The documents with some of these ids, and the index of each: whatever its mapping is. */
  async indicesOf(ids: readonly string[]): Promise<Omit<DocumentPlace, 'offset'>[]> {
    const query = { ids: { values: ids } }
    const { hits } = await this.#search({ size: 2 * ids.length, query, _source: false })
    return hits.hits.map(({ _index, _id }) => ({ index: _index, id: _id }))
  }

  /** Documents by id, in the order asked for, as the bytes of the answer: see `hitsIn`. */
  get(documents: readonly { readonly index: string; readonly id: string }[]): Promise<Buffer> {
    const docs = documents.map(({ index, id }) => ({ _index: index, _id: id }))
    const query = { realtime: 'false' }
    return this.#client.raw({ method: 'POST', path: ['_mget'], body: { docs }, query })
  }

  /**
   * Every document of the prefix, index by index in the order in which the engine keeps them.
   * `topics`: only documents of these. Sources are the bytes that were stored, good until the next
   * page.
   */
  scan(topics: readonly string[] | undefined): AsyncGenerator<DocumentPage> {
    const rejectedPrefix = `${this.#prefix}_rejected-`
    return scanDocuments(this.#client, { indices: this.#all, rejectedPrefix }, topics)
  }

  #search(body: Record<string, unknown>, indices = this.#all): Promise<SearchAnswer> {
    const question = { method: 'POST', path: [indices, '_search'], body, query: searchQuery }
    return this.#client.ask<SearchAnswer>(question, searchShape)
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
