import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EachBatchPayload } from 'kafkajs'
import { FetchedPartitionBatch } from '../../../src/kafka/batch/fetched-batch.ts'
import { KafkaSource } from '../../../src/kafka/source.ts'
import type { FetchedBatch } from '../../../src/pipeline/source.ts'
import { createLogger } from '../../../src/runtime/log.ts'
import { wireBatch } from '../../helpers/record-set.ts'
import { until } from '../../helpers/servers.ts'
import { standInKafka } from '../../helpers/stand-in-consumer.ts'

test('a consumer that joins and crashes again and again comes back more and more slowly, until a batch is taken', async (t) => {
  const { kafka, consumers } = standInKafka()
  const delays: number[] = []
  const log = createLogger({
    level: 'warn',
    stream: { write: (line) => delays.push((JSON.parse(line) as { retry_ms: number }).retry_ms) },
  })
  const source = new KafkaSource(
    {
      kafka,
      impatient: kafka,
      brokers: ['stand-in:9092'],
      group: 'g',
      topics: ['events'],
      sessionTimeoutMs: 6000,
      heartbeatIntervalMs: 1000,
      topicsRefreshMs: 60_000,
      connectTimeoutMs: 1000,
      maxRecordBytes: 2 ** 20,
      memoryLimit: 2 ** 20,
    },
    log,
  )
  const taken: FetchedBatch[] = []
  await source.connect()
  t.after(() => source.stop())
  await source.run({
    joined: ({ gained, kept }) => {
      for (const tp of [...gained, ...kept]) source.resume(tp)
    },
    beforeJoin: async () => {},
    revoked: async () => {},
    batch: (batch) => taken.push(batch),
    hasRoom: () => true,
    unreadable: ({ error }) => assert.fail(String(error)),
    failed: (error) => assert.fail(String(error)),
  })
  const crash = async () => {
    const count = consumers.length
    await until('it runs', () => consumers.at(-1)?.eachBatch !== undefined)
    consumers.at(-1)!.crash(new Error('the broker is odd'))
    await until('another begins', () => consumers.length > count)
  }
  for (let i = 0; i < 3; i++) await crash()
  // Half of the full delay of 0.5, 1 and 2 s at least, and the whole at most.
  const isAbout = (delay: number | undefined, ms: number) =>
    delay !== undefined && delay >= ms / 2 && delay <= ms
  assert.ok(
    [500, 1000, 2000].every((ms, i) => isAbout(delays[i], ms)),
    `${delays}`,
  )
  await until('it runs', () => consumers.at(-1)?.eachBatch !== undefined)
  const bytes = wireBatch({ baseOffset: 0, records: [{ offsetDelta: 0 }] })
  const messages = { bytes, decodeOld: () => Promise.reject(new Error('none are here')) }
  const batch = new FetchedPartitionBatch('events', 0, {
    partition: 0,
    highWatermark: '1',
    messages,
  })
  const resolved: string[] = []
  await consumers.at(-1)!.eachBatch!({
    batch,
    resolveOffset: (offset: string) => resolved.push(offset),
    isStale: () => false,
  } as unknown as EachBatchPayload)
  await until('it is taken', () => taken.length === 1)
  assert.deepEqual(resolved, ['0'])
  await crash()
  assert.ok(isAbout(delays[3], 500), `${delays}`)
})
