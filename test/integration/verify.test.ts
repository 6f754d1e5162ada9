import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { DocumentReader } from '../../src/elasticsearch/read/reader.ts'
import type { TopicPartition } from '../../src/record/record.ts'
import { checkPartition, type Thoroughness } from '../../src/verify/partition.ts'
import { scanDocuments } from '../../src/verify/scan.ts'
import { comparedPart } from '../../src/verify/scope.ts'
import type { Verdict } from '../../src/verify/verdict.ts'
import { type MadeUpRecord, makeArchive, records } from '../helpers/archive.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { homeAt } from '../helpers/home.ts'
import {
  createTopic,
  elasticsearch,
  elasticsearchUrl,
  indexPrefix,
  produce,
  temporaryDirectory,
} from '../helpers/servers.ts'

const tp: TopicPartition = { topic: 'orders', partition: 1 }
const day = '2019.08.01'

/** An archive, restored into Elasticsearch, and a reader of that. */
async function archived(t: TestContext, flushes: readonly (readonly MadeUpRecord[])[]) {
  const prefix = indexPrefix(t)
  const root = await makeArchive(t, [{ tp, flushes }])
  const restored = await runArchiver(t, [
    'restore',
    '--archive-dir',
    root,
    '--index-prefix',
    prefix,
  ])
  assert.equal(restored.code, 0, restored.output)
  const client = new Elasticsearch({
    nodes: [elasticsearchUrl],
    compression: false,
    requestTimeoutMs: 30_000,
  })
  await client.detect()
  t.after(() => client.close())
  const reader = new DocumentReader(client, prefix)
  const check = async (thoroughness: Thoroughness = 'full'): Promise<Verdict> => {
    await reader.refresh()
    const part = await comparedPart(homeAt(root), tp, undefined)
    const scanned = await scanDocuments(
      reader,
      [part],
      { topics: undefined, indexPrefix: prefix },
      () => {},
    )
    return checkPartition({
      home: homeAt(root),
      tp,
      thoroughness,
      elasticsearch: { reader, indexPrefix: prefix },
      kafka: undefined,
      onProgress: () => {},
      ...(thoroughness === 'deep'
        ? { scanned: { ...scanned.get('orders/1')!, end: part.end } }
        : {}),
    })
  }
  return { prefix, root, check }
}

const kinds = ({ problems }: Verdict) => [...new Set(problems.map(({ kind }) => kind))].sort()
const id = (offset: number) => `orders+1+${offset}`

test('verify finds in Elasticsearch, by name', async (t) => {
  // Offsets 600 to 609 were not delivered, so that a missing and an additional document cannot
  // cancel each other out.
  const all = records(0, 1000).filter(({ offset }) => offset < 600 || offset >= 610)
  const { prefix, check } = await archived(t, [all.slice(0, 400), all.slice(400)])
  const index = `${prefix}a-${day}`
  const line = async (offset: number) =>
    (
      await elasticsearch<{ _source: Record<string, unknown> }>(
        'GET',
        `/${index}/_doc/${id(offset)}`,
      )
    )._source

  await t.test('nothing where all is as it should be', async () => {
    for (const thoroughness of ['fast', 'full', 'deep'] as const) {
      const verdict = await check(thoroughness)
      assert.deepEqual(verdict.problems, [], thoroughness)
      assert.deepEqual([verdict.records, verdict.documents, verdict.rejected], [990, 990, 0])
    }
  })

  await t.test('a deleted document', async () => {
    const source = await line(500)
    await elasticsearch('DELETE', `/${index}/_doc/${id(500)}`)
    assert.deepEqual(kinds(await check('fast')), ['document-missing'])
    const verdict = await check()
    assert.deepEqual(kinds(verdict), ['document-missing'])
    assert.deepEqual(verdict.problems[0]!.offsets, { from: 500, next: 501 })
    assert.equal(verdict.problems[0]!.id, id(500))
    await elasticsearch('PUT', `/${index}/_doc/${id(500)}`, source)
  })

  await t.test(
    'an extra document where Kafka delivered nothing, even as one is missing',
    async () => {
      const source = await line(700)
      const forged = { ...source, kafka: { ...(source.kafka as object), offset: 605 } }
      await elasticsearch('PUT', `/${index}/_doc/${id(605)}`, forged)
      await elasticsearch('DELETE', `/${index}/_doc/${id(700)}`)
      const verdict = await check()
      assert.deepEqual(kinds(verdict), ['document-extra', 'document-missing'])
      const extra = verdict.problems.find(({ kind }) => kind === 'document-extra')!
      assert.deepEqual([extra.index, extra.id], [index, id(605)])
      await elasticsearch('DELETE', `/${index}/_doc/${id(605)}`)
      await elasticsearch('PUT', `/${index}/_doc/${id(700)}`, source)
    },
  )

  await t.test('an extra document with an id of its own', async () => {
    await elasticsearch('PUT', `/${index}/_doc/by-hand`, await line(20))
    const verdict = await check()
    assert.deepEqual(kinds(verdict), ['document-doubled'])
    assert.match(verdict.problems[0]!.message, /by-hand/)
    await elasticsearch('DELETE', `/${index}/_doc/by-hand`)
  })

  await t.test('a record in its index and in the rejected one', async () => {
    const rejected = `${prefix}_rejected-${day}`
    await elasticsearch('PUT', `/${rejected}/_doc/${id(20)}`, await line(20))
    const verdict = await check()
    assert.deepEqual(kinds(verdict), ['document-also-rejected'])
    assert.deepEqual(verdict.problems[0]!.offsets, { from: 20, next: 21 })
    await elasticsearch('DELETE', `/${rejected}/_doc/${id(20)}`)
  })

  await t.test('a changed document', async () => {
    const source = await line(901)
    await elasticsearch('PUT', `/${index}/_doc/${id(901)}`, {
      ...source,
      value: { type: 'a', n: 902 },
    })
    assert.equal((await check()).proven, true)
    const verdict = await check('deep')
    assert.deepEqual(kinds(verdict), ['document-changed'])
    assert.deepEqual([verdict.problems[0]!.index, verdict.problems[0]!.id], [index, id(901)])
    await elasticsearch('PUT', `/${index}/_doc/${id(901)}`, source)
  })

  await t.test('a document under another id, and one in another index', async () => {
    const elsewhere = `${prefix}a-2019.08.02`
    for (const [offset, target] of [
      [904, `${index}/_doc/by-hand`],
      [905, `${elsewhere}/_doc/${id(905)}`],
    ] as const) {
      const source = await line(offset)
      await elasticsearch('PUT', `/${target}`, source)
      await elasticsearch('DELETE', `/${index}/_doc/${id(offset)}`)
      assert.equal((await check()).proven, true, 'by counting alone it is there')
      const verdict = await check('deep')
      assert.deepEqual(kinds(verdict), ['document-misplaced'])
      assert.deepEqual(verdict.problems[0]!.offsets, { from: offset, next: offset + 1 })
      await elasticsearch('DELETE', `/${target}`)
      await elasticsearch('PUT', `/${index}/_doc/${id(offset)}`, source)
    }
  })

  await t.test('and nothing once all is mended', async () => {
    assert.deepEqual((await check('deep')).problems, [])
  })
})

