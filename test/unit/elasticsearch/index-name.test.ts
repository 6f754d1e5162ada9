import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  checkIndexPrefix,
  IndexNames,
  indexDay,
  isRebuilt,
  sameDay,
} from '../../../src/elasticsearch/index-name.ts'
import { malformedType } from '../../../src/record/record.ts'
import { unknownHour } from '../../../src/record/time.ts'

const own = (name: string) => ({ name, reserved: false })
const hour = fc.oneof(fc.integer({ min: 0, max: 70_389_527 }), fc.constant(unknownHour))
const type = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 400, size: 'max' }),
  fc
    .array(
      fc.constantFrom(
        '.',
        '..',
        '/',
        '*',
        '?',
        '"',
        '<',
        '|',
        ',',
        '#',
        ':',
        ' ',
        '_',
        '-',
        '+',
        'A',
        'İ',
        'ß',
      ),
      {
        minLength: 1,
        maxLength: 8,
      },
    )
    .map((parts) => parts.join('')),
)
const prefix = fc.constantFrom('archive-', 'a', `${'p'.repeat(41)}`)

test('any type has a name that Elasticsearch takes', () => {
  const valid = fc.property(prefix, type, hour, (start, name, at) => {
    const index = new IndexNames(start).of(own(name), at)
    assert.ok(Buffer.byteLength(index) <= 255)
    assert.match(index, /^[a-z0-9][a-z0-9._%-]*$/)
    assert.ok(index.startsWith(start))
    assert.ok(index.endsWith(`-${indexDay(at)}`))
    // Names that begin with _ behind the prefix are the program's own.
    assert.notEqual(index[start.length], '_')
  })
  fc.assert(valid, { numRuns: 1500 })
})

test('types that differ in more than case have different indices', () => {
  const indices = new IndexNames('archive-')
  const segment = (name: string) =>
    indices.of(own(name), 0).slice('archive-'.length, -'-1970.01.01'.length)
  const hostile = fc.oneof(
    type,
    type.map(segment),
    fc.string({
      unit: fc.constantFrom('\ud800', '\udbff', '\udc00', '\ufffd', 'A'),
      minLength: 1,
      maxLength: 90,
    }),
  )
  const distinct = fc.property(
    fc.uniqueArray(hostile, {
      minLength: 2,
      maxLength: 20,
      selector: (name) => name.toLowerCase(),
    }),
    (names) =>
      assert.equal(new Set(names.map((name) => indices.of(own(name), 0))).size, names.length),
  )
  fc.assert(distinct, { numRuns: 1000 })
  for (const one of ['x'.repeat(300), '%'.repeat(90), '\ud800'.repeat(90)]) {
    assert.notEqual(segment(segment(one)), segment(one), one)
  }
  assert.notEqual(segment('\ud800'), segment('\ud801'))
})

test('an index of an earlier version is known as one of its type', () => {
  const names = new IndexNames('archive-')
  assert.deepEqual(names.every(own('Order'), 0), ['archive-order-1970.01.01'])
  assert.deepEqual(names.every(own('\ud800'), 0), [
    'archive-%ed%a0%80-1970.01.01',
    'archive-%ef%bf%bd-1970.01.01',
  ])
  assert.deepEqual(names.every(malformedType, 0), ['archive-_malformed-1970.01.01'])
})

test('long types keep a beginning, and a hash makes them different', () => {
  const names = new IndexNames('archive-')
  const long = 'x'.repeat(300)
  const [one, other] = [names.of(own(`${long}a`), 0), names.of(own(`${long}b`), 0)]
  assert.notEqual(one, other)
  assert.equal(one.length, 255)
  assert.ok(one.startsWith('archive-xxxxxxxx'))
})

test('names as people see them', () => {
  const names = new IndexNames('archive-')
  const at = Date.UTC(2019, 7, 1, 3) / 3_600_000
  assert.equal(names.of(own('object.one'), at), 'archive-object.one-2019.08.01')
  assert.equal(names.of(own('Object.One'), at), 'archive-object.one-2019.08.01')
  assert.equal(names.of(own('a b/é'), unknownHour), 'archive-a%20b%2f%c3%a9-unknown')
  assert.equal(names.of(malformedType, at), 'archive-_malformed-2019.08.01')
  assert.equal(names.of(own('_rejected'), at), 'archive-%5frejected-2019.08.01')
  assert.equal(names.rejected(at), 'archive-_rejected-2019.08.01')
})

test('days are those of UTC', () => {
  const sameAsText = fc.property(hour, hour, (a, b) =>
    assert.equal(sameDay(a, b), indexDay(a) === indexDay(b)),
  )
  fc.assert(sameAsText, { numRuns: 500 })
  assert.ok(sameDay(0, 23))
  assert.ok(!sameDay(23, 24))
})

test('prefixes that would make an invalid or a hidden index are refused', () => {
  for (const bad of ['', '-a', '_a', '.a', 'A', 'a b', 'a*', 'é', 'x'.repeat(42)]) {
    assert.throws(() => checkIndexPrefix(bad), /such as archive-/, bad)
  }
  assert.equal(checkIndexPrefix('my.logs_1-'), 'my.logs_1-')
})

test('a rebuilt index has a name that no pattern of the archive matches, and that is never too long', () => {
  for (const prefix of ['archive-', 'rebuilt-', 'r', 'new-', 'n']) {
    const names = new IndexNames(prefix)
    assert.ok(!names.leases.startsWith(prefix), names.leases)
    for (const type of ['shop', 'x'.repeat(300), 'ä'.repeat(90)]) {
      const name = names.of({ name: type, reserved: false }, 24)
      const rebuilt = `${names.rebuilt(name)}123456`
      assert.ok(!rebuilt.startsWith(prefix), rebuilt)
      assert.ok(isRebuilt(rebuilt))
      assert.ok(Buffer.byteLength(rebuilt) <= 255, `${rebuilt.length}`)
    }
    const [a, b] = ['a', 'b'].map((end) =>
      names.rebuilt(names.of({ name: 'x'.repeat(300) + end, reserved: false }, 24)),
    )
    assert.notEqual(a, b)
  }
})

test('the patterns of a type match no index of a type whose name begins alike', () => {
  const names = new IndexNames('archive-')
  const patterns = names.ofYears({ name: 'shop', reserved: false }, [2019, 2020])
  const matches = (name: string) =>
    patterns.some((pattern) =>
      new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`).test(name),
    )
  for (const type of ['shop', 'shop-eu', 'shop-2019', 'shops', 'sho', 'shop-unknown'])
    for (const hour of [unknownHour, 435_000]) {
      const own = type === 'shop'
      assert.equal(matches(names.of({ name: type, reserved: false }, hour)), own, `${type} ${hour}`)
    }
})
