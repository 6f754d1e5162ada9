import type { MadeRecord } from '../../src/traffic/data/record-maker.ts'
import {
  type Asked,
  counted,
  expectedOf,
  frequentQueries,
  type KibanaQuery,
  overTime,
  total,
} from './kibana-queries.ts'

/** Orders of a shop: what is asked of any messages, and what only fields with a mapping answer. */

const asked: Asked = {
  filter: ['status', 'cancelled'],
  top: 'delivery.country',
  word: 'firefox',
}

/** Those of the generator's addresses that begin alike. */
const network = '198.51.100'
const least = { qty: 3, price: 100 }

const bigItem = {
  bool: {
    filter: [
      { range: { 'value.items.qty': { gte: least.qty } } },
      { range: { 'value.items.price': { gte: least.price } } },
    ],
  },
}

const revenue = {
  sum: { sum: { field: 'value.total' } },
}

const mappedQueries: readonly KibanaQuery[] = [
  {
    name: 'by its own date',
    why: 'orders by the hour in which they were placed: value.placed_at',
    body: {
      ...counted,
      query: { exists: { field: 'value.placed_at' } },
      aggs: {
        time: {
          date_histogram: { field: 'value.placed_at', fixed_interval: '1h', min_doc_count: 1 },
        },
      },
    },
    figureOf: (answer) =>
      (
        answer as { aggregations?: { time?: { buckets: { doc_count: number }[] } } }
      ).aggregations?.time?.buckets.reduce((sum, { doc_count: n }) => sum + n, 0) ?? Number.NaN,
  },
  {
    name: 'sum',
    why: 'the sum of value.total, a decimal in a text, by currency',
    body: {
      ...counted,
      aggs: { ...revenue, currency: { terms: { field: 'value.currency' }, aggs: revenue } },
    },
    figureOf: (answer) =>
      (answer as { aggregations?: { sum?: { value: number } } }).aggregations?.sum?.value ??
      Number.NaN,
  },
  {
    name: 'network',
    why: `addresses of a network by time: value.client.ip in ${network}.0/24`,
    body: {
      ...counted,
      query: { bool: { filter: [{ term: { 'value.client.ip': `${network}.0/24` } }] } },
      aggs: overTime,
    },
    figureOf: total,
  },
  {
    name: 'same item',
    why: `${least.qty} pieces and more of something that costs ${least.price} and more: two fields of one item`,
    body: { ...counted, query: { nested: { path: 'value.items', query: bigItem } } },
    figureOf: total,
  },
]

export const shopQueries: readonly KibanaQuery[] = [...frequentQueries(asked), ...mappedQueries]

interface Order {
  readonly placed_at: string
  readonly total: string
  readonly client: { readonly ip: string }
  readonly items: readonly { readonly qty: number; readonly price: number }[]
}

/** The figures of right answers over the first `count` records. */
export function shopFigures(
  make: (index: number) => MadeRecord,
  count: number,
): Map<string, number> {
  let dates = 0
  let hundredths = 0
  let inNetwork = 0
  let sameItem = 0
  for (let i = 0; i < count; i++) {
    const order = JSON.parse(String(make(i).value)) as Order
    if (!Number.isNaN(Date.parse(order.placed_at))) dates++
    hundredths += Math.round(Number(order.total) * 100)
    if (order.client.ip.startsWith(`${network}.`)) inNetwork++
    if (order.items.some(({ qty, price }) => qty >= least.qty && price >= least.price)) sameItem++
  }
  const figures = [dates, hundredths / 100, inNetwork, sameItem]
  return new Map([
    ...expectedOf(make, count, asked),
    ...mappedQueries.map(({ name }, i) => [name, figures[i]!] as const),
  ])
}
