import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import {
  type IndexProfile,
  valueComponents,
} from '../../src/elasticsearch/templates/index-profile.ts'
import { readTemplates } from '../../src/elasticsearch/templates/shipped.ts'
import { writeBodies } from './bodies.ts'
import { type Contender, inTurn, warmUpRound } from './contenders.ts'
import type { Context } from './context.ts'
import { recordsOf } from './data.ts'
import { expectedOf, kibanaQueries } from './kibana-queries.ts'
import { type Found, measureOnce, queryTable } from './mapping-run.ts'
import { atMost, type Goal, type Result, type Run, summarize } from './run.ts'
import { medianOf, ratio } from './statistics.ts'

/**
 * The price of the mapping: the same documents, made beforehand, into indices that map the
 * producers' values in different ways; then what Kibana asks most, of each.
 */

/** Enough for some segments and merges an index, and few enough for many rounds. */
const mostDocuments = 150_000

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
    const queries = kibanaQueries
    const measured = { context, client, indexPrefix, documents: data.records, queries, expected }
    const contenders = variants.map(
      ({ name, mappings, isPlain }): Contender => ({
        name,
        warmsUp: 'engine',
        run: async (round) => {
          const [run, ofRound] = await measureOnce(
            { ...measured, path: isPlain === true ? plainPath : path },
            () => installVariant(client, indexPrefix, mappings()),
          )
          if (round !== warmUpRound) found.get(name)!.push(ofRound)
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
        queryTable(
          contenders.map(({ name }) => [name, found.get(name)!] as const),
          queries,
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

/** One template for all indices of the prefix, above those of the archive. */
async function installVariant(
  client: Elasticsearch,
  indexPrefix: string,
  mappings: Mappings,
): Promise<() => Promise<void>> {
  const segments = ['_index_template', `${indexPrefix}variant`]
  await client.request('PUT', segments, {
    body: {
      index_patterns: [`${indexPrefix}*`],
      priority: 1000,
      composed_of: ['archive@settings', 'archive@envelope'],
      template: { mappings },
    },
  })
  return async () => {
    await client.request('DELETE', segments, { ignore: [404] })
  }
}
