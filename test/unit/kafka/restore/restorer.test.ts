import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Kafka } from 'kafkajs'
import { KafkaRestorer } from '../../../../src/kafka/restore/restorer.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'

/** A broker cannot be made to give these answers on demand: a producer that gives them. */
function standIn(answer: (batch: number) => string | undefined) {
  const batches: { readonly producer: number; readonly records: number }[] = []
  let producers = 0
  const kafka = {
    producer: () => {
      const producer = ++producers
      return {
        connect: async () => {},
        disconnect: async () => {},
        send: async ({ messages }: { messages: unknown[] }) => {
          batches.push({ producer, records: messages.length })
          const type = answer(batches.length)
          if (type === undefined) return
          throw new Error(type, { cause: Object.assign(new Error(type), { type }) })
        },
      }
    },
  } as unknown as Kafka
  return { kafka, batches }
}

async function restore(kafka: Kafka, records: number, renewAfter?: number): Promise<void> {
  const restorer = new KafkaRestorer(kafka, renewAfter)
  await restorer.connect()
  restorer.begin({ topic: 't', partition: 2, batchBytes: 512 * 1024 })
  for (let offset = 100; offset < 100 + records; offset++) {
    await restorer.add({ offset, timestamp: 1, key: null, value: Buffer.from('v'), headers: [] })
  }
  await restorer.flush()
}

test('a batch that the broker has already is there: the next one is that of a new producer', async () => {
  const { kafka, batches } = standIn((batch) =>
    batch === 2 ? 'DUPLICATE_SEQUENCE_NUMBER' : undefined,
  )
  await restore(kafka, 3500)
  assert.deepEqual(batches, [
    { producer: 1, records: 1000 },
    { producer: 1, records: 1000 },
    { producer: 2, records: 1000 },
    { producer: 2, records: 500 },
  ])
})

test('a producer is replaced before its sequence is at an end', async () => {
  const { kafka, batches } = standIn(() => undefined)
  await restore(kafka, 5000, 2000)
  assert.deepEqual(
    batches.map(({ producer }) => producer),
    [1, 1, 2, 2, 3],
  )
})

test('any other refusal ends the restore, and says which offsets are not there and how many are', async () => {
  for (const [type, meaning] of [
    ['OUT_OF_ORDER_SEQUENCE_NUMBER', /misses records that it had acknowledged/],
    ['UNKNOWN_PRODUCER_ID', /cannot tell whether these records are there/],
    ['TOPIC_AUTHORIZATION_FAILED', /TOPIC_AUTHORIZATION_FAILED/],
  ] as const) {
    const { kafka, batches } = standIn((batch) => (batch === 2 ? type : undefined))
    await assert.rejects(restore(kafka, 3500), (error) => {
      assert.ok(error instanceof ArchiverError && error.code === 'UNREACHABLE')
      assert.match(
        error.message,
        /offsets 1100 to 2099 for t\/2.*; 1000 records before them are there/,
      )
      assert.match(error.message, meaning)
      return true
    })
    assert.equal(batches.length, 2)
  }
})
