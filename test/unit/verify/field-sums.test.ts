import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FieldSum } from '../../../src/verify/field-sums.ts'

function sumOf(type: string, numbers: readonly string[]): FieldSum {
  const sum = new FieldSum(type)
  for (const number of numbers) sum.add(number)
  return sum
}

const figures = ({ count, min, max, sum }: FieldSum) => ({ count, min, max, sum })

test('the order of numbers makes no difference, whatever their sizes are', () => {
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300, max: 1e300 }),
    fc.integer(),
    fc.constantFrom(1e16, -1e16, 0.1, -0),
  )
  fc.assert(
    fc.property(fc.array(number.map(String), { maxLength: 50 }), fc.integer(), (numbers, seed) => {
      const other = numbers.toSorted((a, b) => ((Number(a) * seed) % 7) - ((Number(b) * seed) % 7))
      assert.deepEqual(sumOf('double', numbers).differences(figures(sumOf('double', other))), [])
    }),
  )
})

test('each aggregate that differs is named, down to a hundredth in a large sum', () => {
  const sum = sumOf('double', ['10', '99.95', '294460.95'])
  const same = figures(sum)
  assert.deepEqual(sum.differences(same), [])
  assert.deepEqual(sum.differences({ ...same, sum: same.sum - 0.01 }), ['sum'])
  assert.deepEqual(sum.differences({ ...same, count: 2, min: 99.95 }), ['count', 'min'])
  assert.deepEqual(sumOf('long', []).differences({ count: 0, min: null, max: null, sum: 0 }), [])
  assert.deepEqual(sumOf('long', []).differences({ count: 1, min: 1, max: 1, sum: 1 }), [
    'count',
    'min',
    'max',
    'sum',
  ])
  assert.deepEqual(
    sumOf('float', ['0.1']).differences({
      count: 1,
      min: 0.10000000149011612,
      max: 0.10000000149011612,
      sum: 0.10000000149011612,
    }),
    [],
  )
})

test('what a type cannot hold is counted as ignored, a fraction in a long never is', () => {
  const long = sumOf('long', [
    '9223372036854775807',
    '9223372036854775808',
    '-9223372036854775808',
    '-9223372036854775809',
    '1e400',
    '1'.repeat(30),
    '99.95',
    '1e18',
  ])
  assert.deepEqual([long.count, long.ignored], [4, 4])
  assert.deepEqual([sumOf('double', ['1e400', '-1e400', '1e308', '1'.repeat(30)]).ignored], [2])
  assert.deepEqual([sumOf('byte', ['128', '-128', '127']).ignored], [1])
})
