import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resetOffsets } from '../helpers/reset-offsets.ts'
import { committedAndEnds, createScenario, stagedFiles } from '../helpers/scenario.ts'
import {
  createTopic,
  produce,
  recreateTopic,
  testKafka,
  uniqueName,
  until,
  withAdmin,
} from '../helpers/servers.ts'
import { accountFor, dataFiles, offsetsOf, readDocuments, readFiles } from '../helpers/stores.ts'

const nothing = { missing: [], duplicates: [], unexpected: [] }
const message = (i: number) => ({
  key: `k${i}`,
  value: JSON.stringify({ type: `object.${i % 3}`, i }),
})
const messages = (from: number, next: number) => [...offsetsOf(from, next)].map(message)

test('a restart continues where the last run ended; a third run does nothing new', async (t) => {
  const topic = await createTopic(t, { stem: 'restart' })
  const { root, prefix, group, untilEnd } = await createScenario(t)
  const counted = async (next: number) => {
    assert.deepEqual(
      accountFor(new Map([[`${topic}/0`, offsetsOf(0, next)]]), await readFiles(root)),
      nothing,
    )
    assert.deepEqual(
      accountFor(new Map([[`${topic}/0`, offsetsOf(0, next)]]), await readDocuments(prefix)),
      nothing,
    )
    const { committed, end } = (await committedAndEnds(t, group, [topic])).get(`${topic}/0`)!
    assert.deepEqual([committed, end], [next, next])
  }
  await produce(t, topic, messages(0, 2000))
  assert.equal((await untilEnd('--topics', topic)).code, 0)
  await counted(2000)
  await produce(t, topic, messages(2000, 3500))
  assert.equal((await untilEnd('--topics', topic)).code, 0)
  await counted(3500)
  const before = await dataFiles(root)
  assert.equal((await untilEnd('--topics', topic)).code, 0)
  assert.deepEqual(await dataFiles(root), before)
  await counted(3500)
})

test('SIGTERM in the middle flushes and commits: exit code 143, and the next run continues', async (t) => {
  const topic = await createTopic(t, { stem: 'sigterm', partitions: 2 })
  const { root, prefix, group, start, untilEnd } = await createScenario(t)
  const half = 20_000
  const both = messages(0, 2 * half).map((one, i) => ({ ...one, partition: i % 2 }))
  await produce(t, topic, both)
  const first = start('--topics', topic, '--flush-interval', '0.2')
  await until('first files', async () => (await dataFiles(root).catch(() => [])).length > 0)
  first.child.kill('SIGTERM')
  assert.equal(await first.ended, 143, first.output())
  assert.deepEqual(await stagedFiles(root), [])
  for (const [key, { committed }] of await committedAndEnds(t, group, [topic])) {
    const inFiles = (await readFiles(root)).filter(
      ({ topic, partition }) => `${topic}/${partition}` === key,
    )
    assert.equal(
      inFiles.length,
      Math.max(0, committed),
      `${key}: what the files hold is what was committed`,
    )
  }
  await produce(t, topic, messages(0, 100))
  assert.equal((await untilEnd('--topics', topic)).code, 0)
  const expected = () =>
    new Map([
      [`${topic}/0`, offsetsOf(0, half + 100)],
      [`${topic}/1`, offsetsOf(0, half)],
    ])
  assert.deepEqual(accountFor(expected(), await readFiles(root)), nothing)
  assert.deepEqual(accountFor(expected(), await readDocuments(prefix)), nothing)
})

