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
  const { level, ...line } = JSON.parse(warnings[0]!) as Record<string, unknown>
  assert.equal(level, 'warn')
  assert.deepEqual(
    [line.topic, line.messages, line.option, line.type_path, line.keys, line.found_at],
    [topic, 1000, '--type-path', 'events.0.type', ['"events"', '"source"'], ['source.type']],
  )
  assert.ok(!output.includes('canary'), 'names only')
})
