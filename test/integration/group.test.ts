import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RunningArchiver, runArchiver } from '../helpers/archiver.ts'
import { createScenario, type Scenario } from '../helpers/scenario.ts'
import {
  createProducer,
  createTopic,
  makeTopics,
  testKafka,
  until,
  withAdmin,
} from '../helpers/servers.ts'
import { accountFor, offsetsOf, readFiles } from '../helpers/stores.ts'

const nothing = { missing: [], duplicates: [], unexpected: [] }
const quickly = ['--no-elasticsearch', '--flush-interval', '1', '--topics-refresh', '1']

interface Joined {
  readonly count: number
  readonly gained: number
  readonly kept: number
  readonly lost: number
}

const joins = ({ log }: RunningArchiver) =>
  log().filter(({ event }) => event === 'group_joined') as unknown as readonly Joined[]
const owned = (worker: RunningArchiver) => joins(worker).at(-1)?.count
const revoked = ({ log }: RunningArchiver) =>
  log().flatMap(({ event, count }) => (event === 'partitions_revoked' ? [count] : []))

/** Waits until workers have as many partitions as these, in any order. */
async function untilShared(workers: readonly RunningArchiver[], counts: readonly number[]) {
  const found = () => workers.map((worker) => owned(worker) ?? -1).sort()
  await until(`${counts} partitions`, () => found().join() === [...counts].sort().join(), 40_000)
}

async function stop(worker: RunningArchiver): Promise<void> {
  worker.child.kill('SIGTERM')
  assert.equal(await worker.ended, 143, worker.output())
}

/** Every record that was sent is in the files once. */
async function assertArchived({ root }: Scenario, sent: ReadonlyMap<string, number>) {
  const expected = new Map([...sent].map(([key, count]) => [key, offsetsOf(0, count)]))
  assert.deepEqual(accountFor(expected, await readFiles(root)), nothing)
}

test('a new worker takes what others give up, and they read on; a new topic costs one rebalance', async (t) => {
  const stem = await createTopic(t, { stem: 'cooperative', partitions: 4 })
  const later = `${stem}-2`
  t.after(async () => {
    const admin = testKafka().admin()
    await admin.connect()
    await admin.deleteTopics({ topics: [later] }).catch(() => {})
    await admin.disconnect()
  })
  const scenario = await createScenario(t)
  const start = () => scenario.start(...quickly, '--topics-regex', `^${stem}`)
  const producer = await createProducer(t)
  const sent = new Map<string, number>()
  const send = async (topic: string, count: number) => {
    for (let partition = 0; partition < 4; partition++) {
      const messages = Array.from({ length: count }, (_, n) => ({
        partition,
        value: JSON.stringify({ type: 'a', n }),
      }))
      await producer.send({ topic, messages })
      sent.set(`${topic}/${partition}`, (sent.get(`${topic}/${partition}`) ?? 0) + count)
    }
  }
  const first = start()
  await untilShared([first], [4])
  await send(stem, 50)
  const second = start()
  await untilShared([first, second], [2, 2])
  assert.deepEqual([revoked(first), revoked(second)], [[2], []])
  assert.ok(
    joins(first)
      .slice(1)
      .every(({ gained, lost }) => gained + lost === 0),
  )
  await send(stem, 50)
  const before = joins(first).length
  await makeTopics(await withAdmin(t), [{ topic: later, numPartitions: 4, replicationFactor: 1 }])
  await untilShared([first, second], [4, 4])
  assert.equal(joins(first).length - before, 1)
  assert.deepEqual([joins(first).at(-1)?.kept, revoked(first)], [2, [2]])
  await send(later, 50)
  await stop(second)
  await untilShared([first], [8])
  await send(stem, 50)
  await until('all is archived', async () => (await readFiles(scenario.root)).length === 800)
  await stop(first)
  await assertArchived(scenario, sent)
})

test('a static member restarts without a rebalance, notices other topics, is fenced, and leaves', async (t) => {
  const topic = await createTopic(t, { stem: 'static', partitions: 4 })
  const other = await createTopic(t, { stem: 'static-other', partitions: 2 })
  const scenario = await createScenario(t)
  const start = (id: string, topics: string) =>
    scenario.start(...quickly, '--topics', topics, '--group-instance-id', id)
  const a = start('a', topic)
  // Two that join at the same moment have nothing to give up.
  await untilShared([a], [4])
  let b = start('b', topic)
  await untilShared([a, b], [2, 2])
  await until('the group is at rest', () => revoked(a).length + revoked(b).length === 1)
  await until('nobody joins any more', async () => {
    const before = joins(a).length
    await new Promise((resolve) => setTimeout(resolve, 2000))
    return joins(a).length === before
  })
  const before = joins(a).length
  await stop(b)
  b = start('b', topic)
  await untilShared([b], [2])
  b.child.kill('SIGKILL')
  await b.ended
  b = start('b', topic)
  await untilShared([b], [2])
  assert.equal(joins(a).length, before, 'the other one hears nothing of it')

  await stop(b)
  b = start('b', `${topic},${other}`)
  await untilShared([a, b], [3, 3])

  const again = start('b', `${topic},${other}`)
  assert.equal(await b.ended, 1)
  assert.match(b.errors(), /^archiver: another worker has begun with --group-instance-id b, so/m)
  assert.equal(b.errors().trim().split('\n').length, 1)
  await untilShared([again], [3])

  await stop(again)
  const leave = (id: string) =>
    runArchiver(t, ['leave', '--group', scenario.group, '--group-instance-id', id])
  const left = await leave('b')
  assert.deepEqual([left.code, /b has left group/.test(left.output)], [0, true])
  await untilShared([a], [4])
  const gone = await leave('b')
  assert.deepEqual([gone.code, /has no member b/.test(gone.output)], [1, true])
  for (const id of ['..', 'a b', 'ü', 'x'.repeat(250)]) assert.equal((await leave(id)).code, 2, id)
  await stop(a)
})
