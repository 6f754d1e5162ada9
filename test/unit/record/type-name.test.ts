import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { malformedType, untypedType } from '../../../src/record/record.ts'
import { isSameType, nameOfType, typeOfName } from '../../../src/record/type-name.ts'
import { august, type MadeUpRecord, makeArchive } from '../../helpers/archive.ts'
import { runArchiver } from '../../helpers/archiver.ts'

const own = (name: string) => ({ name, reserved: false })

test('every type has a name of its own, and the name gives it back', () => {
  const part = fc.constantFrom('%', '25', '5F', '5f', '_', 'untyped', 'malformed', '2', '5')
  const text = fc.oneof(
    fc.array(part, { maxLength: 6 }).map((parts) => parts.join('')),
    fc.string(),
  )
  const type = fc.oneof(text.map(own), fc.constantFrom(malformedType, untypedType))
  fc.assert(
    fc.property(type, type, (a, b) => {
      assert.deepEqual(typeOfName(nameOfType(a)), a)
      assert.equal(nameOfType(a) === nameOfType(b), isSameType(a, b))
    }),
    { numRuns: 5000 },
  )
})

test('only what could be taken for a reserved name is written otherwise', () => {
  for (const name of [
    'order',
    'a%2Cb',
    '%5F',
    '%5Fother',
    '_other',
    'x_untyped',
    '%25',
    '_untyped ',
    '%2525',
    '',
  ]) {
    assert.deepEqual([nameOfType(own(name)), typeOfName(name)], [name, own(name)])
  }
  assert.deepEqual(typeOfName('_untyped'), untypedType)
  assert.deepEqual(typeOfName('%5Funtyped'), own('_untyped'))
  assert.deepEqual(typeOfName('%255Funtyped'), own('%5Funtyped'))
  assert.equal(nameOfType(own('_malformed')), '%5Fmalformed')
})

const values = [
  '{"type":"order,created","i":0}',
  '{"type":"order","i":1}',
  '{"type":"created","i":2}',
  '{"type":"order ","i":3}',
  '{"type":"_untyped","i":4}',
  '{"i":5}',
  'no JSON',
  '{"type":"_malformed","i":7}',
  '{"type":"%5Funtyped","i":8}',
  '{"type":"a\\\\b","i":9}',
  '{"type":" order","i":10}',
  '{"type":"\\t","i":11}',
]

test('cat and ls select types with commas, blanks and reserved names, each apart', async (t) => {
  const flush = values.map(
    (value, offset): MadeUpRecord => ({ offset, timestamp: august, value: Buffer.from(value) }),
  )
  const root = await makeArchive(t, [{ tp: { topic: 'odd', partition: 0 }, flushes: [flush] }])
  const cat = async (...types: readonly string[]) => {
    const { code, output } = await runArchiver(t, [
      'cat',
      '--archive-dir',
      root,
      ...types.map((type) => `--type=${type}`),
    ])
    assert.equal(code, 0, output)
    return output
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { kafka: { offset: number } }).kafka.offset)
  }
  const selections: readonly (readonly [readonly string[], readonly number[]])[] = [
    [['order\\,created'], [0]],
    [['order,created'], [1, 2]],
    [
      ['order ', ' order'],
      [3, 10],
    ],
    [['_untyped'], [5]],
    [['_malformed'], [6]],
    [['%5Funtyped'], [4]],
    [
      ['%5Fmalformed', '%255Funtyped'],
      [7, 8],
    ],
    [['a\\b'], [9]],
    [['\t'], [11]],
  ]
  for (const [types, offsets] of selections)
    assert.deepEqual(await cat(...types), offsets, types.join(' + '))

  const { output } = await runArchiver(t, ['ls', '--json', '--archive-dir', root])
  const names = output
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { name: string }).name)
  assert.deepEqual(
    names.toSorted(),
    [
      '\t',
      ' order',
      '%255Funtyped',
      '%5Fmalformed',
      '%5Funtyped',
      '_malformed',
      '_untyped',
      'a\\b',
      'created',
      'order',
      'order ',
      'order,created',
    ].toSorted(),
  )
  const none = await runArchiver(t, ['cat', '--archive-dir', root, '--type', 'order  '])
  assert.equal(none.code, 1)
  assert.match(none.output, /no record of type order {2}; it has .*%5Funtyped, _malformed/)
  const dashboard = await runArchiver(t, [
    'dashboard',
    '--type',
    '_untyped',
    '--out',
    `${root}/x.ndjson`,
  ])
  assert.equal(dashboard.code, 2)
  assert.match(dashboard.output, /type that messages call _untyped is %5Funtyped/)
})
