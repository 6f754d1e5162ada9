import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { compressionTypes } from '../../src/kafka/batch/codecs.ts'
import { type RunningArchiver, runArchiver } from '../helpers/archiver.ts'
import { bombOf, type LargeValue } from '../helpers/bombs.ts'
import { produceRaw } from '../helpers/raw-produce.ts'
import { committedAndEnds, createScenario } from '../helpers/scenario.ts'
import { createProducer, createTopic, produce, until } from '../helpers/servers.ts'
import { readFiles } from '../helpers/stores.ts'

const mib = 2 ** 20
/** What the process has before the first record, and the budget of 128 MiB with a fifth more. */
const generousRss = 200 * mib + 1.2 * 128 * mib

/** The largest memory that a process had so far, in bytes. */
function peakRss({ child }: RunningArchiver): number {
  const [, kb] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))!
  return Number(kb) * 1024
}

async function produceBomb(
  topic: string,
  codec: number,
  values: readonly LargeValue[],
): Promise<void> {
  const body = await bombOf[codec]!(values)
  assert.ok(body.length < 900_000, `${body.length} bytes`)
  const lastOffsetDelta = values.length - 1
  await produceRaw(topic, {
    baseOffset: 0,
    attributes: codec,
    records: [],
    count: values.length,
    lastOffsetDelta,
    compress: () => body,
  })
}

const small = (count: number, partition = 0) =>
  Array.from({ length: count }, (_, i) => ({
    partition,
    value: JSON.stringify({ type: 'good', i }),
  }))
const json = (bytes: number): LargeValue => ({ bytes, begin: '{"type":"large","v":"', end: '"}' })

test('batches that inflate to gigabytes: memory stays in its budget, and what is not too large is archived', async (t) => {
  const topic = await createTopic(t, { stem: 'batches-bombs', partitions: 2 })
  const scenario = await createScenario(t)
  await produce(t, topic, small(10))
  // 0.4 MB on the wire each.
  await produceBomb(topic, compressionTypes.gzip, [{ bytes: 410 * mib }])
  await produceBomb(topic, compressionTypes.zstd, [{ bytes: 1024 * mib }])
  await produceBomb(topic, compressionTypes.gzip, [
    json(100),
    json(200 * mib),
    json(30 * mib),
    { bytes: 20 * mib },
    json(200),
  ])
  await produce(t, topic, small(10))
  const archiver = scenario.start(
    '--topics',
    topic,
    '--no-elasticsearch',
    '--on-gap',
    'continue',
    '--memory-budget',
    '128MiB',
    '--flush-interval',
    '1',
  )
  for (let i = 0; i < 5; i++) await produce(t, topic, small(20, 1))
  const told = () => archiver.log().filter(({ reason }) => reason === 'oversized')
  await until(
    'everything is committed',
    async () => {
      const offsets = await committedAndEnds(t, scenario.group, [topic])
      return [...offsets.values()].every(({ committed, end }) => committed === end)
    },
    90_000,
  )
  const peak = peakRss(archiver)
  archiver.child.kill('SIGTERM')
  assert.equal(await archiver.ended, 143, archiver.output())
  assert.deepEqual(
    told().map(({ topic: of, partition, from, next, bytes }) => [
      of,
      partition,
      from,
      next,
      Math.floor(Number(bytes) / mib),
    ]),
    [
      [topic, 0, 10, 11, 410],
      [topic, 0, 11, 12, 1024],
      [topic, 0, 13, 14, 200],
    ],
  )
  assert.doesNotMatch(archiver.output(), /consumer_restarted/)
  const held = (await readFiles(scenario.root)).filter(({ partition }) => partition === 0)
  assert.deepEqual(
    held.map(({ offset }) => offset).sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26],
  )
  assert.ok(peak < generousRss, `${Math.round(peak / mib)} MiB`)
  t.diagnostic(`peak RSS ${Math.round(peak / mib)} MiB`)
})

test('an oversized record stops its partition alone, by name; others are archived and committed', async (t) => {
  const topic = await createTopic(t, { stem: 'batches-oversized', partitions: 2 })
  const scenario = await createScenario(t)
  await produce(t, topic, small(10))
  await produceBomb(topic, compressionTypes.zstd, [{ bytes: 300 * mib }])
  await produce(t, topic, small(10))
  const archiver = scenario.start('--topics', topic, '--no-elasticsearch', '--flush-interval', '1')
  await archiver.says('"event":"records_lost"')
  const committed = async (partition: number) =>
    (await committedAndEnds(t, scenario.group, [topic])).get(`${topic}/${partition}`)?.committed
  for (let i = 1; i <= 3; i++) {
    await produce(t, topic, small(20, 1))
    await until('the healthy partition is committed', async () => (await committed(1)) === i * 20)
  }
  await until('what is before the record is committed', async () => (await committed(0)) === 10)
  archiver.child.kill('SIGTERM')
  await archiver.ended
  assert.doesNotMatch(archiver.output(), /consumer_restarted/)
  const [line, ...others] = archiver.log().filter(({ level }) => level === 'error')
  assert.deepEqual(others, [])
  assert.deepEqual(
    [line!.topic, line!.partition, line!.reason, line!.from, line!.next, line!.stopped],
    [topic, 0, 'oversized', 10, 11, true],
  )
  assert.equal(
    line!.detail,
    `the record at offset 10 has ${300 * mib + 10} bytes, more than --max-record-bytes (134217728)`,
  )

  const kept = await scenario.untilEnd(
    '--topics',
    topic,
    '--no-elasticsearch',
    '--max-record-bytes',
    '1MiB',
    '--on-gap',
    'continue',
  )
  assert.equal(kept.code, 0, kept.output)
  const held = (await readFiles(scenario.root)).filter(({ partition }) => partition === 0)
  assert.equal(held.length, 20)

  // The gap is named, and the archive is proven for all else.
  const verified = await runArchiver(t, [
    'verify',
    '--archive-dir',
    scenario.root,
    '--no-elasticsearch',
  ])
  assert.equal(verified.code, 0, verified.output)
  assert.match(verified.output, /oversized/)
  const cat = await runArchiver(t, [
    'cat',
    '--archive-dir',
    scenario.root,
    '--topic',
    topic,
    '--partition',
    '0',
    '--offset',
    '10',
  ])
  assert.match(cat.output, /its record is larger than --max-record-bytes allowed/)
})

test('eight partitions whose batches inflate to 49 MB of ordinary records: memory stays in its budget', async (t) => {
  const topic = await createTopic(t, { stem: 'batches-honest', partitions: 8 })
  const scenario = await createScenario(t)
  const text = 'status=ok;'.repeat(70)
  const values = Array.from({ length: 60_000 }, (_, seq) =>
    JSON.stringify({ type: 'metric', host: 'node-17', seq, text }),
  )
  const producer = await createProducer(t)
  for (let partition = 0; partition < 8; partition++) {
    const messages = values.map((value) => ({ partition, value }))
    await producer.send({ topic, compression: compressionTypes.gzip, messages })
  }
  const archiver = scenario.start(
    '--topics',
    topic,
    '--no-elasticsearch',
    '--memory-budget',
    '128MiB',
    '--flush-interval',
    '1',
  )
  await until(
    'everything is committed',
    async () => {
      const offsets = await committedAndEnds(t, scenario.group, [topic])
      return [...offsets.values()].every(({ committed, end }) => committed === end)
    },
    90_000,
  )
  const peak = peakRss(archiver)
  assert.ok(peak < generousRss, `${Math.round(peak / mib)} MiB`)
  t.diagnostic(`peak RSS ${Math.round(peak / mib)} MiB`)
})
