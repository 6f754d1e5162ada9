import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionRanges } from '../../../src/kafka/partition-ranges.ts'

test('partitions are ranges of each topic, however many there are', () => {
  const of = (topic: string, ...partitions: number[]) =>
    partitions.map((partition) => ({ topic, partition }))
  assert.deepEqual(partitionRanges([]), [])
  assert.deepEqual(partitionRanges([...of('b', 10, 2, 3, 1), ...of('a', 0), ...of('b', 7)]), [
    'a/0',
    'b/1-3,7,10',
  ])
  const many = Array.from({ length: 130 }, (_, i) => of(`t${String(i).padStart(3, '0')}`, 0, 1))
  const lines = partitionRanges(many.flat())
  assert.deepEqual(
    [lines[0], lines[99], lines[100]],
    ['t000/0-1', 't099/0-1', 'and 30 more topics'],
  )
  assert.equal(lines.length, 101)
})
