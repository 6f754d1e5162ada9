import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FanOut } from '../../../src/pipeline/fan-out.ts'
import { Tracker } from '../../../src/pipeline/offsets/tracker.ts'
import type { Opener } from '../../../src/pipeline/opening.ts'
import type { Partition } from '../../../src/pipeline/partition.ts'
import type { Sink } from '../../../src/pipeline/sink.ts'
import { createCounts } from '../../../src/pipeline/worker-status.ts'
import { batchOf } from '../../helpers/elasticsearch-sink.ts'

/** A fan-out to two sinks whose writes the test settles, and what a watch saw. */
function createFanOut() {
  const writes = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const
  const sinks = writes.map(
    ({ promise }, i) =>
      ({ name: `s${i}`, keepsLines: true, write: () => promise }) as unknown as Sink,
  )
  const seen: string[] = []
  const fanOut = new FanOut({
    sinks,
    counts: createCounts(sinks),
    opener: { reopen: () => seen.push('reopened') } as unknown as Opener,
    watch: {
      delivered: (batch) => {
        seen.push(`delivered ${batch.lines.length > 0}`)
        return () => seen.push('held')
      },
    },
  })
  const partition = { progressed: () => {} } as unknown as Partition
  const tracker = new Tracker(0, ['s0', 's1'])
  fanOut.deliver(partition, tracker, batchOf('topic', ['{"type":"a"}']))
  const settle = () => new Promise((resolve) => setImmediate(resolve))
  return { writes, seen, settle }
}

test('a watch sees the lines of a batch, and is called once every sink holds it', async () => {
  const { writes, seen, settle } = createFanOut()
  assert.deepEqual(seen, ['delivered true'])
  writes[1].resolve()
  await settle()
  assert.deepEqual(seen, ['delivered true'])
  writes[0].resolve()
  await settle()
  assert.deepEqual(seen, ['delivered true', 'held'])
})

test('a watch is not called for a batch that a sink has lost', async () => {
  const { writes, seen, settle } = createFanOut()
  writes[0].resolve()
  writes[1].reject(new Error('lost'))
  await settle()
  assert.deepEqual(seen, ['delivered true', 'reopened'])
})
