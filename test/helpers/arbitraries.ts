import fc from 'fast-check'
import type { Header, SourceBatch, SourceRecord } from '../../src/record/record.ts'

/**
 * Keys that collide, that members of Object have, and that need escapes, as JSON spells them
 * text.
 */
const keyTexts = [
  '"type"',
  '"\\u0074ype"',
  '"meta"',
  '"m\\u0065ta"',
  '"a.b"',
  '"__proto__"',
  '"constructor"',
  '""',
  '"ключ"',
  '"kafka"',
] as const

const stringTexts = [
  '""',
  '"\\ud800"',
  '"\\ud83d\\ude00"',
  '"\\/\\b\\f\\n\\r\\t\\"\\\\"',
  '"object.one"',
  '"},\\"value\\":"',
  '"\u2028"',
] as const

const numberTexts = [
  '0',
  '-0',
  '1.0',
  '1e400',
  '-1.5E-3',
  '12345678901234567890',
  '9007199254740993',
  '0.1e+2',
] as const

/** White space between tokens, line breaks among it. */
const space = fc.constantFrom('', '', '', ' ', '\n', '\r\n', '\t ')

const stringText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }).map((text) => JSON.stringify(text)),
  fc.constantFrom(...stringTexts),
)

/**
 * Valid JSON as a text, with what a generator of values cannot say: duplicate keys, escapes, white
 * space, numbers as written.
 */
export const jsonText: fc.Arbitrary<string> = fc.letrec<{
  value: string
  array: string
  object: string
}>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(stringText, fc.constantFrom(...numberTexts), fc.constantFrom('true', 'false', 'null')),
    tie('object'),
    tie('object'),
    tie('array'),
  ),
  array: fc
    .tuple(fc.array(tie('value'), { maxLength: 3 }), space)
    .map(([items, gap]) => `[${gap}${items.join(`${gap},${gap}`)}${gap}]`),
  object: fc
    .tuple(
      fc.array(fc.tuple(fc.oneof(fc.constantFrom(...keyTexts), stringText), tie('value')), {
        maxLength: 4,
      }),
      space,
    )
    .map(
      ([entries, gap]) =>
        `{${gap}${entries.map(([key, value]) => `${key}${gap}:${gap}${value}`).join(`${gap},`)}${gap}}${gap}`,
    ),
})).value

/** Bytes, often no UTF-8. */
export const binary: fc.Arbitrary<Buffer> = fc
  .uint8Array({ maxLength: 40 })
  .map((array) => Buffer.from(array))

/** A frame of a Schema Registry around something. */
function framed(inside: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc.tuple(fc.nat({ max: 2 ** 32 - 1 }), inside).map(([id, bytes]) => {
    const head = Buffer.alloc(5)
    head.writeUInt32BE(id, 1)
    return Buffer.concat([head, bytes])
  })
}

/** What a producer may put into a value: JSON, nearly JSON, anything, nothing; framed or not. */
export const messageValue: fc.Arbitrary<Buffer | null> = fc.oneof(
  { weight: 6, arbitrary: jsonText.map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: jsonText.map((text) => Buffer.from(`${text},`)) },
  { weight: 1, arbitrary: binary },
  { weight: 1, arbitrary: framed(jsonText.map((text) => Buffer.from(text))) },
  { weight: 1, arbitrary: framed(binary) },
  { weight: 1, arbitrary: fc.constant(null) },
)

const bytesOrText = fc.oneof(
  binary,
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => Buffer.from(text)),
)

const header: fc.Arbitrary<Header> = fc.record(
  {
    key: fc.oneof(
      fc.constantFrom('type', '__proto__', 'constructor', 'toString', '', 'a"b'),
      fc.string({ unit: 'grapheme', maxLength: 8 }),
    ),
    value: fc.option(bytesOrText),
  },
  { noNullPrototype: true },
)

export const timestamp: fc.Arbitrary<number | bigint> = fc.oneof(
  fc.integer({ min: 0, max: 4_000_000_000_000 }),
  fc.constantFrom<number | bigint>(
    -1,
    0,
    999,
    253_402_300_799_999,
    253_402_300_800_000,
    -9_007_199_254_740_991,
    9_223_372_036_854_775_807n,
    -9_223_372_036_854_775_808n,
  ),
)

const record = fc.record({
  skipped: fc.nat({ max: 2 }),
  timestamp,
  key: fc.option(bytesOrText),
  value: messageValue,
  headers: fc.oneof(fc.constant([] as Header[]), fc.array(header, { maxLength: 4 })),
})

/** A batch as the source hands it on; some offsets have no record. */
export function sourceBatch(
  options: { topic?: string; maxRecords?: number } = {},
): fc.Arbitrary<SourceBatch> {
  return fc
    .tuple(
      fc.nat({ max: 5 }),
      fc.nat({ max: 10_000 }),
      fc.array(record, { maxLength: options.maxRecords ?? 12 }),
      fc.nat({ max: 2 }),
    )
    .map(([partition, from, made, trailing]) => {
      let offset = from
      const records: SourceRecord[] = made.map(({ skipped, ...rest }) => {
        offset += skipped
        return { offset: offset++, ...rest }
      })
      return { topic: options.topic ?? 'events', partition, from, next: offset + trailing, records }
    })
}
