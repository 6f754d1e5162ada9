import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { TopicPartition } from '../../src/record/record.ts'
import { august, type MadeUpRecord, makeArchive, records } from '../helpers/archive.ts'
import { runArchiver, startArchiver } from '../helpers/archiver.ts'
import {
  createTopic,
  elasticsearch,
  indexPrefix,
  temporaryDirectory,
  uniqueName,
  withAdmin,
} from '../helpers/servers.ts'
import { readDocuments, readFiles } from '../helpers/stores.ts'

const msPerHour = 3_600_000
const textOf = (length: number) =>
  Buffer.from(JSON.stringify({ type: 'a', text: 'x'.repeat(length) }))

test('gives records back to Kafka as they were: key, value, headers in order, timestamp, partition', async (t) => {
  const topic = uniqueName('restore-source')
  const target = uniqueName('restore-target')
  const headers = ['b', '1', 'a', 'b', 'constructor', '0'].map((key, i) => ({
    key,
    value: i === 3 ? null : Buffer.from([i, 0xff]),
  }))
  const unusual: MadeUpRecord[] = [
    { offset: 40, headers, type: 'b' },
    { offset: 41, key: null, type: 'c' },
    { offset: 42, value: null },
    { offset: 43, value: Buffer.from([0xfe, 0xff]), key: Buffer.from([0x80]) },
    { offset: 44, value: Buffer.from('') },
    { offset: 45, timestamp: -1 },
    {
      offset: 46,
      timestamp: august + 5 * msPerHour,
      value: Buffer.from('{"type":"a","big":12345678901234567890, "x": 1.0}'),
    },
    {
      offset: 47,
      timestamp: august,
      value: Buffer.from('\0\0\0\x01\x07{"type":"framed","n":1.0}'),
    },
    // Microseconds and worse, by broken clocks.
    { offset: 48, timestamp: august * 1000 },
    { offset: 49, timestamp: Number.MAX_SAFE_INTEGER },
    // Together they would be more than a broker takes as one batch.
    ...Array.from({ length: 8 }, (_, i) => ({ offset: 50 + i, value: textOf(60_000) })),
    { offset: 58, value: textOf(900_000) },
    ...Array.from({ length: 8 }, (_, i) => ({ offset: 59 + i, value: textOf(60_000) })),
    ...Array.from({ length: 60 }, (_, i) => ({
      offset: 67 + i,
      headers: [{ key: 'large', value: Buffer.alloc(40_000, i) }],
    })),
  ]
  const partitions: { tp: TopicPartition; flushes: MadeUpRecord[][] }[] = [
    { tp: { topic, partition: 0 }, flushes: [records(5, 40), unusual] },
    { tp: { topic, partition: 2 }, flushes: [records(0, 20)] },
  ]
  const root = await makeArchive(t, partitions)
  const admin = await withAdmin(t)
  t.after(() => admin.deleteTopics({ topics: [target] }).catch(() => {}))
  const restored = await runArchiver(t, [
    'restore',
    '--archive-dir',
    root,
    '--to',
    'kafka',
    '--to-topic',
    target,
  ])
  assert.equal(restored.code, 0, restored.output)
  assert.match(restored.output, /restored 142 records to kafka/)

  const again = `${await temporaryDirectory(t)}/again`
  const ran = await runArchiver(t, [
    'run',
    ...[
      '--topics',
      target,
      '--group',
      target,
      '--archive-dir',
      again,
      '--no-elasticsearch',
      '--until-end',
    ],
  ])
  assert.equal(ran.code, 0, ran.output)
  // The same lines in the same order but for topic and offset, which Kafka gives.
  const comparable = async (directory: string) => {
    const all = await readFiles(directory)
    all.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
    return all.map(({ line }) =>
      line.replace(/"topic":"[^"]+","partition":(\d+),"offset":\d+/, '"partition":$1'),
    )
  }
  assert.deepEqual(await comparable(again), await comparable(root))
  assert.match((await comparable(again)).join('\n'), /"schema_id":263},"value":\{"type":"framed"/)

  const strict = `${await temporaryDirectory(t)}/strict`
  const unframed = await runArchiver(t, [
    ...[
      'run',
      '--topics',
      target,
      '--group',
      `${target}-2`,
      '--archive-dir',
      strict,
      '--no-elasticsearch',
    ],
    ...['--until-end', '--no-framed-json'],
  ])
  assert.equal(unframed.code, 0, unframed.output)
  const kept = (await readFiles(strict)).filter(({ line }) =>
    line.includes('schema id 263, with JSON inside'),
  )
  assert.equal(kept.length, 1)
  const bytes = (JSON.parse(kept[0]!.line) as { value_base64: string }).value_base64
  assert.equal(Buffer.from(bytes, 'base64').toString(), '\0\0\0\x01\x07{"type":"framed","n":1.0}')
})

