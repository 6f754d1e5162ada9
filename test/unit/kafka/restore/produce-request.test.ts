import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { compressionTypes } from '../../../../src/kafka/batch/codecs.ts'
import { registerCodecs } from '../../../../src/kafka/batch/register-codecs.ts'
import {
  fastRequests,
  type RequestFactory,
  singleBatchBytes,
} from '../../../../src/kafka/restore/produce-request.ts'

const original = createRequire(import.meta.url)(
  'kafkajs/src/protocol/requests/produce/v3/request',
) as RequestFactory

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
const content = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 200 }), bytes)
const message = fc.record({
  key: fc.option(content),
  value: fc.option(content),
  // kafkajs sorts timestamps as text: of one length, as those of this century are.
  timestamp: fc.integer({ min: 1_000_000_000_000, max: 9_999_999_999_999 }).map(String),
  headers: fc.dictionary(
    fc.string({ minLength: 1, maxLength: 20 }),
    fc.oneof(content, fc.array(fc.oneof(fc.string(), bytes), { maxLength: 3 })),
    { maxKeys: 3, noNullPrototype: true },
  ),
})
const topicData = fc.array(
  fc.record({
    topic: fc.string({ minLength: 1, maxLength: 40 }),
    partitions: fc.array(
      fc.record({
        partition: fc.nat(),
        messages: fc.array(message, { minLength: 1, maxLength: 20 }),
      }),
      { maxLength: 3 },
    ),
  }),
  { maxLength: 3 },
)

test('a request has the bytes that kafkajs itself gives it, with every codec', async () => {
  registerCodecs()
  const codecs = fc.constantFrom(...Object.values(compressionTypes))
  await fc.assert(
    fc.asyncProperty(
      topicData,
      codecs,
      fc.constantFrom(-1, 0, 1),
      async (data, compression, acks) => {
        const args = { acks, timeout: 30_000, compression, topicData: data }
        const theirs = await original(args).encode()
        const ours = await fastRequests(original)(args).encode()
        assert.ok(ours.buffer.equals(theirs.buffer))
      },
    ),
    { numRuns: 200 },
  )
})

test('so has one of an idempotent producer: its id, its epoch and the sequence of each partition', async () => {
  const sequenced = topicData.chain((topics) =>
    fc.array(fc.nat({ max: 2 ** 31 - 1 }), { minLength: 9, maxLength: 9 }).map((sequences) =>
      topics.map((topic, i) => ({
        ...topic,
        partitions: topic.partitions.map((partition, j) => ({
          ...partition,
          firstSequence: sequences[i * 3 + j]!,
        })),
      })),
    ),
  )
  const producerId = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String),
    fc.constant(-1),
  )
  const epoch = fc.nat({ max: 2 ** 15 - 1 })
  await fc.assert(
    fc.asyncProperty(sequenced, producerId, epoch, async (data, producerId, producerEpoch) => {
      const args = {
        acks: -1,
        timeout: 30_000,
        compression: 0,
        producerId,
        producerEpoch,
        topicData: data,
      }
      const theirs = await original(args).encode()
      const ours = await fastRequests(original)(args).encode()
      assert.ok(ours.buffer.equals(theirs.buffer))
    }),
    { numRuns: 200 },
  )
})

test('a request of a transactional producer is left to kafkajs', () => {
  const theirs = { encode: () => Promise.reject(new Error('not called')) }
  const request = fastRequests(() => theirs)
  const args = { acks: -1, timeout: 1, topicData: [] }
  assert.equal(request({ ...args, transactionalId: 'id' }), theirs)
  assert.notEqual(request({ ...args, producerId: { value: 7n } }), theirs)
  assert.notEqual(request({ ...args, producerId: { value: -1n } }), theirs)
})

test('the size of a record is that of a batch that holds it alone', async () => {
  const headers = fc.array(fc.record({ key: fc.string(), value: fc.option(bytes) }), {
    maxLength: 4,
  })
  const record = fc.record({ key: fc.option(bytes), value: fc.option(bytes), headers })
  await fc.assert(
    fc.asyncProperty(record, async (one) => {
      const messages = [{ ...one, timestamp: '1', headers: one.headers as never }]
      const topicData = [{ topic: 't', partitions: [{ partition: 0, messages }] }]
      const { buffer } = await fastRequests(original)({ acks: -1, timeout: 1, topicData }).encode()
      assert.equal(singleBatchBytes(one), buffer.length - (2 + 2 + 4 + 4 + 3 + 4 + 4 + 4))
    }),
  )
})

test('timestamps of any 64 bits come back as they were', async () => {
  const timestamp = fc.oneof(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.constantFrom(
      -1n,
      0n,
      2n ** 50n - 1n,
      2n ** 50n,
      2n ** 53n + 1n,
      1564629783000000n,
      2n ** 63n - 1n,
      -(2n ** 63n),
    ),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(timestamp, { minLength: 1, maxLength: 5 }), async (timestamps) => {
      const messages = timestamps.map((one) => ({ key: null, value: 'v', timestamp: String(one) }))
      const topicData = [{ topic: 't', partitions: [{ partition: 0, messages }] }]
      const { buffer } = await fastRequests(original)({ acks: -1, timeout: 1, topicData }).encode()
      // Transaction, acknowledgements, timeout, one topic by its name, one partition, its index,
      // its size.
      const batch = buffer.subarray(2 + 2 + 4 + 4 + 3 + 4 + 4 + 4)
      const base = batch.readBigInt64BE(27)
      const read: bigint[] = []
      let at = 61
      for (const _ of timestamps) {
        const [size, body] = varInt(batch, at)
        const [delta] = varInt(batch, body + 1)
        read.push(BigInt.asIntN(64, base + delta))
        at = body + Number(size)
      }
      assert.deepEqual(read, timestamps)
      assert.equal(at, batch.length)
      assert.equal(batch.readBigInt64BE(35), timestamps.toSorted((a, b) => (a < b ? -1 : 1)).at(-1))
    }),
  )
})

/** The value, and where the next one begins. */
function varInt(bytes: Buffer, start: number): [bigint, number] {
  let value = 0n
  for (let at = start, shift = 0n; ; at++, shift += 7n) {
    const byte = bytes[at]!
    value |= BigInt(byte & 0x7f) << shift
    if (byte < 0x80) return [BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n)), at + 1]
  }
}
