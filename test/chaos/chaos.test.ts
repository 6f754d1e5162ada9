import './stack.ts'
import assert from 'node:assert/strict'
import { appendFile, copyFile, open, readdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Admin } from 'kafkajs'
import { compressionTypes } from '../../src/kafka/batch/codecs.ts'
import { faultPoints } from '../../src/runtime/fault.ts'
import { manifestsOf } from '../helpers/archive.ts'
import type { RunningArchiver } from '../helpers/archiver.ts'
import { startArchiver } from '../helpers/archiver.ts'
import { resetOffsets } from '../helpers/reset-offsets.ts'
import { committedAndEnds, createScenario, type Scenario } from '../helpers/scenario.ts'
import {
  createProducer,
  createTopic,
  elasticsearch,
  produce,
  testKafka,
  uniqueName,
  until,
  withAdmin,
} from '../helpers/servers.ts'
import { dataFiles, readFiles } from '../helpers/stores.ts'
import { Expected, isClean, type StoreAccount } from './account.ts'
import { type PlainEnd, type PlainRecord, readKafka } from './plain-consumer.ts'
import { BreakableProxy, type ProxyMode } from './proxy.ts'
import { describeAccount } from './report.ts'
import { isProven, runChaos } from './run.ts'
import { stack } from './stack.ts'
import { type ChainAccount, checkChains, documentsHeld, filesHeld } from './stores.ts'

before(() => stack.start())
after(async () => {
  await stack.stop()
})

const day = Date.UTC(2026, 0, 15)

function messages(count: number, first = 0) {
  return Array.from({ length: count }, (_, i) => ({
    key: `key-${(first + i) % 7}`,
    value:
      (first + i) % 50 === 3
        ? 'no JSON'
        : JSON.stringify({ type: i % 3 === 0 ? 'a' : 'b', n: first + i }),
    timestamp: day + ((first + i) % 3) * 3_600_000,
  }))
}

interface Found {
  readonly files: StoreAccount
  readonly elasticsearch: StoreAccount
  readonly chains: ChainAccount
  readonly problems: readonly string[]
}

/** Compares every record of the topics with both stores. */
async function compare(
  { root, prefix }: Scenario,
  topics: readonly string[],
  compacted: readonly string[] = [],
  known?: readonly (PlainRecord | PlainEnd)[],
): Promise<Found> {
  const problems: string[] = []
  const expected = new Expected({ indexPrefix: prefix, compacted })
  if (known === undefined)
    await expected.read(readKafka(stack.settings.cacheDir, stack.brokers, topics))
  else for (const item of known) expected.take(item)
  const files = await expected.account('files', filesHeld(root, problems))
  const documents = documentsHeld(stack.elasticsearchUrl, prefix, expected.partitions)
  return {
    files,
    elasticsearch: await expected.account('elasticsearch', documents),
    chains: await checkChains(root, expected),
    problems,
  }
}

async function assertExactlyOnce(
  scenario: Scenario,
  topics: readonly string[],
  compacted: readonly string[] = [],
  known?: readonly (PlainRecord | PlainEnd)[],
): Promise<Found> {
  const found = await compare(scenario, topics, compacted, known)
  assert.ok(isClean(found.files), JSON.stringify(found.files))
  assert.ok(isClean(found.elasticsearch), JSON.stringify(found.elasticsearch))
  assert.deepEqual([...found.chains.problems, ...found.problems], [])
  return found
}

/** What Kafka has of a topic, for more than one comparison. */
async function recordsOf(topic: string): Promise<(PlainRecord | PlainEnd)[]> {
  const items: (PlainRecord | PlainEnd)[] = []
  for await (const item of readKafka(stack.settings.cacheDir, stack.brokers, [topic]))
    items.push(item)
  return items
}

