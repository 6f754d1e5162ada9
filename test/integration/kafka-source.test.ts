import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Consumer, Kafka } from 'kafkajs'
import { kafkajs } from '../../src/kafka/kafkajs.ts'
import { KafkaSource } from '../../src/kafka/source.ts'
import type { TopicPartition } from '../../src/record/record.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { brokers, createTopic, produce, testKafka, uniqueName, until } from '../helpers/servers.ts'

const hour = 3_600_000
const value = JSON.stringify({ type: 'a' })

/** A source that consumes a topic from its beginning, and what it gave and logged. */
async function startSource(t: TestContext, topic: string, kafka: Kafka = testKafka()) {
  const logged: string[] = []
  const log = createLogger({
    level: 'warn',
    stream: { write: (line: string) => void logged.push(line) } as never,
  })
  const group = uniqueName('group')
  const source = new KafkaSource(
    {
      kafka,
      impatient: testKafka(),
      brokers,
      group,
      topics: [topic],
      sessionTimeoutMs: 6000,
      heartbeatIntervalMs: 1000,
      topicsRefreshMs: 1000,
      connectTimeoutMs: 15_000,
      maxRecordBytes: 2 ** 20,
      memoryLimit: 2 ** 20,
    },
    log,
  )
  const seen = { records: 0, joins: 0, failure: undefined as unknown }
  const admin = testKafka().admin()
  await admin.connect()
  t.after(async () => {
    await source.stop()
    await admin.deleteGroups([group]).catch(() => {})
    await admin.disconnect()
  })
  await source.connect()
  await source.run({
    joined: ({ gained, kept }) => {
      seen.joins++
      for (const tp of [...gained, ...kept]) {
        source.seek(tp, seen.records)
        source.resume(tp)
      }
    },
    beforeJoin: async () => {},
    revoked: async () => {},
    batch: ({ records }) => {
      seen.records += records.length
    },
    hasRoom: () => true,
    unreadable: ({ error }) => assert.fail(String(error)),
    failed: (error) => {
      seen.failure ??= error
    },
  })
  return { source, seen, logged }
}

test('a clock that is set back or forward stops neither heartbeats nor requests', async (t) => {
  const topic = await createTopic(t)
  const { source, seen, logged } = await startSource(t, topic)
  await until('the source joined', () => seen.joins === 1)
  const now = Date.now
  t.after(() => {
    Date.now = now
  })
  for (const [i, jump] of [-hour, hour, -24 * hour].entries()) {
    Date.now = () => now() + jump
    // Requests that were in flight when the clock was set are answered, too.
    await produce(t, topic, [{ value }, { value }])
    await until('records come', () => seen.records === 2 * (i + 1))
    const before = source.silentMs
    await until('a heartbeat is answered', () => source.silentMs < before)
    await until('another one, after the clock was set', () => source.silentMs > 700)
    await until('another one, after the clock was set', () => source.silentMs < 700)
  }
  assert.deepEqual([seen.joins, seen.failure, logged], [1, undefined, []])
})

test('a worker that the group no longer knows, as a commit says, joins again', async (t) => {
  const topic = await createTopic(t)
  await produce(t, topic, [{ value }])
  const kafka = testKafka()
  let refusals = 1
  const refusing = new Proxy(kafka, {
    get: (target, key: keyof Kafka) =>
      key !== 'consumer'
        ? target[key]
        : (config: Parameters<Kafka['consumer']>[0]): Consumer => {
            const consumer = target.consumer(config)
            return {
              ...consumer,
              commitOffsets: async (offsets) => {
                if (refusals-- > 0) {
                  throw new kafkajs.KafkaJSProtocolError(
                    Object.assign(new Error('The coordinator is not aware of this member'), {
                      type: 'UNKNOWN_MEMBER_ID',
                      code: 25,
                    }) as never,
                  )
                }
                return consumer.commitOffsets(offsets)
              },
            }
          },
  })
  const { source, seen, logged } = await startSource(t, topic, refusing)
  const offsets: readonly (TopicPartition & { offset: number })[] = [
    { topic, partition: 0, offset: 1 },
  ]
  await until('a record came', () => seen.records === 1)
  await assert.rejects(source.commit(offsets), /not aware of this member/)
  await until('the source joined again', () => seen.joins === 2)
  const [line, ...others] = logged.map((text) => JSON.parse(text) as Record<string, unknown>)
  assert.deepEqual([line?.event, line?.reason, others], ['consumer_restarted', 'expelled', []])
  await source.commit(offsets)
  assert.equal((await source.committedOffsets(offsets)).found.get(`${topic}/0`), 1)
  assert.equal(seen.failure, undefined)
})