test('nothing is committed before both sinks hold it; a worker killed then has lost and doubled nothing', async (t) => {
  const topic = await createTopic(t, { stem: 'killed' })
  const { root, prefix, group, start, untilEnd } = await createScenario(t)
  await produce(t, topic, messages(0, 3000))
  const first = start('--topics', topic, '--flush-interval', '3600', '--commit-interval', '50')
  await until('all in Elasticsearch', async () => (await readDocuments(prefix)).length === 3000)
  assert.deepEqual(await dataFiles(root), [], 'no file is there before its flush')
  const committedOf = async () =>
    (await committedAndEnds(t, group, [topic])).get(`${topic}/0`)!.committed
  assert.ok(
    (await committedOf()) <= 0,
    `${await committedOf()} is committed, and the files hold nothing`,
  )
  first.child.kill('SIGKILL')
  assert.equal(await first.ended, 137)
  assert.equal((await untilEnd('--topics', topic)).code, 0)
  assert.equal(await committedOf(), 3000)
  const expected = () => new Map([[`${topic}/0`, offsetsOf(0, 3000)]])
  assert.deepEqual(accountFor(expected(), await readFiles(root)), nothing)
  assert.deepEqual(accountFor(expected(), await readDocuments(prefix)), nothing)
})

test('a topic made later that the regular expression matches is picked up, and no other', async (t) => {
  const stem = uniqueName('regex')
  const early = await createTopic(t, { stem: `${stem}.early` })
  const other = await createTopic(t, { stem: 'not-wanted' })
  const { root, prefix, start } = await createScenario(t)
  await produce(t, early, messages(0, 50))
  await produce(t, other, messages(0, 50))
  const archiver = start(
    '--topics-regex',
    `^${stem}\\.`,
    '--topics-refresh',
    '1',
    '--flush-interval',
    '0.2',
  )
  const inFiles = async (topic: string) =>
    (await readFiles(root).catch(() => [])).filter((one) => one.topic === topic).length
  await until('the topic that was there', async () => (await inFiles(early)) === 50)
  const late = await createTopic(t, { stem: `${stem}.late` })
  await produce(t, late, messages(0, 70))
  await produce(t, early, messages(50, 60))
  await until(
    'the topic made later',
    async () => (await inFiles(late)) === 70 && (await inFiles(early)) === 60,
  )
  archiver.child.kill('SIGTERM')
  assert.equal(await archiver.ended, 143, archiver.output())
  const expected = () =>
    new Map([
      [`${early}/0`, offsetsOf(0, 60)],
      [`${late}/0`, offsetsOf(0, 70)],
    ])
  assert.deepEqual(accountFor(expected(), await readFiles(root)), nothing)
  assert.deepEqual(accountFor(expected(), await readDocuments(prefix)), nothing)
})

test('a topic that is deleted while a worker runs costs the others nothing', async (t) => {
  const stem = uniqueName('deleted')
  const doomed = await createTopic(t, { stem: `${stem}.doomed` })
  const kept = await createTopic(t, { stem: `${stem}.kept`, partitions: 2 })
  await produce(t, doomed, messages(0, 20))
  await produce(t, kept, messages(0, 20))
  const { root, group, start } = await createScenario(t)
  const worker = start(
    '--topics-regex',
    `^${stem}\\.`,
    '--topics-refresh',
    '1',
    '--flush-interval',
    '0.2',
  )
  const untilCommitted = (next: number) =>
    until(
      `${next} of ${kept} are committed`,
      async () => (await committedAndEnds(t, group, [kept])).get(`${kept}/0`)!.committed === next,
      60_000,
    )
  await untilCommitted(20)
  const admin = await withAdmin(t)
  await admin.deleteTopics({ topics: [doomed] })
  await worker.says('"event":"topics_vanished"')
  assert.deepEqual(worker.log().find(({ event }) => event === 'topics_vanished')?.topics, [doomed])
  await produce(t, kept, messages(20, 50))
  await untilCommitted(50)
  worker.child.kill('SIGTERM')
  assert.equal(await worker.ended, 143, worker.output())
  const inFiles = (await readFiles(root)).filter(({ topic }) => topic === kept)
  assert.deepEqual(accountFor(new Map([[`${kept}/0`, offsetsOf(0, 50)]]), inFiles), nothing)
})

