import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PendingBatches } from '../../../src/delivery/pending.ts'
import { LineEncoder } from '../../../src/record/line/encoder.ts'
import type { RecordBatch } from '../../../src/record/record.ts'

const encoder = new LineEncoder({ from: 'topic' })

function batchOf(partition: number, count = 3): RecordBatch {
  const records = Array.from({ length: count }, (_, offset) => ({
    offset,
    timestamp: 0,
    key: null,
    headers: [],
    value: Buffer.from('1'),
  }))
  return encoder.encode({ topic: 't', partition, from: 0, next: count, records })
}

async function outcomeOf(promise: Promise<void>): Promise<string> {
  const pending = new Promise<string>((resolve) => setImmediate(() => resolve('pending')))
  const settled = promise.then(
    () => 'settled',
    (error: Error) => error.message,
  )
  return Promise.race([settled, pending])
}

test('a batch is written once all of its records are acknowledged, and its memory is free then', async () => {
  const batches = new PendingBatches(1000)
  let relieved = 0
  batches.relieved = () => relieved++
  const batch = batchOf(0)
  assert.equal(batches.add(batch), undefined, 'the partition is not open')
  batches.open(batch)
  const pending = batches.add(batch)!
  assert.equal(batches.heldBytes, batch.lines.length)
  pending.acknowledge(2)
  assert.deepEqual([await outcomeOf(pending.written), relieved], ['pending', 0])
  pending.acknowledge(1)
  assert.deepEqual(
    [await outcomeOf(pending.written), await outcomeOf(pending.done)],
    ['settled', 'settled'],
  )
  assert.deepEqual([batches.heldBytes, relieved, batches.of([batch])], [0, 1, []])
})

test('a partition that is given up ends its flushes, and its writes never settle', async () => {
  const batches = new PendingBatches(1000)
  const batch = batchOf(0)
  batches.open(batch)
  const pending = batches.add(batch)!
  assert.deepEqual([batches.close(batch), batches.close(batch)], [true, false])
  pending.acknowledge(3)
  assert.deepEqual(
    [await outcomeOf(pending.written), await outcomeOf(pending.done), batches.heldBytes],
    ['pending', 'settled', 0],
  )
})

test('the writer of a batch that fails reads it again', async () => {
  const batches = new PendingBatches(1000)
  const batch = batchOf(0)
  batches.open(batch)
  const pending = batches.add(batch)!
  pending.fail(new Error('bug'))
  assert.equal(await outcomeOf(pending.written), 'bug')
})

test('partitions share the memory: one that stalls leaves room for the others', () => {
  const bytes = batchOf(0).lines.length
  const batches = new PendingBatches(4 * bytes)
  const [one, other] = [batchOf(0), batchOf(1)]
  batches.open(one)
  batches.add(one)
  assert.equal(batches.pressure(one), 1 / 4)
  batches.open(other)
  batches.add(one)
  assert.deepEqual([batches.pressure(one), batches.pressure(other)], [1, 0])
  for (let partition = 2; partition < 10; partition++) batches.open(batchOf(partition))
  assert.equal(batches.pressure(one), 2, 'at most four share it while they are not busy')
})
