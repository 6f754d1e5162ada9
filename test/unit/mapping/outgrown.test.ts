import assert from 'node:assert/strict'
import { test } from 'node:test'
import { factsOf } from '../../../src/mapping/facts.ts'
import { valueMapping } from '../../../src/mapping/index-mapping.ts'
import { outgrownFields } from '../../../src/mapping/outgrown.ts'
import { proposalOf } from '../../../src/mapping/proposal.ts'

const some = (...values: string[]) =>
  factsOf(Array.from({ length: 1000 }, (_, i) => `{"x":${values[i % values.length]}}`))
const kinds = {
  words: some('"two words"'),
  codes: some('"a1"', '"b2"'),
  whole: some('1', '2'),
  fractions: some('1.5', '2'),
  long: some('9007199254740993', '1'),
  price: some('"1.50"', '"2.25"'),
  date: some('"2019-08-01"'),
  time: some('"2019-08-01T03:23:03Z"'),
  spaced: some('"2019-08-01 03:23:03"'),
  nanos: some('"2019-08-01T03:23:03.123456789Z"'),
  ip: some('"10.0.0.1"'),
  boolean: some('true', 'false'),
  booleanText: some('"true"', '"false"'),
  booleanBoth: some('true', '"false"'),
  object: some('{"y":1}'),
  point: some('{"lat":1.5,"lon":2}'),
  conflict: some('{"y":1}', '1'),
  mixed: some('1', '"x"'),
  mostlyPrice: some(...Array.from({ length: 499 }, () => '"1.50"'), '"n/a"'),
  mostlyBoolean: some(...Array.from({ length: 499 }, () => 'true'), '"unknown"'),
} as const
type Kind = keyof typeof kinds

/** As what the field is proposed if the cluster has the mapping of `mapped`; '' if that fits. */
function outgrown(kind: Kind, mapped?: Kind): string {
  const mapping = mapped && valueMapping(proposalOf(kinds[mapped])).mapping
  const found = outgrownFields(kinds[kind], { mapping, own: [] })
  return found.map(({ name, mapped: before, proposed }) => `${name} ${before} ${proposed}`).join()
}

test('the default mapping fits words, numbers and objects, and no dates and decimals in texts', () => {
  for (const kind of ['words', 'codes', 'whole', 'fractions', 'long', 'boolean', 'object'] as const)
    assert.equal(outgrown(kind), '', kind)
  assert.equal(outgrown('date'), 'x default date')
  assert.equal(outgrown('nanos'), 'x default date_nanos')
  assert.equal(outgrown('price'), 'x default double')
  assert.equal(outgrown('ip'), 'x default ip')
  assert.equal(outgrown('booleanText'), '')
  assert.equal(outgrown('booleanBoth'), 'x default boolean')
  assert.equal(outgrown('point'), 'x default geo_point')
  assert.equal(outgrown('conflict'), 'x default not indexed')
  assert.equal(outgrown('mixed'), 'x default keyword+text')
})

test('what was proposed for some values fits these values', () => {
  for (const kind of Object.keys(kinds) as Kind[]) assert.equal(outgrown(kind, kind), '', kind)
})

test('a mapping is outgrown by values that it refuses, and by none that it takes', () => {
  const table: readonly (readonly [kind: Kind, mapped: Kind, outgrown: string])[] = [
    ['spaced', 'time', 'x date date'],
    ['nanos', 'time', 'x date date_nanos'],
    ['words', 'date', 'x date keyword+text'],
    ['words', 'codes', 'x keyword keyword+text'],
    ['codes', 'words', ''],
    ['date', 'words', ''],
    ['mixed', 'whole', 'x double keyword+text'],
    ['whole', 'mixed', ''],
    ['price', 'whole', 'x double double'],
    ['fractions', 'long', 'x long double'],
    ['whole', 'long', ''],
    ['long', 'whole', 'x double long'],
    ['whole', 'price', ''],
    ['mostlyPrice', 'price', ''],
    ['price', 'mostlyPrice', ''],
    ['mostlyPrice', 'whole', 'x double double'],
    ['codes', 'mostlyPrice', 'x double keyword'],
    ['mostlyBoolean', 'boolean', ''],
    ['booleanText', 'boolean', ''],
    ['booleanText', 'booleanBoth', ''],
    ['booleanBoth', 'booleanText', ''],
    ['conflict', 'object', 'x object not indexed'],
    ['conflict', 'whole', 'x double not indexed'],
    ['object', 'conflict', ''],
    ['words', 'conflict', ''],
    ['object', 'words', 'x keyword object'],
    ['words', 'ip', 'x ip keyword+text'],
    ['whole', 'boolean', 'x boolean double'],
  ]
  for (const [kind, mapped, expected] of table)
    assert.equal(outgrown(kind, mapped), expected, `${kind} in ${mapped}`)
})

test('a sample that has some more of the others by chance outgrows nothing', () => {
  const table: readonly (readonly [usual: string, other: string, mapped: Kind])[] = [
    ['"1.50"', '"n/a"', 'price'],
    ['"2019-08-01"', '"soon"', 'date'],
    ['"10.0.0.1"', '"unknown"', 'ip'],
    ['"true"', '"?"', 'boolean'],
    ['true', '"?"', 'boolean'],
  ]
  for (const [usual, other, mapped] of table) {
    const { mapping } = valueMapping(proposalOf(kinds[mapped]))
    const found = (others: number, text = other) =>
      outgrownFields(
        factsOf(Array.from({ length: 150 }, (_, i) => `{"x":${i < others ? text : usual}}`)),
        { mapping, own: [] },
      ).length
    assert.deepEqual([found(1), found(4), found(15)], [0, 0, 1], usual)
    // One of these is one too many: it would count.
    if (mapped === 'price') assert.equal(found(1, '"1d"'), 1)
  }
})

test('fields that somebody else maps are theirs, and what lies below a whole is not looked at', () => {
  const facts = factsOf(
    Array.from({ length: 100 }, () => '{"a":{"b":"2019-08-01"},"c.d":"10.0.0.1"}'),
  )
  const names = (own: readonly string[], mapping?: object) =>
    outgrownFields(facts, { mapping: mapping as undefined, own }).map(({ name }) => name)
  assert.deepEqual(names([]), ['a.b', 'c.d'])
  assert.deepEqual(names(['a.b']), ['c.d'])
  assert.deepEqual(names(['a', 'c.d']), [])
  assert.deepEqual(names([], { properties: { a: { type: 'flattened' } } }), ['c.d'])
  assert.deepEqual(names([], { properties: { a: { type: 'object', enabled: false } } }), ['c.d'])
  assert.deepEqual(names([], { properties: { a: { properties: {} } } }), ['a.b', 'c.d'])
})

test('a name of JavaScript is a name like others', () => {
  const facts = factsOf(['{"constructor":"10.0.0.1","__proto__":"10.0.0.1"}'])
  const found = outgrownFields(facts, { mapping: { properties: {} }, own: [] })
  assert.deepEqual(
    found.map(({ name, mapped }) => [name, mapped]),
    [
      ['__proto__', 'default'],
      ['constructor', 'default'],
    ],
  )
})