test('partitions that are added while a worker runs are archived from their beginning', async (t) => {
  const topic = await createTopic(t, { stem: 'added' })
  await produce(t, topic, messages(0, 20))
  const { root, prefix, group, start } = await createScenario(t)
  const worker = start('--topics', topic, '--flush-interval', '0.2', '--start-at', 'latest')
  await until(
    'the position at the start is committed',
    async () => (await committedAndEnds(t, group, [topic])).get(`${topic}/0`)!.committed === 20,
  )
  const admin = await withAdmin(t)
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
  await produce(
    t,
    topic,
    messages(0, 60).map((one, i) => ({ ...one, partition: 1 + (i % 2) })),
  )
  const expected = () =>
    new Map([
      [`${topic}/1`, offsetsOf(0, 30)],
      [`${topic}/2`, offsetsOf(0, 30)],
    ])
  // kafkajs looks for partitions every 30 s.
  await until(
    'all is in files',
    async () => (await readFiles(root).catch(() => [])).length === 60,
    60_000,
  )
  worker.child.kill('SIGTERM')
  assert.equal(await worker.ended, 143, worker.output())
  assert.deepEqual(accountFor(expected(), await readFiles(root)), nothing)
  assert.deepEqual(accountFor(expected(), await readDocuments(prefix)), nothing)
})

test('a group whose offsets were deleted between two runs: the archive says where to go on, and the loss is logged', async (t) => {
  const topic = await createTopic(t, { stem: 'forgotten' })
  const { root, prefix, group, untilEnd } = await createScenario(t)
  await produce(t, topic, messages(0, 100))
  assert.equal((await untilEnd('--topics', topic)).code, 0)
  // Only a later manifest says that the group had an offset.
  await produce(t, topic, messages(100, 150))
  assert.equal((await untilEnd('--topics', topic)).code, 0)
  const admin = await withAdmin(t)
  await admin.deleteGroups([group])
  await produce(t, topic, messages(150, 200))
  const { code, output, log } = await untilEnd('--topics', topic)
  assert.equal(code, 0, output)
  assert.deepEqual(
    log
      .filter(({ event }) => event === 'group_offset_missing')
      .map(({ topic, partition, committed, next }) => ({ topic, partition, committed, next })),
    [{ topic, partition: 0, committed: 100, next: 150 }],
  )
  const expected = () => new Map([[`${topic}/0`, offsetsOf(0, 200)]])
  assert.deepEqual(accountFor(expected(), await readFiles(root)), nothing)
  assert.deepEqual(accountFor(expected(), await readDocuments(prefix)), nothing)
  assert.equal((await committedAndEnds(t, group, [topic])).get(`${topic}/0`)!.committed, 200)
})

test('a topic that was recreated and has grown past the archive is refused, and the loss is logged', async (t) => {
  const topic = await createTopic(t, { stem: 'again' })
  const { root, untilEnd } = await createScenario(t)
  for (const from of [0, 50]) {
    await produce(t, topic, messages(from, from + 50))
    assert.equal((await untilEnd('--topics', topic)).code, 0)
  }
  const admin = await withAdmin(t)
  await recreateTopic(admin, topic)
  await produce(t, topic, messages(0, 120))
  const { code, output, log } = await untilEnd('--topics', topic)
  assert.equal(code, 1, output)
  const told = log.filter(({ level, reason }) => level === 'error' && reason === 'recreated')
  assert.deepEqual(
    told.map(({ topic, partition, next }) => ({ topic, partition, next })),
    [{ topic, partition: 0, next: 100 }],
  )
  assert.equal((await readFiles(root)).length, 100)
})

test('an operator who resets the group to the beginning gets no second copy', async (t) => {
  const topic = await createTopic(t, { stem: 'reset' })
  const { root, prefix, group, untilEnd } = await createScenario(t)
  await produce(t, topic, messages(0, 500))
  assert.equal((await untilEnd('--topics', topic)).code, 0)
  const before = await dataFiles(root)
  await resetOffsets(testKafka(), group, topic, new Map([[0, 0]]))
  await produce(t, topic, messages(500, 600))
  assert.equal((await untilEnd('--topics', topic)).code, 0)
  const expected = () => new Map([[`${topic}/0`, offsetsOf(0, 600)]])
  assert.deepEqual(accountFor(expected(), await readFiles(root)), nothing)
  assert.deepEqual(accountFor(expected(), await readDocuments(prefix)), nothing)
  assert.deepEqual(
    (await dataFiles(root)).filter((path) => before.includes(path)),
    before,
  )
})
