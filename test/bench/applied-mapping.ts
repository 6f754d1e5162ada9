import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { applyMapping, planMapping } from '../../src/cmd/mapping/apply.ts'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { segmentsOf } from '../../src/elasticsearch/templates/cluster.ts'
import { FactsCollector } from '../../src/mapping/facts.ts'
import { proposalOf } from '../../src/mapping/proposal.ts'
import { lineStart, type RecordBatch, type RecordType } from '../../src/record/record.ts'
import { nameOfType } from '../../src/record/type-name.ts'
import { writeBodies } from './bodies.ts'
import { type Contender, inTurn, warmUpRound } from './contenders.ts'
import type { Context } from './context.ts'
import { type Profile, recordsOf } from './data.ts'
import { expectedOf, type KibanaQuery, kibanaQueries } from './kibana-queries.ts'
import { type Found, type Measured, measureOnce, queryTable } from './mapping-run.ts'
import { type Result, summarize } from './run.ts'
import { silentLog } from './servers.ts'
import { shopFigures, shopQueries } from './shop-queries.ts'

/**
 * The price of an applied mapping: the same documents, made beforehand, into indices of `standard`
 * and into those of the templates that `archiver mapping --apply` installs for their types.
 */

/** As many as `mapping` has, so that figures can be put side by side. */
const mostDocuments = 150_000

interface Subject {
  readonly profile: Profile
  readonly title: string
  readonly queries: readonly KibanaQuery[]
  readonly expected: typeof expectedOf
  /** Lists of objects that a third way maps as `nested`. */
  readonly nested?: readonly string[]
}

const subjects: readonly Subject[] = [
  {
    profile: 'plain',
    title: 'orders, requests and readings',
    queries: kibanaQueries,
    expected: (make, count) => expectedOf(make, count),
  },
  {
    profile: 'shop',
    title: 'orders with dates, amounts in texts, addresses and lists',
    queries: shopQueries,
    expected: shopFigures,
    nested: ['items'],
  },
]

export async function appliedMappings(context: Context): Promise<Result[]> {
  const client = new Elasticsearch({
    nodes: [context.servers.elasticsearch],
    compression: false,
    requestTimeoutMs: 300_000,
  })
  try {
    await client.detect()
    const results: Result[] = []
    for (const subject of subjects) results.push(await measureSubject(context, client, subject))
    return results
  } finally {
    await client.close()
  }
}

async function measureSubject(
  context: Context,
  client: Elasticsearch,
  { profile, title, queries, expected, nested }: Subject,
): Promise<Result> {
  const data = await context.data(profile, Math.min(context.options.records, mostDocuments))
  const indexPrefix = await context.templatesFor(`applied-${profile}`)
  const { directory } = context.options
  await mkdir(directory, { recursive: true })
  const path = join(directory, `applied-${profile}.ndjson`)
  context.say('making the bulk bodies, and learning the types')
  const types = new LearnedTypes()
  await writeBodies({
    path,
    brokers: context.servers.brokers.split(','),
    topic: data.topic,
    group: context.group(),
    indexPrefix,
    bodyBytes: context.options.bodyBytes,
    look: (batch) => types.add(batch),
  })
  const measured: Measured = {
    context,
    client,
    indexPrefix,
    path,
    documents: data.records,
    queries,
    expected: expected(recordsOf(profile, data.topic, data.records), data.records),
  }
  const found = new Map<string, Found[]>()
  const contender = (name: string, install: () => Promise<() => Promise<void>>): Contender => {
    const rounds: Found[] = []
    found.set(name, rounds)
    return {
      name,
      warmsUp: 'engine',
      run: async (round) => {
        const [run, ofRound] = await measureOnce(measured, install)
        if (round !== warmUpRound) rounds.push(ofRound)
        return run
      },
    }
  }
  const contenders = [
    // The templates of the prefix hold.
    contender('standard', async () => async () => {}),
    contender('applied', () => types.install(client, indexPrefix)),
    ...(nested === undefined
      ? []
      : [
          contender(`applied, ${nested.join()} nested`, () =>
            types.install(client, indexPrefix, nested),
          ),
        ]),
  ]
  const runs = await inTurn(context, contenders)
  return {
    title: `applied mapping: ${title} (${data.records.toLocaleString('en-US')} documents, ${queries.length} queries)`,
    summaries: contenders.map(({ name }) => summarize(name, runs.get(name)!)),
    goals: [],
    notes: queries.map(({ name, why }) => `${name}: ${why}`),
    tables: [queryTable([...found], queries, data.records)],
  }
}

/** The types of the documents, with the facts that `archiver mapping` would find. */
class LearnedTypes {
  readonly #types = new Map<string, { readonly type: RecordType; readonly facts: FactsCollector }>()

  add(batch: RecordBatch): void {
    for (let i = 0; i < batch.count; i++) {
      const type = batch.types[batch.typeIndexes[i]!]!
      const name = nameOfType(type)
      let learned = this.#types.get(name)
      if (learned === undefined) {
        learned = { type, facts: new FactsCollector() }
        this.#types.set(name, learned)
      }
      learned.facts.addLine(batch.lines.subarray(lineStart(batch, i), batch.ends[i]))
    }
  }

  /** Does what `mapping --apply` does for each type; what it returns removes the templates. */
  async install(
    client: Elasticsearch,
    indexPrefix: string,
    nested: readonly string[] = [],
  ): Promise<() => Promise<void>> {
    const types = [...this.#types.values()].map(({ type }) => type)
    const removals: (() => Promise<unknown>)[] = []
    for (const { type, facts } of this.#types.values()) {
      const subject = { type, indexPrefix, types, proposal: proposalOf(facts.facts()), nested }
      const plan = await planMapping(client, subject)
      await applyMapping(client, subject, plan, silentLog)
      const { index, component } = plan.templates
      for (const template of [component, index])
        removals.unshift(() => client.request('DELETE', segmentsOf(template)))
    }
    return async () => {
      for (const remove of removals) await remove()
    }
  }
}
