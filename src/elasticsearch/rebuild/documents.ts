import type { TopicPartition } from '../../record/record.ts'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { Backoff, sleep } from '../../runtime/retry.ts'
import { list, number, object, optional, text } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { RequestFailure } from '../client/failure.ts'
import { PatientClient } from '../read/patient-client.ts'
import { hitsIn, sameUntil } from '../read/raw-answer.ts'
import { maxOffsetsAtOnce } from '../read/reader.ts'
import { searchQuery } from '../read/search-query.ts'
import { type BulkItem, judgeItem, judgeRequest, reasonOf } from '../sink/answer.ts'
import { documentId } from '../sink/part.ts'
import { numberTemplatesOfLine } from '../templates/number-templates.ts'

const maxTries = 12
const bulkTimeoutMs = 60_000
/** Documents of one search for sources. */
const documentsAtOnce = 500
/** Partitions of an index. */
const maxPartitions = 10_000

/** A document: its id, and the line that is its source. */
export interface Document {
  readonly id: string
  readonly line: Buffer
}

/** The documents of a topic-partition in an index. */
export interface PartitionExtent extends TopicPartition {
  readonly first: number
  readonly last: number
  readonly documents: number
}

const partitionsShape = object({
  aggregations: optional(
    object({
      topics: object({
        buckets: list(
          object({
            key: text,
            partitions: object({
              buckets: list(
                object({
                  key: number,
                  doc_count: number,
                  first: object({ value: number }),
                  last: object({ value: number }),
                }),
              ),
            }),
          }),
        ),
      }),
    }),
  ),
})

interface Partitions {
  readonly aggregations?: {
    readonly topics: {
      readonly buckets: readonly {
        readonly key: string
        readonly partitions: {
          readonly buckets: readonly {
            readonly key: number
            readonly doc_count: number
            readonly first: { readonly value: number }
            readonly last: { readonly value: number }
          }[]
        }
      }[]
    }
  }
}

const offsetsShape = object({
  aggregations: optional(object({ offsets: object({ buckets: list(object({ key: number })) }) })),
})

/** Reads and writes the documents of single indices. @throws ArchiverError `UNREACHABLE` */
export class DayDocuments {
  readonly #client: Elasticsearch
  readonly #patient: PatientClient
  readonly #signal: AbortSignal

  constructor(client: Elasticsearch, signal: AbortSignal) {
    this.#client = client
    this.#patient = new PatientClient(client)
    this.#signal = signal
  }

