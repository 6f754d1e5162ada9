import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { startArchiver } from '../helpers/archiver.ts'
import { assertExactlyOnce, endCleanly, messages, untilCommitted } from '../helpers/exactly-once.ts'
import { resetOffsets } from '../helpers/reset-offsets.ts'
import { createScenario } from '../helpers/scenario.ts'
import { createProducer, createTopic, produce, testKafka, uniqueName } from '../helpers/servers.ts'

test("an operator's reset, backwards or forwards, makes no duplicate and no hole", async (t) => {
  const topic = await createTopic(t, { stem: 'reset' })
  const scenario = await createScenario(t)
  await produce(t, topic, messages(100))
  assert.equal((await scenario.untilEnd('--topics', topic)).code, 0)
  for (const offset of [10, 170]) {
    await produce(t, topic, messages(100))
    await resetOffsets(testKafka(), scenario.group, topic, new Map([[0, offset]]))
    const { code, output } = await scenario.untilEnd('--topics', topic)
    assert.equal(code, 0, output)
    await assertExactlyOnce(scenario, [topic])
  }
})

test('the archive of another group or cluster is refused', async (t) => {
  const topic = await createTopic(t)
  const scenario = await createScenario(t)
  await produce(t, topic, messages(5))
  assert.equal((await scenario.untilEnd('--topics', topic)).code, 0)
  const argv = ['--topics', topic, '--archive-dir', scenario.root, '--no-elasticsearch']
  const group = startArchiver(t, ['run', ...argv, '--group', uniqueName('other')])
  assert.equal(await group.ended, 1)
  assert.match(group.output(), /is the archive of group/)
  const marker = join(scenario.root, '_archive.json')
  const identity = JSON.parse(await readFile(marker, 'utf8')) as Record<string, unknown>
  await writeFile(marker, JSON.stringify({ ...identity, cluster_id: 'another' }))
  const cluster = await scenario.untilEnd('--topics', topic)
  assert.equal(cluster.code, 1)
  assert.match(cluster.output, /is the archive of Kafka cluster another/)
})

test('lag reaches 0 behind transaction markers, aborted records at the end, and compacted offsets', async (t) => {
  const transactions = await createTopic(t, { stem: 'transactions' })
  const aborted = await createTopic(t, { stem: 'aborted' })
  const compacted = await createTopic(t, {
    stem: 'compacted',
    config: {
      'cleanup.policy': 'compact',
      'segment.ms': '200',
      'min.cleanable.dirty.ratio': '0.01',
      'max.compaction.lag.ms': '500',
    },
  })
  const producer = await createProducer(t, {
    transactionalId: uniqueName('tx'),
    idempotent: true,
    maxInFlightRequests: 1,
  })
  const transact = async (topic: string, end: 'commit' | 'abort') => {
    const transaction = await producer.transaction()
    await transaction.send({
      topic,
      messages: messages(20).map(({ key, value }) => ({ key, value })),
    })
    await transaction[end]()
  }
  for (const end of ['commit', 'abort', 'commit'] as const) await transact(transactions, end)
  for (const end of ['abort', 'abort'] as const) await transact(aborted, end)
  for (let round = 0; round < 4; round++) {
    await produce(t, compacted, messages(30))
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  const topics = [transactions, aborted, compacted]
  const scenario = await createScenario(t)
  const worker = scenario.start('--topics', topics.join(','), '--flush-interval', '1')
  await untilCommitted(t, scenario, topics)
  await endCleanly([worker])
  await assertExactlyOnce(scenario, topics, [compacted])
})
