import assert from 'node:assert/strict'
import { test } from 'node:test'
import { factsOf } from '../../../src/mapping/facts.ts'
import { proposalOf } from '../../../src/mapping/proposal.ts'

const notesOf = (...values: readonly string[]) => proposalOf(factsOf(values)).notes
const others = (...values: readonly string[]) => {
  const [note = '', ...more] = notesOf(...values)
  assert.deepEqual(more, [])
  return /^[\d,]+ fields? \((.*)\) becomes? .*kinds? than in older indices/.exec(note)?.[1]
}

test('each field whose kind is another one than in older indices is named', () => {
  const other = [
    '"12.50"',
    '"10.0.0.1"',
    '"52.52,13.405"',
    '{"lat":1.5,"lon":2}',
    '"2019-08-01"',
    '"2019-08-01T03:23:03.123456Z"',
    `"${'QUJD'.repeat(1000)}"`,
  ]
  const same = ['1', '1.5', '9007199254740993', 'true', '"true"', '"a b"', '"x"', '{"a":1}', '[1]']
  for (const value of other) assert.equal(others(`{"x":${value}}`), 'x', value)
  for (const value of same) assert.deepEqual(notesOf(`{"x":${value}}`), [], value)
  assert.equal(others('{"x":1}', '{"x":"a"}'), 'x')
  assert.equal(others('{"x":true}', '{"x":"true"}'), 'x')
  assert.equal(others('{"x":{"a":1}}', '{"x":1}'), 'x')
  const maps = Array.from({ length: 100 }, (_, i) => `{"x":{"u${i}":1}}`)
  assert.equal(others(...maps), 'x')
})

test('one note names five fields and counts the others', () => {
  const of = (fields: number) =>
    notesOf(`{${Array.from({ length: fields }, (_, i) => `"f${i}":"1.50"`).join(',')},"y":1}`)
  assert.deepEqual(of(1), [
    '1 field (f0) becomes another kind than in older indices: rebuild them, or search them apart',
  ])
  assert.match(of(5)[0]!, /^5 fields \(f0, f1, f2, f3, f4\) become other kinds than/)
  assert.match(of(9)[0]!, /^9 fields \(f0, f1, f2, f3, f4 and 4 more\) become other kinds than/)
})

test('records with an empty key are counted, unless Elasticsearch does not look at it', () => {
  const rejected = ['{"":"x"}', '{" ":1}', '{"a..b":1}', '{".a":1}', '{".":1}', '{"l":[{"":1}]}']
  for (const value of rejected)
    assert.deepEqual(
      notesOf(value, value, '{"y":1}'),
      ['2 of 3 (66 %) have an empty key: Elasticsearch rejects them'],
      value,
    )
  for (const value of ['{"a.":1}', '{"\u00a0":1}', '{"y":1}']) assert.deepEqual(notesOf(value), [])
  assert.deepEqual(notesOf('{"":1}', '{" ":1,"":2}', '{"y":1}'), [
    'at least 2 of 3 (66 %) have an empty key: Elasticsearch rejects them',
  ])
  // Nothing below a field that is not indexed is looked at.
  const { left, notes } = proposalOf(factsOf(['{"o":{"":1}}', '{"o":1}']))
  assert.deepEqual(left, [])
  assert.match(notes.join(), /^1 field \(o\) becomes another kind/)
})

test('a field whose texts are several words for the analyzer is found as a whole only', () => {
  const whole = (text: string) => notesOf(`{"x":"${text}"}`).join()
  for (const text of ['SKU-1001-COFFEE', 'out-for-delivery', 'src/mapping/notes.ts', 'Bücher+Zeit'])
    assert.equal(whole(text), '1 field (x) is found as a whole only, not by the words in it', text)
  for (const text of [
    'in_transit',
    'com.example.checkout',
    'urn:abc:def',
    'paid',
    'order-17',
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
    // These keep their words.
    'two words',
    '/api/products/17',
    'bob@example.com',
  ])
    assert.equal(whole(text), '', text)
})
