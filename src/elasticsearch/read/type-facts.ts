import { ArchiverError } from '../../runtime/errors.ts'
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
  text,
} from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { typeIndexSegment } from '../index-name.ts'

/**
 * What Elasticsearch knows of the records of one type: enough to decide what of them is worth
 * looking at.
 */
export interface TypeFacts {
  readonly type: string
  /** The indices of the type; those of a type whose name begins alike may be among them. */
  readonly indexPattern: string
  readonly records: number
  /** The first and the last timestamp, in ms since 1970. */
  readonly first: number
  readonly last: number
  /** In the order of their names. */
  readonly fields: readonly FieldFacts[]
  /** Fields that are of different kinds in different indices, and can be shown by none. */
  readonly conflicting: readonly string[]
}

export type FieldFacts = {
  /** With `value.`, as in queries. */
  readonly name: string
  /** The share of records that have it, 0 to 1. */
  readonly present: number
  /** How many different values, about. */
  readonly distinct: number
} & (
  | { readonly kind: 'string' | 'boolean' }
  | {
      readonly kind: 'number'
      /**
       * None of its values in the newest records has a fraction. The mapping does not say it:
       * numbers are `double`.
       */
      readonly isWhole: boolean
      readonly min: number
      readonly max: number
      /** The values below which 5 and 95 per cent of all values are. */
      readonly low: number
      readonly high: number
    }
)

const wholeTypes = new Set(['long', 'integer', 'short', 'byte', 'unsigned_long'])
const decimalTypes = new Set(['double', 'float', 'half_float', 'scaled_float'])

/** If there are more records than this, only the newest are searched for a field's values. */
const maxRecords = 1_000_000
const fieldsAtOnce = 40
/** The newest records whose values are read one by one. */
const sampledRecords = 200
/** A person reads no more fields than this; the mapping's own limit is 1000. */
const maxFields = 600

interface FieldCaps {
  readonly indices?: readonly string[]
  readonly fields: Readonly<
    Record<
      string,
      Readonly<Record<string, { readonly type: string; readonly metadata_field?: boolean }>>
    >
  >
}

interface Aggregations {
  readonly hits: {
    readonly total: { readonly value: number }
    readonly hits: readonly { readonly fields?: Readonly<Record<string, readonly unknown[]>> }[]
  }
  readonly aggregations?: Readonly<Record<string, unknown>>
}

const capsShape = object({ fields: each(each(object({ type: text }))) })

function answerShape(aggregation: Shape): Shape {
  return object({
    hits: object({
      total: object({ value: count }),
      hits: list(object({ fields: optional(each(list(anything))) })),
    }),
    aggregations: optional(each(aggregation)),
  })
}

/** No document has a time: then there is none of the first one. */
const timesShape = answerShape(object({ value: nullable(number) }))
const typesShape = answerShape(object({ buckets: list(object({ key: text })) }))
const fieldsShape = answerShape(
  object({
    doc_count: count,
    distinct: object({ value: count }),
    range: optional(object({ min: nullable(number), max: nullable(number) })),
    spread: optional(object({ values: each(nullable(number)) })),
  }),
)

const errorOptions = { ignore_unavailable: 'true', allow_no_indices: 'true' }

/**
 * @throws ArchiverError `NO_SUCH_TYPE` if no record of the type is archived; it names the types
 *   that are
 */
export async function readTypeFacts(
  client: Elasticsearch,
  indexPrefix: string,
  type: string,
): Promise<TypeFacts> {
  const maxSegment = 200
  const indexPattern = `${indexPrefix}${typeIndexSegment(type, maxSegment)}-*`
  const ofType = { term: { type } }
  const times = { first: { min: { field: '@timestamp' } }, last: { max: { field: '@timestamp' } } }
  const totals = await search(client, indexPattern, ofType, times, timesShape)
  const records = totals.hits.total.value
  const { first, last } = (totals.aggregations ?? {}) as Record<
    string,
    { readonly value: number | null } | undefined
  >
  if (records === 0) throw await noSuchType(client, indexPrefix, type)
  const begin = first?.value ?? 0
  const end = last?.value ?? 0

  const { usable, conflicting } = await readFieldTypes(client, indexPattern)
  const since =
    records <= maxRecords ? undefined : Math.floor(end - (end - begin) * (maxRecords / records))
  const query =
    since === undefined
      ? ofType
      : {
          bool: {
            filter: [ofType, { range: { '@timestamp': { gte: new Date(since).toISOString() } } }],
          },
        }
  const fields: FieldFacts[] = []
  const names = [...usable.keys()]
  for (let start = 0; start < names.length; start += fieldsAtOnce) {
    fields.push(
      ...(await readFields(
        client,
        indexPattern,
        query,
        names.slice(start, start + fieldsAtOnce),
        usable,
      )),
    )
  }
  return { type, indexPattern, records, first: begin, last: end, fields, conflicting }
}

