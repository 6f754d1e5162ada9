import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createScenario } from '../helpers/scenario.ts'
import { createTopic, produce } from '../helpers/servers.ts'

test('a worker warns once of a topic without a type at --type-path, with the keys that are there', async (t) => {
  const topic = await createTopic(t, { partitions: 2 })
  const value = '{"events":[{"type":"canary-type"}],"source":{"type":"canary"}}'
  await produce(
    t,
    topic,
    Array.from({ length: 2500 }, (_, i) => ({ value, partition: i % 2 })),
  )
  const { untilEnd } = await createScenario(t)
  const { code, output } = await untilEnd(
    '--topics',
    topic,
    '--no-elasticsearch',
    '--type-path',
    'events.0.type',
  )
  assert.equal(code, 0, output)
  const warnings = output.split('\n').filter((line) => line.includes('"event":"no_types"'))
  assert.equal(warnings.length, 1, output)
  const { level, msg } = JSON.parse(warnings[0]!) as { level: string; msg: string }
  assert.equal(level, 'warn')
  assert.equal(
    msg,
    `${topic}: none of 1000 JSON messages has a type at --type-path events.0.type, so they are _untyped; keys that are there: "events", "source"; a text of that name stands at source.type`,
  )
  assert.ok(!output.includes('canary'), 'names only')
})
