import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import {
  type IndexProfile,
  valueComponents,
} from '../../src/elasticsearch/templates/index-profile.ts'
import { readTemplates } from '../../src/elasticsearch/templates/shipped.ts'
import { writeBodies } from './bodies.ts'
import { runNode } from './child.ts'
import { type Contender, inTurn } from './contenders.ts'
import type { Context } from './context.ts'
import { recordsOf } from './data.ts'
import { expectedOf, type KibanaQuery, kibanaQueries } from './kibana-queries.ts'
import { atMost, type Goal, type Result, type Run, summarize, type Table } from './run.ts'
import { median, medianOf, ratio } from './statistics.ts'
import { figure } from './table.ts'

/**
 * The price of the mapping: the same documents, made beforehand, into indices that map the
 * producers' values in different ways; then what Kibana asks most, of each.
 */

/** Enough for some segments and merges an index, and few enough for many rounds. */
const mostDocuments = 150_000
const queryTimes = 15

type Mappings = Readonly<Record<string, unknown>>

/** Strings as keywords, and in whichever ways more; numbers as `standard` has them. */
function dynamic(strings: Mappings): Mappings {
  const { dynamic_templates: templates, ...rest } = shipped('standard') as {
    readonly dynamic_templates: readonly Mappings[]
  }
  const mapping = { type: 'keyword', ignore_above: 1024, ...strings }
  return {
    ...rest,
    dynamic_templates: [
      { strings: { match_mapping_type: 'string', mapping } },
      ...templates.filter((template) => !('strings' in template)),
    ],
  }
}

const words = (more: Mappings = {}) => ({
  fields: { text: { type: 'text', norms: false, ...more } },
})

/** As it was before numbers were doubles: whole numbers as `long`, which leaves fractions out. */
function wholeAsLong(): Mappings {
  return {
    dynamic: true,
    dynamic_templates: [
      {
        strings: {
          match_mapping_type: 'string',
          mapping: { type: 'keyword', ignore_above: 1024, ...words() },
        },
      },
      { doubles: { match_mapping_type: 'double', mapping: { type: 'double' } } },
    ],
    properties: { value: { type: 'object', dynamic: true } },
  }
}

function shipped(profile: IndexProfile): Mappings {
  const { body } = readTemplates('archive-').find(({ name }) => name === valueComponents[profile])!
  return (body.template as { readonly mappings: Mappings }).mappings
}

const before = 'before: whole numbers as long'

/** What is compared, the two that are shipped among them. */
const variants: readonly {
  readonly name: string
  readonly mappings: () => Mappings
  /** Its action lines name no dynamic templates: the mapping has none. */
  readonly isPlain?: boolean
}[] = [
  { name: 'standard: keyword and words', mappings: () => shipped('standard') },
  { name: before, mappings: wholeAsLong, isPlain: true },
  {
    name: 'keyword and words without positions',
    mappings: () => dynamic(words({ index_options: 'docs' })),
  },
  { name: 'keyword', mappings: () => dynamic({}) },
  // Measured to know what it would bring; not shipped: one deeply nested value can end the server's
  // process (see docs/elasticsearch.md).
  {
    name: 'fields at query time',
    mappings: () => ({
      dynamic: false,
      properties: { value: { type: 'object', dynamic: 'runtime' } },
    }),
    isPlain: true,
  },
  { name: 'lean: envelope alone', mappings: () => shipped('lean') },
]

/** What a round found about a variant besides the run itself. */
interface Found {
  /** Bytes of the indices as the run left them, and as one segment each. */
  readonly leftBytes: number
  readonly mergedBytes: number
  /** By query, the median in ms; undefined if the answer was not that of the records. */
  readonly latencies: ReadonlyMap<string, number | undefined>
}

