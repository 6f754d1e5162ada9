import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { readTypeFacts } from '../../src/elasticsearch/read/type-facts.ts'
import { installedProfile } from '../../src/elasticsearch/templates/cluster.ts'
import { compareTemplates } from '../../src/elasticsearch/templates/compare.ts'
import {
  type IndexProfile,
  indexProfiles,
} from '../../src/elasticsearch/templates/index-profile.ts'
import { installTemplates } from '../../src/elasticsearch/templates/install.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { batchOf, openSink, someDay, someTime } from '../helpers/elasticsearch-sink.ts'
import { elasticsearch, elasticsearchUrl, indexPrefix, uniqueName } from '../helpers/servers.ts'

const quiet = createLogger({ level: 'silent', stream: process.stderr })
const dayMs = 86_400_000

async function openClient(t: TestContext): Promise<Elasticsearch> {
  const client = new Elasticsearch({
    nodes: [elasticsearchUrl],
    compression: false,
    requestTimeoutMs: 30_000,
  })
  t.after(() => client.close())
  await client.detect()
  return client
}

/** A sink whose templates are of a profile, on the real engine. */
async function openProfile(t: TestContext, prefix: string, indexProfile: IndexProfile | undefined) {
  const connection = { requestTimeoutMs: 30_000 }
  return await openSink(t, {
    nodes: [elasticsearchUrl],
    connection,
    indexPrefix: prefix,
    installTemplates: true,
    indexProfile,
  })
}

const order = (user: number, amount: number, note: string) =>
  `{"type":"order","user":{"id":"user-${user}","name":"Bo Nielsen"},"amount":${amount},"count":${user},"vip":${user < 3},"note":"${note}"}`

const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
const wide = Array.from({ length: 1500 }, (_, i) => `"f${i}":${i}`).join()

/** Values that no mapping was made for, and that must not be rejected in any profile. */
const awkward = [
  `{"type":"wide",${wide}}`,
  `{"type":"order","amount":"not a number","user":{"id":7}}`,
  `{"type":"order","note":"${'long '.repeat(10_000)}"}`,
  `{"type":"order","kafka":{"offset":"x"},"@timestamp":"never","_id":"mine"}`,
  `{"type":"order","dots.in.names":1,"date":"2019-08-01","later":"no date"}`,
]

for (const profile of indexProfiles) {
  test(`profile ${profile}: what is documented is found, whatever else is in the index`, async (t) => {
    const prefix = indexPrefix(t)
    const topic = uniqueName('topic')
    const { write, said, counts } = await openProfile(t, prefix, profile)
    const orders = Array.from({ length: 20 }, (_, i) =>
      order(i, i * 2.5 + 0.5, i === 7 ? 'please ring twice' : 'none'),
    )
    await write(batchOf(topic, [...orders, ...awkward]))
    await elasticsearch('POST', `/${prefix}*/_refresh`)
    const stored = await elasticsearch<{ count: number }>('GET', `/${prefix}*/_count`)
    assert.equal(stored.count, orders.length + awkward.length)
    assert.equal(counts.rejected, 0, said('warn').join('\n'))

    // A document that is too deep for any engine is a reject at worst, and never blocks others.
    await write(
      batchOf(
        topic,
        [`{"type":"deep","deep":${nested(60)}}`, `{"type":"deep","deep":${nested(3000)}}`],
        { from: 100 },
      ),
    )
    await write(batchOf(topic, [order(20, 50, 'the last')], { from: 200 }))
    await elasticsearch('POST', `/${prefix}*/_refresh`)

    const count = async (query: unknown, type = '*') =>
      (await elasticsearch<{ count: number }>('POST', `/${prefix}${type}/_count`, { query })).count
    assert.equal(await count({ match_all: {} }), orders.length + awkward.length + 3)
    const hour = {
      gte: new Date(someTime - 1000).toISOString(),
      lt: new Date(someTime + 1000).toISOString(),
    }
    assert.equal(await count({ range: { '@timestamp': hour } }, 'wide-*'), 1)
    const position = [
      { term: { 'kafka.topic': topic } },
      { term: { 'kafka.partition': 0 } },
      { term: { 'kafka.offset': 7 } },
    ]
    assert.equal(await count({ bool: { filter: position } }), 1)

    // What only the standard profile has: the fields of the value.
    const isStandard = profile === 'standard'
    const byFields = [
      { term: { 'value.user.id': 'user-12' } },
      { range: { 'value.amount': { gte: 30 } } },
    ]
    assert.equal(await count({ bool: { filter: byFields } }, 'order-*'), isStandard ? 1 : 0)
    assert.equal(
      await count({ match: { 'value.note.text': 'twice' } }, 'order-*'),
      isStandard ? 1 : 0,
    )
    const revenue = async (more: Record<string, unknown> = {}) =>
      (
        await elasticsearch<{ aggregations: { revenue: { value: number } } }>(
          'POST',
          `/${prefix}order-*/_search?size=0`,
          {
            query: { range: { 'kafka.offset': { lt: 20 } } },
            aggs: { revenue: { sum: { field: 'value.amount' } } },
            ...more,
          },
        )
      ).aggregations.revenue.value
    assert.equal(await revenue(), isStandard ? 485 : 0)
    // A search brings its own fields along if the index has none.
    assert.equal(await revenue({ runtime_mappings: { 'value.amount': { type: 'double' } } }), 485)

    const facts = await readTypeFacts(await openClient(t), prefix, 'order')
    assert.equal(facts.records, orders.length + 5)
    const kinds = new Map(facts.fields.map(({ name, kind }) => [name, kind]))
    assert.equal(kinds.get('value.amount'), isStandard ? 'number' : undefined)
    assert.equal(kinds.get('value.user.id'), isStandard ? 'string' : undefined)
  })
}