async function untilCommitted(
  t: TestContext,
  { group }: Scenario,
  topics: readonly string[],
  deadlineMs = 90_000,
): Promise<void> {
  await until(
    `lag 0 of ${topics.join(', ')}`,
    async () => {
      try {
        const offsets = [...(await committedAndEnds(t, group, topics)).values()]
        return offsets.length > 0 && offsets.every(({ committed, end }) => committed === end)
      } catch (error) {
        // A broker that has just come back may lead nothing yet.
        if ((error as { retriable?: boolean }).retriable === true) return false
        throw error
      }
    },
    deadlineMs,
  )
}

/** The worker joined the group and got so many partitions. */
async function joined(worker: RunningArchiver, count: number): Promise<void> {
  await until(`it joined with ${count} partitions`, () =>
    worker.log().some((line) => line.event === 'group_joined' && line.count === count),
  )
}

async function endCleanly(workers: readonly RunningArchiver[]): Promise<void> {
  for (const { child } of workers) child.kill('SIGTERM')
  for (const { ended, output } of workers) assert.equal(await ended, 143, output())
}

/** Those of a compaction are in commit-log.test.ts: they need no server. */
const pointsOfArchiving = faultPoints.filter((point) => !point.startsWith('compaction.'))

test('killed at each step, the next start completes: every record exactly once', {
  concurrency: 3,
}, async (t) => {
  const topic = await createTopic(t, { stem: 'points', partitions: 2 })
  await produce(
    t,
    topic,
    messages(120).map((message, i) => ({ ...message, partition: i % 2 })),
  )
  const known = await recordsOf(topic)
  await Promise.all(
    pointsOfArchiving.map((point) =>
      t.test(point, async (t) => {
        const scenario = await createScenario(t)
        const argv = [...scenario.argv, '--topics', topic, '--flush-interval', '1']
        const doomed = startArchiver(t, argv, { ARCHIVER_FAULT: point })
        assert.equal(await doomed.ended, 128 + 9, doomed.output())
        const next = await scenario.untilEnd('--topics', topic)
        assert.equal(next.code, 0, next.output)
        await assertExactlyOnce(scenario, [topic], [], known)
      }),
    ),
  )
})

test('a worker that is frozen past its session and thawed: no duplicate, and the group does not stay behind', async (t) => {
  const topic = await createTopic(t, { stem: 'frozen', partitions: 4 })
  const scenario = await createScenario(t)
  const start = () =>
    scenario.start('--topics', topic, '--flush-interval', '2', '--commit-interval', '200')
  const send = (first: number) =>
    produce(
      t,
      topic,
      messages(400, first).map((message, i) => ({ ...message, partition: i % 4 })),
    )
  const one = start()
  const other = start()
  await send(0)
  await joined(one, 2)
  await joined(other, 2)
  await send(400)
  one.child.kill('SIGSTOP')
  await joined(other, 4)
  await send(800)
  await untilCommitted(t, scenario, [topic])
  one.child.kill('SIGCONT')
  await until(
    'the thawed worker joins again',
    () => (one.output().match(/joined the group/g) ?? []).length >= 2,
  )
  await send(1200)
  await untilCommitted(t, scenario, [topic])
  await endCleanly([one, other])
  await untilCommitted(t, scenario, [topic], 1000)
  await assertExactlyOnce(scenario, [topic])
})

/** As retention does, of partition 0. */
async function deleteRecords(admin: Admin, topic: string, before: number): Promise<void> {
  // kafkajs's admin knows where a topic's leaders are once it has asked for something of it.
  await admin.fetchTopicOffsets(topic)
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(before) }] })
}

