import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { withoutOffsets } from '../../../src/record/batch-subset.ts'
import { LineEncoder } from '../../../src/record/line/encoder.ts'
import { lineStart, type RecordBatch } from '../../../src/record/record.ts'

function batchOf(offsets: readonly number[]): RecordBatch {
  const records = offsets.map((offset) => ({
    offset,
    timestamp: offset * 1_800_000,
    key: null,
    value: Buffer.from(JSON.stringify({ type: `t${offset % 3}`, text: 'x'.repeat(offset % 7) })),
    headers: [],
  }))
  const next = (offsets.at(-1) ?? -1) + 1
  return new LineEncoder({ from: 'value', path: ['type'] }).encode(
    { topic: 't', partition: 0, from: offsets[0] ?? 0, next, records },
    [],
  )
}

/** What a sink sees of each record. */
const recordsOf = (batch: RecordBatch) =>
  Array.from({ length: batch.count }, (_, i) => ({
    line: batch.lines.toString('utf8', lineStart(batch, i), batch.ends[i]),
    offset: batch.offsets[i],
    timestamp: batch.timestamps[i],
    hour: batch.hours[i],
    type: batch.types[batch.typeIndexes[i]!],
  }))

test('a batch without some offsets is the others, each with its own line, time and type', () => {
  const offsets = fc
    .uniqueArray(fc.nat({ max: 60 }), { minLength: 1 })
    .map((all) => all.sort((a, b) => a - b))
  fc.assert(
    fc.property(offsets, fc.uniqueArray(fc.nat({ max: 60 })), (all, held) => {
      const batch = batchOf(all)
      const expected = recordsOf(batch).filter(({ offset }) => !held.includes(offset!))
      const rest = withoutOffsets(batch, new Set(held))
      assert.deepEqual(recordsOf(rest), expected)
      assert.equal(rest.lines.length, rest.ends.at(-1) ?? 0)
    }),
  )
})
