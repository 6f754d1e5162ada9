import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import type { ElasticsearchSinkOptions } from '../../src/elasticsearch/sink/options.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { batchOf, type OpenSink, openSink, someDay } from '../helpers/elasticsearch-sink.ts'
import {
  elasticsearch,
  elasticsearchUrl,
  indexPrefix,
  uniqueName,
  until,
} from '../helpers/servers.ts'

/** Every row is asked of the real engine that `ARCHIVER_ELASTICSEARCH` names. */

interface Place extends OpenSink {
  readonly prefix: string
  readonly topic: string
  readonly index: (type: string) => string
  readonly rejectedIndex: string
}

async function place(
  t: TestContext,
  options: Partial<ElasticsearchSinkOptions> = {},
): Promise<Place> {
  const prefix = indexPrefix(t)
  const open = await openSink(t, {
    nodes: [elasticsearchUrl],
    connection: { requestTimeoutMs: 30_000 },
    indexPrefix: prefix,
    installTemplates: true,
    ...options,
  })
  return {
    ...open,
    prefix,
    topic: uniqueName('topic'),
    index: (type) => `${prefix}${type}-${someDay}`,
    rejectedIndex: `${prefix}_rejected-${someDay}`,
  }
}

async function count(pattern: string): Promise<number> {
  await elasticsearch('POST', `/${pattern}/_refresh?ignore_unavailable=true`)
  const { count } = await elasticsearch<{ count: number }>(
    'GET',
    `/${pattern}/_count?ignore_unavailable=true`,
  )
  return count
}

/** A template of the user's that wins over ours for one type; it goes with the test's prefix. */
async function putTemplate(
  prefix: string,
  type: string,
  body: Record<string, unknown>,
): Promise<void> {
  await elasticsearch('PUT', `/_index_template/${prefix}foreign-${type}`, {
    index_patterns: [`${prefix}${type}-*`],
    priority: 500,
    ...body,
  })
}

const one = (type: string) => `{"type":"${type}","n":1}`

/**
 * How an index comes to take no documents, and how that is mended. If the index has to be there,
 * the first document is already stored.
 */
const ofTheIndex: Readonly<
  Record<
    string,
    {
      says: RegExp
      isThere: boolean
      breaks: (place: Place) => Promise<unknown>
      mends: (place: Place) => Promise<unknown>
    }
  >
> = {
  'a closed index': {
    says: /index_closed_exception/,
    isThere: true,
    breaks: ({ index }) => elasticsearch('POST', `/${index('a')}/_close`),
    mends: ({ index }) => elasticsearch('POST', `/${index('a')}/_open`),
  },
  'a write block': {
    says: /cluster_block_exception.*index write/,
    isThere: true,
    breaks: ({ index }) =>
      elasticsearch('PUT', `/${index('a')}/_settings`, { 'index.blocks.write': true }),
    mends: ({ index }) =>
      elasticsearch('PUT', `/${index('a')}/_settings`, { 'index.blocks.write': null }),
  },
  'a read-only index': {
    says: /cluster_block_exception.*read-only/,
    isThere: true,
    breaks: ({ index }) =>
      elasticsearch('PUT', `/${index('a')}/_settings`, { 'index.blocks.read_only': true }),
    mends: ({ index }) =>
      elasticsearch('PUT', `/${index('a')}/_settings`, { 'index.blocks.read_only': null }),
  },
  'the block of the flood stage (status 429)': {
    says: /cluster_block_exception.*flood-stage/,
    isThere: true,
    breaks: ({ index }) =>
      elasticsearch('PUT', `/${index('a')}/_settings`, {
        'index.blocks.read_only_allow_delete': true,
      }),
    mends: ({ index }) =>
      elasticsearch('PUT', `/${index('a')}/_settings`, {
        'index.blocks.read_only_allow_delete': null,
      }),
  },
  'the shard limit, when a bulk request would create the index': {
    says: /this action would add \[\d+\] shards/,
    isThere: false,
    breaks: ({ prefix }) =>
      putTemplate(prefix, 'a', { template: { settings: { number_of_shards: 1001 } } }),
    mends: ({ prefix }) => elasticsearch('DELETE', `/_index_template/${prefix}foreign-a`),
  },
  'an index that may not be created': {
    says: /index_not_found_exception/,
    isThere: false,
    breaks: ({ prefix }) => putTemplate(prefix, 'a', { allow_auto_create: false }),
    mends: ({ prefix }) => elasticsearch('DELETE', `/_index_template/${prefix}foreign-a`),
  },
  'a pipeline that is not there': {
    says: /pipeline with id .* does not exist/,
    isThere: true,
    breaks: ({ index }) =>
      elasticsearch('PUT', `/${index('a')}/_settings`, { 'index.default_pipeline': 'nowhere' }),
    mends: ({ index }) =>
      elasticsearch('PUT', `/${index('a')}/_settings`, { 'index.default_pipeline': null }),
  },
  'shards that are nowhere': {
    says: /unavailable_shards_exception/,
    isThere: false,
    breaks: ({ index }) =>
      elasticsearch('PUT', `/${index('a')}?wait_for_active_shards=0`, {
        settings: { 'index.routing.allocation.require._name': 'nobody' },
      }),
    mends: ({ index }) =>
      elasticsearch('PUT', `/${index('a')}/_settings`, {
        'index.routing.allocation.require._name': null,
      }),
  },
}

