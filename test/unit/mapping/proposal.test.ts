import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FactsCollector, factsOf } from '../../../src/mapping/facts.ts'
import { valueMapping } from '../../../src/mapping/index-mapping.ts'
import { type FieldProposal, proposalOf } from '../../../src/mapping/proposal.ts'

const many = 1000
const at = Date.UTC(2019, 7, 1, 3, 23)

/** The proposal for the field `name` with these values, as JSON texts; each comes equally often. */
function proposed(
  values: readonly string[] | ((i: number) => string),
  { name = 'x', records = many }: { readonly name?: string; readonly records?: number } = {},
): FieldProposal {
  const collector = new FactsCollector()
  for (let i = 0; i < records; i++) {
    const value = typeof values === 'function' ? values(i) : values[i % values.length]!
    const bytes = Buffer.from(`{"${name}":${value}}`)
    collector.addValue(bytes, { start: 0, end: bytes.length }, at)
  }
  const { fields, left } = proposalOf(collector.facts())
  const found = fields.find((field) => field.name === name)
  assert.ok(found !== undefined, JSON.stringify(left))
  return found
}

test('each kind of value has its mapping', () => {
  const table: readonly (readonly [
    values: readonly string[] | ((i: number) => string),
    as: string,
    more?: Readonly<Record<string, unknown>>,
    name?: string,
  ])[] = [
    [['1', '2'], 'double'],
    [['1', '2.5'], 'double'],
    [['9007199254740993', '1'], 'long', { hasText: true }],
    [['9007199254740993', '1.5'], 'double', { hasText: true }],
    [['9007199254740993', '18446744073709551615'], 'double', { hasText: true }],
    [['1', '1e400'], 'double', { hasText: true }],
    [['true', 'false'], 'boolean'],
    [['true', '"false"'], 'boolean'],
    [['true', '"true"', '"false"'], 'boolean', { hasText: undefined }],
    [['"true"', '"false"'], 'keyword'],
    [['"true"', '"last"', '"first_in_data_collection"'], 'keyword'],
    [['"yes"', '"no"'], 'keyword'],
    [['"2019-08-01"'], 'date', { format: 'uuuu-MM-dd' }],
    [['"2019-08-01T03:23:03Z"'], 'date', { format: 'strict_date_optional_time' }],
    [['"2019-08-01T03:23:03.123456+02:00"'], 'date_nanos', { format: 'strict_date_optional_time' }],
    [['"2019-08-01"', '"2019-08-01T03:23Z"'], 'date', { format: 'strict_date_optional_time' }],
    [
      ['"2019-08-01 03:23:03"', '"2019-08-01 03:23:03.5"'],
      'date',
      { format: 'uuuu-MM-dd HH:mm:ss||uuuu-MM-dd HH:mm:ss.S' },
    ],
    [['"Thu, 01 Aug 2019 03:23:03 GMT"'], 'date'],
    [['"01/Aug/2019:03:23:03 +0200"'], 'date', { format: 'dd/MMM/uuuu:HH:mm:ss Z' }],
    [['"01/02/2019"'], 'keyword'],
    [['"2019-02-30"'], 'keyword'],
    [['"2019-08-01T24:00:00Z"'], 'keyword'],
    [['"9999-12-31T23:59:59.999999Z"'], 'keyword'],
    [['"9999-12-31T23:59:59Z"'], 'date'],
    [['1564629783'], 'double', { dateFormat: 'epoch_second' }],
    [['1564629783123'], 'double', { dateFormat: 'epoch_millis' }],
    [['1564629783123'], 'double', { dateFormat: undefined }, 'orderId'],
    [['3000000000'], 'double', { dateFormat: undefined }],
    [['3000000000'], 'double', { dateFormat: 'epoch_second' }, 'expires_at'],
    [['1564629783', '5'], 'double', { dateFormat: undefined }],
    [['1564629783123456'], 'double', { dateFormat: undefined }],
    [['"1564629783"'], 'keyword', { dateFormat: 'epoch_second' }],
    [['"12.50"', '"-3.10"'], 'double', { takesTexts: true, hasText: true }],
    [['"12.50"', '"1d"'], 'keyword', { takesTexts: undefined }],
    [['"12.50"', '""'], 'double', { takesTexts: true }],
    [['""'], 'keyword'],
    [['"true"', '""'], 'keyword'],
    [['"NaN"', '"1.5"'], 'keyword', { takesTexts: undefined }],
    [['"1.0"', '"2.5"'], 'keyword', { takesTexts: undefined }, 'version'],
    [['"1"', '"2"'], 'keyword', { takesTexts: undefined }],
    [['"007"', '"1.5"'], 'keyword', { takesTexts: undefined }],
    [['12.5', '"12.50"'], 'double', { takesTexts: true, hasText: true }],
    [['1', '"x"'], 'keyword+text', { hasNumber: true }],
    [['1', 'true', '"x"', 'null'], 'keyword+text', { hasNumber: true }],
    [['"10.0.0.1"', '"::1"'], 'ip'],
    [['"1.2.3.4"'], 'keyword', {}, 'buildVersion'],
    [['"6ba7b810-9dad-11d1-80b4-00c04fd430c8"'], 'keyword'],
    [['"52.52,13.405"'], 'geo_point'],
    [['{"lat":52.5,"lon":13.4}'], 'geo_point'],
    [['{"lat":52.5,"lon":13.4,"name":"x"}'], 'object'],
    [['{"lat":52.5,"lon":1300}'], 'object'],
    [['{"latitude":52.5,"longitude":13.4}'], 'object'],
    [['{"type":"Point","coordinates":[13.4,52.5]}'], 'geo_point'],
    [['{"type":"Point","coordinates":[113.4,52.5]}'], 'geo_point'],
    [['{"type":"Point","coordinates":[52.5,113.4]}'], 'object'],
    [['{"type":"Polygon","coordinates":[13.4,52.5]}'], 'object'],
    [['[13.4,52.5]'], 'double'],
    [['"paid"', '"in_transit"'], 'keyword'],
    [['"Bo Nielsen"'], 'keyword+text'],
    [['"/api/products/17"', '"/"', '"C:\\\\Users"'], 'keyword+text'],
    [['"https://example.com/a-b"', '"bob@example.com"'], 'keyword+text'],
    [[`"https://example.com/${'a'.repeat(300)}"`], 'keyword+text'],
    [['"bob@example.com"', '"bob"', '"eve"'], 'keyword'],
    [['"bob@example"', '"@bob"', '"a//b"'], 'keyword'],
    [[`"${'long words '.repeat(100)}"`], 'text'],
    [[`"${'QUJD'.repeat(1000)}"`], 'not indexed'],
    [['{"a":1}', '"x"'], 'not indexed'],
    [(i) => `{"u${i}":${i}}`, 'flattened'],
    [(i) => `{"u${i}":${i},"a\\u0000":1}`, 'not indexed'],
    [['{"a":1,"b":2}'], 'object'],
  ]
  for (const [values, as, more = {}, name = 'x'] of table) {
    const found = proposed(values, { name })
    const where = `${JSON.stringify(typeof values === 'function' ? values(0) : values).slice(0, 60)} ${name}: ${JSON.stringify(found)}`
    assert.equal(found.as, as, where)
    for (const [key, value] of Object.entries(more))
      assert.equal(found[key as keyof FieldProposal], value, where)
    assert.ok(found.reason.length > 3, where)
  }
})