test('a document that was refused counts where it is kept, and is compared with its line', async (t) => {
  const deep = `${'[ '.repeat(1500)}${']'.repeat(1500)}`
  const flush = [
    ...records(0, 10),
    { offset: 10, value: Buffer.from(`{"type":"a","deep":${deep},"big":12345678901234567890}`) },
    { offset: 11, value: Buffer.from([0xff, 0x00]) },
    { offset: 12, value: null },
    { offset: 13, value: Buffer.from('{ "type": "a",\n"x": 1.0, "x": 2 }') },
  ]
  const { prefix, check } = await archived(t, [flush])
  const verdict = await check('deep')
  assert.deepEqual(verdict.problems, [])
  assert.deepEqual([verdict.records, verdict.documents, verdict.rejected], [14, 14, 2])
  const rejected = `${prefix}_rejected-${day}`
  const { _source } = await elasticsearch<{ _source: object }>('GET', `/${rejected}/_doc/${id(10)}`)
  await elasticsearch('PUT', `/${rejected}/_doc/${id(10)}`, {
    ..._source,
    value_text: '{"type":"a"}',
  })
  assert.deepEqual(kinds(await check('deep')), ['document-changed'])
})

test('a whole run is proven by the command, and what is lost then is not', async (t) => {
  const topic = await createTopic(t, { partitions: 2 })
  const prefix = indexPrefix(t)
  const root = `${await temporaryDirectory(t)}/archive`
  const messages = Array.from({ length: 300 }, (_, i) => ({
    key: `k${i}`,
    value: JSON.stringify({ type: i % 2 === 0 ? 'even' : 'odd', i }),
    partition: i % 2,
    timestamp: Date.UTC(2026, 0, 1) + i * 1000,
  }))
  await produce(t, topic, messages)
  const group = topic
  const to = ['--archive-dir', root, '--index-prefix', prefix]
  const ran = await runArchiver(t, [
    'run',
    '--topics',
    topic,
    '--group',
    group,
    ...to,
    '--until-end',
  ])
  assert.equal(ran.code, 0, ran.output)
  const proven = await runArchiver(t, ['verify', ...to, '--deep'])
  assert.equal(proven.code, 0, proven.output)
  assert.match(proven.output, /proven: 2 partitions, 300 records in \d+ files, 300 documents/)
  await elasticsearch('DELETE', `/${prefix}even-2026.01.01/_doc/${topic}+0+7`)
  const lost = await runArchiver(t, ['verify', ...to, '--json'])
  assert.equal(lost.code, 1, lost.output)
  const verdict = lost.log[0] as unknown as { proven: boolean; partitions: Verdict[] }
  assert.equal(verdict.proven, false)
  assert.deepEqual(
    verdict.partitions.map(({ partition, proven, lag }) => [partition, proven, lag]),
    [
      [0, false, 0],
      [1, true, 0],
    ],
  )
})