test('refuses to feed an archive with itself', async (t) => {
  const topic = await createTopic(t)
  const root = await makeArchive(t, [{ tp: { topic, partition: 0 }, flushes: [records(0, 3)] }])
  const refused = await runArchiver(t, ['restore', '--archive-dir', root, '--to', 'kafka'])
  assert.equal(refused.code, 2)
  assert.match(refused.output, /is archived into .*--to-topic.*--into-archived/)
  const allowed = await runArchiver(t, [
    'restore',
    '--archive-dir',
    root,
    '--to',
    'kafka',
    '--into-archived',
  ])
  assert.equal(allowed.code, 0, allowed.output)
  const admin = await withAdmin(t)
  assert.equal((await admin.fetchTopicOffsets(topic))[0]!.high, '3')
})

test('restores a type, a time, and what is missing of the rest, and twice is once', async (t) => {
  const prefix = indexPrefix(t)
  const tp = { topic: 'orders', partition: 0 }
  const later = records(60, 90).map((record) => ({
    ...record,
    timestamp: record.timestamp! + 24 * msPerHour,
  }))
  const root = await makeArchive(t, [{ tp, flushes: [records(0, 60), later] }])
  const restore = async (...more: string[]) => {
    const { code, output } = await runArchiver(t, [
      'restore',
      '--archive-dir',
      root,
      '--index-prefix',
      prefix,
      ...more,
    ])
    assert.equal(code, 0, output)
    return output
  }
  const offsets = async () => (await readDocuments(prefix)).map(({ offset }) => offset)

  await restore('--type', 'b', '--from', '2019-08-01', '--until', '2019-08-02')
  assert.deepEqual(
    await offsets(),
    Array.from({ length: 20 }, (_, i) => 3 * i),
  )
  await restore('--from', '2019-08-01T03:00:10Z', '--until', '2019-08-01T03:00:12Z')
  assert.deepEqual(
    (await offsets()).filter((offset) => offset % 3 !== 0),
    [10, 11],
  )
  assert.match(
    await restore(),
    /restored 68 records to elasticsearch .*; 22 records were there already/,
  )
  assert.deepEqual(
    await offsets(),
    Array.from({ length: 90 }, (_, i) => i),
  )
  assert.match(await restore(), /restored 0 records .*; 90 records/)
  const documents = await readDocuments(prefix)
  const lines = new Map((await readFiles(root)).map(({ offset, line }) => [offset, line]))
  for (const { offset, line } of documents)
    assert.deepEqual(JSON.parse(line), JSON.parse(lines.get(offset)!))
})

/** An archive of one partition, restored into indices of a prefix, and what a test does to both. */
async function restored(t: TestContext, prefix: string, flush: readonly MadeUpRecord[]) {
  const tp = { topic: uniqueName('restore-proof'), partition: 0 }
  const root = await makeArchive(t, [{ tp, flushes: [flush] }])
  const argv = ['--archive-dir', root, '--index-prefix', prefix]
  const restore = async (...more: string[]) => {
    const { code, output } = await runArchiver(t, ['restore', ...argv, '--no-templates', ...more])
    assert.equal(code, 0, output)
    return output
  }
  const ofTopic = (...offsets: number[]) => ({
    bool: {
      filter: [
        { term: { 'kafka.topic': tp.topic } },
        ...offsets.map((offset) => ({ term: { 'kafka.offset': offset } })),
      ],
    },
  })
  interface Hit {
    readonly _index: string
    readonly _id: string
    readonly _source: unknown
  }
  interface Found {
    readonly hits: { readonly hits: readonly Hit[] }
  }
  const find = async (offset: number) => {
    const { hits } = await elasticsearch<Found>('POST', `/${prefix}*/_search`, {
      query: ofTopic(offset),
    })
    return hits.hits[0]!
  }
  const remove = async (...offsets: number[]) => {
    for (const offset of offsets) {
      const { _index, _id } = await find(offset)
      await elasticsearch(
        'DELETE',
        `/${encodeURIComponent(_index)}/_doc/${encodeURIComponent(_id)}?refresh=true`,
      )
    }
  }
  /** Another document for the record: the number of documents is that of the records again. */
  const double = async (offset: number) => {
    const { _index, _source } = await find(offset)
    await elasticsearch('POST', `/${encodeURIComponent(_index)}/_doc?refresh=true`, _source)
  }
  /** How many offsets have a document. */
  const present = async () => {
    const aggs = {
      offsets: { histogram: { field: 'kafka.offset', interval: 1, min_doc_count: 1 } },
    }
    const { aggregations } = await elasticsearch<{
      aggregations: { offsets: { buckets: unknown[] } }
    }>('POST', `/${prefix}*/_search`, { size: 0, query: ofTopic(), aggs })
    return aggregations.offsets.buckets.length
  }
  const verify = () => runArchiver(t, ['verify', ...argv, '--no-kafka'])
  await restore()
  assert.equal(await present(), flush.length)
  return { restore, remove, double, present, verify }
}

