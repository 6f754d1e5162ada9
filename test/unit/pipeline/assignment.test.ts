import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { partitionKey, type TopicPartition } from '../../../src/record/record.ts'
import { FakeSink } from '../../helpers/fake-sink.ts'
import { FakeSource } from '../../helpers/fake-source.ts'
import { settled, startWorker } from '../../helpers/running-worker.ts'
import { until } from '../../helpers/servers.ts'

const [first, second, third] = [0, 1, 2].map((partition) => ({ topic: 'events', partition })) as [
  TopicPartition,
  TopicPartition,
  TopicPartition,
]
const keys = [first, second, third].map(partitionKey)

/** A worker that has read 100 records of each of three partitions. */
async function startThree(t: TestContext, drainTimeoutMs = 20) {
  const source = new FakeSource()
  for (const tp of [first, second, third]) source.setLog(tp, { start: 0, end: 100 })
  const sink = new FakeSink('files', true)
  const opened: string[] = []
  sink.open = async (tp, fallback) => {
    opened.push(partitionKey(tp))
    return { next: source.group.get(partitionKey(tp)) ?? fallback, origin: 0, committed: undefined }
  }
  const running = await startWorker(t, source, [sink], { drainTimeoutMs })
  const of = (tp: TopicPartition) =>
    running.worker.status().find((status) => status.partition === tp.partition)
  const haveRead = (next: number, tps: readonly TopicPartition[]) =>
    until(`${next} are read`, () => tps.every((tp) => of(tp)?.position === next))
  await haveRead(100, [first, second, third])
  await running.pass(10)
  return { source, sink, opened, of, haveRead, ...running }
}

test('who loses a partition flushes, commits and gives up that one; the others go on meanwhile', async (t) => {
  const { source, sink, opened, of, haveRead, worker } = await startThree(t, 60_000)
  sink.away = true
  for (const tp of [first, second, third]) source.setLog(tp, { start: 0, end: 150 })
  await haveRead(150, [first, second, third])
  let isRevoked = false
  const revoked = source.revoke([second]).then(() => {
    isRevoked = true
  })
  for (const tp of [first, second, third]) source.setLog(tp, { start: 0, end: 200 })
  await haveRead(200, [first, third])
  await settled()
  assert.deepEqual([of(second)?.position, isRevoked], [150, false], 'nothing more is taken of it')
  sink.back()
  await revoked
  assert.deepEqual(sink.flushed, [[partitionKey(second)]])
  await until('it is closed', () => sink.closed.length > 0)
  assert.deepEqual([sink.closed, of(second)], [[partitionKey(second)], undefined])
  assert.equal(source.group.get(partitionKey(second)), 150)
  assert.equal(sink.dropped, 0)
  assert.deepEqual(opened, keys, 'none was opened again')
  assert.equal(worker.counts.rebalances, 1)
})

test('a partition that cannot be flushed in time is given up all the same, and what was read is read by the next', async (t) => {
  const { source, sink, of, haveRead, pass } = await startThree(t)
  sink.away = true
  source.setLog(second, { start: 0, end: 150 })
  await haveRead(150, [second])
  await source.revoke([second])
  await until('it is closed', () => sink.closed.length > 0)
  assert.deepEqual([of(second), sink.dropped], [undefined, 50])
  sink.back()
  await pass(10)
  assert.equal(source.group.get(partitionKey(second)), 100, 'only what is stored is committed')
})

test('partitions that are kept in a rebalance read on where they were, and are not opened again', async (t) => {
  const { source, opened, of, haveRead, worker, sink } = await startThree(t)
  source.rebalance({ lost: [third] })
  for (const tp of [first, second, third]) source.setLog(tp, { start: 0, end: 150 })
  await haveRead(150, [first, second])
  assert.deepEqual([of(third), opened, worker.counts.rebalances], [undefined, keys, 1])
  assert.deepEqual(sink.durable.length, 400, 'nothing came twice')
  source.rebalance({ gained: [third] })
  await haveRead(150, [first, second, third])
  assert.deepEqual(opened, [...keys, partitionKey(third)])
  assert.equal(sink.durable.length, 450)
})

test('a partition that was lost and came back is opened again, as others may have had it', async (t) => {
  const { source, opened, haveRead, sink } = await startThree(t)
  source.assign([first, second, third])
  for (const tp of [first, second, third]) source.setLog(tp, { start: 0, end: 150 })
  await haveRead(150, [first, second, third])
  assert.deepEqual(opened, [...keys, ...keys])
  assert.deepEqual(sink.closed.toSorted(), keys)
  assert.equal(sink.durable.length, 450)
})

test('a sink that fails while a partition is given up ends that, and nothing is opened again', async (t) => {
  const { source, sink, opened, of, haveRead, logged } = await startThree(t, 60_000)
  sink.away = true
  const write = sink.write.bind(sink)
  let fail: (error: Error) => void = () => {}
  sink.write = (batch) =>
    Promise.race([
      write(batch),
      new Promise<void>((_, reject) => {
        fail = reject
      }),
    ])
  source.setLog(second, { start: 0, end: 150 })
  await haveRead(150, [second])
  const revoked = source.revoke([second])
  await settled()
  fail(new Error('no space left'))
  await revoked
  assert.deepEqual([of(second), opened], [undefined, keys])
  assert.deepEqual(
    logged().map(({ event, topic, partition, err }) => ({ event, topic, partition, err })),
    [{ event: 'partition_not_drained', ...second, err: 'no space left' }],
  )
  assert.equal(source.group.get(partitionKey(second)), 100)
})
