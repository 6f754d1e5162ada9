import { isIP } from 'node:net'
import {
  anything,
  count,
  each,
  list,
  nullable,
  number,
  object,
  optional,
} from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import type { FieldKind, MappedField } from './field-types.ts'
import { answerShape, type Found, search } from './search.ts'

export type FieldFacts = Omit<MappedField, 'kind' | 'isWhole'> & {
  /** The share of records that have it, 0 to 1. */
  readonly present: number
  /** How many different values, about; 0 for places. */
  readonly distinct: number
  /** Records whose value the field could not take: of another kind, or too long. */
  readonly ignored: number
} & (
    | {
        readonly kind: Exclude<FieldKind, 'number' | 'date'>
        /** All values if they are few, the most frequent first. */
        readonly values?: readonly string[]
        /** Characters of a text in the newest records, the median. */
        readonly length?: number
        /** What nearly all values in the newest records look like. */
        readonly looksLike?: 'date' | 'number' | 'address'
      }
    | (Range & { readonly kind: 'date' })
    | (Range & {
        readonly kind: 'number'
        /**
         * None of its values in the newest records has a fraction. The mapping does not say it:
         * numbers are `double`.
         */
        readonly isWhole: boolean
      })
  )

interface Range {
  readonly min: number
  readonly max: number
  /** The values below which 5 and 95 per cent of all values are; of dates, 1 and 99 per cent. */
  readonly low: number
  readonly high: number
}

const fieldsAtOnce = 40
/** The newest records whose values are read one by one. */
const sampledRecords = 200
/** A text with more values than this is not listed. */
const fewValues = 12

const fieldsShape = answerShape(
  object({
    doc_count: count,
    distinct: optional(object({ value: count })),
    range: optional(object({ min: nullable(number), max: nullable(number) })),
    // Elasticsearch returns dates a second time, as text.
    spread: optional(object({ values: each(anything) })),
  }),
)
const valuesShape = answerShape(object({ buckets: list(object({ key: anything })) }))

interface FieldAggregation {
  readonly doc_count: number
  readonly distinct?: { readonly value: number }
  readonly range?: { readonly min: number | null; readonly max: number | null }
  readonly spread?: { readonly values: Readonly<Record<string, unknown>> }
}

/** The facts of fields that some record has, of the records that `query` finds. */
export async function readFieldFacts(
  client: Elasticsearch,
  indexPattern: string,
  query: unknown,
  fields: readonly MappedField[],
): Promise<FieldFacts[]> {
  const facts: FieldFacts[] = []
  for (let start = 0; start < fields.length; start += fieldsAtOnce) {
    const some = fields.slice(start, start + fieldsAtOnce)
    facts.push(...(await readSome(client, indexPattern, query, some)))
  }
  return facts
}

async function readSome(
  client: Elasticsearch,
  indexPattern: string,
  query: unknown,
  fields: readonly MappedField[],
): Promise<FieldFacts[]> {
  const aggs = Object.fromEntries(
    fields.flatMap((field, i) => [
      [`f${i}`, { filter: { exists: { field: field.name } }, aggs: statisticsOf(field) }],
      [`ignored${i}`, { filter: { term: { _ignored: field.name } } }],
    ]),
  )
  const names = fields
    .filter(({ kind, isWhole }) => kind === 'string' || (kind === 'number' && !isWhole))
    .map(({ name }) => name)
  const samples = { size: sampledRecords, fields: names }
  const found = await search(client, indexPattern, { query, aggs, samples }, fieldsShape)
  const facts = fields.flatMap((field, i) => factsOf(field, found, i))
  return await withValues(client, indexPattern, query, facts)
}

/** A single date that is wrong is far away from all others. */
const percents = (kind: FieldKind) => (kind === 'date' ? [1, 99] : [5, 95])

function statisticsOf({ name, kind }: MappedField): Readonly<Record<string, unknown>> {
  return {
    ...(kind === 'place'
      ? {}
      : { distinct: { cardinality: { field: name, precision_threshold: 1000 } } }),
    ...(kind === 'number' || kind === 'date'
      ? {
          range: { stats: { field: name } },
          spread: { percentiles: { field: name, percents: percents(kind) } },
        }
      : {}),
  }
}

function factsOf(field: MappedField, found: Found, i: number): FieldFacts[] {
  const { kind, isWhole, ...rest } = field
  const { name } = field
  const own = found.aggregations?.[`f${i}`] as FieldAggregation | undefined
  const ignored = found.aggregations?.[`ignored${i}`] as FieldAggregation | undefined
  if (own === undefined || own.doc_count === 0) return []
  const facts = {
    ...rest,
    present: own.doc_count / found.hits.total.value,
    distinct: own.distinct?.value ?? 0,
    ignored: ignored?.doc_count ?? 0,
  }
  const values = found.hits.hits.flatMap(({ fields }) => fields?.[name] ?? [])
  if (kind !== 'number' && kind !== 'date') {
    if (kind !== 'string') return [{ ...facts, kind }]
    const texts = values.map(String)
    const looksLike = looksOf(texts)
    const length = texts.map((text) => text.length).sort((a, b) => a - b)[texts.length >> 1]
    return [
      {
        ...facts,
        kind,
        ...(length === undefined ? {} : { length }),
        ...(looksLike === undefined ? {} : { looksLike }),
      },
    ]
  }
  const min = own.range?.min ?? 0
  const max = own.range?.max ?? 0
  const [low = min, high = max] = percents(kind).map((percent) => {
    const value = own.spread?.values[`${percent}.0`]
    return typeof value === 'number' ? value : undefined
  })
  const range = { min, max, low, high }
  if (kind === 'date') return [{ ...facts, kind, ...range }]
  const hasFraction = values.some((value) => !Number.isInteger(value))
  const isAllWhole = Number.isInteger(min) && Number.isInteger(max) && !hasFraction
  return [{ ...facts, kind, isWhole: isWhole || isAllWhole, ...range }]
}

/** This share of the texts must look alike, if there are at least a few. */
const nearlyAll = 0.9
const minSamples = 5

function looksOf(texts: readonly string[]): 'date' | 'number' | 'address' | undefined {
  if (texts.length < minSamples) return undefined
  const are = (is: (text: string) => boolean) => texts.filter(is).length >= nearlyAll * texts.length
  if (are((text) => /^\d{4}-\d\d-\d\d(?:$|[T ]\d\d:\d\d)/.test(text))) return 'date'
  if (are((text) => isIP(text) !== 0)) return 'address'
  // Whole numbers may be names. Amounts have decimals.
  const isAmount =
    are((text) => /^-?\d+(\.\d+)?$/.test(text)) && texts.some((text) => text.includes('.'))
  return isAmount ? 'number' : undefined
}

/** The same facts, with the values of texts that have few. */
async function withValues(
  client: Elasticsearch,
  indexPattern: string,
  query: unknown,
  facts: readonly FieldFacts[],
): Promise<FieldFacts[]> {
  const few = facts.filter(({ kind, distinct }) => kind === 'string' && distinct <= fewValues)
  if (few.length === 0) return [...facts]
  const aggs = Object.fromEntries(
    few.map(({ name }, i) => [`f${i}`, { terms: { field: name, size: 2 * fewValues } }]),
  )
  const { aggregations = {} } = await search(client, indexPattern, { query, aggs }, valuesShape)
  return facts.map((field) => {
    const i = few.indexOf(field)
    if (i === -1) return field
    const { buckets } = aggregations[`f${i}`] as { readonly buckets: readonly { key: unknown }[] }
    return { ...field, values: buckets.map(({ key }) => String(key)) } as FieldFacts
  })
}
