import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { BatchSender } from '../../../../src/traffic/data/producer.ts'
import { type MadeRecord, RecordMaker } from '../../../../src/traffic/data/record-maker.ts'

const topics = [
  { name: 'a', partitions: 4 },
  { name: 'b', partitions: 9 },
]
const maker = new RecordMaker({ seed: 3, types: ['t'], topics, malformed: 0, history: undefined })
const records: readonly MadeRecord[] = Array.from({ length: 20_000 }, (_, i) => maker.make(i, i))

test('every record is sent once, in order within its partition, and a partition is never in two requests at a time', async () => {
  const arrived = new Map<string, number[]>()
  const inRequest = new Set<string>()
  let most = 0
  let inFlight = 0
  const sender = new BatchSender(topics, async (batch) => {
    const partitions = new Set(
      batch.flatMap(({ topic, messages }) =>
        messages.map(({ partition }) => `${topic}/${partition}`),
      ),
    )
    for (const partition of partitions) {
      assert.ok(!inRequest.has(partition), `${partition} has a request in flight already`)
      inRequest.add(partition)
    }
    most = Math.max(most, ++inFlight)
    // Requests end in another order than they began in.
    for (let turns = (batch.length * 7 + partitions.size * 5) % 11; turns >= 0; turns--)
      await setImmediate()
    for (const { topic, messages } of batch) {
      for (const { partition, timestamp } of messages) {
        const key = `${topic}/${partition}`
        arrived.set(key, [...(arrived.get(key) ?? []), Number(timestamp)])
      }
    }
    for (const partition of partitions) inRequest.delete(partition)
    inFlight--
  })
  for (const record of records) await sender.add(record)
  await sender.flush()
  await sender.settle()
  for (const { name, partitions } of topics) {
    for (let partition = 0; partition < partitions; partition++) {
      const made = records.filter(
        (record) => record.topic === name && record.partition === partition,
      )
      assert.deepEqual(
        arrived.get(`${name}/${partition}`),
        made.map(({ timestamp }) => timestamp),
      )
    }
  }
  assert.ok(most > 1, 'several requests are in flight at a time')
})

test('a batch that fails ends the sending, and is reported once all is settled', async () => {
  let sent = 0
  const sender = new BatchSender(topics, () =>
    ++sent === 2 ? Promise.reject(new Error('away')) : Promise.resolve(),
  )
  await assert.rejects(async () => {
    for (const record of records) await sender.add(record)
  }, /away/)
  await assert.rejects(sender.settle(), /away/)
  assert.ok(sent < 10)
})
