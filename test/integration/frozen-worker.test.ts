import { test } from 'node:test'
import type { RunningArchiver } from '../helpers/archiver.ts'
import { assertExactlyOnce, endCleanly, messages, untilCommitted } from '../helpers/exactly-once.ts'
import { createScenario } from '../helpers/scenario.ts'
import { createTopic, produce, until } from '../helpers/servers.ts'

/** Waits until the worker has joined the group with that many partitions. */
async function joined(worker: RunningArchiver, count: number): Promise<void> {
  await until(`it joined with ${count} partitions`, () =>
    worker.log().some((line) => line.event === 'group_joined' && line.count === count),
  )
}

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
