import type { RecordType } from '../../record/record.ts'
import {
  anything,
  count,
  each,
  list,
  nullable,
  number,
  object,
  optional,
  type Shape,
} from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { guarded } from '../client/guarded.ts'
import { IndexNames } from '../index-name.ts'

/** What Elasticsearch computes of the numbers of a field. The sum is that of a double. */
export interface FieldStats {
  readonly count: number
  readonly min: number | null
  readonly max: number | null
  readonly sum: number
}

/** The records of one type and day, of all topics or of some. */
export interface TypeDayRecords {
  readonly type: RecordType
  /** Any hour of the day, since 1970; `unknownHour` for records without a day. */
  readonly hour: number
  readonly topics: readonly string[] | undefined
}

/** How a field is mapped. */
export interface FieldType {
  /** Two when indices disagree. */
  readonly kinds: readonly string[]
  /** Numbers in texts count as numbers: the mapping of the type says so. */
  readonly takesTexts: boolean
}

interface Capability {
  readonly meta?: { readonly archiver?: readonly string[] }
}

/** `topic/partition/offset` of a record. */
export type RecordPlace = string

const fieldsAtOnce = 50
/** A search gives no more hits than this (`index.max_result_window`). */
const maxHits = 10_000
/** `ignore_above` of the field `type`, in characters. */
const maxType = 1024
const capsShape = object({ fields: optional(each(each(anything))) })
/** What is no finite double is a text: `"Infinity"`, `"-Infinity"`, `"NaN"`. */
const doubleShape: Shape = (value, at) => {
  if (typeof value !== 'string' || !/^(-?Infinity|NaN)$/.test(value)) number(value, at)
}
const searchShape = object({
  hits: object({
    total: optional(object({ value: count })),
    hits: list(object({ fields: optional(each(list(anything))) })),
  }),
  aggregations: optional(
    each(
      object({ count, min: nullable(doubleShape), max: nullable(doubleShape), sum: doubleShape }),
    ),
  ),
})
const anywhere = { ignore_unavailable: 'true', allow_no_indices: 'true' }

/** Asks for the aggregates of numeric fields. */
export class ValueReader {
  readonly #client: Elasticsearch
  readonly #names: IndexNames

  constructor(client: Elasticsearch, indexPrefix: string) {
    this.#client = client
    this.#names = new IndexNames(indexPrefix)
  }

  /** The indices that may hold these records. */
  indicesOf({ type, hour }: TypeDayRecords): readonly string[] {
    return this.#names.every(type, hour)
  }

  /**
   * The fields below `value`, and how they are mapped. @throws ArchiverError `UNREACHABLE`
   */
  async fieldTypes(records: TypeDayRecords): Promise<Map<string, FieldType>> {
    const body = await this.#ask<{
      readonly fields?: Readonly<Record<string, Readonly<Record<string, Capability>>>>
    }>(
      'GET',
      [this.indicesOf(records).join(','), '_field_caps'],
      undefined,
      {
        ...anywhere,
        fields: 'value.*',
        filters: '-metadata,-parent,-multifield',
      },
      capsShape,
    )
    return new Map(
      Object.entries(body.fields ?? {}).map(([name, kinds]) => [
        name,
        {
          kinds: Object.keys(kinds),
          takesTexts: Object.values(kinds).some(({ meta }) => meta?.archiver?.includes('texts')),
        },
      ]),
    )
  }

  /** How many documents there are. @throws ArchiverError `UNREACHABLE` */
  async total(records: TypeDayRecords): Promise<number> {
    const { hits } = await this.#search<unknown>(this.indicesOf(records).join(','), {
      size: 0,
      track_total_hits: true,
      query: queryOf(records),
    })
    return hits.total.value
  }

  /** @throws ArchiverError `UNREACHABLE` */
  async stats(
    records: TypeDayRecords,
    fields: readonly string[],
  ): Promise<Map<string, FieldStats>> {
    const found = new Map<string, FieldStats>()
    for (let start = 0; start < fields.length; start += fieldsAtOnce) {
      const some = fields.slice(start, start + fieldsAtOnce)
      const { aggregations } = await this.#search<unknown>(this.indicesOf(records).join(','), {
        size: 0,
        query: queryOf(records),
        aggs: Object.fromEntries(some.map((field, i) => [`f${i}`, { stats: { field } }])),
      })
      for (const [i, field] of some.entries()) {
        const stats = aggregations?.[`f${i}`]
        if (stats !== undefined) found.set(field, readStats(stats))
      }
    }
    return found
  }

  /**
   * The records that Elasticsearch refused: no field of theirs is in the index. Undefined when
   * there are more than a search gives. @throws ArchiverError `UNREACHABLE`
   */
  async rejected(records: TypeDayRecords): Promise<ReadonlySet<RecordPlace> | undefined> {
    interface Hit {
      readonly fields: Readonly<Record<string, readonly unknown[]>>
    }
    const { hits } = await this.#search<Hit>(this.#names.rejected(records.hour), {
      size: maxHits,
      track_total_hits: true,
      _source: false,
      docvalue_fields: ['kafka.topic', 'kafka.partition', 'kafka.offset'],
      query: queryOf(records),
    })
    if (hits.total.value > hits.hits.length) return undefined
    const at = ({ fields }: Hit, name: string) => String(fields[`kafka.${name}`]?.[0])
    return new Set(
      hits.hits.map((hit) => `${at(hit, 'topic')}/${at(hit, 'partition')}/${at(hit, 'offset')}`),
    )
  }

  #search<Hit>(indices: string, body: unknown) {
    return this.#ask<{
      readonly hits: { readonly total: { readonly value: number }; readonly hits: readonly Hit[] }
      readonly aggregations?: Readonly<Record<string, FieldStats>>
    }>(
      'POST',
      [indices, '_search'],
      body,
      { ...anywhere, allow_partial_search_results: 'false' },
      searchShape,
    )
  }

  async #ask<T>(
    method: string,
    path: readonly string[],
    body: unknown,
    query: Readonly<Record<string, string>>,
    shape: Shape,
  ): Promise<T> {
    const content = body === undefined ? {} : { body }
    const answer = await guarded(() =>
      this.#client.request<T>(method, path, { ...content, query, shape }),
    )
    return answer.body
  }
}

function readStats({ count, min, max, sum }: FieldStats): FieldStats {
  const read = (value: number | null) => (value === null ? null : Number(value))
  return { count, min: read(min), max: read(max), sum: Number(sum) }
}

function queryOf({ type, topics }: TypeDayRecords) {
  return {
    bool: {
      filter: [
        ...(type.name.length > maxType ? [] : [{ term: { type: type.name } }]),
        ...(topics === undefined ? [] : [{ terms: { 'kafka.topic': topics } }]),
      ],
    },
  }
}
