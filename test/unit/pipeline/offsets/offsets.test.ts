import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Coordinator } from '../../../../src/pipeline/offsets/coordinator.ts'
import { RangeSet } from '../../../../src/pipeline/offsets/range-set.ts'
import { Tracker } from '../../../../src/pipeline/offsets/tracker.ts'
import type { OffsetRange } from '../../../../src/record/record.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'

const tp = { topic: 'events', partition: 3 }
const isInternal = (error: unknown) => error instanceof ArchiverError && error.code === 'INTERNAL'

const range = fc
  .tuple(fc.nat({ max: 40 }), fc.nat({ max: 12 }))
  .map(([from, length]): OffsetRange => ({ from, next: from + length }))

test('RangeSet: as a set of numbers, in the fewest ranges', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: range.map((added) => ({ added })) },
    { weight: 1, arbitrary: fc.nat({ max: 50 }).map((dropped) => ({ dropped })) },
  )
  const agrees = fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
    const ranges = new RangeSet()
    const model = new Set<number>()
    for (const one of steps) {
      if ('added' in one) {
        ranges.add(one.added)
        for (let offset = one.added.from; offset < one.added.next; offset++) model.add(offset)
      } else {
        ranges.dropBelow(one.dropped)
        for (const offset of [...model]) if (offset < one.dropped) model.delete(offset)
      }
      const all = ranges.ranges.flatMap(({ from, next }) =>
        Array.from({ length: next - from }, (_, i) => from + i),
      )
      assert.deepEqual(
        all,
        [...model].sort((a, b) => a - b),
      )
      ranges.ranges.forEach(({ from, next }, i) => {
        assert.ok(from < next)
        if (i > 0) assert.ok(ranges.ranges[i - 1]!.next < from, 'ranges neither overlap nor touch')
      })
      for (let from = 0; from < 55; from++) {
        let end = from
        while (model.has(end)) end++
        assert.equal(ranges.endOfPrefix(from), end)
      }
    }
  })
  fc.assert(agrees, { numRuns: 400 })
})

/** Batches delivered one after another, and every acknowledgement of every sink, in any order. */
const delivery = fc
  .tuple(
    fc.nat({ max: 1000 }),
    fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 12 }),
    fc.integer({ min: 1, max: 3 }),
  )
  .chain(([start, lengths, sinks]) => {
    let next = start
    const batches = lengths.map((length): OffsetRange => {
      const from = next
      next += length
      return { from, next }
    })
    const acknowledgements = batches.flatMap((batch, i) =>
      Array.from({ length: sinks }, (_, sink) => ({ sink: `sink${sink}`, batch, i })),
    )
    return fc
      .shuffledSubarray(acknowledgements, { minLength: 0, maxLength: acknowledgements.length })
      .map((order) => ({
        start,
        batches,
        sinks: Array.from({ length: sinks }, (_, sink) => `sink${sink}`),
        order,
      }))
  })

test('Tracker: what may be committed is the end of the prefix that every sink holds, whatever the order', () => {
  const agrees = fc.property(delivery, ({ start, batches, sinks, order }) => {
    const tracker = new Tracker(start, sinks)
    const held = new Map(sinks.map((sink) => [sink, new Set<number>()]))
    for (const batch of batches) tracker.delivered(batch)
    assert.equal(tracker.position, batches.at(-1)!.next)
    const prefixOf = (sink: string) => {
      let end = start
      while (held.get(sink)!.has(end)) end++
      return end
    }
    let before = tracker.committable
    assert.ok(before >= start)
    for (const { sink, batch } of order) {
      tracker.acknowledge(sink, batch)
      for (let offset = batch.from; offset < batch.next; offset++) held.get(sink)!.add(offset)
      for (const name of sinks) assert.equal(tracker.watermark(name), prefixOf(name))
      assert.equal(tracker.committable, Math.min(...sinks.map(prefixOf)))
      assert.ok(tracker.committable >= before, 'never backwards')
      before = tracker.committable
    }
    tracker.close()
    for (const batch of batches) for (const sink of sinks) tracker.acknowledge(sink, batch)
    assert.equal(tracker.committable, before, 'nothing after close')
  })
  fc.assert(agrees, { numRuns: 1000 })
})

test('Tracker: delivery and acknowledgement interleaved, parts of batches, acknowledgements twice', () => {
  const step = fc.oneof(
    fc.record({ deliver: fc.nat({ max: 6 }) }),
    fc.record({ sink: fc.constantFrom('files', 'elasticsearch'), range }),
  )
  const agrees = fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const tracker = new Tracker(0, ['files', 'elasticsearch'])
    const held = { files: new Set<number>(), elasticsearch: new Set<number>() }
    for (const one of steps) {
      if ('deliver' in one)
        tracker.delivered({ from: tracker.position, next: tracker.position + one.deliver })
      else if (one.range.next > tracker.position) {
        assert.throws(() => tracker.acknowledge(one.sink, one.range), isInternal)
      } else {
        tracker.acknowledge(one.sink, one.range)
        const ofSink = one.sink === 'files' ? held.files : held.elasticsearch
        for (let offset = one.range.from; offset < one.range.next; offset++) ofSink.add(offset)
      }
      let end = 0
      while (held.files.has(end) && held.elasticsearch.has(end)) end++
      assert.equal(tracker.committable, end)
    }
  })
  fc.assert(agrees, { numRuns: 500 })
})

