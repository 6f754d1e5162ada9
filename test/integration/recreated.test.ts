import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { runArchiver } from '../helpers/archiver.ts'
import { createScenario, type Scenario } from '../helpers/scenario.ts'
import {
  createProducer,
  createTopic,
  produce,
  recreateTopic,
  type TestMessage,
  withAdmin,
} from '../helpers/servers.ts'
import { readFiles } from '../helpers/stores.ts'

const messages = (life: number, from: number, next: number): TestMessage[] =>
  Array.from({ length: next - from }, (_, i) => ({
    value: JSON.stringify({ type: 'a', life, n: from + i }),
    timestamp: 1_564_693_200_000 + life * 10_000_000 + from + i,
  }))

/** Deletes a topic and makes it again with records of a second life. */
async function recreate(
  t: TestContext,
  topic: string,
  records: readonly TestMessage[],
): Promise<void> {
  const admin = await withAdmin(t)
  await recreateTopic(admin, topic)
  await produce(t, topic, records)
}

const verify = (t: TestContext, { root }: Scenario, ...more: readonly string[]) =>
  runArchiver(t, ['verify', '--archive-dir', root, '--no-elasticsearch', ...more])

/**
 * `runs` is how many flushes the archive has; only with a second one does a manifest know what the
 * group had committed.
 */
for (const { runs, records, grown } of [
  { runs: 1, records: 12, grown: 'has outgrown it' },
  { runs: 2, records: 12, grown: 'has outgrown it' },
  { runs: 1, records: 6, grown: 'is as long' },
]) {
  test(`a topic that was recreated and ${grown} is refused and named, after ${runs} flush(es)`, async (t) => {
    const topic = await createTopic(t, { stem: 'again' })
    const other = await createTopic(t, { stem: 'beside' })
    const scenario = await createScenario(t)
    const run = () => scenario.untilEnd('--no-elasticsearch', '--topics', `${topic},${other}`)
    for (let i = 0; i < runs; i++) {
      await produce(t, topic, messages(1, (6 / runs) * i, (6 / runs) * (i + 1)))
      assert.equal((await run()).code, 0)
    }
    const before = await verify(t, scenario, '--json')
    assert.equal(before.code, 0, before.output)

    await recreate(t, topic, messages(2, 0, records))
    await produce(t, other, messages(1, 0, 3))
    // Refused each time: nothing is committed of it.
    for (let i = 0; i < 2; i++) {
      const { code, output, log } = await run()
      assert.equal(code, 1, output)
      const [line] = log.filter(({ level }) => level === 'error')
      assert.deepEqual(
        [line?.topic, line?.partition, line?.reason, line?.from, line?.next],
        [topic, 0, 'recreated', 0, 6],
      )
      assert.deepEqual([line?.event, line?.stopped], ['records_lost', true])
      assert.equal(
        line?.detail,
        "Kafka's record at offset 5 is not the archived one: the topic was recreated, and its records below offset 6 are not archived",
      )
      assert.ok(output.includes(`${topic}/0: Kafka's record at offset 5`), 'the exit names it')
    }
    const archived = await readFiles(scenario.root)
    assert.ok(archived.every(({ line }) => line.includes('"life":1')))
    assert.equal(
      archived.filter((record) => record.topic === other).length,
      3,
      'the other topic goes on',
    )

    for (const thoroughness of runs === 2 ? [[], ['--fast']] : [[]]) {
      const { code, output } = await verify(t, scenario, ...thoroughness)
      assert.equal(code, 1, output)
      assert.match(
        output,
        /topic-recreated: Kafka's record at offset 5 is not the one that is archived/,
      )
      assert.match(output, new RegExp(`ok {3}${other}/0`))
    }
    const unasked = await verify(t, scenario, '--no-kafka')
    assert.equal(unasked.code, 0, unasked.output)
  })
}

