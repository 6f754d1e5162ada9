import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BreakableProxy, type ProxyMode } from '../chaos/proxy.ts'
import { assertExactlyOnce, endCleanly, messages, untilCommitted } from '../helpers/exactly-once.ts'
import { committedAndEnds, createScenario } from '../helpers/scenario.ts'
import { createTopic, elasticsearchUrl, produce, until } from '../helpers/servers.ts'
import { dataFiles } from '../helpers/stores.ts'

test('an engine that refuses, stalls, cuts and lies: no exit, no loss, no duplicate, and the files go on', async (t) => {
  const topic = await createTopic(t, { stem: 'engine' })
  const scenario = await createScenario(t)
  const proxy = new BreakableProxy(elasticsearchUrl)
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