export async function mapping(context: Context): Promise<Result> {
  const data = await context.data('plain', Math.min(context.options.records, mostDocuments))
  const indexPrefix = await context.templatesFor('mapping')
  const directory = context.options.directory
  await mkdir(directory, { recursive: true })
  const path = join(directory, 'mapping.ndjson')
  const plainPath = join(directory, 'mapping-plain.ndjson')
  context.say('making the bulk bodies')
  for (const naming of [true, false]) {
    await writeBodies({
      path: naming ? path : plainPath,
      brokers: context.servers.brokers.split(','),
      topic: data.topic,
      group: context.group(),
      indexPrefix,
      bodyBytes: context.options.bodyBytes,
      naming,
    })
  }
  const expected = expectedOf(recordsOf('plain', data.topic, data.records), data.records)
  const client = new Elasticsearch({
    nodes: [context.servers.elasticsearch],
    compression: false,
    requestTimeoutMs: 300_000,
  })
  try {
    const found = new Map<string, Found[]>(variants.map(({ name }) => [name, []]))
    const measured = { context, client, indexPrefix, documents: data.records, expected }
    const contenders = variants.map(
      ({ name, mappings, isPlain }): Contender => ({
        name,
        warmsUp: 'engine',
        run: async () => {
          const [run, ofRound] = await measureOnce(
            { ...measured, path: isPlain === true ? plainPath : path },
            mappings(),
          )
          found.get(name)!.push(ofRound)
          return run
        },
      }),
    )
    const runs = await inTurn(context, contenders)
    return {
      title: `mapping (${data.records.toLocaleString('en-US')} documents, ${kibanaQueries.length} queries)`,
      summaries: contenders.map(({ name }) => summarize(name, runs.get(name)!)),
      goals: goalsOf(runs, found),
      notes: kibanaQueries.map(({ name, why }) => `${name}: ${why}`),
      tables: [
        tableOf(
          contenders.map(({ name }) => [name, found.get(name)!] as const),
          data.records,
        ),
      ],
    }
  } finally {
    await client.close()
  }
}

/**
 * What exact numbers may cost: a twentieth of the engine's CPU and of the bytes of the merged
 * indices.
 */
function goalsOf(
  runs: ReadonlyMap<string, readonly Run[]>,
  found: ReadonlyMap<string, readonly Found[]>,
): Goal[] {
  const ours = variants[0]!.name
  const cpu = (name: string) => medianOf(runs.get(name)!, ({ engineCpu }) => engineCpu)
  const bytes = (name: string) => medianOf(found.get(name)!, ({ mergedBytes }) => mergedBytes)
  return [
    atMost(1.05, `engine CPU compared with "${before}"`, ratio(cpu(ours), cpu(before))),
    atMost(1.05, `bytes compared with "${before}"`, ratio(bytes(ours), bytes(before))),
  ]
}

interface Measured {
  readonly context: Context
  readonly client: Elasticsearch
  readonly indexPrefix: string
  readonly path: string
  readonly documents: number
  readonly expected: ReadonlyMap<string, number>
}

async function measureOnce(measured: Measured, mappings: Mappings): Promise<[Run, Found]> {
  const { context, client, indexPrefix, path, documents } = measured
  await client.request('PUT', ['_index_template', `${indexPrefix}variant`], {
    body: {
      index_patterns: [`${indexPrefix}*`],
      priority: 1000,
      composed_of: ['archive@settings', 'archive@envelope'],
      template: { mappings },
    },
  })
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
  for (const query of kibanaQueries) latencies.set(query.name, await latencyOf(measured, query))
  await context.deleteIndices(indexPrefix)
  return [run, { leftBytes: run.indexBytes!, mergedBytes, latencies }]
}

/** The median in ms; undefined if the answer is not that of the records. */
async function latencyOf(
  { client, indexPrefix, expected }: Measured,
  query: KibanaQuery,
): Promise<number | undefined> {
  const latencies: number[] = []
  for (let i = 0; i < queryTimes; i++) {
    const startedAt = performance.now()
    const { body } = await client.request<Record<string, unknown>>(
      'POST',
      [`${indexPrefix}*`, '_search'],
      {
        query: { request_cache: 'false' },
        body: query.body,
      },
    )
    latencies.push(performance.now() - startedAt)
    if (query.figureOf(body) !== expected.get(query.name)) return undefined
  }
  return median(latencies)
}

function tableOf(all: readonly (readonly [string, readonly Found[]])[], documents: number): Table {
  return {
    columns: ['', 'bytes as left', 'merged', ...kibanaQueries.map(({ name }) => `${name}, ms`)],
    rows: all.map(([name, rounds]) => {
      const bytes = (of: (found: Found) => number) => figure(median(rounds.map(of))! / documents, 0)
      return [
        name,
        bytes(({ leftBytes }) => leftBytes),
        bytes(({ mergedBytes }) => mergedBytes),
        ...kibanaQueries.map(
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
