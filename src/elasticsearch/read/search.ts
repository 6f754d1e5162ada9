import { anything, count, each, list, object, optional, type Shape } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'

/** What a search found. */
export interface Found {
  readonly hits: {
    readonly total: { readonly value: number }
    readonly hits: readonly { readonly fields?: Readonly<Record<string, readonly unknown[]>> }[]
  }
  readonly aggregations?: Readonly<Record<string, unknown>>
}

/** Indices that do not exist, or no longer, are no error. */
export const lenient = { ignore_unavailable: 'true', allow_no_indices: 'true' }

/** The shape of an answer with aggregations of one shape. */
export function answerShape(aggregation: Shape): Shape {
  return object({
    hits: object({
      total: object({ value: count }),
      hits: list(object({ fields: optional(each(list(anything))) })),
    }),
    aggregations: optional(each(aggregation)),
  })
}

/** Values of the newest records, of fields with values that can be read one by one. */
export interface Sampling {
  readonly size: number
  readonly fields: readonly string[]
}

/** Searches the records that `query` finds. */
export async function search(
  client: Elasticsearch,
  index: string,
  {
    query,
    aggs,
    samples,
  }: { readonly query: unknown; readonly aggs?: unknown; readonly samples?: Sampling },
  shape: Shape,
): Promise<Found> {
  const hits =
    samples === undefined
      ? { size: 0 }
      : {
          size: samples.size,
          _source: false,
          docvalue_fields: samples.fields,
          sort: [{ '@timestamp': 'desc' }],
        }
  const { body } = await client.request<Found>('POST', [index, '_search'], {
    query: lenient,
    body: { ...hits, track_total_hits: true, query, ...(aggs === undefined ? {} : { aggs }) },
    shape,
  })
  return body
}