test('restores what verify names, though as many documents as records are there', async (t) => {
  const prefix = indexPrefix(t)
  const hour = 4 * msPerHour + Date.UTC(2019, 7, 1)
  const { code, output } = await runArchiver(t, ['setup', '--index-prefix', prefix])
  assert.equal(code, 0, output)

  await t.test(
    'records of other hours lie in the same index, between the offsets of a file',
    async (t) => {
      const flush = [-1000, 1000, 1000, -1000].map((ms, offset) => ({
        offset,
        type: 'order',
        timestamp: hour + ms,
      }))
      const { restore, remove, verify } = await restored(t, prefix, flush)
      await remove(0, 3)
      const bad = await verify()
      assert.match(bad.output, /document-missing/)
      assert.equal(bad.code, 1)
      assert.match(
        await restore(),
        /restored 2 records to elasticsearch .*; 2 records were there already/,
      )
      const good = await verify()
      assert.equal(good.code, 0, good.output)
    },
  )

  await t.test('another document has the offset of a neighbour', async (t) => {
    const flush = Array.from({ length: 6 }, (_, offset) => ({
      offset,
      type: 'order',
      timestamp: hour + offset,
    }))
    const { restore, remove, double, present } = await restored(t, prefix, flush)
    await double(2)
    await remove(4)
    assert.match(
      await restore(),
      /restored 1 record to elasticsearch .*; 5 records were there already/,
    )
    assert.equal(await present(), 6)
  })

  await t.test('a time leaves out a part of a file', async (t) => {
    const flush = Array.from({ length: 6 }, (_, offset) => ({
      offset,
      type: 'order',
      timestamp: hour + offset * 1000,
    }))
    const { restore, remove, present } = await restored(t, prefix, flush)
    const time = ['--from', '2019-08-01T04:00:01Z', '--until', '2019-08-01T04:00:04Z']
    assert.match(await restore(...time), /restored 0 records .*; 3 records were there already/)
    await remove(2, 5)
    assert.match(await restore(...time), /restored 1 record .*; 2 records were there already/)
    assert.equal(await present(), 5)
    assert.match(await restore(), /restored 1 record .*; 5 records were there already/)
    assert.equal(await present(), 6)
  })

  await t.test('what Elasticsearch refuses is not counted as restored', async (t) => {
    const flush = ['1', '{"x":1}', '2'].map((n, offset) => ({
      offset,
      type: 'mixed',
      timestamp: hour + offset,
      value: Buffer.from(`{"type":"mixed","n":${n}}`),
    }))
    const { restore } = await restored(t, prefix, flush)
    assert.match(
      await restore(),
      /restored 0 records .*; 2 records were there already; 1 record was rejected and is in/,
    )
  })

  await t.test('types that differ by case share an index', async (t) => {
    const flush = ['a', 'A', 'a', 'A', 'a'].map((type, offset) => ({
      offset,
      type,
      timestamp: hour + offset,
    }))
    const { restore, remove, present } = await restored(t, prefix, flush)
    await remove(1, 2)
    assert.match(await restore(), /restored 2 records .*; 3 records were there already/)
    assert.equal(await present(), 5)
  })

  await t.test('more records than one question has room for, with offsets far apart', async (t) => {
    const flush = Array.from({ length: 12_000 }, (_, i) => ({
      offset: i * 70 + (i % 3),
      timestamp: hour + (i % 1000),
    }))
    const { restore, remove, present } = await restored(t, prefix, flush)
    await remove(...[0, 6000, 11_999].map((i) => flush[i]!.offset))
    assert.match(await restore(), /restored 3 records .*; 11,997 records were there already/)
    assert.equal(await present(), 12_000)
  })
})

