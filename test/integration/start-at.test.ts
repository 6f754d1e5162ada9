import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createScenario } from '../helpers/scenario.ts'
import { createTopic, produce, uniqueName, until, withAdmin } from '../helpers/servers.ts'
import { readFiles } from '../helpers/stores.ts'

const messages = (from: number, next: number, partition = 0) =>
  Array.from({ length: next - from }, (_, i) => ({
    value: JSON.stringify({ type: 'a', n: from + i }),
    partition,
  }))

it('--start-at latest passes over what is there, archives what comes, and counts only where nothing was archived yet', async (t) => {
  const topic = await createTopic(t)
  await produce(t, topic, messages(0, 10))
  const { root, group, start, untilEnd } = await createScenario(t)
  const offsets = async () =>
    (await readFiles(root)).map(({ partition, offset }) => `${partition}:${offset}`).sort()

  const running = start('--topics', topic, '--start-at', 'latest', '--flush-interval', '0.2')
  const admin = await withAdmin(t)
  await until('the position at the start is committed', async () => {
    const [answer] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    return answer?.partitions[0]?.offset === '10'
  })
  await produce(t, topic, messages(10, 15))
  await until('what came later is in files', async () => (await offsets()).length === 5)
  running.child.kill('SIGTERM')
  assert.equal(await running.ended, 143)

  await produce(t, topic, messages(15, 20))
  const { code, output } = await untilEnd('--topics', topic, '--start-at', 'latest')
  assert.equal(code, 0, output)
  assert.deepEqual(
    await offsets(),
    Array.from({ length: 10 }, (_, i) => `0:${10 + i}`),
  )
})

it('--start-at latest archives a topic that appears later from its beginning', async (t) => {
  const stem = uniqueName('later')
  const before = await createTopic(t, { stem })
  await produce(t, before, messages(0, 10))
  const { root, start } = await createScenario(t)
  const words = ['--topics-regex', `^${stem}`, '--topics-refresh', '1', '--flush-interval', '0.2']
  const running = start(...words, '--start-at', 'latest')
  await running.says('joined the group')
  const later = await createTopic(t, { stem })
  await produce(t, later, messages(0, 3))
  await until('the new topic is in files', async () => (await readFiles(root)).length === 3)
  assert.ok((await readFiles(root)).every(({ topic }) => topic === later))
})
