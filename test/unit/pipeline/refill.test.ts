import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionKey } from '../../../src/record/record.ts'
import { FakeSink } from '../../helpers/fake-sink.ts'
import { FakeSource } from '../../helpers/fake-source.ts'
import { startWorker } from '../../helpers/running-worker.ts'
import { until } from '../../helpers/servers.ts'

/** A sink that has lost what it committed. */

const tp = { topic: 'events', partition: 0 }
const key = partitionKey(tp)
const lostRange = { from: 40, next: 60, lostRecords: 20 }

/** Files that hold everything below 60 but a range, and a source with records up to 100. */
function begin(start: number, committed: number | undefined) {
  const source = new FakeSource()
  source.setLog(tp, { start, end: 100 })
  if (committed !== undefined) source.group.set(key, committed)
  const sink = new FakeSink('files', true)
  Object.assign(sink, { next: 60, incomplete: [lostRange] })
  return { source, sink }
}

const offsets = (from: number, next: number) =>
  Array.from({ length: next - from }, (_, i) => from + i)

for (const committed of [undefined, 40]) {
  test(`a range that the group has not committed (${committed}) is read again before the partition is opened`, async (t) => {
    const { source, sink } = begin(0, committed)
    const { worker } = await startWorker(t, source, [sink])
    await until('all is stored', () => sink.durable.at(-1) === 99)
    assert.deepEqual(sink.refilled, offsets(40, 60))
    assert.equal(worker.counts.lostOffsets, 0)
  })
}

test('a range that the group has committed is a loss, and stops the partition', async (t) => {
  const { source, sink } = begin(0, 60)
  const { worker, partition, logged } = await startWorker(t, source, [sink])
  await until('it stops', () => partition().state === 'stopped')
  assert.deepEqual([sink.refilled, sink.durable], [[], []])
  assert.equal(worker.counts.lostOffsets, 20)
  assert.match(partition().waiting!, /somebody removed them/)
  const [loss] = logged().filter(({ event }) => event === 'records_lost')
  assert.deepEqual([loss?.from, loss?.next, loss?.reason], [40, 60, 'file-lost'])
})

test('what retention took of a range is a loss: it stops the partition, or it is accepted', async (t) => {
  for (const onGap of ['stop', 'continue'] as const) {
    await t.test(onGap, async (t) => {
      const { source, sink } = begin(50, 40)
      const { worker, partition, logged } = await startWorker(t, source, [sink], { onGap })
      if (onGap === 'stop') await until('it stops', () => partition().state === 'stopped')
      else await until('all is stored', () => sink.durable.at(-1) === 99)
      assert.deepEqual(sink.refilled, offsets(50, 60))
      const losses = logged().filter(({ event }) => event === 'records_lost')
      assert.deepEqual(losses[0]?.offsets, 10)
      assert.ok(worker.counts.lostOffsets >= 10)
    })
  }
})