test('verify finds a recreated topic although the archive continued into it', async (t) => {
  const topic = await createTopic(t, { stem: 'mixed' })
  const scenario = await createScenario(t)
  const run = () => scenario.untilEnd('--no-elasticsearch', '--topics', topic)
  await produce(t, topic, messages(1, 0, 6))
  assert.equal((await run()).code, 0)
  await recreate(t, topic, messages(2, 0, 6))
  // A group that has an offset is trusted, whatever its origin: here another archive.
  const elsewhere = ['--archive-dir', `${scenario.root}-2`]
  const start = scenario.argv.flatMap((word, i, all) =>
    word === '--archive-dir' || all[i - 1] === '--archive-dir' ? [] : [word],
  )
  const second = await runArchiver(t, [
    ...start,
    ...elsewhere,
    '--until-end',
    '--no-elasticsearch',
    '--topics',
    topic,
  ])
  assert.equal(second.code, 0, second.output)
  await produce(t, topic, messages(2, 6, 12))
  const { code, output } = await run()
  assert.equal(code, 0, output)
  const verified = await verify(t, scenario)
  assert.equal(verified.code, 1, verified.output)
  assert.match(
    verified.output,
    /topic-recreated: Kafka's record at offset 5 is not the one that is archived/,
  )
})

test('a group without offsets is no sign of another topic, whatever the last record is', async (t) => {
  const scenario = await createScenario(t)
  const last: Readonly<Record<string, TestMessage>> = {
    plain: { value: '{"type":"a"}', key: 'k' },
    breaks: { value: '{"type":"a",\r\n"n":1}\n' },
    null: { value: 'null' },
    tombstone: { value: null, key: 'k' },
    malformed: { value: Buffer.from([0xfe, 0x0a, 0x0d, 0xff]), key: Buffer.from([0x80]) },
    empty: { value: '' },
    clock: { value: '{"type":"a"}', timestamp: -1 },
    large: { value: JSON.stringify({ type: 'a', text: 'x'.repeat(700_000) }) },
  }
  const topics: string[] = []
  for (const [stem, message] of Object.entries(last)) {
    const topic = await createTopic(t, { stem })
    topics.push(topic)
    await produce(t, topic, [...messages(1, 0, 3), message])
  }
  const appended = await createTopic(t, {
    stem: 'append',
    config: { 'message.timestamp.type': 'LogAppendTime' },
  })
  await produce(t, appended, messages(1, 0, 4))
  const aborted = await createTopic(t, { stem: 'aborted' })
  await produce(t, aborted, messages(1, 0, 4))
  const producer = await createProducer(t, {
    transactionalId: aborted,
    maxInFlightRequests: 1,
    idempotent: true,
  })
  const transaction = await producer.transaction()
  await transaction.send({
    topic: aborted,
    messages: [{ value: '{"type":"never"}', partition: 0 }],
  })
  await transaction.abort()
  const removed = await createTopic(t, { stem: 'removed' })
  await produce(t, removed, messages(1, 0, 4))
  topics.push(appended, aborted, removed)

  const run = () => scenario.untilEnd('--no-elasticsearch', '--topics', topics.join())
  const first = await run()
  assert.equal(first.code, 0, first.output)
  const admin = await withAdmin(t)
  await admin.deleteGroups([scenario.group])
  await admin.deleteTopicRecords({ topic: removed, partitions: [{ partition: 0, offset: '4' }] })

  const { code, output, log } = await run()
  assert.equal(code, 0, output)
  assert.ok(
    log.every(
      ({ topic, event, comparison }) =>
        topic === removed ||
        (event !== 'records_lost' && (event !== 'group_offset_missing' || comparison === 'same')),
    ),
    output,
  )
  assert.equal((await readFiles(scenario.root)).length, 4 * topics.length)
  const verified = await verify(t, scenario, '--json')
  assert.equal(verified.code, 0, verified.output)
  const { partitions } = JSON.parse(verified.output) as {
    partitions: { topic: string; same_records: string }[]
  }
  assert.deepEqual(
    new Map(partitions.map(({ topic, same_records }) => [topic, same_records])),
    new Map(topics.map((topic) => [topic, topic === removed ? 'unknown' : 'same'])),
  )
})
