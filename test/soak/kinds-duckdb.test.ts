import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { IndexNames } from '../../src/elasticsearch/index-name.ts'
import type { Kind } from '../../src/traffic/data/kinds/kind.ts'
import { type KindName, kinds } from '../../src/traffic/data/kinds.ts'
import { RecordMaker } from '../../src/traffic/data/record-maker.ts'
import { useStack } from '../chaos/stack.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { createScenario } from '../helpers/scenario.ts'
import { createTopic, elasticsearch, produce } from '../helpers/servers.ts'

/**
 * The numbers of a dashboard are those of the files. For each kind of traffic: a worker archives a
 * day, each type gets the mapping that is proposed, the day is rebuilt, and the worker archives a
 * day more, with that mapping from the start. Then each field of Elasticsearch is compared with
 * DuckDB over the files, which reads them by the query that `mapping --format duckdb` prints:
 *
 * - numbers, and texts that count as numbers: count, sum, average, minimum, maximum
 * - dates, and the dates beside numbers: count, average, minimum, maximum, to a millisecond
 * - keywords, addresses and booleans: every term, and how many records have it
 *
 * Points, words alone, flattened maps and what is not indexed are named, not compared.
 */

useStack()

const program = fileURLToPath(new URL('../helpers/duckdb_fields.py', import.meta.url))
const withDuckdb = spawnSync('python3', ['-c', 'import duckdb'], { stdio: 'ignore' }).status === 0
const count = 4000
const from = Date.parse('2019-08-01T00:00:00Z')
const to = Date.parse('2019-08-03T00:00:00Z')
const buckets = 10_000
const aggregationsAtOnce = 5

type Compared = 'double' | 'long' | 'date' | 'epoch' | 'ip' | 'boolean' | 'keyword'
interface Field {
  readonly name: string
  readonly path: string
  readonly as: Compared
  readonly texts: boolean
}
type Stats = Readonly<Record<'count' | 'sum' | 'avg' | 'min' | 'max', number | null>>
type Terms = Readonly<Record<string, number>>

interface Capability {
  readonly type: string
  readonly aggregatable: boolean
  readonly meta?: { readonly archiver?: readonly string[] }
}
type Capabilities = Readonly<Record<string, Readonly<Record<string, Capability>>>>

/** The fields that are compared, and what the others are. */
async function fieldsOf(index: string) {
  const caps = async (filters: string) =>
    (
      await elasticsearch<{ fields: Capabilities }>(
        'GET',
        `/${index}/_field_caps?fields=value.*&filters=${filters}`,
      )
    ).fields
  const main = await caps('-metadata,-parent,-multifield')
  const fields: Field[] = []
  const left: string[] = []
  for (const [name, types] of Object.entries(await caps('-metadata,-parent'))) {
    const all = Object.values(types)
    assert.equal(all.length, 1, `${name} has one type in all indices: ${JSON.stringify(types)}`)
    const [{ type, aggregatable, meta }] = all as [Capability]
    const isSub = !Object.hasOwn(main, name)
    const path = name.slice('value.'.length).replace(isSub ? /\.\w+$/ : /$^/, '')
    const compared = { date_nanos: 'date', double: 'double' }[type] ?? type
    const isCompared = /^(double|long|date|ip|boolean|keyword)$/.test(compared) && aggregatable
    if (!isCompared) left.push(`${name} ${type}${aggregatable ? '' : ', not aggregatable'}`)
    else
      fields.push({
        name,
        path,
        as: isSub && compared === 'date' ? 'epoch' : (compared as Compared),
        texts: meta?.archiver?.includes('texts') === true,
      })
  }
  return { fields, left }
}

const isNumeric = ({ as }: Field) => ['double', 'long', 'date', 'epoch'].includes(as)

/** Partition and offset of the records of a topic that Elasticsearch refused. */
async function rejectsOf(prefix: string, topic: string) {
  const { hits } = await elasticsearch<{
    hits: { hits: { _source: { kafka: { partition: number; offset: number } } }[] }
  }>('POST', `/${prefix}_rejected-*/_search?allow_no_indices=true`, {
    size: buckets,
    query: { term: { 'kafka.topic': topic } },
  })
  return hits.hits.map(({ _source: { kafka } }) => [kafka.partition, kafka.offset] as const)
}

async function inElasticsearch(index: string, fields: readonly Field[]) {
  const found = new Map<string, Stats | Terms>()
  for (let start = 0; start < fields.length; start += aggregationsAtOnce) {
    const some = fields.slice(start, start + aggregationsAtOnce)
    const { aggregations } = await elasticsearch<{
      aggregations: Record<
        string,
        Stats & {
          readonly buckets?: readonly {
            readonly key: string
            readonly key_as_string?: string
            readonly doc_count: number
          }[]
          readonly sum_other_doc_count?: number
        }
      >
    }>('POST', `/${index}/_search`, {
      size: 0,
      aggs: Object.fromEntries(
        some.map((field, i) => [
          `f${i}`,
          isNumeric(field)
            ? { stats: { field: field.name } }
            : { terms: { field: field.name, size: buckets } },
        ]),
      ),
    })
    for (const [i, { name }] of some.entries()) {
      const { buckets: terms, sum_other_doc_count: others, ...stats } = aggregations[`f${i}`]!
      assert.ok(terms === undefined || others === 0, `${name} has more terms than are compared`)
      const counts = terms?.map((term) => [term.key_as_string ?? term.key, term.doc_count] as const)
      found.set(name, counts === undefined ? stats : Object.fromEntries(counts))
    }
  }
  return found
}