describe('index scope: its records wait, the others go on, nothing is rejected', {
  concurrency: true,
}, () => {
  for (const [name, { says, isThere, breaks, mends }] of Object.entries(ofTheIndex)) {
    test(name, async (t) => {
      const here = await place(t, { shardTimeoutMs: 1000 })
      const { topic, write, sink, said, index, prefix, rejectedIndex, counts, events } = here
      const first = isThere ? 1 : 0
      if (isThere) await write(batchOf(topic, [one('a')]))
      await breaks(here)
      let stored = false
      const values = Array.from({ length: 120 }, (_, i) => one(i % 2 === 0 ? 'a' : 'b'))
      const written = write(batchOf(topic, values, { from: first })).then(() => {
        stored = true
      })
      await until('the index is held', () => said('error').some((message) => says.test(message)))
      await until('the others go on', async () => (await count(index('b'))) === 60)
      assert.equal(stored, false)
      assert.match(sink.waiting ?? '', says)
      await mends(here)
      await written
      assert.equal(await count(`${prefix}*`), first + 120)
      assert.equal(await count(rejectedIndex), 0)
      assert.equal(counts.rejected, 0)
      assert.equal(sink.waiting, undefined)
      assert.ok(
        events('index_released').some((line) => line.index === index('a') && line.level === 'info'),
      )
      assert.equal(said('error').length, 1, 'the alarm was raised more than once')
    })
  }
})

const nested = (depth: number, open: string, close: string) =>
  `${open.repeat(depth)}1${close.repeat(depth)}`

/** Values that Elasticsearch refuses under a mapping of the user's own, and why. */
const refused: Readonly<
  Record<string, { value: string; says: RegExp; error: string; settings?: unknown }>
> = {
  'a text where a number is mapped': {
    value: '{"type":"a","number":"abc"}',
    error: 'document_parsing_exception',
    says: /failed to parse field \[value.number\]/,
  },
  'an object where a number is mapped': {
    value: '{"type":"a","number":{"x":1}}',
    error: 'document_parsing_exception',
    says: /failed to parse field \[value.number\]/,
  },
  'a number where an object is mapped': {
    value: '{"type":"a","object":5}',
    error: 'document_parsing_exception',
    says: /object mapping for \[value.object\]/,
  },
  'objects deeper than the limit': {
    value: `{"type":"a","deep":${nested(30, '{"a":', '}')}}`,
    error: 'document_parsing_exception',
    says: /Limit of mapping depth/,
  },
  'arrays deeper than the parser goes': {
    value: `{"type":"a","deep":${nested(1100, '[', ']')}}`,
    error: 'document_parsing_exception',
    says: /nesting depth/,
  },
  'the same key twice': {
    value: '{"type":"a","twice":1,"twice":2}',
    error: 'document_parsing_exception',
    says: /Duplicate field 'twice'/,
  },
  'an immense term': {
    value: `{"type":"a","word":"${'x'.repeat(40_000)}"}`,
    error: 'document_parsing_exception',
    says: /immense term/,
  },
  'more fields than the limit': {
    value: `{"type":"a",${Array.from({ length: 60 }, (_, i) => `"f${i}":1`).join(',')}}`,
    error: 'document_parsing_exception',
    says: /Limit of total fields/,
  },
  'an empty key': {
    value: '{"type":"a","":1}',
    error: 'document_parsing_exception',
    says: /empty string/,
  },
  'a key of dots': {
    value: '{"type":"a","..":1}',
    error: 'document_parsing_exception',
    says: /only dots/,
  },
  'a number of 1001 digits': {
    value: `{"type":"a","long":${'9'.repeat(1001)}}`,
    error: 'document_parsing_exception',
    says: /Number value length/,
  },
}