test('records that retention took first: told, recorded as a gap, and the other partitions go on', async (t) => {
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

/** Damages the second record batch of partition 0 where the broker keeps it. */
async function damageSecondBatch(topic: string): Promise<void> {
  const path = join(stack.settings.dir, 'kafka', 'data', `${topic}-0`, `${'0'.repeat(20)}.log`)
  const file = await open(path, 'r+')
  try {
    const log = await file.readFile()
    const second = 12 + log.readInt32BE(8)
    // Behind the header of 61 bytes: what is compressed.
    await file.write(Buffer.alloc(16, 0x55), 0, 16, second + 61 + 2)
  } finally {
    await file.close()
  }
}

test('a record batch that was damaged on the disk of the broker: told, recorded as a gap, and all others are archived', async (t) => {
  const topic = await createTopic(t, { stem: 'damaged', partitions: 2 })
  const scenario = await createScenario(t)
  const batches = [messages(50), messages(50, 50), messages(50, 100)]
  for (const batch of batches) {
    const values = batch.map((message) => ({ ...message, partition: 0 }))
    await produce(
      t,
      topic,
      [...values, ...values.map((message) => ({ ...message, partition: 1 }))],
      compressionTypes.gzip,
    )
  }
  await damageSecondBatch(topic)
  const stopped = await scenario.untilEnd('--topics', topic)
  assert.equal(stopped.code, 1, stopped.output)
  const [line] = stopped.log.filter(({ event }) => event === 'records_lost')
  assert.deepEqual(
    [line?.topic, line?.partition, line?.reason, line?.from, line?.stopped],
    [topic, 0, 'unreadable', 50, true],
  )
  assert.match(String(line?.detail), /^the record batch at offset 50 cannot be read: /)
  const offsets = await committedAndEnds(t, scenario.group, [topic])
  assert.deepEqual(
    offsets.get(`${topic}/1`),
    { committed: 150, end: 150 },
    'the other partition went on',
  )
  assert.equal(offsets.get(`${topic}/0`)?.committed, 50)
  const goneOn = await scenario.untilEnd('--topics', topic, '--on-gap', 'continue')
  assert.equal(goneOn.code, 0, goneOn.output)
  const held = (await readFiles(scenario.root)).filter(({ partition }) => partition === 0)
  assert.deepEqual(
    held.map(({ offset }) => offset).sort((a, b) => a - b),
    Array.from({ length: 150 }, (_, i) => i).filter((offset) => offset < 50 || offset >= 100),
  )
  const manifests = await manifestsOf(scenario.root, { topic, partition: 0 })
  assert.deepEqual(
    manifests.flatMap(({ gaps }) => gaps),
    [{ from: 50, next: 100, reason: 'unreadable' }],
  )
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
    const proxy = new BreakableProxy(stack.elasticsearchUrl)
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
    assert.equal(await committed(), 0, 'what the sinks hold is told the group, and nothing else')
    proxy.heal()
    await worker.says('offsets 50 to 89 are gone from Kafka')
    assert.equal(await committed(), 50)
    worker.child.kill('SIGTERM')
    assert.equal(await worker.ended, 143, worker.output())
    let documents = 0
    for await (const _ of documentsHeld(stack.elasticsearchUrl, scenario.prefix, [
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
  await admin.deleteTopics({ topics: [topic] })
  await until('the topic is gone', async () => !(await admin.listTopics()).includes(topic))
  await admin.createTopics({
    topics: [{ topic, numPartitions: 1, replicationFactor: 1 }],
    waitForLeaders: true,
  })
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

test('an engine that refuses, stalls, cuts and lies: no exit, no loss, no duplicate, and the files go on', async (t) => {
  const topic = await createTopic(t, { stem: 'engine' })
  const scenario = await createScenario(t)
  const proxy = new BreakableProxy(stack.elasticsearchUrl)
  const url = await proxy.start()
  t.after(() => proxy.stop())
  const worker = scenario.start(
    '--topics',
    topic,
    '--flush-interval',
    '1',
    '--elasticsearch',
    url,
    '--elasticsearch-timeout',
    '3',
  )
  await produce(t, topic, messages(20))
  await untilCommitted(t, scenario, [topic])
  let first = 20
  const modes: readonly ProxyMode[] = [
    { status: 429 },
    { status: 503 },
    'cut',
    'mute',
    'stall',
    'html',
  ]
  for (const mode of modes) {
    const filesBefore = (await dataFiles(scenario.root)).length
    const brokenBefore = proxy.broken
    proxy.mode = mode
    await produce(t, topic, messages(20, first))
    first += 20
    await until(`a bulk request meets ${JSON.stringify(mode)}`, () => proxy.broken > brokenBefore)
    await until(
      'the files go on',
      async () => (await dataFiles(scenario.root)).length > filesBefore,
    )
    const { committed, end } = (await committedAndEnds(t, scenario.group, [topic])).get(
      `${topic}/0`,
    )!
    assert.ok(committed < end, 'nothing is committed that Elasticsearch does not hold')
    proxy.heal()
    await untilCommitted(t, scenario, [topic])
  }
  await endCleanly([worker])
  await assertExactlyOnce(scenario, [topic])
})

test('a broker that is killed or frozen, and an engine that is frozen: no exit, and all arrives', async (t) => {
  const topic = await createTopic(t, { stem: 'servers', partitions: 2 })
  const scenario = await createScenario(t)
  const argv = [
    '--topics',
    topic,
    '--flush-interval',
    '1',
    '--elasticsearch-timeout',
    '3',
    '--http',
    '0',
  ]
  const worker = scenario.start(...argv)
  await worker.says('serving metrics, health and status')
  const readiness = `${/"address":"(http:[^"]+)"/.exec(worker.output())![1]}/readyz`
  const send = (first: number) =>
    produce(
      t,
      topic,
      messages(50, first).map((message, i) => ({ ...message, partition: i % 2 })),
    )
  await send(0)
  await untilCommitted(t, scenario, [topic])
  assert.equal((await fetch(readiness)).status, 200)
  await stack.kafka.kill()
  await until('not ready', async () => (await fetch(readiness)).status === 503, 60_000)
  assert.match(await (await fetch(readiness)).text(), /Kafka has not answered for \d+ s/)
  await stack.start('kafka')
  await send(50)
  stack.elasticsearch.signal('SIGSTOP')
  await worker.says('"event":"sink_waiting"')
  stack.elasticsearch.signal('SIGCONT')
  await untilCommitted(t, scenario, [topic], 120_000)
  stack.kafka.signal('SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, 8000))
  stack.kafka.signal('SIGCONT')
  await send(100)
  await untilCommitted(t, scenario, [topic], 120_000)
  await endCleanly([worker])
  await assertExactlyOnce(scenario, [topic])
})

test('the account sees an archive that was broken on purpose', async (t) => {
  const topic = await createTopic(t, { stem: 'broken' })
  const scenario = await createScenario(t)
  await produce(t, topic, messages(90))
  assert.equal((await scenario.untilEnd('--topics', topic)).code, 0)
  const known = await recordsOf(topic)
  await assertExactlyOnce(scenario, [topic], [], known)
  const { root, prefix } = scenario
  const paths = await dataFiles(root)
  const path = join(root, paths.find((name) => name.startsWith('type=b'))!)
  const whole = await readFile(path)
  const lines = gunzipSync(whole).toString('utf8').split('\n').slice(0, -1)
  const writeLines = (kept: readonly string[]) => writeFile(path, gzipSync(`${kept.join('\n')}\n`))
  const breakFiles = async (doIt: () => Promise<unknown>) => {
    await doIt()
    const found = await compare(scenario, [topic], [], known)
    await writeFile(path, whole)
    return found
  }

  const lost = await breakFiles(() => writeLines(lines.toSpliced(2, 1)))
  assert.equal(lost.files.missing, 1)
  assert.ok(lost.chains.problems.some((problem) => problem.includes('sha256')))

  const twice = await breakFiles(() => writeLines(lines.toSpliced(2, 0, lines[2]!)))
  assert.equal(twice.files.duplicate, 1)

  const flipped = await breakFiles(() =>
    writeLines(lines.with(1, lines[1]!.replace('"n":', '"m":'))),
  )
  assert.deepEqual([flipped.files.changed, flipped.files.missing], [1, 0])

  const otherKey = await breakFiles(() =>
    writeLines(lines.with(1, lines[1]!.replace('"key":"key-', '"key":"kez-'))),
  )
  assert.equal(otherKey.files.changed, 1)

  const torn = await breakFiles(() => writeFile(path, whole.subarray(0, whole.length - 9)))
  assert.equal(torn.files.missing, lines.length)
  assert.ok(torn.problems.some((problem) => problem.includes('cannot be read')))

  const trailing = await breakFiles(() => appendFile(path, Buffer.from([1])))
  assert.ok(trailing.chains.problems.some((problem) => problem.includes('sha256')))

  const copy = path.replace('.jsonl.gz', '').replace(/\d{20}$/, '00000000000000000999.jsonl.gz')
  await copyFile(path, copy)
  const doubled = await compare(scenario, [topic], [], known)
  assert.equal(doubled.files.duplicate, lines.length)
  assert.ok(doubled.chains.problems.some((problem) => problem.includes('belongs to no manifest')))
  await unlink(copy)

  const misplaced = join(root, 'type=a', 'dt=2026-01-15', 'hr=00', path.split('/').at(-1)!)
  await copyFile(path, misplaced)
  await unlink(path)
  const elsewhere = await compare(scenario, [topic], [], known)
  assert.equal(
    elsewhere.files.changed,
    path.includes('type=a/dt=2026-01-15/hr=00') ? 0 : lines.length,
  )
  assert.ok(elsewhere.chains.problems.some((problem) => problem.includes('is not there')))
  await unlink(misplaced)
  await writeFile(path, whole)

  const manifests = join(root, '_manifests', topic, '0')
  const manifest = join(
    manifests,
    (await readdir(manifests)).find((name) => name !== 'origin.json')!,
  )
  const text = await readFile(manifest, 'utf8')
  await writeFile(
    manifest,
    text.replace(/"next": (\d+)/, (_, next: string) => `"next": ${Number(next) - 1}`),
  )
  const hole = await compare(scenario, [topic], [], known)
  assert.ok(hole.chains.problems.some((problem) => problem.includes('the manifests end at')))
  await writeFile(manifest, text)

  interface Hits {
    readonly hits: {
      readonly hits: readonly {
        readonly _index: string
        readonly _id: string
        readonly _source: Record<string, unknown>
      }[]
    }
  }
  const { hits } = (await elasticsearch<Hits>('GET', `/${prefix}b-*/_search?size=3`)).hits
  const [removed, changed, copied] = hits
  await elasticsearch('DELETE', `/${removed!._index}/_doc/${removed!._id}`)
  await elasticsearch('PUT', `/${changed!._index}/_doc/${changed!._id}`, {
    ...changed!._source,
    value: { type: 'b', n: -1 },
  })
  await elasticsearch('PUT', `/${prefix}b-2026.01.16/_doc/${copied!._id}`, copied!._source)
  const engine = await compare(scenario, [topic], [], known)
  assert.deepEqual(
    [engine.elasticsearch.missing, engine.elasticsearch.changed, engine.elasticsearch.duplicate],
    [1, 1, 1],
  )
  assert.ok(isClean(engine.files), 'the files are whole again')
})

test('two minutes of everything at once, with MySQL as a third store', async (t) => {
  const account = await runChaos(
    {
      stack,
      dir: stack.settings.dir,
      seconds: 120,
      workers: 3,
      // The younger kinds have tests of their own, and come with `npm run chaos`.
      kinds: ['kill', 'stop', 'term', 'broker', 'elasticsearch', 'disk', 'mysql'],
      mysql: true,
      seed: 7,
      rate: 300,
      everyMs: 3000,
      sessionTimeoutMs: 6000,
      flushIntervalSeconds: 2,
      compactAfterSeconds: 3,
      drainSeconds: 120,
      keep: false,
    },
    { say: (line) => t.diagnostic(line), status: () => {} },
  )
  assert.ok(isProven(account), describeAccount(account))
  assert.ok(account.records > 6000)
  const actions = Object.keys(account.faultsByAction)
  for (const one of [
    /^kill$|^crash$/,
    /^freeze$/,
    /^term$|^scale$/,
    /^broker-/,
    /^engine-/,
    /^disk-/,
    /^mysql-/,
  ]) {
    assert.ok(
      actions.some((action) => one.test(action)),
      `nothing like ${one} happened: ${actions}`,
    )
  }
})
