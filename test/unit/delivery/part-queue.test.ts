import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Part, PartQueue, recordsOf, splitParts } from '../../../src/delivery/part-queue.ts'
import { LineEncoder } from '../../../src/record/line/encoder.ts'
import { pendingBatch } from '../../helpers/pending-batch.ts'

const partitions = 3
const recordsOfPartition = 10

/** Batches of some partitions, each with a call that gives it up. */
function batches() {
  const encoder = new LineEncoder({ from: 'topic' })
  return Array.from({ length: partitions }, (_, partition) => {
    const records = Array.from({ length: recordsOfPartition }, (_, offset) => ({
      offset,
      timestamp: 0,
      key: null,
      headers: [],
      value: Buffer.from('1'),
    }))
    const next = recordsOfPartition
    return pendingBatch(encoder.encode({ topic: 't', partition, from: 0, next, records }))
  })
}

const bytesOf = ({ start, end }: Part) => end - start

const range = fc.tuple(fc.nat({ max: 9 }), fc.integer({ min: 1, max: 10 }))
const call = fc.oneof(
  fc.record({
    is: fc.constantFrom('push' as const, 'pushFirst' as const),
    partition: fc.nat({ max: partitions - 1 }),
    range,
  }),
  fc.record({ is: fc.constant('shift' as const), records: fc.integer({ min: 1, max: 10 }) }),
  fc.record({ is: fc.constant('close' as const), partition: fc.nat({ max: partitions - 1 }) }),
  fc.record({ is: fc.constant('dropClosed' as const) }),
)

test('records come out in order, none of a partition that was given up, and bytes are counted', () => {
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
      const ofPartition = batches()
      const queue = new PartQueue<Part>(bytesOf)
      const nameOf = ({ pending, start }: Part) => `${pending.batch.partition}/${start}`
      let model: Part[] = []
      for (const one of calls) {
        if (one.is === 'push' || one.is === 'pushFirst') {
          const [start, length] = one.range
          const { pending } = ofPartition[one.partition]!
          const part = { pending, start, end: Math.min(recordsOfPartition, start + length) }
          if (one.is === 'push') queue.push(part)
          else queue.pushFirst([part])
          model = one.is === 'push' ? [...model, part] : [part, ...model]
        } else if (one.is === 'close') ofPartition[one.partition]!.close()
        else if (one.is === 'dropClosed') queue.dropClosed()
        else if ('records' in one) {
          // What was given up is dropped from the front as it comes up.
          while (model[0]?.pending.closed === true) model.shift()
          const next = queue.peek()
          assert.deepEqual(next && nameOf(next), model[0] && nameOf(model[0]))
          if (next === undefined) continue
          const until = next.start + one.records
          if (until >= next.end) queue.shift()
          else queue.shiftUntil(until)
          const rest = until >= next.end ? [] : [{ ...next, start: until }]
          model = [...rest, ...model.slice(1)]
        }
      }
      queue.dropClosed()
      const left = model.filter(({ pending }) => !pending.closed)
      assert.equal(queue.bytes, recordsOf(left))
      assert.equal(queue.isEmpty, left.length === 0)
      const out: string[] = []
      for (let part = queue.peek(); part !== undefined; part = queue.peek()) {
        out.push(nameOf(part))
        queue.shift()
      }
      assert.deepEqual(out, left.map(nameOf))
      assert.equal(queue.bytes, 0)
    }),
  )
})

test('parts are split between records, and nothing is lost', () => {
  const [{ pending }] = batches() as [ReturnType<typeof pendingBatch>]
  fc.assert(
    fc.property(fc.array(range, { maxLength: 8 }), fc.nat({ max: 60 }), (ranges, records) => {
      const parts = ranges.map(([start, length]) => ({ pending, start, end: start + length }))
      const [left, right] = splitParts(parts, records)
      const all = recordsOf(parts)
      assert.equal(recordsOf(left), Math.min(records, all))
      const each = (some: readonly Part[]) =>
        some.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i))
      assert.deepEqual([...each(left), ...each(right)], each(parts))
      assert.ok([...left, ...right].every(({ start, end }) => start < end))
    }),
  )
})
