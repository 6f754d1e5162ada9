import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { GroupConsumer } from '../../../src/kafka/consumer.ts'
import { kafkajs } from '../../../src/kafka/kafkajs.ts'
import { partitionKey } from '../../../src/record/record.ts'
import { createLogger } from '../../../src/runtime/log.ts'
import { until } from '../../helpers/servers.ts'
import { type StandInConsumer, standInKafka } from '../../helpers/stand-in-consumer.ts'

const offsets = [{ topic: 'events', partition: 0, offset: 1 }]

function startConsumer(t: TestContext) {
  const { kafka, consumers } = standInKafka()
  const happened: string[] = []
  const restarts: unknown[] = []
  const log = createLogger({
    level: 'warn',
    stream: {
      write: (text: string) => {
        const { event, reason } = JSON.parse(text) as { event: string; reason: string }
        assert.equal(event, 'consumer_restarted')
        restarts.push(reason)
      },
    },
  })
  const keys = (tps: readonly { topic: string; partition: number }[]) =>
    tps.map(partitionKey).join()
  const consumer = new GroupConsumer(
    { kafka, group: 'g', topics: ['events'], sessionTimeoutMs: 6000, heartbeatIntervalMs: 1000 },
    {
      topics: () => ['events'],
      joined: (_, { gained, kept, lost }) =>
        happened.push(`joined +${keys(gained)} =${keys(kept)} -${keys(lost)}`),
      beforeJoin: async () => void happened.push('beforeJoin'),
      revoked: async (tps) => void happened.push(`revoked ${keys(tps)}`),
      eachBatch: async () => {},
      ended: () => happened.push('ended'),
      failed: (error) => happened.push(`failed ${String(error)}`),
    },
    log,
  )
  t.after(() => consumer.stop())
  const last = () => consumers.at(-1) as StandInConsumer
  const untilRuns = (count: number) =>
    until(
      `consumer ${count} runs`,
      () => consumers.length === count && last().eachBatch !== undefined,
    )
  return { consumer, consumers, happened, restarts, last, untilRuns }
}

function unknownMember(): Error {
  return new kafkajs.KafkaJSProtocolError(
    Object.assign(new Error('unknown'), { type: 'UNKNOWN_MEMBER_ID', code: 25 }) as never,
  )
}

test('a consumer begins when there is something to consume, and ends when there is nothing', async (t) => {
  const { consumer, consumers, happened, last, untilRuns } = startConsumer(t)
  assert.equal(consumer.silentMs, 0)
  await assert.rejects(consumer.commit(offsets), /no consumer is running/)
  consumer.begin()
  await untilRuns(1)
  await consumer.commit(offsets)
  await consumer.leave()
  assert.deepEqual(happened, ['joined +events/0 = -', 'revoked events/0', 'ended'])
  assert.deepEqual([last().isDisconnected, consumer.silentMs], [true, 0])
  consumer.look()
  await untilRuns(2)
  assert.deepEqual(happened.slice(3), ['joined +events/0 = -'])
  assert.equal(consumers.length, 2)
})

test('a member that joins again keeps what it has, and one that was replaced keeps nothing', async (t) => {
  const { consumer, happened, last, untilRuns } = startConsumer(t)
  consumer.begin()
  await untilRuns(1)
  await last().join('m', { events: [0, 1] })
  await last().join('m', { events: [1] })
  await until('it gave up', () => happened.length === 4)
  await last().join('m', { events: [2] }, 'RoundRobinAssigner')
  await last().join('m', { events: [0] }, 'RoundRobinAssigner')
  await last().join('other', { events: [0] })
  assert.deepEqual(happened, [
    'joined +events/0 = -',
    'joined +events/1 =events/0 -',
    'joined + =events/1 -',
    'revoked events/0',
    'joined +events/2 = -events/1',
    'beforeJoin',
    'joined +events/0 = -events/2',
    'beforeJoin',
    'joined +events/0 = -events/0',
  ])
  last().crash(new Error('the broker is away'))
  await untilRuns(2)
  assert.deepEqual(happened.slice(9), ['ended', 'joined +events/0 = -events/0'])
})

test('a crash that may pass is followed by another consumer, one that cannot pass ends the source', async (t) => {
  const { consumer, consumers, happened, restarts, last, untilRuns } = startConsumer(t)
  consumer.begin()
  await untilRuns(1)
  last().crash(new Error('the broker is away'))
  consumers[0]!.crash(new Error('heard of no more'))
  await untilRuns(2)
  assert.deepEqual(restarts, ['crashed'])
  last().crash(new Error('wrapped', { cause: new TypeError('a mistake') }))
  assert.deepEqual(happened.at(-1), 'failed TypeError: a mistake')
  assert.equal(consumers.length, 2)
})

test('a member that the group does not know restarts when a commit says so, unless it joins already', async (t) => {
  const { consumer, consumers, restarts, last, untilRuns } = startConsumer(t)
  consumer.begin()
  await untilRuns(1)
  last().commitAnswer = unknownMember()
  const joining = last().join('m', { events: [0] })
  await assert.rejects(consumer.commit(offsets))
  assert.deepEqual(restarts, [])
  await joining
  await assert.rejects(consumer.commit(offsets))
  await untilRuns(2)
  assert.deepEqual(restarts, ['expelled'])
  await assert.rejects(consumers[0]!.join('m', { events: [0] }), /this consumer was ended/)
  last().commitAnswer = 'nothing'
  await assert.rejects(consumer.commit(offsets), /did not commit/)
})

test('while a restart waits, further reasons change nothing, and no topic or a stop ends it', async (t) => {
  for (const end of ['leave', 'stop'] as const) {
    const { consumer, consumers, restarts, last, untilRuns } = startConsumer(t)
    consumer.begin()
    await untilRuns(1)
    last().crash(new Error('the broker is away'))
    consumer.look()
    await assert.rejects(consumer.commit(offsets), /no consumer is running/)
    await consumer[end]()
    await new Promise((resolve) => setTimeout(resolve, 600))
    assert.deepEqual([consumers.length, restarts], [1, ['crashed']], end)
  }
})

test('a consumer that connects only after another has taken its place leaves', async (t) => {
  const { kafka, consumers } = standInKafka()
  const gate = Promise.withResolvers<void>()
  const create = kafka.consumer.bind(kafka)
  kafka.consumer = (config) => {
    const made = create(config)
    if (consumers.length === 1) consumers[0]!.connected = gate.promise
    return made
  }
  const consumer = new GroupConsumer(
    { kafka, group: 'g', topics: ['events'], sessionTimeoutMs: 6000, heartbeatIntervalMs: 1000 },
    {
      topics: () => ['events'],
      joined: () => {},
      beforeJoin: async () => {},
      revoked: async () => {},
      eachBatch: async () => {},
      ended: () => {},
      failed: (error) => assert.fail(String(error)),
    },
    createLogger({ level: 'silent', stream: { write: () => {} } }),
  )
  t.after(() => consumer.stop())
  consumer.begin()
  consumers[0]!.crash(new Error('it was too slow'))
  await until('another runs', () => consumers[1]?.eachBatch !== undefined)
  consumers[0]!.isDisconnected = false
  gate.resolve()
  await until('the first leaves', () => consumers[0]!.isDisconnected)
  assert.equal(consumers[0]!.eachBatch, undefined)
})
