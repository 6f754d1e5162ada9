import '../chaos/stack.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stack, useStack } from '../chaos/stack.ts'
import { assertExactlyOnce, endCleanly, messages, untilCommitted } from '../helpers/exactly-once.ts'
import { createScenario } from '../helpers/scenario.ts'
import { createTopic, produce, until } from '../helpers/servers.ts'

useStack()

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
