import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  numberTemplates,
  numberTemplatesOf,
  numberTemplatesOfLine,
} from '../../../../src/elasticsearch/templates/number-templates.ts'
import { templatesFolder } from '../../../../src/elasticsearch/templates/shipped.ts'
import { LineEncoder } from '../../../../src/record/line/encoder.ts'
import type { RecordBatch } from '../../../../src/record/record.ts'

const { whole, huge } = numberTemplates
const encoder = new LineEncoder({ from: 'value', path: ['type'] })

function batchOf(values: readonly string[]): RecordBatch {
  const records = values.map((value, offset) => ({
    offset,
    timestamp: 0,
    key: null,
    value: Buffer.from(value),
    headers: [],
  }))
  return encoder.encode({ topic: 't', partition: 0, from: 0, next: values.length, records })
}

const namedOf = (value: string) => {
  const batch = batchOf([`{"type":"t","n":${value}}`])
  const named = numberTemplatesOf(batch, 0)
  // What a batch does not say is found in its line.
  const { longNumbers: _, ...unknown } = batch
  assert.equal(numberTemplatesOf(unknown, 0), named, value)
  return named === undefined ? undefined : (JSON.parse(named) as Record<string, string>)
}

test('an action line names templates for the numbers that a double does not hold, and for no others', () => {
  const ordinary = [
    '1',
    '-0',
    '1.0',
    '99.95',
    '1e18',
    '1E+300',
    '-1e-400',
    '123456789012345',
    '9007199254740991',
    '0.12345678901234567890',
    '"9007199254740993"',
    'true',
    '{}',
    '[]',
  ]
  for (const value of ordinary) assert.equal(namedOf(value), undefined, value)
  const wide = [
    '9007199254740992',
    '9007199254740993',
    '-9007199254740993',
    '9223372036854775807',
    '12345678901234567890',
    '1'.repeat(30),
    '1'.repeat(400),
  ]
  for (const value of wide) assert.deepEqual(namedOf(value), { 'value.n': whole }, value)
  for (const value of ['1e400', '-1E+400', '1.5e999', '1e0400', `${'1'.repeat(400)}.5`])
    assert.deepEqual(namedOf(value), { 'value.n': huge }, value)
})

test('nested objects, lists, dots and quotes in names lead to the field that Elasticsearch makes', () => {
  assert.deepEqual(
    namedOf(
      '{"a":[{"b":1},{"b":9007199254740993}],"c.d":9007199254740993,"e\\"":{"f":1e400},"g":[[9007199254740993]]}',
    ),
    {
      'value.n.a.b': whole,
      'value.n.c.d': whole,
      'value.n.e".f': huge,
      'value.n.g': whole,
    },
  )
})

test('a list with a fraction stays double, whichever comes first; one with a number beyond all is long', () => {
  assert.equal(namedOf('[99.95,9007199254740993]'), undefined)
  assert.equal(namedOf('[9007199254740993,99.95]'), undefined)
  assert.deepEqual(namedOf('[1e400,9007199254740993]'), { 'value.n': whole })
  assert.deepEqual(namedOf('[1,9007199254740993,2]'), { 'value.n': whole })
  assert.deepEqual(namedOf('[1e400,99.95]'), { 'value.n': huge })
})

test('keys, headers, text and values without a type name nothing', () => {
  const text = `{"type":"t","a":"12345678901234567890"}`
  const batch = encoder.encode({
    topic: 't12345678901234567890',
    partition: 0,
    from: 0,
    next: 3,
    records: [
      {
        offset: 0,
        timestamp: 10n ** 18n,
        key: Buffer.from('12345678901234567890'),
        value: Buffer.from(text),
        headers: [{ key: '12345678901234567890', value: Buffer.from('1e400') }],
      },
      {
        offset: 1,
        timestamp: 0,
        key: null,
        value: Buffer.from('{"a":12345678901234567890}'),
        headers: [],
      },
      {
        offset: 2,
        timestamp: 0,
        key: null,
        value: Buffer.from('12345678901234567890 x'),
        headers: [],
      },
    ],
  })
  for (const i of [0, 1, 2]) assert.equal(numberTemplatesOf(batch, i), undefined)
})

test('the names are those of templates that are shipped and match nothing by themselves', () => {
  const text = readFileSync(new URL('component-archive@value.json', templatesFolder), 'utf8')
  const { template } = JSON.parse(text) as {
    template: { mappings: { dynamic_templates: Record<string, object>[] } }
  }
  for (const name of Object.values(numberTemplates)) {
    const found = template.mappings.dynamic_templates
      .map((one) => one[name])
      .find((one) => one !== undefined)
    assert.deepEqual(Object.keys(found ?? {}), ['mapping'], name)
  }
})

test('whatever a value is, its line says the same as the batch, and what is named is there', () => {
  const number = fc.oneof(
    fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
    fc.tuple(fc.integer(), fc.integer({ min: -500, max: 500 })).map(([a, b]) => `${a}e${b}`),
  )
  const { value } = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      number,
      fc.string().map((text) => JSON.stringify(text)),
      fc.array(tie('value'), { maxLength: 4 }).map((all) => `[${all.join(',')}]`),
      fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }).map(
        (all) =>
          `{${Object.entries(all)
            .map(([key, one]) => `${JSON.stringify(key)}:${one}`)
            .join(', ')}}`,
      ),
    ),
  }))
  fc.assert(
    fc.property(value, (text) => {
      const batch = batchOf([`{"type":"t","n":${text}}`])
      const line = batch.lines
      const named = numberTemplatesOf(batch, 0)
      assert.equal(numberTemplatesOfLine(line), named)
      const longs = [
        ...text.replace(/"(?:[^"\\]|\\.)*"/g, '""').matchAll(/-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g),
      ].map(([one]) => one)
      const isWide = (one: string) =>
        /^-?\d+$/.test(one) ? Math.abs(Number(one)) >= 2 ** 53 : !Number.isFinite(Number(one))
      if (!longs.some(isWide)) assert.equal(named, undefined)
      else if (named === undefined)
        assert.ok(
          longs.some((one) => !/^-?\d+$/.test(one)),
          text,
        )
    }),
  )
})
