import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TopicPartition } from '../../src/record.ts'
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
const textOf = (length: number) => Buffer.from(JSON.stringify({ type: 'a', text: 'x'.repeat(length) }))

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
    { offset: 47, timestamp: august },
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
  const restored = await runArchiver(t, ['restore', '--archive-dir', root, '--to', 'kafka', '--to-topic', target])
  assert.equal(restored.code, 0, restored.output)
  assert.match(restored.output, /restored 142 records to kafka/)

  const again = `${await temporaryDirectory(t)}/again`
  const ran = await runArchiver(t, [
    'run',
    ...['--topics', target, '--group', target, '--archive-dir', again, '--no-elasticsearch', '--until-end'],
  ])
  assert.equal(ran.code, 0, ran.output)
  // The same lines in the same order but for topic and offset, which Kafka gives.
  const comparable = async (directory: string) => {
    const all = await readFiles(directory)
    all.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
    return all.map(({ line }) => line.replace(/"topic":"[^"]+","partition":(\d+),"offset":\d+/, '"partition":$1'))
  }
  assert.deepEqual(await comparable(again), await comparable(root))
})

test('refuses to feed an archive with itself', async (t) => {
  const topic = await createTopic(t)
  const root = await makeArchive(t, [{ tp: { topic, partition: 0 }, flushes: [records(0, 3)] }])
  const refused = await runArchiver(t, ['restore', '--archive-dir', root, '--to', 'kafka'])
  assert.equal(refused.code, 2)
  assert.match(refused.output, /is archived into .*--to-topic.*--into-archived/)
  const allowed = await runArchiver(t, ['restore', '--archive-dir', root, '--to', 'kafka', '--into-archived'])
  assert.equal(allowed.code, 0, allowed.output)
  const admin = await withAdmin(t)
  assert.equal((await admin.fetchTopicOffsets(topic))[0]!.high, '3')
})

test('restores a type, a time, and what is missing of the rest, and twice is once', async (t) => {
  const prefix = indexPrefix(t)
  const tp = { topic: 'orders', partition: 0 }
  const later = records(60, 90).map((record) => ({ ...record, timestamp: record.timestamp! + 24 * msPerHour }))
  const root = await makeArchive(t, [{ tp, flushes: [records(0, 60), later] }])
  const restore = async (...more: string[]) => {
    const { code, output } = await runArchiver(t, ['restore', '--archive-dir', root, '--index-prefix', prefix, ...more])
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
  assert.match(await restore(), /restored 70 records to elasticsearch .*; 20 records in files of which all were there/)
  assert.deepEqual(
    await offsets(),
    Array.from({ length: 90 }, (_, i) => i),
  )
  assert.match(await restore(), /restored 0 records .*; 90 records/)
  const documents = await readDocuments(prefix)
  const lines = new Map((await readFiles(root)).map(({ offset, line }) => [offset, line]))
  for (const { offset, line } of documents) assert.deepEqual(JSON.parse(line), JSON.parse(lines.get(offset)!))
})

test('goes on where it was killed', async (t) => {
  const prefix = indexPrefix(t)
  const tp = { topic: 'orders', partition: 0 }
  const flushes = Array.from({ length: 20 }, (_, i) => records(i * 1000, (i + 1) * 1000))
  const root = await makeArchive(t, [{ tp, flushes }])
  const argv = ['restore', '--archive-dir', root, '--index-prefix', prefix, '--bulk-bytes', '100kB']
  const killed = startArchiver(t, argv)
  const arrived = async () => {
    await elasticsearch('POST', `/${prefix}*/_refresh`, undefined, [404])
    const { count } = await elasticsearch<{ count?: number }>('GET', `/${prefix}*/_count`, undefined, [404])
    return count ?? 0
  }
  while ((await arrived()) === 0 && killed.child.exitCode === null) await new Promise((go) => setTimeout(go, 20))
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