test('one value in a thousand of another form changes nothing; one in fifty does', () => {
  const mostly = (often: string, seldom: string, every: number) => (i: number) =>
    i % every === 7 ? seldom : often
  const rows: readonly (readonly [string, string, number, string])[] = [
    ['"2019-08-01"', '"soon"', 500, 'date'],
    ['"2019-08-01"', '"soon"', 50, 'keyword'],
    ['"2019-08-01"', '"0000-00-00"', 500, 'date'],
    ['"2019-08-01"', '"1564"', 500, 'date'],
    ['"2019-08-01T03:23Z"', '"1564"', 500, 'keyword'],
    ['"2019-08-01T03:23Z"', '"0042"', 500, 'keyword'],
    ['"2019-08-01T03:23Z"', '"0"', 500, 'date'],
    ['"10.0.0.1"', '"unknown"', 500, 'ip'],
    ['"10.0.0.1"', '"unknown"', 50, 'keyword'],
    ['5', '"none"', 500, 'double'],
    ['5', '"none"', 50, 'keyword+text'],
    ['5', 'true', 500, 'double'],
    ['"12.50"', '"n/a"', 500, 'double'],
    ['"12.50"', '"NaN"', 500, 'double'],
    ['"12.50"', '"1e400"', 500, 'double'],
    ['"12.50"', '"n/a"', 50, 'keyword'],
    ['"12.50"', 'true', 500, 'keyword+text'],
    // These would count, or be found by nothing.
    ...['"1d"', '" 5"', '"007"', '"0x1p3"', `"${'1'.repeat(100)}"`, `"${'x'.repeat(1025)}"`].map(
      (other) => ['"12.50"', other, 500, other.length > 1000 ? 'keyword+text' : 'keyword'] as const,
    ),
    ['"true"', '"last"', 500, 'keyword'],
    ['"true"', '1', 500, 'keyword+text'],
    ['true', '"true"', 50, 'boolean'],
    ['true', '"true"', 2, 'boolean'],
    ['true', '"unknown"', 500, 'boolean'],
    ['true', '"unknown"', 50, 'keyword+text'],
    ['true', '1', 500, 'boolean'],
    // Elasticsearch takes it for false.
    ['true', '""', 500, 'keyword+text'],
    // Elasticsearch takes `nyc` for a geohash.
    ['"52.52,13.405"', '"nyc"', 500, 'keyword'],
    ['"1564629783"', '"never"', 500, 'keyword'],
    ['{"a":1}', '"x"', 500, 'object'],
    ['"x"', '{"a":1}', 500, 'keyword'],
    ['"x"', '{"a":1}', 50, 'not indexed'],
  ]
  for (const [often, seldom, every, as] of rows) {
    const found = proposed(mostly(often, seldom, every), { records: 4000 })
    assert.equal(found.as, as, `${often}, every ${every} ${seldom}: ${found.reason}`)
  }
  const dates = proposed(mostly('"2019-08-01"', '"soon"', 500), { records: 4000 })
  assert.equal(dates.hasText, true)
  assert.match(dates.reason, /8 of 4,000 \(0\.20 %\) are none/)
  const decimals = proposed(mostly('"12.50"', '"n/a"', 500), { records: 4000 })
  assert.deepEqual([decimals.takesTexts, decimals.hasText], [true, true])
  assert.match(decimals.reason, /8 of 4,000 \(0\.20 %\) are none: kept, found by \.text/)
  const java = proposed(mostly('"12.50"', '"1d"', 500), { records: 4000 })
  assert.match(java.reason, /3,992 of 4,000 .* are numbers, 8 only as Java reads them/)
  const times = proposed(mostly('"1564629783"', '"never"', 500), { records: 4000 })
  assert.equal(times.dateFormat, 'epoch_second')
  // A text of digits would be a time of no number.
  for (const [seldom, format] of [
    ['"never"', 'epoch_second'],
    ['"5"', undefined],
  ] as const)
    assert.equal(
      proposed(mostly('1564629783', seldom, 500), { records: 4000 }).dateFormat,
      format,
      seldom,
    )
})

