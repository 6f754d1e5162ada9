import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { runArchiver } from '../helpers/archiver.ts'
import { committedAndEnds, createScenario } from '../helpers/scenario.ts'
import { makeTopics, produce, testKafka, until, withAdmin } from '../helpers/servers.ts'
import { readDocuments, readFiles } from '../helpers/stores.ts'

/** Kafka allows these names, and every object has something by them. */
const inherited = ['constructor', 'hasOwnProperty', 'toString', 'valueOf']
/** Internal by its prefix, so it is archived only when it is named. */
const prototype = '__proto__'

async function removeTopics(topics: readonly string[]): Promise<void> {
  const admin = testKafka().admin()
  await admin.connect()
  try {
    const present = (await admin.listTopics()).filter((topic) => topics.includes(topic))
    if (present.length > 0) await admin.deleteTopics({ topics: present })
    await until(
      'the topics are gone',
      async () => !(await admin.listTopics()).some((name) => topics.includes(name)),
    )
  } finally {
    await admin.disconnect()
  }
}

/** Topics that are there for the time of a test; a test that was killed may have left them. */
async function createTopics(t: TestContext, topics: readonly string[]): Promise<void> {
  await removeTopics(topics)
  t.after(() => removeTopics(topics))
  const admin = await withAdmin(t)
  await makeTopics(
    admin,
    topics.map((topic) => ({ topic, numPartitions: 2 })),
  )
}

const messages = (topic: string, from: number, next: number) =>
  Array.from({ length: next - from }, (_, i) => ({
    value: JSON.stringify({ type: topic, n: from + i }),
    partition: (from + i) % 2,
  }))

test('topics with names that every object inherits are archived, proven and restored like any other', async (t) => {
  const topics = [...inherited, prototype]
  await createTopics(t, topics)
  const { root, prefix, group, start, untilEnd } = await createScenario(t)
  const stores = ['--archive-dir', root, '--index-prefix', prefix]

  await t.test('a worker that matches them consumes, pauses, commits and rebalances', async (t) => {
    for (const topic of inherited) await produce(t, topic, messages(topic, 0, 20))
    const pattern = `^(${[...inherited, prototype].join('|')})$`
    const argv = ['--topics-regex', pattern, '--topics-refresh', '1', '--flush-interval', '0.3']
    const first = start(...argv)
    await until(
      'the first records are in files',
      async () => (await readFiles(root).catch(() => [])).length === 80,
    )
    const second = start(...argv)
    await second.says('joined the group')
    for (const topic of inherited) await produce(t, topic, messages(topic, 20, 40))
    await until('all is in files', async () => (await readFiles(root)).length === 160)
    await until('all is committed', async () =>
      [...(await committedAndEnds(t, group, inherited)).values()].every(
        ({ committed, end }) => committed === end,
      ),
    )
    for (const worker of [second, first]) {
      worker.child.kill('SIGTERM')
      assert.equal(await worker.ended, 143, worker.output())
      assert.doesNotMatch(worker.output(), /TypeError|consumer_restarted/)
    }
    assert.ok((await readFiles(root)).every(({ topic }) => topic !== prototype))
  })

  await t.test('a run that names them ends at their ends', async (t) => {
    await produce(t, prototype, messages(prototype, 0, 10))
    const { code, output } = await untilEnd('--topics', topics.join())
    assert.equal(code, 0, output)
    const archived = await readFiles(root)
    for (const topic of topics) {
      const expected = topic === prototype ? 10 : 40
      assert.equal(archived.filter((record) => record.topic === topic).length, expected, topic)
    }
    assert.equal((await readDocuments(prefix)).length, 170)
  })

  await t.test('verify proves them, and status knows them', async (t) => {
    const verified = await runArchiver(t, ['verify', ...stores])
    assert.equal(verified.code, 0, verified.output)
    assert.match(verified.output, /proven: 10 partitions, 170 records/)
    const status = await runArchiver(t, ['status', '--archive-dir', root])
    assert.equal(status.code, 0, status.output)
    for (const topic of topics) assert.ok(status.output.includes(topic), status.output)
  })

  await t.test('restore gives their records back to topics of these names', async (t) => {
    await removeTopics(topics)
    const restored = await runArchiver(t, [
      'restore',
      '--archive-dir',
      root,
      '--to',
      'kafka',
      '--into-archived',
    ])
    assert.equal(restored.code, 0, restored.output)
    const ends = await committedAndEnds(t, group, topics)
    for (const topic of topics) {
      const end = topic === prototype ? 5 : 20
      assert.deepEqual(
        [ends.get(`${topic}/0`)?.end, ends.get(`${topic}/1`)?.end],
        [end, end],
        topic,
      )
    }
  })
})
