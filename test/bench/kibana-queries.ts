import type { MadeRecord } from '../../src/traffic/data/record-maker.ts'

/**
 * Kibana's most frequent queries to an archive, word for word as far as they cost anything, and how
 * to recognize a right answer.
 */
export interface KibanaQuery {
  readonly name: string
  /** Why it is one of the most frequent queries. */
  readonly why: string
  readonly body: Readonly<Record<string, unknown>>
  /** The figure of an answer that is compared with the records themselves. */
  readonly figureOf: (answer: Readonly<Record<string, unknown>>) => number
}

interface Answer {
  readonly hits: { readonly total: { readonly value: number }; readonly hits: readonly unknown[] }
  readonly aggregations?: {
    readonly top?: { readonly buckets: readonly { readonly doc_count: number }[] }
  }
}

/** What is asked of one kind of messages. */
export interface Asked {
  /** A field of the values, and the value that somebody clicks on. */
  readonly filter: readonly [field: string, value: string]
  /** The field whose top values are listed. */
  readonly top: string
  /** Texts contain it as one of several words; no field consists of it. */
  readonly word: string
}

/** Of the benchmark's usual messages. */
const usual: Asked = { filter: ['status', 'cancelled'], top: 'country', word: 'upstream' }

const latest = 500

export const total = (answer: unknown): number => (answer as Answer).hits.total.value
export const overTime = {
  time: { date_histogram: { field: '@timestamp', fixed_interval: '5m', min_doc_count: 1 } },
}
export const counted = { size: 0, track_total_hits: true }

export function frequentQueries({
  filter: [field, value],
  top,
  word,
}: Asked): readonly KibanaQuery[] {
  return [
    {
      name: 'over time',
      why: 'the bars above Discover, and the first panel of every dashboard: all records by time',
      body: { ...counted, aggs: overTime },
      figureOf: total,
    },
    {
      name: `latest ${latest}`,
      why: 'the table of Discover, with every field that the mapping knows',
      body: {
        size: latest,
        track_total_hits: false,
        _source: false,
        fields: [
          { field: '*', include_unmapped: true },
          { field: '@timestamp', format: 'strict_date_optional_time' },
        ],
        sort: [
          { '@timestamp': { order: 'desc', unmapped_type: 'boolean' } },
          { _doc: { order: 'desc' } },
        ],
      },
      figureOf: (answer) => (answer as unknown as Answer).hits.hits.length,
    },
    {
      name: 'filtered',
      why: `a click on a value: value.${field} is ${value}, by time`,
      body: {
        ...counted,
        query: { bool: { filter: [{ match_phrase: { [`value.${field}`]: value } }] } },
        aggs: overTime,
      },
      figureOf: total,
    },
    {
      name: 'top 10',
      why: `the pie, the bar or the table of values that most panels are: value.${top} by number of records`,
      body: { ...counted, aggs: { top: { terms: { field: `value.${top}`, size: 10 } } } },
      figureOf: (answer) =>
        ((answer as unknown as Answer).aggregations?.top?.buckets ?? []).reduce(
          (sum, { doc_count: n }) => sum + n,
          0,
        ),
    },
    {
      name: 'free text',
      why: `a word in the search bar, in whatever field it stands: ${word}, by time`,
      body: {
        ...counted,
        query: { query_string: { query: word, analyze_wildcard: true } },
        aggs: overTime,
      },
      figureOf: total,
    },
  ]
}

export const kibanaQueries = frequentQueries(usual)

/** The figures of right answers over the first `count` records. */
export function expectedOf(
  make: (index: number) => MadeRecord,
  count: number,
  { filter: [field, value], top, word }: Asked = usual,
): Map<string, number> {
  const values = new Map<unknown, number>()
  const wanted = new RegExp(`\\b${word}\\b`, 'i')
  let filtered = 0
  let found = 0
  for (let i = 0; i < count; i++) {
    const text = String(make(i).value)
    const message: unknown = JSON.parse(text)
    if (valueAt(message, field) === value) filtered++
    const one = valueAt(message, top)
    if (one !== undefined) values.set(one, (values.get(one) ?? 0) + 1)
    if (wanted.test(text)) found++
  }
  const most = [...values.values()].sort((a, b) => b - a).slice(0, 10)
  const figures = [
    count,
    Math.min(latest, count),
    filtered,
    most.reduce((sum, n) => sum + n, 0),
    found,
  ]
  return new Map(kibanaQueries.map(({ name }, i) => [name, figures[i]!]))
}

function valueAt(message: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((at, key) => (at as Record<string, unknown> | null)?.[key], message)
}