  /** The partitions that have documents in an index. */
  async partitions(index: string): Promise<PartitionExtent[]> {
    const offset = { field: 'kafka.offset' }
    const body = {
      size: 0,
      aggs: {
        topics: {
          terms: { field: 'kafka.topic', size: maxPartitions },
          aggs: {
            partitions: {
              terms: { field: 'kafka.partition', size: maxPartitions },
              aggs: { first: { min: offset }, last: { max: offset } },
            },
          },
        },
      },
    }
    const path = [index, '_search']
    const { aggregations } = await this.#patient.ask<Partitions>(
      { method: 'POST', path, body, query: searchQuery },
      partitionsShape,
    )
    return (aggregations?.topics.buckets ?? []).flatMap(({ key: topic, partitions }) =>
      partitions.buckets.map(({ key: partition, doc_count, first, last }) => ({
        topic,
        partition,
        first: first.value,
        last: last.value,
        documents: doc_count,
      })),
    )
  }

  /**
   * The offsets of one index that another one lacks, or that both have, in parts that fit into a
   * request.
   */
  async *compare(
    one: string,
    other: string,
    wanted: 'missing' | 'shared',
  ): AsyncGenerator<TopicPartition & { readonly offsets: readonly number[] }> {
    for (const { topic, partition, first, last } of await this.partitions(one)) {
      for (let start = first; start <= last; start += maxOffsetsAtOnce) {
        const range = { gte: start, lt: Math.min(last + 1, start + maxOffsetsAtOnce) }
        const tp = { topic, partition }
        const there = await this.#offsets(other, tp, range)
        const offsets = [...(await this.#offsets(one, tp, range))].filter(
          (offset) => there.has(offset) === (wanted === 'shared'),
        )
        if (offsets.length > 0) yield { ...tp, offsets }
      }
    }
  }

  /** How many documents of an index are no records: without a position in Kafka. */
  async foreign(index: string): Promise<number> {
    const body = {
      size: 0,
      track_total_hits: true,
      query: { bool: { must_not: { exists: { field: 'kafka.offset' } } } },
    }
    const { hits } = await this.#patient.ask<{
      readonly hits: { readonly total: { readonly value: number } }
    }>(
      { method: 'POST', path: [index, '_search'], body, query: searchQuery },
      object({ hits: object({ total: object({ value: number }) }) }),
    )
    return hits.total.value
  }

  /**
   * Whether an index has these documents, byte for byte. @returns the first that it has otherwise,
   * or not; undefined if all are the same
   */
  async different(index: string, documents: readonly Document[]): Promise<string | undefined> {
    const docs = documents.map(({ id }) => ({ _index: index, _id: id }))
    const answer = await this.#patient.raw({
      method: 'POST',
      path: ['_mget'],
      body: { docs },
      query: { realtime: 'false' },
    })
    return documents[
      sameUntil(
        answer,
        documents.map(({ line }) => line),
      )
    ]?.id
  }

  async #offsets(
    index: string,
    { topic, partition }: TopicPartition,
    range: { readonly gte: number; readonly lt: number },
  ): Promise<Set<number>> {
    const body = {
      size: 0,
      query: {
        bool: {
          filter: [
            { term: { 'kafka.topic': topic } },
            { term: { 'kafka.partition': partition } },
            { range: { 'kafka.offset': range } },
          ],
        },
      },
      aggs: { offsets: { histogram: { field: 'kafka.offset', interval: 1, min_doc_count: 1 } } },
    }
    const { aggregations } = await this.#patient.ask<{
      readonly aggregations?: {
        readonly offsets: { readonly buckets: readonly { readonly key: number }[] }
      }
    }>({ method: 'POST', path: [index, '_search'], body, query: searchQuery }, offsetsShape)
    return new Set((aggregations?.offsets.buckets ?? []).map(({ key }) => key))
  }

  /** Documents of an index, as they were stored. */
  async *read(
    index: string,
    tp: TopicPartition,
    offsets: readonly number[],
  ): AsyncGenerator<Document[]> {
    for (let start = 0; start < offsets.length; start += documentsAtOnce) {
      const values = offsets
        .slice(start, start + documentsAtOnce)
        .map((offset) => documentId(tp, offset))
      const body = { size: values.length, query: { ids: { values } } }
      const answer = await this.#patient.raw({
        method: 'POST',
        path: [index, '_search'],
        body,
        query: searchQuery,
      })
      yield [...hitsIn(answer)].map(({ id, source }) => ({ id, line: Buffer.from(source) }))
    }
  }

  /** Removes documents from an index that nobody sees. */
  async remove(index: string, tp: TopicPartition, offsets: readonly number[]): Promise<void> {
    for (const offset of offsets)
      await this.#patient.forget({
        method: 'DELETE',
        path: [index, '_doc', documentId(tp, offset)],
      })
  }

  /**
   * Creates documents, each once, whatever was there before.
   * @throws ArchiverError `REJECTED` if the mapping of the index refuses one: it names the first
   */
  async create(index: string, documents: readonly Document[], named = true): Promise<void> {
    if (documents.length === 0) return
    const items = await this.#send(index, documents, named)
    if (items === undefined) return
    const again: Document[] = []
    const unnamed: Document[] = []
    for (const [i, item] of items.entries()) {
      switch (judgeItem(item)) {
        case 'stored':
        case 'exists':
          break
        case 'request':
          again.push(documents[i]!)
          break
        case 'template':
          unnamed.push(documents[i]!)
          break
        default:
          throw refused(index, documents[i]!, item)
      }
    }
    await this.create(index, unnamed, false)
    if (again.length === 0) return
    await sleep(500, this.#signal)
    this.#signal.throwIfAborted()
    await this.create(index, again, named)
  }

  async #send(
    index: string,
    documents: readonly Document[],
    named: boolean,
  ): Promise<readonly BulkItem[] | undefined> {
    const backoff = new Backoff({ firstMs: 200, maxMs: 10_000 })
    const body = bodyOf(index, documents, named)
    for (;;) {
      this.#signal.throwIfAborted()
      try {
        return await this.#client.bulk(body, documents.length, {
          timeoutMs: bulkTimeoutMs,
          signal: this.#signal,
        })
      } catch (error) {
        if (!(error instanceof RequestFailure)) throw error
        const scope = judgeRequest(error.status, error.type)
        if (scope === 'halve' || scope === 'bisect')
          return await this.#halves(index, documents, named, error)
        if (scope === 'refused' || backoff.failures >= maxTries)
          throw new ArchiverError(
            'UNREACHABLE',
            `Elasticsearch takes no documents for ${index}: ${messageOf(error)}`,
            { index },
            error,
          )
        await sleep(backoff.next(), this.#signal)
      }
    }
  }

  async #halves(
    index: string,
    documents: readonly Document[],
    named: boolean,
    error: RequestFailure,
  ): Promise<undefined> {
    if (documents.length === 1)
      throw refused(index, documents[0]!, {
        status: error.status ?? 400,
        error: { type: error.type ?? 'request_refused', reason: error.message },
      })
    const middle = documents.length >> 1
    await this.create(index, documents.slice(0, middle), named)
    await this.create(index, documents.slice(middle), named)
    return undefined
  }
}

function refused(index: string, { id }: Document, { error, status }: BulkItem): ArchiverError {
  const why = error === undefined ? `status ${status}` : `${error.type}: ${reasonOf(error, 200)}`
  return new ArchiverError(
    'REJECTED',
    `the new index ${index} refuses ${id}: ${why}; the old index stays as it is`,
    { index, id },
  )
}

function bodyOf(index: string, documents: readonly Document[], named: boolean): Buffer {
  const parts: Buffer[] = []
  for (const { id, line } of documents) {
    const templates = named ? numberTemplatesOfLine(line) : undefined
    const action = `{"create":{"_index":${JSON.stringify(index)},"_id":${JSON.stringify(id)}${templates === undefined ? '' : `,"dynamic_templates":${templates}`}}}\n`
    parts.push(Buffer.from(action), line, lf)
  }
  return Buffer.concat(parts)
}

const lf = Buffer.from('\n')