test('topics of the workers narrow a restore, and what they leave out is named', async (t) => {
  const prefix = indexPrefix(t)
  const [orders, old] = [uniqueName('orders'), uniqueName('old')]
  const root = await makeArchive(t, [
    { tp: { topic: orders, partition: 0 }, flushes: [records(0, 5)] },
    { tp: { topic: old, partition: 0 }, flushes: [records(0, 3)] },
  ])
  const restore = (...more: string[]) =>
    runArchiver(t, [
      'restore',
      '--archive-dir',
      root,
      '--index-prefix',
      prefix,
      '--topics-regex',
      '^orders',
      ...more,
    ])
  const narrowed = await restore()
  assert.equal(narrowed.code, 0, narrowed.output)
  assert.match(narrowed.output, /restored 5 records/)
  assert.match(narrowed.output, new RegExp(`"event":"topics_left_out","topics":\\["${old}"\\]`))
  const named = await restore('--topic', old)
  assert.match(named.output, /restored 3 records/)
})

test('continues where it was killed', async (t) => {
  const prefix = indexPrefix(t)
  const tp = { topic: 'orders', partition: 0 }
  const flushes = Array.from({ length: 20 }, (_, i) => records(i * 1000, (i + 1) * 1000))
  const root = await makeArchive(t, [{ tp, flushes }])
  const argv = ['restore', '--archive-dir', root, '--index-prefix', prefix, '--bulk-bytes', '100kB']
  const killed = startArchiver(t, argv)
  const arrived = async () => {
    await elasticsearch('POST', `/${prefix}*/_refresh`, undefined, [404])
    const { count } = await elasticsearch<{ count?: number }>(
      'GET',
      `/${prefix}*/_count`,
      undefined,
      [404],
    )
    return count ?? 0
  }
  while ((await arrived()) === 0 && killed.child.exitCode === null)
    await new Promise((go) => setTimeout(go, 20))
  killed.child.kill('SIGKILL')
  await killed.ended
  const { code, output } = await runArchiver(t, argv)
  assert.equal(code, 0, output)
  assert.equal(await arrived(), 20_000)
  const verified = await runArchiver(t, [
    'verify',
    '--archive-dir',
    root,
    '--index-prefix',
    prefix,
    '--no-kafka',
    '--deep',
  ])
  assert.equal(verified.code, 0, verified.output)
})

test('an index that somebody made by hand: verify names what is in it, restore refuses it', async (t) => {
  const prefix = indexPrefix(t)
  const tp = { topic: uniqueName('by-hand'), partition: 0 }
  const root = await makeArchive(t, [{ tp, flushes: [records(0, 6)] }])
  const argv = ['--archive-dir', root, '--index-prefix', prefix]
  // Before the templates are there, and so with the engine's own mappings: topics are texts.
  const index = `${prefix}a-2019.08.01`
  const id = (offset: number) => `${tp.topic}+0+${offset}`
  for (const offset of [1, 2])
    await elasticsearch('PUT', `/${index}/_create/${encodeURIComponent(id(offset))}?refresh=true`, {
      kafka: { ...tp, offset },
    })
  const restore = () => runArchiver(t, ['restore', ...argv])
  const verify = () => runArchiver(t, ['verify', ...argv, '--no-kafka'])
  const refused = await restore()
  assert.equal(refused.code, 1, refused.output)
  assert.match(refused.output, /index \S+a-2019\.08\.01 was made without/)
  assert.match(refused.output, /it maps kafka\.topic as text.*Delete the index, and restore again/)
  const hidden = await verify()
  assert.equal(hidden.code, 1, hidden.output)
  for (const offset of [1, 2])
    assert.ok(hidden.output.includes(`document-hidden: ${index} holds ${id(offset)}`))
  assert.match(hidden.output, /document-missing: offsets 3 to 5: no document/)
  assert.doesNotMatch(hidden.output, /document-missing: offsets? 1/)
  await elasticsearch('DELETE', `/${index}`)
  const cured = await restore()
  assert.equal(cured.code, 0, cured.output)
  const proven = await verify()
  assert.equal(proven.code, 0, proven.output)
})
