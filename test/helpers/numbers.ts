import fc from 'fast-check'
import { elasticsearch } from './servers.ts'

/** Numbers as messages write them, and what Elasticsearch computes of them. */

/** What a double holds: whole, fractions, exponents, zeros, whichever way they are written. */
export const ordinaryNumber: fc.Arbitrary<string> = fc.oneof(
  fc.integer({ min: -1000, max: 100_000 }).map(String),
  fc.integer({ min: -10_000_000, max: 10_000_000 }).map((cents) => (cents / 100).toFixed(2)),
  fc
    .double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 })
    .map((value) => JSON.stringify(value)),
  fc.constantFrom(
    '10',
    '99.95',
    '0',
    '-0',
    '1.0',
    '1e3',
    '2.5E-3',
    '1e18',
    '1752000000',
    '0.1',
    '9007199254740991',
  ),
)

/** Whole numbers up to ±(2^63-1), the edges more often, neighbours among them. */
export const wideNumber: fc.Arbitrary<string> = fc.oneof(
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 53n + 4n }).map(String),
  fc.bigInt({ min: 2n ** 63n - 4n, max: 2n ** 63n - 1n }).map(String),
  fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n }).map(String),
)

export interface Stats {
  readonly count: number
  readonly min: number | null
  readonly max: number | null
  readonly avg: number | null
  readonly sum: number
}

/** `stats` of fields over some indices. */
export async function statsOf(
  indices: string,
  fields: readonly string[],
): Promise<Map<string, Stats>> {
  const aggs = Object.fromEntries(fields.map((field) => [field, { stats: { field } }]))
  const { aggregations } = await elasticsearch<{ aggregations?: Record<string, Stats> }>(
    'POST',
    `/${indices}/_search`,
    { size: 0, aggs: Object.fromEntries(Object.entries(aggs).map(([, agg], i) => [`f${i}`, agg])) },
  )
  return new Map(fields.map((field, i) => [field, aggregations![`f${i}`]!]))
}

/**
 * Elasticsearch adds doubles with compensation; what is left is the rounding of the numbers
 * themselves.
 */
export function isSame(found: number | null, expected: number | null, scale: number): boolean {
  if (found === null || expected === null) return found === expected
  return Math.abs(found - expected) <= scale * 1e-12
}

/** The ids of the documents that a query finds, in order. */
export async function idsOf(
  indices: string,
  query: unknown,
  more: Record<string, unknown> = {},
): Promise<string[]> {
  const { hits } = await elasticsearch<{ hits: { hits: { _id: string }[] } }>(
    'POST',
    `/${indices}/_search`,
    {
      size: 1000,
      _source: false,
      query,
      ...more,
    },
  )
  return hits.hits.map(({ _id }) => _id).sort()
}