test('document scope: each is kept as a reject with its text and the reason, the others are stored', async (t) => {
  const { prefix, topic, write, sink, said, index, rejectedIndex, counts } = await place(t, {
    logSamples: true,
  })
  await putTemplate(prefix, 'a', {
    template: {
      settings: { 'index.mapping.total_fields.limit': 40, 'index.mapping.depth.limit': 20 },
      mappings: {
        properties: {
          value: {
            properties: {
              number: { type: 'long' },
              object: { properties: { x: { type: 'long' } } },
              word: { type: 'keyword' },
            },
          },
        },
      },
    },
  })
  const rows = Object.entries(refused)
  const values = rows.flatMap(([, { value }]) => [value, one('a')])
  await write(batchOf(topic, values))
  assert.equal(await count(index('a')), rows.length)
  assert.equal(await count(`${prefix}*`), values.length, 'archive-* counts what Kafka delivered')
  assert.equal(counts.rejected, rows.length)
  for (const [i, [name, { value, error, says }]] of rows.entries()) {
    const { _source } = await elasticsearch<{ _source: Record<string, unknown> }>(
      'GET',
      `/${rejectedIndex}/_doc/${encodeURIComponent(`${topic}+0+${i * 2}`)}`,
    )
    assert.equal(_source.value_text, value, name)
    const { type, reason } = _source.error as { type: string; reason: string }
    assert.equal(type, error, name)
    assert.match(reason, says, name)
    assert.equal(_source.type, 'a')
    assert.equal((_source.kafka as { offset: number }).offset, i * 2)
  }
  // Two of them are refused for the same.
  assert.equal(
    said('warn').length,
    rows.length - 1,
    `a warning once per type and reason:\n${said('warn').join('\n')}`,
  )
  assert.deepEqual(said('error'), [])

  // The same again is counted and not said again; a replay adds nothing.
  await sink.open({ topic, partition: 0 })
  await sink.write(batchOf(topic, values))
  assert.equal(await count(`${prefix}*`), values.length)
  assert.equal(said('warn').length, rows.length - 1)
})

test('what our templates make harmless is stored', async (t) => {
  const { prefix, topic, write, rejectedIndex, counts } = await place(t)
  const values = [
    '{"type":"a","n":1}',
    '{"type":"a","n":"abc"}',
    '{"type":"a","n":1.5}',
    '{"type":"a","n":123456789012345678901234567890}',
    '{"type":"a","f":1.5}',
    '{"type":"a","f":1e400}',
    '{"type":"a","day":"2019-08-01"}',
    '{"type":"a","day":"not a day"}',
    `{"type":"a","text":"${'x'.repeat(40_000)}"}`,
    `{"type":"a",${Array.from({ length: 1500 }, (_, i) => `"g${i}":1`).join(',')}}`,
    '{"type":"a","_id":"x","_source":{"a":1},"_index":"i","@timestamp":"never","kafka":{"offset":"none"}}',
    '{"type":"a","surrogate":"\\ud800"}',
    '{"type":"a","__proto__":{"x":1},"constructor":2}',
    '[1,"a",{"b":[2]}]',
    '"text"',
    '1.0',
    'null',
    'not JSON',
    '{"type":""}',
  ]
  await write(batchOf(topic, [...values, null, Buffer.from([0xff, 0xfe]), '']))
  assert.equal(await count(rejectedIndex), 0, JSON.stringify(counts))
  assert.equal(await count(`${prefix}*`), values.length + 3)
})

test('the breaker: a mapping that refuses most documents holds the index; mended, all are stored', async (t) => {
  const { prefix, topic, write, sink, said, index, rejectedIndex, counts } = await place(t, {
    rejectBreaker: 200,
  })
  await putTemplate(prefix, 'a', { template: { mappings: { dynamic: 'strict' } } })
  const values = Array.from({ length: 3000 }, (_, i) => one(i % 10 === 0 ? 'b' : 'a'))
  const written = write(batchOf(topic, values))
  await until('the index is held', () =>
    said('error').some((message) => message.includes('most of its documents')),
  )
  await until('the others go on', async () => (await count(index('b'))) === 300)
  assert.ok((await count(rejectedIndex)) < 200)
  await elasticsearch('DELETE', `/_index_template/${prefix}foreign-a`)
  await elasticsearch('DELETE', `/${index('a')}`)
  await written
  assert.equal(await count(`${prefix}*`), 3000)
  assert.equal((await count(index('a'))) + (await count(rejectedIndex)), 2700)
  assert.ok(counts.rejected < 200)
  assert.equal(sink.waiting, undefined)
})

