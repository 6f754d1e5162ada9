import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { IdentityCheck, identify, isSameRecord } from '../../../src/pipeline/recreated.ts'
import { decodeLine } from '../../../src/record/line/decoder.ts'
import { LineEncoder } from '../../../src/record/line/encoder.ts'
import type { SourceRecord } from '../../../src/record/record.ts'
import { sourceBatch } from '../../helpers/arbitraries.ts'
import { FakeSource, recordsOf } from '../../helpers/fake-source.ts'
import { MemorySink } from '../../helpers/memory-sink.ts'

const record = (offset: number, life = 1): SourceRecord => ({
  offset,
  timestamp: 1_564_629_783_000 + life,
  key: Buffer.from(`k${offset}`),
  value: Buffer.from(`{"life":${life}}`),
  headers: [],
})
const archived = (...offsets: readonly number[]) => offsets.map((offset) => record(offset))

/** A log with these records; a fetch brings those from an offset on, three at most. */
function kafka(records: readonly SourceRecord[]) {
  const asked: number[] = []
  const read = async (offset: number) => {
    asked.push(offset)
    return records.filter((one) => one.offset >= offset).slice(0, 3)
  }
  return { asked, read }
}

test('one question tells whether the last archived record is still the one that Kafka has', async () => {
  const same = kafka(archived(0, 1, 2, 3, 4, 5, 6))
  assert.deepEqual(await identify(archived(2, 3, 5), 0, same.read), { verdict: 'same', offset: 5 })
  assert.deepEqual(same.asked, [5])
  const other = kafka([0, 1, 2, 3, 4, 5, 6].map((offset) => record(offset, 2)))
  assert.deepEqual(await identify(archived(2, 3, 5), 0, other.read), {
    verdict: 'different',
    offset: 5,
  })
  assert.deepEqual(other.asked, [5])
})

test('compaction that removed the last record is asked around, and never taken for another topic', async () => {
  const compacted = kafka(archived(2, 6, 7))
  assert.deepEqual(await identify(archived(2, 3, 5), 0, compacted.read), {
    verdict: 'same',
    offset: 2,
  })
  assert.deepEqual(compacted.asked, [5, 2])
  const other = kafka([record(2, 2), record(6, 2)])
  assert.deepEqual(await identify(archived(2, 3, 5), 0, other.read), {
    verdict: 'different',
    offset: 2,
  })
  assert.deepEqual(await identify(archived(2, 3, 5), 0, kafka(archived(6, 7)).read), {
    verdict: 'unknown',
  })
})

test('nothing can be said of records that retention removed, and Kafka is not asked', async () => {
  const log = kafka(archived(6, 7))
  assert.deepEqual(await identify(archived(2, 3, 5), 6, log.read), { verdict: 'unknown' })
  assert.deepEqual(await identify([], 0, log.read), { verdict: 'unknown' })
  assert.deepEqual(log.asked, [])
  // What retention left is enough.
  assert.deepEqual(await identify(archived(2, 5, 6), 6, log.read), { verdict: 'same', offset: 6 })
})

test('a log that was cut off and has grown again differs only behind the cut', async () => {
  const log = kafka([...archived(2, 3), record(5, 2)])
  assert.deepEqual(await identify(archived(2, 3, 5), 0, log.read), {
    verdict: 'different',
    offset: 5,
  })
})

test('what an archive keeps of any record is that record, and of another one it is not', () => {
  const encoder = new LineEncoder({ from: 'value', path: ['type'] })
  fc.assert(
    fc.property(sourceBatch({ maxRecords: 5 }), (batch) => {
      const { lines, ends } = encoder.encode(batch)
      for (const [i, original] of batch.records.entries()) {
        const { record: kept } = decodeLine(
          lines.subarray(i === 0 ? 0 : ends[i - 1]!, ends[i]! - 1),
        )
        assert.ok(isSameRecord(kept, original))
        const others: SourceRecord[] = [
          { ...original, timestamp: BigInt(original.timestamp) + 1n },
          { ...original, key: original.key === null ? Buffer.alloc(0) : null },
          {
            ...original,
            value: Buffer.concat([original.value ?? Buffer.from('null'), Buffer.from('1')]),
          },
        ]
        for (const other of others) assert.ok(!isSameRecord(kept, other))
      }
    }),
  )
})

test('topics are compared one partition at a time, and one that fails holds no other up', async () => {
  const source = new FakeSource()
  const sink = new MemorySink(new Map(), 1)
  const partitions = Array.from({ length: 50 }, (_, partition) => ({ topic: 'events', partition }))
  for (const one of partitions) source.setLog(one, { start: 0, end: 20 })
  let reading = 0
  const check = new IdentityCheck(
    [
      Object.assign(sink, {
        lastRecords: async ({ partition }: { partition: number }) => {
          assert.equal(++reading, 1)
          await new Promise((resolve) => setImmediate(resolve))
          reading--
          if (partition === 7) throw new Error('no answer')
          return recordsOf({ from: 10, next: 15 }, partition === 9 ? 2 : 1)
        },
      }),
    ],
    source,
  )
  const found = await Promise.allSettled(partitions.map((one) => check.of(one, 0)))
  const verdicts = found.map((one) => (one.status === 'fulfilled' ? one.value.verdict : 'failed'))
  assert.deepEqual(
    verdicts,
    partitions.map(({ partition }) =>
      partition === 7 ? 'failed' : partition === 9 ? 'different' : 'same',
    ),
  )
})
