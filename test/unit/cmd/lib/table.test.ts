import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Column, table } from '../../../../src/cmd/lib/table.ts'

const columns: readonly Column[] = [
  { head: 'name', min: 8 },
  { head: 'n', right: true },
  { head: 'bytes', right: true, spare: 1 },
  { head: 'time', short: (cell) => cell.slice(0, 10) },
]
const rows = [
  ['orders-of-last-year', '1', '12 MiB', '2019-08-01T03:23:03.000Z'],
  ['b', '22', '1 B', '-1'],
]

const widest = (text: string) => Math.max(...text.split('\n').map((line) => line.length))

describe('a table', () => {
  const whole = table(columns, rows)

  it('is whole in a pipe, and on a terminal that is wide enough', () => {
    assert.equal(widest(whole), 57)
    assert.equal(table(columns, rows, 58), whole)
  })

  it('says less on a narrower terminal: first in short, then without a column, then cut', () => {
    assert.deepEqual(table(columns, rows, 57).split('\n'), [
      'name                  n   bytes  time',
      'orders-of-last-year   1  12 MiB  2019-08-01',
      'b                    22     1 B  -1',
    ])
    assert.deepEqual(table(columns, rows, 40).split('\n'), [
      'name                  n  time',
      'orders-of-last-year   1  2019-08-01',
      'b                    22  -1',
    ])
    assert.deepEqual(table(columns, rows, 30).split('\n'), [
      'name            n  time',
      'orders-of-la…   1  2019-08-01',
      'b              22  -1',
    ])
    assert.equal(widest(table(columns, rows, 10)), 24)
  })

  it('continues a text below itself, or below its row', () => {
    const reasons = [
      ['a', 'because it is so and not any other way, as you know'],
      ['b', ''],
    ]
    const both = [{ head: 'field' }, { head: 'why', wraps: true }]
    assert.deepEqual(table(both, reasons).split('\n'), [
      'field  why',
      'a      because it is so and not any other way, as you know',
      'b',
    ])
    assert.deepEqual(table(both, reasons, 46).split('\n'), [
      'field  why',
      'a      because it is so and not any other',
      '       way, as you know',
      'b',
    ])
    assert.deepEqual(table(both, reasons, 30).split('\n'), [
      'field',
      'a',
      '    because it is so and not',
      '    any other way, as you',
      '    know',
      'b',
    ])
  })
})