test('the breaker: not mended in time, the documents become rejects, and the next day is not held for the same', async (t) => {
  const { prefix, topic, write, said, rejectedIndex } = await place(t, {
    rejectBreaker: 200,
    rejectHoldMs: 2000,
  })
  await putTemplate(prefix, 'a', { template: { mappings: { dynamic: 'strict' } } })
  await write(
    batchOf(
      topic,
      Array.from({ length: 1000 }, () => one('a')),
    ),
  )
  assert.equal(await count(rejectedIndex), 1000)
  assert.ok(said('error').some((message) => message.startsWith('index_hold_expired:')))
  const alarms = said('error').length
  const nextDay = batchOf(
    topic,
    Array.from({ length: 1000 }, () => one('a')),
    {
      from: 1000,
      timestamp: Date.UTC(2019, 7, 2),
    },
  )
  await write(nextDay)
  assert.equal(await count(`${prefix}_rejected-*`), 2000)
  assert.equal(said('error').length, alarms)
})

test('the breaker leaves single bad documents alone, and can be switched off', async (t) => {
  const { prefix, topic, write, said } = await place(t, { rejectBreaker: 100 })
  await putTemplate(prefix, 'a', {
    template: { mappings: { properties: { value: { properties: { n: { type: 'long' } } } } } },
  })
  await write(
    batchOf(
      topic,
      Array.from({ length: 1000 }, (_, i) => `{"type":"a","n":${i % 3 === 0 ? '"x"' : 1}}`),
    ),
  )
  assert.deepEqual(said('error'), [])
  const off = await place(t, { rejectBreaker: 0 })
  await putTemplate(off.prefix, 'a', { template: { mappings: { dynamic: 'strict' } } })
  await off.write(
    batchOf(
      off.topic,
      Array.from({ length: 1000 }, () => one('a')),
    ),
  )
  assert.equal(await count(off.rejectedIndex), 1000)
  assert.deepEqual(off.said('error'), [])
})

test('values without fields under a type from the topic: rejects at once, without an alarm; unindexed, they are stored', async (t) => {
  const { prefix, topic, write, said, index, rejectedIndex } = await place(t, { rejectBreaker: 50 })
  const values = ['42', '"text"', '[1,"a"]', 'true', '1.50']
  const batch = batchOf(topic, Array.from({ length: 40 }, () => values).flat(), {
    typeFrom: 'topic',
  })
  const last = batch.count - 1
  await write(batch)
  assert.equal(await count(rejectedIndex), batch.count)
  assert.deepEqual(said('error'), [], 'the breaker held the topic')
  const id = encodeURIComponent(`${topic}+0+${last}`)
  const { _source: reject } = await elasticsearch<{ _source: Record<string, unknown> }>(
    'GET',
    `/${rejectedIndex}/_doc/${id}`,
  )
  assert.deepEqual([reject.type, reject.value_text], [topic, '1.50'])

  // What is documented: a template for this type, made of ours.
  await elasticsearch('PUT', `/_index_template/${prefix}numbers`, {
    index_patterns: [`${prefix}${topic}-*`],
    priority: 200,
    composed_of: [
      'archive@settings',
      'archive@lifecycle',
      'archive@envelope',
      'archive@value-unindexed',
      'archive@custom',
    ],
    ignore_missing_component_templates: ['archive@lifecycle', 'archive@custom'],
    allow_auto_create: true,
  })
  await elasticsearch('DELETE', `/${index(topic)}`)
  const retried = await runArchiver(t, [
    'retry-rejected',
    '--index-prefix',
    prefix,
    '--type',
    topic,
  ])
  assert.equal(retried.code, 0, retried.output)
  assert.equal(await count(index(topic)), batch.count)
  assert.equal(await count(rejectedIndex), 0)
  const stored = await fetch(`${elasticsearchUrl}/${index(topic)}/_source/${id}`)
  assert.equal(
    await stored.text(),
    batch.lines.toString('utf8', batch.ends[last - 1]!, batch.ends[last]! - 1),
  )
  await write(batchOf(topic, values, { from: batch.count, typeFrom: 'topic' }))
  assert.equal(await count(index(topic)), batch.count + values.length)
  const checked = await runArchiver(t, ['setup', '--check', '--index-prefix', prefix])
  assert.doesNotMatch(checked.output, /wins over/)
})

test('a 409 whose document cannot be read holds the index until it can', async (t) => {
  const { topic, write, sink, said, index, counts } = await place(t)
  const batch = batchOf(topic, [one('a')])
  await write(batch)
  await elasticsearch('PUT', `/${index('a')}/_settings`, { 'index.blocks.read': true })
  await sink.open(batch)
  const written = sink.write(batch)
  await until('the index is held', () =>
    said('error').some((message) => message.includes('cannot be read')),
  )
  const requests = counts.requests
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.ok(counts.requests - requests < 4, 'it must not spin')
  await elasticsearch('PUT', `/${index('a')}/_settings`, { 'index.blocks.read': null })
  await written
  assert.equal(counts.rejected, 0)
})
