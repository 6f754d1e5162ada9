import { fileURLToPath } from 'node:url'
import type { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { RequestFailure } from '../../src/elasticsearch/client/failure.ts'
import { runNode } from './child.ts'
import type { Context } from './context.ts'
import type { KibanaQuery } from './kibana-queries.ts'
import type { Run, Table } from './run.ts'
import { median, medianOf } from './statistics.ts'
import { figure } from './table.ts'

/** One round of a way to map values: documents made beforehand are indexed, then asked. */

const queryTimes = 15

/** What a round found about a way besides the run itself. */
export interface Found {
  /** Bytes of the indices as the run left them, and as one segment each. */
  readonly leftBytes: number
  readonly mergedBytes: number
  /** By query, the median in ms; undefined if the answer was not that of the records. */
  readonly latencies: ReadonlyMap<string, number | undefined>
}

export interface Measured {
  readonly context: Context
  readonly client: Elasticsearch
  readonly indexPrefix: string
  /** The bulk bodies. */
  readonly path: string
  readonly documents: number
  readonly queries: readonly KibanaQuery[]
  /** By query, the figure of a right answer. */
  readonly expected: ReadonlyMap<string, number>
}

/**
 * @param install installs the templates of this way; what it returns removes them
 */
export async function measureOnce(
  measured: Measured,
  install: () => Promise<() => Promise<void>>,
): Promise<[Run, Found]> {
  const { context, client, indexPrefix, path, documents, queries } = measured
  const remove = await install()
  const { inFlight, servers } = context.options
  const program = fileURLToPath(new URL('poster.ts', import.meta.url))
  const argv = [
    '--bodies',
    path,
    '--elasticsearch',
    servers.elasticsearch,
    '--in-flight',
    String(inFlight),
  ]
  try {
    const run = await context.measure(
      () => runNode(program, argv, { begins: 'posting' }),
      async () => ({
        records: documents,
        indexBytes: await context.indexBytes(indexPrefix, documents),
      }),
    )
    // Queries meet one segment an index, as in a day that is over: how many there happen to be does
    // not decide.
    await client.request('POST', [`${indexPrefix}*`, '_forcemerge'], {
      query: { max_num_segments: '1', flush: 'true' },
    })
    const mergedBytes = await context.indexBytes(indexPrefix, documents)
    const latencies = new Map<string, number | undefined>()
    for (const query of queries) latencies.set(query.name, await latencyOf(measured, query))
    return [run, { leftBytes: run.indexBytes!, mergedBytes, latencies }]
  } finally {
    await context.deleteIndices(indexPrefix)
    await remove()
  }
}

/** The median in ms; undefined if the answer is not that of the records. */
async function latencyOf(
  { client, indexPrefix, expected }: Measured,
  query: KibanaQuery,
): Promise<number | undefined> {
  const latencies: number[] = []
  for (let i = 0; i < queryTimes; i++) {
    const startedAt = performance.now()
    const answer = await answerOf(client, indexPrefix, query)
    latencies.push(performance.now() - startedAt)
    if (answer === undefined || !isFigure(query.figureOf(answer), expected.get(query.name)!))
      return undefined
  }
  return median(latencies)
}

/** Undefined if the mapping cannot answer: a sum of texts, for example. */
async function answerOf(
  client: Elasticsearch,
  indexPrefix: string,
  query: KibanaQuery,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const { body } = await client.request<Record<string, unknown>>(
      'POST',
      [`${indexPrefix}*`, '_search'],
      { query: { request_cache: 'false' }, body: query.body },
    )
    return body
  } catch (error) {
    if (error instanceof RequestFailure && error.status === 400) return undefined
    throw error
  }
}

/** Sums of fractions differ in their last digits with the order of the records. */
function isFigure(found: number, expected: number): boolean {
  return Math.abs(found - expected) <= 1e-12 * Math.abs(expected)
}

export function queryTable(
  all: readonly (readonly [name: string, rounds: readonly Found[]])[],
  queries: readonly KibanaQuery[],
  documents: number,
): Table {
  return {
    columns: ['', 'bytes as left', 'merged', ...queries.map(({ name }) => `${name}, ms`)],
    rows: all.map(([name, rounds]) => {
      const bytes = (of: (found: Found) => number) => figure(median(rounds.map(of))! / documents, 0)
      return [
        name,
        bytes(({ leftBytes }) => leftBytes),
        bytes(({ mergedBytes }) => mergedBytes),
        ...queries.map(
          (query) =>
            figure(
              medianOf(rounds, ({ latencies }) => latencies.get(query.name)),
              1,
            ) ?? 'no answer',
        ),
      ]
    }),
  }
}
