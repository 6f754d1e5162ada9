import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  dataFileName,
  hourDirectory,
  manifestDirectory,
  manifestName,
  parseDataFileName,
  parseManifestName,
  stagedName,
  stagingOf,
} from '../../../src/files/log/path.ts'
import { malformedType, untypedType } from '../../../src/record/record.ts'
import {
  topicOfSegment,
  topicSegment,
  typeSegment,
  typeSegments,
} from '../../../src/record/segment.ts'
import { unknownHour } from '../../../src/record/time.ts'

/**
 * Types as messages may have them: anything, with what breaks out of directories more often than
 * chance has it.
 */
export const typeName = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 300, size: 'max' }),
  fc
    .array(
      fc.constantFrom(
        '.',
        '..',
        '/',
        '\\',
        '\0',
        '_',
        '-',
        '%',
        '%2F',
        '=',
        ' ',
        'a',
        'A',
        'é',
        '日',
        '\n',
        '+',
      ),
      {
        minLength: 1,
        maxLength: 12,
      },
    )
    .map((parts) => parts.join('')),
)
/** And what one type becomes, as the type of another message. */
const hostileType = fc.oneof(
  typeName,
  typeName.map((name) => typeSegment(own(name))),
  fc.string({
    unit: fc.constantFrom('\ud800', '\udbff', '\udc00', '\ufffd', 'a'),
    minLength: 1,
    maxLength: 70,
  }),
  fc
    .tuple(
      fc.integer({ min: 160, max: 172 }),
      fc.string({ unit: fc.constantFrom('0', 'f', 'é'), minLength: 31, maxLength: 33 }),
    )
    .map(([length, hash]) => `${'x'.repeat(length)}-${hash}`),
)
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const own = (name: string) => ({ name, reserved: false })
/** Percent-decoding gives UTF-8, which has no lone surrogates. */
const wellFormed = typeName.filter((name) => name.isWellFormed())

test('any type is one harmless segment', () => {
  const harmless = fc.property(typeName, (name) => {
    const segment = typeSegment(own(name))
    assert.match(segment, /^[A-Za-z0-9%-][A-Za-z0-9._%-]*$/)
    assert.ok(Buffer.byteLength(segment) <= 200)
    assert.equal(posix.normalize(`root/type=${segment}/x`), `root/type=${segment}/x`)
    assert.notEqual(segment, '.')
    assert.notEqual(segment, '..')
    assert.notEqual(segment, malformedType.name)
    assert.notEqual(segment, untypedType.name)
  })
  fc.assert(harmless, { numRuns: 1500 })
})

test('a short segment gives its type back by percent-decoding', () => {
  const reversible = fc.property(wellFormed, (name) => {
    fc.pre(Buffer.byteLength(name) <= 66)
    assert.equal(decodeURIComponent(typeSegment(own(name))), name)
  })
  fc.assert(reversible, { numRuns: 1000 })
})

test('distinct types have distinct segments', () => {
  const distinct = fc.property(
    fc.uniqueArray(hostileType, { minLength: 2, maxLength: 20 }),
    (names) => {
      assert.equal(new Set(names.map((name) => typeSegment(own(name)))).size, names.length)
    },
  )
  fc.assert(distinct, { numRuns: 1000 })
  const long = 'x'.repeat(300)
  assert.notEqual(typeSegment(own(`${long}a`)), typeSegment(own(`${long}b`)))
  assert.notEqual(typeSegment(own('Object')), typeSegment(own('object')))
})

test('a type that spells what another one becomes has a segment of its own', () => {
  const surrogates = [
    '\ud800',
    '\ud801',
    '\udfff',
    '\udc00\ud800',
    '\ufffd',
    '\u{10000}',
    'x\ud800',
    'x\ud801',
  ]
  const long = [
    'x'.repeat(300),
    `${'x'.repeat(300)}\ud800`,
    `${'x'.repeat(300)}\ud801`,
    '%'.repeat(80),
    '.'.repeat(201),
  ]
  // What a type becomes is a type too, and so is what that becomes.
  const once = [...surrogates, ...long].map((name) => typeSegment(own(name)))
  const twice = once.map((name) => typeSegment(own(name)))
  const names = [...new Set([...surrogates, ...long, ...once, ...twice])]
  assert.equal(new Set(names.map((name) => typeSegment(own(name)))).size, names.length)
  assert.equal(typeSegment(own('\ud800')), '%ED%A0%80')
  for (const name of names) assert.ok(typeSegment(own(name)).length <= 200)
})

