import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BreakableProxy } from '../chaos/proxy.ts'
import { documentsHeld } from '../chaos/stores.ts'
import { compare, deleteRecords, messages, untilCommitted } from '../helpers/exactly-once.ts'
import { committedAndEnds, createScenario } from '../helpers/scenario.ts'
import {
  createTopic,
  elasticsearchUrl,
  produce,
  recreateTopic,
  withAdmin,
} from '../helpers/servers.ts'

/** Records that are gone from Kafka before a worker reads them. */

test('records that retention took first are logged and recorded as a gap, and the other partitions go on', async (t) => {
  const topic = await createTopic(t, { stem: 'retention', partitions: 2 })
  const scenario = await createScenario(t)
  const admin = await withAdmin(t)
  const both = messages(100).flatMap((message) =>
    [0, 1].map((partition) => ({ ...message, partition })),
  )
  await produce(t, topic, both)
  assert.equal((await scenario.untilEnd('--topics', topic)).code, 0)
  await produce(t, topic, both)
  await deleteRecords(admin, topic, 150)
  const stopped = await scenario.untilEnd('--topics', topic)
  assert.equal(stopped.code, 1)
  assert.match(stopped.output, /offsets 100 to 149 are gone from Kafka before they were archived/)
  assert.match(stopped.output, /; start the worker with --on-gap continue to go on behind them\n$/)
  const [line] = stopped.log.filter(
    ({ level, reason }) => level === 'error' && reason === 'retention',
  )
  assert.deepEqual([line?.topic, line?.partition, line?.from, line?.next], [topic, 0, 100, 150])
  const offsets = await committedAndEnds(t, scenario.group, [topic])
  assert.deepEqual(
    offsets.get(`${topic}/1`),
    { committed: 200, end: 200 },
    'the other partition went on',
  )
  assert.equal(offsets.get(`${topic}/0`)?.committed, 100)
  const gone = await scenario.untilEnd('--topics', topic, '--on-gap', 'continue')
  assert.equal(gone.code, 0, gone.output)
  assert.match(gone.output, /"lost_offsets":50/)
  const found = await compare(scenario, [topic])
  assert.equal(found.chains.lost, 50)
  assert.deepEqual(found.chains.problems, [])
  assert.deepEqual([found.files.missing, found.files.duplicate, found.files.changed], [0, 0, 0])
  assert.equal(found.files.records, 350)
})

test('retention that overtakes a worker while it runs is seen, although no record comes', async (t) => {
  const topic = await createTopic(t, { stem: 'overtaken' })
  const scenario = await createScenario(t)
  await produce(t, topic, messages(50))
  const worker = scenario.start('--topics', topic, '--flush-interval', '1')
  await untilCommitted(t, scenario, [topic])
  worker.child.kill('SIGSTOP')
  // A fetch that the broker holds for a moment comes back without records first.
  await new Promise((resolve) => setTimeout(resolve, 1000))
  await produce(t, topic, messages(50, 50))
  await deleteRecords(await withAdmin(t), topic, 100)
  worker.child.kill('SIGCONT')
  await worker.says('offsets 50 to 99 are gone from Kafka', 45_000)
  worker.child.kill('SIGTERM')
  await worker.ended
})

for (const files of [true, false]) {
  test(`retention that overtakes a worker while Elasticsearch is away, ${files ? 'with' : 'without'} files: what was read is not lost`, async (t) => {
    const topic = await createTopic(t, { stem: 'held' })
    const scenario = await createScenario(t)
    const proxy = new BreakableProxy(elasticsearchUrl)
    const url = await proxy.start()
    t.after(() => proxy.stop())
    const argv = [
      '--topics',
      topic,
      '--flush-interval',
      '1',
      '--commit-interval',
      '200',
      '--elasticsearch',
      url,
    ]
    const worker = scenario.start(...argv, ...(files ? [] : ['--no-files']))
    await worker.says('joined the group')
    proxy.mode = { status: 503 }
    await produce(t, topic, messages(50))
    await worker.says('"event":"sink_waiting"')
    worker.child.kill('SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, 1000))
    await produce(t, topic, messages(50, 50))
    await deleteRecords(await withAdmin(t), topic, 90)
    worker.child.kill('SIGCONT')
    await worker.says('"event":"offset_gone"')
    assert.deepEqual(
      worker
        .log()
        .filter(({ event }) => event === 'offset_gone')
        .map(({ topic, partition, offset }) => ({ topic, partition, offset })),
      [{ topic, partition: 0, offset: 50 }],
    )
    // Longer than a drain before a rebalance may take.
    await new Promise((resolve) => setTimeout(resolve, 4000))
    const committed = async () =>
      (await committedAndEnds(t, scenario.group, [topic])).get(`${topic}/0`)!.committed
    assert.equal(await committed(), 0, 'the worker commits what the sinks hold, and nothing else')
    proxy.heal()
    await worker.says('offsets 50 to 89 are gone from Kafka')
    assert.equal(await committed(), 50)
    worker.child.kill('SIGTERM')
    assert.equal(await worker.ended, 143, worker.output())
    let documents = 0
    for await (const _ of documentsHeld(elasticsearchUrl, scenario.prefix, [
      { topic, partition: 0 },
    ]))
      documents++
    assert.equal(documents, 50)
  })
}

test('a topic that was recreated is refused by name', async (t) => {
  const topic = await createTopic(t, { stem: 'again' })
  const scenario = await createScenario(t)
  await produce(t, topic, messages(100))
  assert.equal((await scenario.untilEnd('--topics', topic)).code, 0)
  const admin = await withAdmin(t)
  await recreateTopic(admin, topic)
  await produce(t, topic, messages(10))
  for (const onGap of ['stop', 'continue']) {
    const again = await scenario.untilEnd('--topics', topic, '--on-gap', onGap)
    assert.equal(again.code, 1)
    assert.match(
      again.output,
      new RegExp(`${topic}/0: the archive holds records up to offset 100.*the topic was recreated`),
    )
  }
})
