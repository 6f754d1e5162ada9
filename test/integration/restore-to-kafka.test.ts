import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { august, type MadeUpRecord, makeArchive, records } from '../helpers/archive.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { createScenario } from '../helpers/scenario.ts'
import { createTopic, produce, uniqueName, until, withAdmin } from '../helpers/servers.ts'

const loseAnswers = fileURLToPath(new URL('../helpers/lose-produce-answers.mjs', import.meta.url))
const textOf = (length: number) =>
  Buffer.from(JSON.stringify({ type: 'a', text: 'x'.repeat(length) }))

/** An archive of one partition, and `restore --to kafka` from it. */
async function archived(t: TestContext, flush: readonly MadeUpRecord[], partition = 0) {
  const topic = uniqueName('restore-source')
  const root = await makeArchive(t, [{ tp: { topic, partition }, flushes: [flush] }])
  const restore = (
    target: string,
    more: readonly string[] = [],
    env: Record<string, string> = {},
  ) =>
    runArchiver(
      t,
      ['restore', '--archive-dir', root, '--to', 'kafka', '--to-topic', target, ...more],
      env,
    )
  return { topic, root, restore }
}

/** A name of a topic that restore makes; it is deleted when the test ends. */
async function newTopic(t: TestContext): Promise<string> {
  const topic = uniqueName('restore-target')
  const admin = await withAdmin(t)
  t.after(() => admin.deleteTopics({ topics: [topic] }).catch(() => {}))
  return topic
}

async function sizeOf(t: TestContext, topic: string): Promise<number> {
  const admin = await withAdmin(t)
  return (await admin.fetchTopicOffsets(topic)).reduce(
    (sum, { high, low }) => sum + Number(high) - Number(low),
    0,
  )
}

test('a lost answer doubles nothing', async (t) => {
  // Five batches; the answers to the first, the third twice, and the last are lost.
  const { restore } = await archived(t, records(0, 4500))
  const target = await newTopic(t)
  const { code, output } = await restore(target, [], {
    NODE_OPTIONS: `--import=${loseAnswers}`,
    LOSE_ANSWERS: '1,4,5,8',
  })
  assert.equal(code, 0, output)
  assert.match(output, /answer to produce request 8 is lost/)
  assert.match(output, /restored 4,500 records/)
  assert.doesNotMatch(output, /Limiting retries/)
  assert.equal(await sizeOf(t, target), 4500)
})

test('a second run says what it would duplicate, and sends nothing without a yes', async (t) => {
  const { restore } = await archived(t, records(0, 8))
  const target = await newTopic(t)
  assert.equal((await restore(target)).code, 0)
  const again = await restore(target)
  assert.equal(again.code, 2)
  assert.match(
    again.output,
    new RegExp(
      `nothing was sent: topic ${target} holds 8 records already \\(partition 0: offsets 0 to 7\\), and 8 records would be added.*--yes`,
    ),
  )
  assert.equal(await sizeOf(t, target), 8)
  const told = await restore(target, ['--yes'])
  assert.equal(told.code, 0, told.output)
  assert.match(told.output, /holds 8 records already/)
  assert.equal(await sizeOf(t, target), 16)
})

test('a topic that it makes takes the whole archive', async (t) => {
  const flush = [
    // More than the broker takes by default, in tests (10 MiB) and elsewhere (1 MiB).
    { offset: 3, value: textOf(11_000_000), key: null },
    { offset: 4, timestamp: 0 },
    { offset: 5, timestamp: Date.UTC(2200, 0, 1) },
    { offset: 6, timestamp: -1 },
  ]
  const { topic, root } = await archived(t, flush)
  const other = await makeArchive(t, [
    { tp: { topic, partition: 0 }, flushes: [flush] },
    { tp: { topic, partition: 4 }, flushes: [records(0, 2)] },
  ])
  const target = await newTopic(t)
  const restore = (archive: string, ...more: string[]) =>
    runArchiver(t, [
      'restore',
      '--archive-dir',
      archive,
      '--to',
      'kafka',
      '--to-topic',
      target,
      ...more,
    ])
  const first = await restore(other, '--partition', '0')
  assert.equal(first.code, 0, first.output)
  assert.equal(await sizeOf(t, target), 4)
  // The topic has the partitions of the archive, not of the selection, so the rest goes there as
  // well.
  const rest = await restore(other, '--partition', '4')
  assert.equal(rest.code, 0, rest.output)
  assert.equal(await sizeOf(t, target), 6)
  assert.notEqual(root, other)
})