test('times for which Elasticsearch has no format are called times', () => {
  const day = '18109'
  const nanos = '1564629783123456789'
  const rows: readonly (readonly [name: string, values: readonly string[], reason: RegExp])[] = [
    ['due_date', [day, '18200'], /^whole numbers that could be days since 1970, for which/],
    ['countedOn', [day], /days since 1970/],
    ['birth_date', [day, '-3000'], /days since 1970/],
    ['due_date', [`${day}.5`], /^numbers, all 1,000 with a fraction or an exponent$/],
    ['day', ['1', '31'], /^whole numbers$/],
    ['date', ['20190801'], /^whole numbers$/],
    ['on_hand', [day], /^whole numbers$/],
    ['amount', [day], /^whole numbers$/],
    ['date_id', [day], /^whole numbers$/],
    ['x', [`"${nanos}"`], /^digits in texts: nanoseconds since 1970 \(all 1,000 near .*for which/],
    ['x', ['"3000000000000000000"'], /^digits in texts that could be nanoseconds .* but neither/],
    ['timeUnixNano', ['"3000000000000000000"'], /nanoseconds since 1970 \(its name says so\), for/],
    ['orderId', [`"${nanos}"`], /that could be nanoseconds .* its name says .* an identifier$/],
    ['ts', ['1564629783123456'], /^whole numbers: microseconds since 1970 \(all .*for which/],
  ]
  for (const [name, values, reason] of rows) {
    const found = proposed(values, { name })
    assert.match(found.reason, reason, name)
    assert.equal(found.as, values[0]!.startsWith('"') ? 'keyword' : 'double', name)
    assert.equal(found.dateFormat, undefined)
  }
  // OpenTelemetry writes 0 for no time.
  const zeros = (others: number) =>
    proposed((i) => (i < others ? '"0"' : `"${nanos}"`), { name: 'timeUnixNano' }).reason
  assert.match(zeros(4), /^digits in texts: nanoseconds since 1970 /)
  assert.match(zeros(40), /^digits that may be identifiers/)
})

test('a field of ten kinds is found as text, or not at all if some are objects', () => {
  const scalars = ['1', '-0.5', '1e400', '9007199254740993', 'true', 'false', '"x"', '"2019-08-01"']
  const some = proposed([...scalars, 'null', '[]', '[1,"two words"]', '"10.0.0.1"', '"1.50"'])
  assert.deepEqual([some.as, some.hasNumber], ['keyword+text', true])
  assert.match(some.reason, /^154 booleans, 385 numbers, 384 texts: all are found as texts/)
  const conflict = proposed([...scalars, '{"a":1}', '[{"b":[2]},3]'])
  assert.equal(conflict.as, 'not indexed')
  assert.match(conflict.reason, /^an object in 200 of 1,100 .*, a value in the others/)
  assert.equal(proposed(['null', '[]', '[null]', '"x"']).as, 'keyword')
})

test('names that Elasticsearch refuses, dots, and conflicts of both are answered', () => {
  const { fields, left } = proposalOf(
    factsOf(['{"":1,".":2,"a..b":3," ":4,"c.d":5,"c":{"d":6.5},"e":1,"e.f":2,"g.":1}']),
  )
  assert.deepEqual(
    fields.map(({ name, as }) => [name, as]),
    [
      ['c', 'object'],
      ['c.d', 'double'],
      ['e', 'not indexed'],
    ],
  )
  assert.deepEqual(left.map(({ name }) => name).sort(), ['', ' ', '.', 'a..b', 'g.'])
})

test('sixty levels end in a field that is not indexed', () => {
  const deep = `${'{"a":'.repeat(60)}1${'}'.repeat(60)}`
  const { fields } = proposalOf(factsOf([deep]))
  assert.equal(fields.at(-1)!.as, 'not indexed')
  assert.equal(fields.length, 18)
})

test('lists of objects offer nested, with its price; a field without a value is left', () => {
  const facts = factsOf(['{"items":[{"q":1},{"q":2}],"none":null,"empty":[]}', '{"items":{"q":1}}'])
  const { fields, left } = proposalOf(facts)
  assert.match(fields[0]!.nested!, /^1 of 2 \(50 %\) hold two objects or more.*1\.5 more documents/)
  assert.deepEqual(left.map(({ name }) => name).sort(), ['empty', 'none'])
  const { mapping } = valueMapping({ fields }, { nested: ['items'] })
  assert.deepEqual(JSON.parse(JSON.stringify(mapping)), {
    properties: {
      items: {
        type: 'nested',
        include_in_parent: true,
        properties: { q: { type: 'double', coerce: false } },
      },
    },
  })
})

test('an object without a field that can be named says that it is an object', () => {
  const values = ['{"a":null,"b":{"c":null,"d":{}},"e":{},"f":[{},{"g":[]}],"h":{"i":1},"j.k":{}}']
  const proposal = proposalOf(factsOf(values))
  const mappingWith = (options: Parameters<typeof valueMapping>[1]) =>
    JSON.parse(JSON.stringify(valueMapping(proposal, options).mapping)) as unknown
  const object = { type: 'object' }
  const number = { type: 'double', coerce: false }
  const fields = {
    b: { properties: { d: object } },
    e: object,
    f: object,
    h: { properties: { i: number } },
    j: { properties: { k: object } },
  }
  assert.deepEqual(mappingWith({}), { properties: fields })
  assert.deepEqual(mappingWith({ nested: ['f'], own: ['h.i', 'b.d'] }), {
    properties: { ...fields, b: object, f: { type: 'nested', include_in_parent: true }, h: object },
  })
})

test('the same facts give the same proposal, in any order, for 1,500 fields as well', () => {
  const record = (i: number) =>
    `{${Array.from({ length: 1500 }, (_, k) => `"f${(k * 7 + i) % 1500}":"${k}.5"`).join(',')}}`
  const records = [0, 1, 2].map(record)
  const one = proposalOf(factsOf(records))
  assert.equal(one.fields.length, 1500)
  assert.deepEqual(proposalOf(factsOf(records.toReversed())), one)
})

test('names that JavaScript knows are names like any other', () => {
  const facts = factsOf([
    '{"__proto__":{"x":1,"constructor":{"y":2}},"toString":"a","hasOwnProperty":1}',
  ])
  const { mapping } = valueMapping(proposalOf(facts))
  const text = JSON.stringify(mapping)
  for (const name of ['__proto__', 'x', 'constructor', 'y', 'toString', 'hasOwnProperty'])
    assert.ok(text.includes(`"${name}":{`), text)
  assert.deepEqual(Object.keys(Object.prototype), [])
})
