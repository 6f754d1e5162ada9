import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compressionTypes } from '../../src/kafka/batch/codecs.ts'
import { createScenario } from '../helpers/scenario.ts'
import { createProducer, createTopic } from '../helpers/servers.ts'
import { accountFor, offsetsOf, readDocuments, readFiles } from '../helpers/stores.ts'

test('a topic of each codec is archived', async (t) => {
  const { root, prefix, untilEnd } = await createScenario(t)
  const producer = await createProducer(t)
  const count = 500
  const topics = new Map<string, string>()
  for (const [codec, compression] of Object.entries(compressionTypes)) {
    const topic = await createTopic(t, { stem: `codec-${codec}` })
    topics.set(codec, topic)
    const messages = [...offsetsOf(0, count)].map((i) => ({
      partition: 0,
      key: `${codec}-${i}`,
      value: JSON.stringify({ type: codec, i, text: 'the same again and again '.repeat(20) }),
    }))
    await producer.send({ topic, compression, messages })
  }
  assert.deepEqual([...topics.keys()].filter((codec) => codec !== 'none').toSorted(), [
    'gzip',
    'lz4',
    'snappy',
    'zstd',
  ])
  const { code, output } = await untilEnd('--topics', [...topics.values()].join(','))
  assert.equal(code, 0, output)
  const expected = () =>
    new Map([...topics.values()].map((topic) => [`${topic}/0`, offsetsOf(0, count)]))
  const nothing = { missing: [], duplicates: [], unexpected: [] }
  const files = await readFiles(root)
  assert.deepEqual(accountFor(expected(), files), nothing)
  assert.deepEqual(accountFor(expected(), await readDocuments(prefix)), nothing)
  for (const { topic, offset, line } of files) {
    const [codec] = [...topics].find(([, name]) => name === topic)!
    const { type, kafka, value } = JSON.parse(line) as {
      type: string
      kafka: { key: string }
      value: { i: number }
    }
    assert.deepEqual([type, kafka.key, value.i], [codec, `${codec}-${offset}`, offset])
  }
})