test('Tracker: what does not begin at the position was skipped, or came twice', () => {
  const tracker = new Tracker(10, ['files'])
  tracker.delivered({ from: 10, next: 20 })
  for (const wrong of [
    { from: 21, next: 25 },
    { from: 19, next: 25 },
    { from: 20, next: 19 },
  ]) {
    assert.throws(() => tracker.delivered(wrong), isInternal)
  }
  assert.throws(() => tracker.acknowledge('elasticsearch', { from: 10, next: 11 }), isInternal)
  assert.equal(tracker.position, 20)
})

test('Coordinator: offers what all sinks hold and the group has not committed, once', () => {
  const coordinator = new Coordinator(['files', 'elasticsearch'])
  const tracker = coordinator.open(tp, 5, undefined)
  assert.deepEqual(
    coordinator.committable(),
    [{ ...tp, offset: 5 }],
    'the start itself, if the group has nothing',
  )
  coordinator.confirm([{ ...tp, offset: 5 }])
  assert.deepEqual(coordinator.committable(), [])
  tracker.delivered({ from: 5, next: 9 })
  tracker.acknowledge('files', { from: 5, next: 9 })
  assert.deepEqual(coordinator.committable(), [])
  assert.deepEqual([tracker.committable, tracker.position], [5, 9])
  tracker.acknowledge('elasticsearch', { from: 7, next: 9 })
  assert.deepEqual(coordinator.committable(), [])
  tracker.acknowledge('elasticsearch', { from: 5, next: 7 })
  assert.deepEqual(coordinator.committable(), [{ ...tp, offset: 9 }])
  assert.deepEqual([tracker.committable, tracker.position], [9, 9])
  coordinator.confirm([{ ...tp, offset: 9 }])
  coordinator.confirm([{ ...tp, offset: 7 }])
  assert.equal(coordinator.committedOffset(tp), 9)
  assert.deepEqual(coordinator.committable(), [])
})

test('Coordinator: a start below what the group has is no reason to commit', () => {
  const coordinator = new Coordinator(['files'])
  const tracker = coordinator.open(tp, 5, 8)
  assert.deepEqual(coordinator.committable(), [])
  tracker.delivered({ from: 5, next: 8 })
  tracker.acknowledge('files', { from: 5, next: 8 })
  assert.deepEqual(coordinator.committable(), [])
})

test('Coordinator: acknowledgements of an assignment that ended change nothing', () => {
  const coordinator = new Coordinator(['files'])
  const before = coordinator.open(tp, 0, 0)
  before.delivered({ from: 0, next: 10 })
  const after = coordinator.open(tp, 0, 0)
  before.acknowledge('files', { from: 0, next: 10 })
  assert.ok(before.closed)
  assert.deepEqual(coordinator.committable(), [])
  after.delivered({ from: 0, next: 4 })
  after.acknowledge('files', { from: 0, next: 4 })
  assert.deepEqual(coordinator.committable(), [{ ...tp, offset: 4 }])
  coordinator.close(tp)
  assert.deepEqual(coordinator.committable(), [])
  assert.equal(coordinator.committedOffset(tp), undefined)
  assert.ok(after.closed)
  coordinator.confirm([{ ...tp, offset: 4 }])
})

test('Coordinator: over any life of some partitions, no offer is lower than one before or beyond what a sink holds', () => {
  const partitions = [0, 1, 2].map((partition) => ({ topic: 'events', partition }))
  const step = fc.record({
    which: fc.nat({ max: 2 }),
    what: fc.constantFrom(
      'deliver',
      'acknowledge',
      'acknowledge',
      'commit',
      'commit-late',
      'reopen',
      'close',
    ),
    sink: fc.constantFrom('files', 'elasticsearch'),
    size: fc.nat({ max: 5 }),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  const holds = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const coordinator = new Coordinator(['files', 'elasticsearch'])
    const committed = new Map<number, number>()
    const trackers = new Map<number, Tracker>()
    // What the group has outlives every assignment.
    const durable = partitions.map(() => ({
      files: new Set<number>(),
      elasticsearch: new Set<number>(),
    }))
    const late: { partition: number; offset: number; topic: string }[] = []
    for (const { which, what, sink, size, at } of steps) {
      const partition = partitions[which]!
      const latest = trackers.get(which)
      const tracker = latest?.closed === false ? latest : undefined
      if (what === 'reopen')
        trackers.set(
          which,
          coordinator.open(partition, committed.get(which) ?? 0, committed.get(which)),
        )
      else if (what === 'close') coordinator.close(partition)
      else if (what === 'commit' || what === 'commit-late') {
        const offsets = coordinator.committable()
        for (const { partition: number, offset } of offsets) {
          assert.ok(offset >= (committed.get(number) ?? 0), 'never backwards')
          for (let below = 0; below < offset; below++) {
            assert.ok(
              durable[number]!.files.has(below) && durable[number]!.elasticsearch.has(below),
              'past a hole',
            )
          }
          committed.set(number, offset)
        }
        if (what === 'commit') coordinator.confirm(offsets)
        else late.push(...offsets)
        if (late.length > 4) coordinator.confirm(late.splice(0))
      } else if (tracker !== undefined && what === 'deliver') {
        tracker.delivered({ from: tracker.position, next: tracker.position + size })
      } else if (tracker !== undefined) {
        const from = tracker.start + Math.floor(at * (tracker.position - tracker.start))
        const next = Math.min(tracker.position, from + size)
        tracker.acknowledge(sink, { from, next })
        for (let offset = from; offset < next; offset++) {
          durable[which]![sink === 'files' ? 'files' : 'elasticsearch'].add(offset)
        }
      }
    }
  })
  fc.assert(holds, { numRuns: 500 })
})