test('what an existing topic cannot take is named before the first record is sent', async (t) => {
  const ordinary = records(0, 5)
  const large: MadeUpRecord[] = [
    ...ordinary,
    { offset: 5, value: textOf(1_500_000) },
    { offset: 6 },
  ]
  const cases: {
    what: string
    flush: readonly MadeUpRecord[]
    config: Record<string, string>
    says: RegExp
    partition?: number
  }[] = [
    {
      what: 'a record that is too large',
      flush: large,
      config: { 'max.message.bytes': '1048588' },
      says: /max\.message\.bytes=1048588 refuses the record at offset 5 of partition 0, of 1500\d\d\d bytes/,
    },
    {
      what: 'a record larger than a segment',
      flush: large,
      config: { 'max.message.bytes': '4000000', 'segment.bytes': '1048576' },
      says: /segment\.bytes=1048576 refuses the record at offset 5/,
    },
    {
      what: 'records that are too old',
      flush: [{ offset: 9, timestamp: Date.now() }, ...records(10, 13)],
      config: { 'message.timestamp.before.max.ms': '86400000' },
      says: /message\.timestamp\.before\.max\.ms=86400000 refuses the record at offset 10 of partition 0 \(and 2 more\), of timestamp \d+ \(2019-08-01/,
    },
    {
      what: 'records of the future',
      flush: [...ordinary, { offset: 7, timestamp: Date.UTC(2200, 0, 1) }],
      config: { 'message.timestamp.after.max.ms': '3600000' },
      says: /message\.timestamp\.after\.max\.ms=3600000 refuses the record at offset 7 .*2200-01-01/,
    },
    {
      what: 'the time of records',
      flush: ordinary,
      config: { 'message.timestamp.type': 'LogAppendTime' },
      says: /message\.timestamp\.type=LogAppendTime replaces the timestamp/,
    },
    {
      what: 'a record without a key',
      flush: [...ordinary, { offset: 5, key: null }],
      config: { 'cleanup.policy': 'compact' },
      says: /cleanup\.policy=compact takes no record without a key, such as the record at offset 5/,
    },
    {
      what: 'a partition that it does not have',
      flush: ordinary,
      config: {},
      partition: 3,
      says: /has 1 partition, the records need 4/,
    },
    {
      what: 'anything at all',
      flush: ordinary,
      config: { 'min.insync.replicas': '2' },
      says: /min\.insync\.replicas=2 takes no record while a partition has 1 replicas in sync/,
    },
  ]
  for (const { what, flush, config, says, partition } of cases) {
    await t.test(what, async (t) => {
      const target = await createTopic(t, { stem: 'restore-unfit', config })
      const { restore } = await archived(t, flush, partition)
      const { code, output } = await restore(target, ['--yes'])
      assert.equal(code, 1, output)
      assert.match(output, /nothing was sent/)
      assert.match(output, says)
      assert.equal(await sizeOf(t, target), 0)
    })
  }
})

test('what a topic would not keep has to be agreed to', async (t) => {
  const configs: [Record<string, string>, RegExp][] = [
    [
      { 'retention.ms': '604800000' },
      /retention\.ms=604800000 removes the record at offset 0 .*\(and 4 more\) soon/,
    ],
    [
      { 'retention.ms': '-1', 'retention.bytes': '100' },
      /retention\.bytes=100 keeps less than the .* of partition 0/,
    ],
    [
      { 'cleanup.policy': 'compact' },
      /cleanup\.policy=compact keeps only the last record of each key/,
    ],
  ]
  for (const [config, says] of configs) {
    const target = await createTopic(t, { stem: 'restore-short', config })
    const { restore } = await archived(t, records(0, 5))
    const refused = await restore(target)
    assert.equal(refused.code, 2, refused.output)
    assert.match(refused.output, says)
    assert.equal(await sizeOf(t, target), 0)
    const told = await restore(target, ['--yes'])
    assert.equal(told.code, 0, told.output)
  }
})

test('batches keep to the limit of a topic that is lower than usual', async (t) => {
  const config = { 'max.message.bytes': '2000', 'retention.ms': '-1' }
  const target = await createTopic(t, { stem: 'restore-small', config })
  const flush = Array.from({ length: 50 }, (_, offset) => ({
    offset,
    value: textOf(offset * 30),
    timestamp: august,
  }))
  const { restore } = await archived(t, flush)
  const { code, output } = await restore(target)
  assert.equal(code, 0, output)
  assert.equal(await sizeOf(t, target), 50)
})

test('a topic that workers would archive again is refused', async (t) => {
  const scenario = await createScenario(t)
  const stem = uniqueName('restore-live')
  const source = await createTopic(t, { stem })
  await produce(t, source, [{ value: '{"type":"a"}', timestamp: august }])
  // As people write it: it matches anywhere in a name.
  const worker = scenario.start(
    '--topics-regex',
    stem,
    '--no-elasticsearch',
    '--flush-interval',
    '0.2',
  )
  const target = `${source}-restored`
  const admin = await withAdmin(t)
  t.after(() => admin.deleteTopics({ topics: [target] }).catch(() => {}))
  const argv = ['restore', '--archive-dir', scenario.root, '--to', 'kafka', '--to-topic', target]
  await until('the worker is a member', async () => {
    const { groups } = await admin.describeGroups([scenario.group])
    return groups[0]!.state === 'Stable'
  })
  await until('a record is archived', async () => {
    const { output } = await runArchiver(t, ['ls', '--archive-dir', scenario.root])
    return / 1 /.test(output)
  })

  await t.test('by the expression of live workers', async (t) => {
    const { code, output } = await runArchiver(t, argv)
    assert.equal(code, 2, output)
    assert.match(
      output,
      /matches --topics-regex restore-live\S+, which is not anchored .* of the workers of group/,
    )
    assert.ok(!(await admin.listTopics()).includes(target))
  })
  worker.child.kill('SIGTERM')
  await worker.ended

  await t.test('by the expression of the configuration', async (t) => {
    const { code, output } = await runArchiver(t, argv, { ARCHIVER_TOPICS_REGEX: stem })
    assert.equal(code, 2, output)
    assert.match(output, /matches --topics-regex .*--to-topic.*--into-archived/)
    const named = await runArchiver(t, argv, { ARCHIVER_TOPICS: `${source},${target}` })
    assert.match(named.output, /is one of --topics/)
  })

  await t.test('one that no worker archives is not', async (t) => {
    const { code, output } = await runArchiver(t, argv, { ARCHIVER_TOPICS_REGEX: `^${source}$` })
    assert.equal(code, 0, output)
    assert.equal(await sizeOf(t, target), 1)
  })
})

test('names that no topic may have are a mistake', async (t) => {
  const { restore } = await archived(t, records(0, 1))
  for (const name of ['a b', '__consumer_offsets']) {
    const { code, output } = await restore(name)
    assert.equal(code, 2)
    assert.match(output, /--to-topic: .* is not allowed; expected/)
  }
})