function compareStats(field: Field, engine: Stats, files: Stats & { scale: number | null }): void {
  const where = `${field.name} (${field.as}): ${JSON.stringify({ engine, files })}`
  assert.equal(engine.count, files.count, where)
  if (files.count === 0) return
  const isTime = field.as === 'date' || field.as === 'epoch'
  const near = isTime ? 1 : 0
  for (const name of ['min', 'max'] as const)
    assert.ok(Math.abs(engine[name]! - files[name]!) <= near, `${name} of ${where}`)
  const tolerance = 1e-12 * files.scale!
  if (!isTime) assert.ok(Math.abs(engine.sum! - files.sum!) <= tolerance, `sum of ${where}`)
  assert.ok(
    Math.abs(engine.avg! - files.avg!) <= tolerance / files.count! + near,
    `average of ${where}`,
  )
}

async function compareKind(t: TestContext, name: KindName): Promise<void> {
  const kind: Kind = kinds[name]
  const topic = await createTopic(t, { stem: name, partitions: 2 })
  const { untilEnd, root, prefix } = await createScenario(t)
  const archive = ['--archive-dir', root, '--index-prefix', prefix]
  const types = kind.shapes.map(({ type }) => type)
  const topics = [{ name: topic, partitions: 2 }]
  const history = { count, from, to }
  const maker = new RecordMaker({ seed: 19, kind, types, topics, malformed: 0, history })
  const records = Array.from({ length: count }, (_, i) => maker.make(i))
  const work = async (some: typeof records) => {
    await produce(
      t,
      topic,
      some.map(({ headers, ...rest }) => (headers === undefined ? rest : { ...rest, headers })),
    )
    const { code, output } = await untilEnd('--topics', topic, '--type-path', kind.typePath)
    assert.equal(code, 0, output)
  }
  const ok = async (...argv: readonly string[]) => {
    const { code, output } = await runArchiver(t, [...argv, ...archive])
    assert.equal(code, 0, output)
    return output
  }
  const nextDay = (from + to) / 2
  await work(records.filter(({ timestamp }) => timestamp < nextDay))
  for (const type of types) {
    t.after(async () => {
      const of = `${new IndexNames(prefix).of({ name: type, reserved: false }, -1)}`
      const template = of.replace(/-unknown$/, '@mapping')
      await elasticsearch('DELETE', `/_index_template/${template}`, undefined, [404])
      await elasticsearch('DELETE', `/_component_template/${template}`, undefined, [404])
    })
    await ok('mapping', '--type', type, '--apply', '--rebuild', '2019-08-01')
  }
  await work(records.filter(({ timestamp }) => timestamp >= nextDay))
  await elasticsearch('POST', `/${prefix}*/_refresh`)
  const totals: Record<string, number> = {}
  const rejects = await rejectsOf(prefix, topic)
  for (const type of types) {
    const [index] = new IndexNames(prefix).ofYears({ name: type, reserved: false }, [2019])
    assert.ok(index !== undefined)
    const { fields, left } = await fieldsOf(index)
    const query = await ok('mapping', '--type', type, '--format', 'duckdb', '--no-elasticsearch')
    const python = spawnSync('python3', [program], {
      cwd: root,
      input: JSON.stringify({ query, fields, rejects }),
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    })
    assert.equal(python.status, 0, python.stderr)
    const files = JSON.parse(python.stdout) as Record<string, never>
    const engine = await inElasticsearch(index, fields)
    for (const field of fields) {
      totals[field.as] = (totals[field.as] ?? 0) + 1
      const one = engine.get(field.name)!
      if (isNumeric(field)) compareStats(field, one as Stats, files[field.name]!)
      else assert.deepEqual(one, files[field.name], `${type}: ${field.name} (${field.as})`)
    }
    t.diagnostic(`${type}: ${fields.map((field) => `${field.name} ${field.as}`).join(', ')}`)
    if (left.length > 0) t.diagnostic(`${type}, not compared: ${left.join('; ')}`)
  }
  t.diagnostic(
    `${name}: ${count} records, ${rejects.length} rejects, ${types.length} types, ${JSON.stringify(totals)}`,
  )
  await ok('verify', '--values', '--deep', '--no-kafka')
}

for (const name of ['shop', 'cdc', 'cloudevents', 'logs'] as const)
  test(`${name}: what Elasticsearch counts is what DuckDB counts in the files`, async (t) => {
    if (!withDuckdb) return t.skip('the module duckdb of Python is not on this machine')
    await compareKind(t, name)
  })
