import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BatchSender, createProducer, kafkaMessage } from '../../src/traffic/data/producer.ts'
import { type MadeRecord, RecordMaker } from '../../src/traffic/data/record-maker.ts'
import { committedAndEnds, createScenario, stagedFiles } from '../helpers/scenario.ts'
import { createTopic, elasticsearchUrl, testKafka } from '../helpers/servers.ts'
import { accountFor, offsetsOf, readDocuments, readFiles } from '../helpers/stores.ts'

const count = 50_000
const partitions = 3
const types = ['object.one', 'object.two', 'object.three']
/** Over midnight, so that files and indices of two days come of it. */
const history = { count, from: Date.UTC(2019, 6, 31, 20), to: Date.UTC(2019, 7, 1, 4) }

const valueMark = '},"value":'

test(`${count} records of three types over three topics: each once in the files and once in Elasticsearch`, async (t) => {
  const names = await Promise.all(
    [1, 2, 3].map((n) => createTopic(t, { stem: `end-to-end-${n}`, partitions })),
  )
  const topics = names.map((name) => ({ name, partitions }))
  const maker = new RecordMaker({ seed: 7, types, topics, malformed: 0.02, history })
  const sent = new Map<string, MadeRecord[]>()
  for (const topic of names)
    for (let partition = 0; partition < partitions; partition++)
      sent.set(`${topic}/${partition}`, [])
  const producer = createProducer(testKafka())
  await producer.connect()
  const sender = new BatchSender(topics, async (batch) => {
    await producer.sendBatch({
      topicMessages: batch.map(({ topic, messages }) => ({ topic, messages })),
    })
  })
  for (let i = 0; i < count; i++) {
    const record = maker.make(i)
    sent.get(`${record.topic}/${record.partition}`)!.push(record)
    await sender.add(record)
  }
  await sender.flush()
  await sender.settle()
  await producer.disconnect()
  const expected = new Map([...sent].map(([key, records]) => [key, offsetsOf(0, records.length)]))
  assert.ok([...sent.values()].every(({ length }) => length > 0))

  const scenario = await createScenario(t)
  const run = await scenario.untilEnd('--topics', names.join(','))
  assert.equal(run.code, 0, run.output)

  const files = await readFiles(scenario.root)
  const nothing = { missing: [], duplicates: [], unexpected: [] }
  assert.deepEqual(accountFor(expected, files), nothing)
  const lines = new Map<string, string>()
  for (const { topic, partition, offset, place, line } of files) {
    const made = sent.get(`${topic}/${partition}`)![offset]!
    const type = made.malformation?.reservedType ?? made.type
    const iso = new Date(made.timestamp).toISOString()
    assert.ok(
      place.startsWith(
        `type=${type}/dt=${iso.slice(0, 10)}/hr=${iso.slice(11, 13)}/${topic}+${partition}+`,
      ),
      place,
    )
    assert.ok(line.includes(`"timestamp":${made.timestamp}`))
    if (type !== '_malformed') {
      const value = line.slice(line.indexOf(valueMark) + valueMark.length, -1)
      assert.equal(value, made.value === null ? 'null' : String(kafkaMessage(made).value))
    }
    lines.set(`${topic}+${partition}+${offset}`, line)
  }

  const documents = await readDocuments(scenario.prefix)
  const again = new Map([...sent].map(([key, records]) => [key, offsetsOf(0, records.length)]))
  assert.deepEqual(accountFor(again, documents), nothing)
  for (const { topic, partition, offset, place, line } of documents) {
    const made = sent.get(`${topic}/${partition}`)![offset]!
    const type = made.malformation?.reservedType ?? made.type
    const day = new Date(made.timestamp).toISOString().slice(0, 10).replaceAll('-', '.')
    assert.equal(place, `${scenario.prefix}${type}-${day}`)
    assert.equal(line, JSON.stringify(JSON.parse(lines.get(`${topic}+${partition}+${offset}`)!)))
  }

  // What is found is what was sent, byte for byte: the source of a sample as Elasticsearch stored
  // it.
  for (const { topic, partition, offset, place } of documents.filter((_, i) => i % 1000 === 0)) {
    const id = `${topic}+${partition}+${offset}`
    const response = await fetch(`${elasticsearchUrl}/${place}/_source/${encodeURIComponent(id)}`)
    assert.equal(await response.text(), lines.get(id))
  }

  for (const [key, { committed, end }] of await committedAndEnds(t, scenario.group, names)) {
    assert.equal(committed, end, key)
    assert.equal(end, sent.get(key)!.length)
  }
  assert.deepEqual(await stagedFiles(scenario.root), [])
})
