import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { factsOf } from '../../../src/mapping/facts.ts'
import { duckdbQuery, jsonSchema, sparkSchema } from '../../../src/mapping/schemas.ts'

const messages = [
  '{"id":1,"amount":1,"when":"2019-08-01T03:23:03Z","items":[{"q":1},{"q":2}],"any":1,"big":18446744073709551615}',
  '{"id":2,"amount":1.5,"when":"2019-08-01T03:23:03Z","items":null,"any":"x","tags":["a"],"deep":[[1],[2]]}',
  '{"id":3,"amount":2,"when":"2019-08-02T00:00:00Z","items":[],"it\'s":"\\"quoted\\"","flag":true,"mixed":[1]}',
  '{"id":4,"amount":2,"when":"2019-08-02T00:00:00Z","mixed":2,"__proto__":{"a":1},"o":{"ID":1,"id":2}}',
]
const facts = factsOf(messages)

test('DuckDB gets a type for each field that has one, and JSON for the others', () => {
  const query = duckdbQuery({ facts, segments: ['shop', 'sh%27op'] })
  assert.match(query, /\['type=shop\/\*\/\*\/\*\.gz', 'type=sh%27op\/\*\/\*\/\*\.gz'\]/)
  const columns = [
    '"id" BIGINT',
    '"amount" DOUBLE',
    '"when" VARCHAR',
    '"items" STRUCT("q" BIGINT)[]',
    '"any" JSON',
    '"big" JSON',
    '"tags" VARCHAR[]',
    '"deep" JSON',
    `"it''s" VARCHAR`,
    '"flag" BOOLEAN',
    '"mixed" JSON',
    '"__proto__" STRUCT("a" BIGINT)',
    '"o" JSON',
  ]
  for (const column of columns) assert.ok(query.includes(column), `${column}\n${query}`)
})

test('texts stay texts for other readers, although nearly all are numbers or booleans', () => {
  const few = factsOf(
    Array.from({ length: 500 }, (_, i) =>
      i === 7
        ? '{"price":"n/a","flag":"unknown","both":"x"}'
        : `{"price":"${i}.25","flag":"true","both":true}`,
    ),
  )
  const query = duckdbQuery({ facts: few, segments: ['shop'] })
  for (const column of ['"price" VARCHAR', '"flag" VARCHAR', '"both" JSON'])
    assert.ok(query.includes(column), query)
  for (const column of ['`price`: STRING', '`flag`: STRING', '`both`: STRING'])
    assert.ok(sparkSchema(few).includes(column), column)
})

test('Spark gets the same, with strings for what has several kinds', () => {
  const schema = sparkSchema(facts)
  for (const column of ['`items`: ARRAY<STRUCT<`q`: BIGINT>>', '`any`: STRING', '`id`: BIGINT'])
    assert.ok(schema.includes(column), schema)
})

test('the JSON Schema accepts every message that it was made from, and says what they are', () => {
  const schema = jsonSchema('shop', facts)
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema)
  for (const message of messages)
    assert.ok(validate(JSON.parse(message)), `${message}: ${JSON.stringify(validate.errors)}`)
  assert.ok(!validate({ id: 'x', amount: 1, when: 'x' }))
  assert.ok(!validate({ amount: 1 }))
  const { properties } = schema as { properties: Record<string, unknown> }
  assert.deepEqual(properties.when, { type: 'string', format: 'date-time' })
})

test('a type whose values are no objects, or lists of them, is read as JSON', () => {
  for (const other of ['1', '[{"a":2}]', '[]']) {
    const mixed = factsOf([other, '{"a":1}', 'null'])
    assert.match(duckdbQuery({ facts: mixed, segments: ['x'] }), /value: 'JSON'/)
    const validate = new Ajv2020({ strict: false }).compile(jsonSchema('x', mixed))
    for (const message of [other, '{"a":1}', 'null']) assert.ok(validate(JSON.parse(message)))
    assert.ok(!validate({ a: 'x' }))
  }
})

test('a format is named only if it has all texts, as validators see it', () => {
  const formatOf = (...texts: readonly string[]) => {
    const schema = jsonSchema('x', factsOf(texts.map((text) => JSON.stringify({ a: text }))))
    return (schema.properties as { a: { format?: string } }).a.format
  }
  assert.equal(formatOf('2019-08-01T03:23:03Z', '2019-08-01T03:23:03.5-02:00'), 'date-time')
  assert.equal(formatOf('2019-08-01T03:23:03Z', '2019-08-01T03:23Z'), undefined)
  assert.equal(formatOf('2019-08-01T03:23:03+0200'), undefined)
  assert.equal(formatOf('https://example.org/ü'), undefined)
  assert.equal(formatOf('10.0.0.1'), 'ipv4')
})
