import { ArchiverError } from '../../runtime/errors.ts'
import { list, nullable, number, object, text } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { typeIndexSegment } from '../index-name.ts'
import { type FieldFacts, readFieldFacts } from './field-facts.ts'
import { readFieldTypes } from './field-types.ts'
import { answerShape, search } from './search.ts'

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
  /** Types that share a mark with this one, and itself; the largest first. */
  readonly family: readonly FamilyFacts[]
  /** Fields for which Elasticsearch rejected records of this type, among the newest rejects. */
  readonly rejecting: readonly { readonly name: string; readonly records: number }[]
}

export interface FamilyFacts {
  readonly type: string
  readonly indexPattern: string
  readonly records: number
}

/** If there are more records than this, only the newest are searched for a field's values. */
const maxRecords = 1_000_000
const maxFamily = 20
/** The newest rejects whose reasons are read. */
const sampledRejects = 500

/** No document has a time: then there is none of the first one. */
const timesShape = answerShape(object({ value: nullable(number) }))
const typesShape = answerShape(object({ buckets: list(object({ key: text, doc_count: number })) }))

/**
 * @param marks fields that only the types of one family have
 * @throws ArchiverError `NO_SUCH_TYPE` if no record of the type is archived; it names the types
 *   that are
 */
export async function readTypeFacts(
  client: Elasticsearch,
  indexPrefix: string,
  type: string,
  marks: readonly string[] = [],
): Promise<TypeFacts> {
  const indexPattern = patternOf(indexPrefix, type)
  const ofType = { term: { type } }
  const times = { first: { min: { field: '@timestamp' } }, last: { max: { field: '@timestamp' } } }
  const totals = await search(client, indexPattern, { query: ofType, aggs: times }, timesShape)
  const records = totals.hits.total.value
  const { first, last } = (totals.aggregations ?? {}) as Record<
    string,
    { readonly value: number | null } | undefined
  >
  if (records === 0) throw await noSuchType(client, indexPrefix, type)
  const begin = first?.value ?? 0
  const end = last?.value ?? 0
  const since =
    records <= maxRecords ? undefined : Math.floor(end - (end - begin) * (maxRecords / records))
  const query = since === undefined ? ofType : newerThan(since, ofType)

  const mapped = await readFieldTypes(client, indexPattern)
  const fields = await readFieldFacts(client, indexPattern, query, mapped.fields)
  const mark = marks.find((name) => fields.some((field) => field.name === name))
  return {
    type,
    indexPattern,
    records,
    first: begin,
    last: end,
    fields,
    conflicting: mapped.conflicting,
    family: mark === undefined ? [] : await readFamily(client, indexPrefix, mark),
    rejecting: await readRejecting(client, indexPrefix, type),
  }
}

function patternOf(indexPrefix: string, type: string): string {
  const maxSegment = 200
  return `${indexPrefix}${typeIndexSegment(type, maxSegment)}-*`
}

function newerThan(since: number, filter: unknown) {
  const range = { range: { '@timestamp': { gte: new Date(since).toISOString() } } }
  return { bool: { filter: [filter, range] } }
}

interface Types {
  readonly buckets: readonly { readonly key: string; readonly doc_count: number }[]
}

/** The types of the records that a query finds, the largest first. */
async function readTypes(
  client: Elasticsearch,
  indexPrefix: string,
  query: unknown,
): Promise<Types['buckets']> {
  const aggs = { types: { terms: { field: 'type', size: maxFamily } } }
  const { aggregations } = await search(client, `${indexPrefix}*`, { query, aggs }, typesShape)
  return ((aggregations?.types ?? { buckets: [] }) as Types).buckets
}

async function readFamily(
  client: Elasticsearch,
  indexPrefix: string,
  mark: string,
): Promise<FamilyFacts[]> {
  const types = await readTypes(client, indexPrefix, { exists: { field: mark } })
  return types.map(({ key, doc_count }) => ({
    type: key,
    indexPattern: patternOf(indexPrefix, key),
    records: doc_count,
  }))
}

const rejectsShape = answerShape(object({}))

/** The fields that the reasons of rejects name, those with the most rejects first. */
async function readRejecting(
  client: Elasticsearch,
  indexPrefix: string,
  type: string,
): Promise<{ name: string; records: number }[]> {
  const samples = { size: sampledRejects, fields: ['error.reason.keyword'] }
  const index = `${indexPrefix}_rejected-*`
  const { hits } = await search(client, index, { query: { term: { type } }, samples }, rejectsShape)
  const counts = new Map<string, number>()
  for (const { fields } of hits.hits) {
    const [, name] = /\[(value\.[^\]]+)\]/.exec(String(fields?.['error.reason.keyword']?.[0])) ?? []
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return [...counts]
    .map(([name, records]) => ({ name, records }))
    .sort((a, b) => b.records - a.records || (a.name < b.name ? -1 : 1))
}

async function noSuchType(
  client: Elasticsearch,
  indexPrefix: string,
  type: string,
): Promise<ArchiverError> {
  const types = await readTypes(client, indexPrefix, { match_all: {} })
  const known =
    types.length === 0
      ? 'nothing is'
      : `these are: ${types.map(({ key }) => JSON.stringify(key)).join(', ')}`
  return new ArchiverError(
    'NO_SUCH_TYPE',
    `no record of type ${JSON.stringify(type)} is in ${indexPrefix}*; ${known}`,
  )
}