async function readFieldTypes(
  client: Elasticsearch,
  indexPattern: string,
): Promise<{ usable: Map<string, string>; conflicting: string[] }> {
  const { body } = await client.request<FieldCaps>('GET', [indexPattern, '_field_caps'], {
    query: { ...errorOptions, fields: 'value.*', filters: '-metadata,-parent,-multifield' },
    shape: capsShape,
  })
  const usable = new Map<string, string>()
  const conflicting: string[] = []
  for (const name of Object.keys(body.fields).sort()) {
    const types = Object.keys(body.fields[name]!).filter((type) => type !== 'unmapped')
    const kinds = new Set(types.map(kindOf))
    if (kinds.size > 1) conflicting.push(name)
    else if (!kinds.has(undefined) && usable.size < maxFields) {
      usable.set(name, types.find((type) => decimalTypes.has(type)) ?? types[0]!)
    }
  }
  return { usable, conflicting }
}

function kindOf(type: string): FieldFacts['kind'] | undefined {
  if (type === 'keyword' || type === 'wildcard' || type === 'constant_keyword') return 'string'
  if (type === 'boolean') return 'boolean'
  return wholeTypes.has(type) || decimalTypes.has(type) ? 'number' : undefined
}

interface FieldAggregation {
  readonly doc_count: number
  readonly distinct: { readonly value: number }
  readonly range?: { readonly min: number | null; readonly max: number | null }
  readonly spread?: { readonly values: Readonly<Record<string, number | null>> }
}

async function readFields(
  client: Elasticsearch,
  indexPattern: string,
  query: unknown,
  names: readonly string[],
  types: ReadonlyMap<string, string>,
): Promise<FieldFacts[]> {
  const aggregations = Object.fromEntries(
    names.map((name, i) => [
      `f${i}`,
      {
        filter: { exists: { field: name } },
        aggs: {
          distinct: { cardinality: { field: name, precision_threshold: 1000 } },
          ...(kindOf(types.get(name)!) === 'number'
            ? {
                range: { stats: { field: name } },
                spread: { percentiles: { field: name, percents: [5, 95] } },
              }
            : {}),
        },
      },
    ]),
  )
  const decimals = names.filter((name) => decimalTypes.has(types.get(name)!))
  const answer = await search(client, indexPattern, query, aggregations, fieldsShape, decimals)
  const samples = answer.hits.hits
  const hasFraction = (name: string) =>
    samples.some(({ fields }) => fields?.[name]?.some((value) => !Number.isInteger(value)))
  const records = answer.hits.total.value
  return names.flatMap((name, i): FieldFacts[] => {
    const found = answer.aggregations?.[`f${i}`] as FieldAggregation | undefined
    if (found === undefined || found.doc_count === 0) return []
    const facts = { name, present: found.doc_count / records, distinct: found.distinct.value }
    const kind = kindOf(types.get(name)!)!
    if (kind !== 'number') return [{ ...facts, kind }]
    const min = found.range?.min ?? 0
    const max = found.range?.max ?? 0
    const low = found.spread?.values['5.0'] ?? min
    const high = found.spread?.values['95.0'] ?? max
    const isWhole =
      wholeTypes.has(types.get(name)!) ||
      (Number.isInteger(min) && Number.isInteger(max) && !hasFraction(name))
    return [{ ...facts, kind, isWhole, min, max, low, high }]
  })
}

/** `sampled`: fields whose values in the newest records are wanted, too. */
async function search(
  client: Elasticsearch,
  index: string,
  query: unknown,
  aggs: unknown,
  shape: Shape,
  sampled: readonly string[] = [],
): Promise<Aggregations> {
  const samples =
    sampled.length === 0
      ? { size: 0 }
      : {
          size: sampledRecords,
          _source: false,
          docvalue_fields: sampled,
          sort: [{ '@timestamp': 'desc' }],
        }
  const { body } = await client.request<Aggregations>('POST', [index, '_search'], {
    query: errorOptions,
    body: { ...samples, track_total_hits: true, query, aggs },
    shape,
  })
  return body
}

async function noSuchType(
  client: Elasticsearch,
  indexPrefix: string,
  type: string,
): Promise<ArchiverError> {
  const { aggregations } = await search(
    client,
    `${indexPrefix}*`,
    { match_all: {} },
    { types: { terms: { field: 'type', size: 20 } } },
    typesShape,
  )
  const { buckets } = (aggregations?.types ?? { buckets: [] }) as {
    readonly buckets: readonly { key: string }[]
  }
  const known =
    buckets.length === 0
      ? 'nothing is'
      : `these are: ${buckets.map(({ key }) => JSON.stringify(key)).join(', ')}`
  return new ArchiverError(
    'NO_SUCH_TYPE',
    `no record of type ${JSON.stringify(type)} is in ${indexPrefix}*; ${known}`,
  )
}
