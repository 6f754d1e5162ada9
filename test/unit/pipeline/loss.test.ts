import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionKey } from '../../../src/record/record.ts'
import { FakeSink } from '../../helpers/fake-sink.ts'
import { FakeSource } from '../../helpers/fake-source.ts'
import { startWorker } from '../../helpers/running-worker.ts'
import { until } from '../../helpers/servers.ts'

const tp = { topic: 'events', partition: 0 }
const key = partitionKey(tp)

test('a record batch that cannot be read stops its partition alone, with what is before it archived', async (t) => {
  const source = new FakeSource()
  const other = { topic: 'events', partition: 1 }
  source.damaged = { from: 130, next: 140 }
  source.setLog(tp, { start: 0, end: 250 })
  source.setLog(other, { start: 0, end: 120 })
  const sink = new FakeSink('elasticsearch', false)
  const { pass, partition, worker, logged } = await startWorker(t, source, [sink])
  await until('it stops', () => partition().state === 'stopped')
  await pass(10)
  assert.equal(source.group.get(key), 130)
  assert.equal(source.group.get(partitionKey(other)), 120)
  assert.equal(sink.durable.length, 130 + 120)
  assert.equal(worker.counts.lostOffsets, 10)
  const lost = logged().filter(({ event }) => event === 'records_lost')
  assert.deepEqual(
    lost.map(({ topic, partition, reason, detail, stopped }) => ({
      ...{ topic, partition, reason },
      ...{ detail, stopped },
    })),
    [{ ...tp, reason: 'unreadable', detail: 'it is damaged', stopped: true }],
  )
  assert.equal(
    partition().waiting,
    'it is damaged; start the worker with --on-gap continue to go on behind them',
  )
})

test('a worker that is to end fails with each loss, its partition and what to do', async (t) => {
  const source = new FakeSource()
  source.damaged = { from: 130, next: 140 }
  source.setLog(tp, { start: 0, end: 250 })
  const sink = new FakeSink('elasticsearch', false)
  const { ended } = await startWorker(t, source, [sink], { untilEnd: true })
  const message = `${key}: it is damaged; start the worker with --on-gap continue to go on behind them`
  await assert.rejects(ended, { code: 'GAP', message })
})

test('with --on-gap continue a record batch that cannot be read is a gap, and all others are archived', async (t) => {
  const source = new FakeSource()
  source.damaged = { from: 100, next: 140 }
  source.setLog(tp, { start: 0, end: 250 })
  const sink = new FakeSink('elasticsearch', false)
  const { ended, worker } = await startWorker(t, source, [sink], {
    onGap: 'continue',
    untilEnd: true,
  })
  await ended
  assert.equal(source.group.get(key), 250)
  assert.deepEqual(
    sink.durable.toSorted((a, b) => a - b),
    Array.from({ length: 250 }, (_, i) => i).filter((i) => i < 100 || i >= 140),
  )
  assert.deepEqual(sink.gaps, [{ from: 100, next: 140, reason: 'unreadable' }])
  assert.equal(worker.counts.lostOffsets, 40)
})

test('with --on-gap continue an oversized record is a gap, and is counted', async (t) => {
  const source = new FakeSource()
  source.damaged = { from: 100, next: 101 }
  source.damagedBy = 'oversized'
  source.setLog(tp, { start: 0, end: 250 })
  const sink = new FakeSink('elasticsearch', false)
  const { ended, worker } = await startWorker(t, source, [sink], {
    onGap: 'continue',
    untilEnd: true,
  })
  await ended
  assert.equal(source.group.get(key), 250)
  assert.equal(sink.durable.length, 249)
  assert.deepEqual(sink.gaps, [{ from: 100, next: 101, reason: 'oversized' }])
  assert.deepEqual([worker.counts.lostOffsets, worker.counts.oversizedRecords], [1, 1])
})

test('an oversized record stops its partition, and says what keeps it', async (t) => {
  const source = new FakeSource()
  source.damaged = { from: 100, next: 101 }
  source.damagedBy = 'oversized'
  source.setLog(tp, { start: 0, end: 250 })
  const { partition, logged, worker } = await startWorker(t, source, [
    new FakeSink('elasticsearch', false),
  ])
  await until('it stops', () => partition().state === 'stopped')
  assert.deepEqual(
    logged().map(({ event, reason, stopped }) => ({ event, reason, stopped })),
    [{ event: 'records_lost', reason: 'oversized', stopped: true }],
  )
  assert.equal(worker.counts.oversizedRecords, 1)
})