test('another profile is for indices made from then on, stays without being named, and the check knows it', async (t) => {
  const prefix = indexPrefix(t)
  const topic = uniqueName('topic')
  const client = await openClient(t)
  await installTemplates(client, prefix, quiet)
  assert.equal(await installedProfile(client, prefix), 'standard')
  const value = order(1, 1, 'a')
  await (await openProfile(t, prefix, undefined)).write(batchOf(topic, [value]))
  const { write } = await openProfile(t, prefix, 'lean')
  assert.equal(await installedProfile(client, prefix), 'lean')
  await write(batchOf(topic, [value], { from: 1 }))
  await write(batchOf(topic, [value], { from: 2, timestamp: someTime + dayMs }))
  await openProfile(t, prefix, undefined)
  await installTemplates(client, prefix, quiet, { mend: true })
  assert.equal(
    await installedProfile(client, prefix),
    'lean',
    'whoever names no profile changes none',
  )

  const mappings = async (day: string) =>
    Object.values(
      await elasticsearch<
        Record<string, { mappings: { properties: { value: { properties?: unknown } } } }>
      >('GET', `/${prefix}order-${day}/_mapping`),
    )[0]!.mappings
  assert.ok((await mappings(someDay)).properties.value.properties !== undefined)
  assert.equal((await mappings('2019.08.02')).properties.value.properties, undefined)

  assert.deepEqual(await compareTemplates(client, prefix), [])
  assert.deepEqual(await compareTemplates(client, prefix, 'lean'), [])
  assert.deepEqual(
    (await compareTemplates(client, prefix, 'standard')).map(({ name, state }) => [name, state]),
    [[`${prefix}archive`, 'of another profile']],
  )
  const setup = (...argv: string[]) => runArchiver(t, ['setup', '--index-prefix', prefix, ...argv])
  const checked = await setup('--check', '--index-profile', 'standard')
  assert.equal(checked.code, 1, checked.output)
  assert.match(checked.output, /index_template \S+archive is of another profile in composed_of/)
  assert.equal((await setup('--index-profile', 'standard')).code, 0)
  assert.equal(await installedProfile(client, prefix), 'standard')
  assert.equal((await setup('--check', '--index-profile', 'standard')).code, 0)
})

test('in the lean profile single fields are mapped by archive@custom', async (t) => {
  const prefix = indexPrefix(t)
  const topic = uniqueName('topic')
  await elasticsearch('PUT', '/_component_template/archive@custom', {
    template: {
      mappings: { properties: { value: { properties: { amount: { type: 'double' } } } } },
    },
  })
  t.after(() =>
    elasticsearch('DELETE', '/_component_template/archive@custom', undefined, [400, 404]),
  )
  const { write } = await openProfile(t, prefix, 'lean')
  await write(batchOf(topic, [order(1, 2.5, 'a')]))
  const { fields } = await elasticsearch<{ fields: Record<string, Record<string, unknown>> }>(
    'GET',
    `/${prefix}order-*/_field_caps?fields=value.amount,value.count`,
  )
  assert.deepEqual(Object.keys(fields['value.amount']!), ['double'])
  assert.equal(fields['value.count'], undefined)
  const query = { range: { 'value.amount': { gt: 2 } } }
  await elasticsearch('POST', `/${prefix}*/_refresh`)
  assert.equal(
    (await elasticsearch<{ count: number }>('POST', `/${prefix}*/_count`, { query })).count,
    1,
  )
})