test('names in an archive of an earlier version are known, and those that did not change have no second one', () => {
  assert.deepEqual(typeSegments(own('\ud800')), ['%ED%A0%80', '%EF%BF%BD'])
  const literal = typeSegment(own('x'.repeat(300)))
  assert.deepEqual(typeSegments(own(literal)), [typeSegment(own(literal)), literal])
  assert.deepEqual(typeSegments(malformedType), ['_malformed'])
  const unchanged = fc.property(wellFormed, (name) => {
    fc.pre(!/-[0-9a-f]{32}$/.test(name))
    assert.equal(typeSegments(own(name)).length, 1)
  })
  fc.assert(unchanged, { numRuns: 1000 })
  assert.deepEqual(typeSegments(own('x'.repeat(300))), [
    `${'x'.repeat(167)}-${sha256('x'.repeat(300)).slice(0, 32)}`,
  ])
})

test('an escape is never cut in two', () => {
  for (let prefix = 0; prefix < 4; prefix++) {
    const segment = typeSegment(own('a'.repeat(prefix) + 'é'.repeat(200)))
    assert.ok(segment.length <= 200)
    assert.match(segment, /^(?:[A-Za-z0-9._-]|%[0-9A-F]{2})*$/)
  }
})

test('reserved types keep their names; types that pretend to be them do not', () => {
  assert.equal(typeSegment(malformedType), '_malformed')
  assert.equal(typeSegment(own('_malformed')), '%5Fmalformed')
  assert.equal(typeSegment(own('..')), '%2E.')
  assert.equal(typeSegment(own('../../etc/passwd')), '%2E.%2F..%2Fetc%2Fpasswd')
  assert.equal(typeSegment(own('object.one')), 'object.one')
})

test('directories say the hour in UTC', () => {
  const hour = Date.UTC(2019, 7, 1, 3) / 3_600_000
  assert.equal(hourDirectory(own('object.one'), hour), 'type=object.one/dt=2019-08-01/hr=03')
  assert.equal(hourDirectory(own('a'), unknownHour), 'type=a/dt=unknown/hr=unknown')
  assert.equal(hourDirectory(own('a'), 0), 'type=a/dt=1970-01-01/hr=00')
  const last = Math.floor(Date.UTC(9999, 11, 31, 23) / 3_600_000)
  assert.equal(hourDirectory(own('a'), last), 'type=a/dt=9999-12-31/hr=23')
})

const topic = fc
  .array(fc.constantFrom(...'abzAZ09._-'), { minLength: 1, maxLength: 249, size: 'max' })
  .map((letters) => letters.join(''))
const offset = fc.maxSafeNat()

test('the name of a data file says what is in it, and fits', () => {
  const reads = fc.property(
    topic,
    fc.nat({ max: 100_000 }),
    offset,
    offset,
    (name, partition, first, last) => {
      const file = dataFileName({ topic: name, partition }, first, last)
      assert.ok(Buffer.byteLength(file) <= 255, file)
      assert.deepEqual(parseDataFileName(file), {
        topic: topicSegment(name),
        partition,
        first,
        last,
      })
      if (name.length <= 180) assert.equal(topicOfSegment(topicSegment(name)), name)
      if (name.length <= 180 && !/^\.\.?$/.test(name)) assert.equal(topicSegment(name), name)
    },
  )
  fc.assert(reads, { numRuns: 500 })
  assert.equal(
    dataFileName({ topic: 'events', partition: 3 }, 120045, 121044),
    'events+3+00000000000000120045-00000000000000121044.jsonl.gz',
  )
})

test('names sort by offset', () => {
  const sorts = fc.property(offset, offset, (a, b) => {
    assert.equal(manifestName(a) < manifestName(b), a < b)
    assert.equal(parseManifestName(manifestName(a)), a)
  })
  fc.assert(sorts, { numRuns: 300 })
})

test('what is not of the archive is not taken for it', () => {
  for (const name of [
    'x.jsonl.gz',
    'a+1+2-3.jsonl.gz',
    `${stagedName(5)}`,
    'origin.json',
    '5.json',
  ]) {
    assert.equal(parseDataFileName(name), undefined)
    if (name !== stagedName(5)) assert.equal(parseManifestName(name), undefined)
  }
  assert.ok(!stagedName(5).endsWith('.jsonl.gz'))
})

test('manifests and staging lie where Spark and Hive do not look', () => {
  const tp = { topic: 'events', partition: 3 }
  assert.equal(manifestDirectory(tp), '_manifests/events/3')
  assert.equal(stagingOf(tp), '_staging/events/3')
  assert.equal(topicSegment('...'), '...')
  // Kafka refuses these two; a broker that is not Kafka, or a hostile origin.json, may not.
  assert.equal(manifestDirectory({ topic: '..', partition: 3 }), '_manifests/%2E./3')
  assert.equal(stagingOf({ topic: '.', partition: 3 }), '_staging/%2E/3')
})
