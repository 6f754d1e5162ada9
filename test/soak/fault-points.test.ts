import '../chaos/stack.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultPoints } from '../../src/runtime/fault.ts'
import { useStack } from '../chaos/stack.ts'
import { startArchiver } from '../helpers/archiver.ts'
import { assertExactlyOnce, messages, recordsOf } from '../helpers/exactly-once.ts'
import { createScenario } from '../helpers/scenario.ts'
import { createTopic, produce } from '../helpers/servers.ts'

useStack()

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
