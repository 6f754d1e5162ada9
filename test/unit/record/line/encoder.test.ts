import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeLine } from '../../../../src/record/line/decoder.ts'
import { LineEncoder } from '../../../../src/record/line/encoder.ts'
import { LineHead } from '../../../../src/record/line/head.ts'
import { lineStart, type RecordBatch, type SourceRecord } from '../../../../src/record/record.ts'
import { hourOf } from '../../../../src/record/time.ts'
import { parseTypePath, type TypeSource } from '../../../../src/record/type-source.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'
import { jsonText, sourceBatch } from '../../../helpers/arbitraries.ts'

const atType: TypeSource = { from: 'value', path: ['type'] }
const noHeaders: SourceRecord['headers'] = []

function lineOf(batch: RecordBatch, i: number): Buffer {
  return batch.lines.subarray(lineStart(batch, i), batch.ends[i]!)
}

/** Encodes one record, of offset 0 if it names none. */
function encodeOne(record: Partial<SourceRecord>, source: TypeSource = atType) {
  const whole = { offset: 0, timestamp: 0, key: null, value: null, headers: noHeaders, ...record }
  const batch = new LineEncoder(source).encode({
    topic: 'events',
    partition: 3,
    from: whole.offset,
    next: whole.offset + 1,
    records: [whole],
  })
  return { batch, line: lineOf(batch, 0), type: batch.types[batch.typeIndexes[0]!]! }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isJson = (bytes: Buffer) =>
  bytes.toString() === 'null' || parse(bytes.toString()) !== undefined

test('the line of the design, byte for byte', () => {
  const { line, batch } = encodeOne({
    offset: 120045,
    timestamp: 1564629783000,
    key: Buffer.from('k1'),
    headers: [{ key: 'h', value: Buffer.from('1') }],
    value: Buffer.from('{"type":"object.one","n":12345678901234567890, "n":1.0}'),
  })
  assert.equal(
    line.toString(),
    '{"@timestamp":"2019-08-01T03:23:03.000Z","type":"object.one","kafka":{"topic":"events","partition":3,"offset":120045,"timestamp":1564629783000,"key":"k1","headers":[{"key":"h","value":"1"}]},"value":{"type":"object.one","n":12345678901234567890, "n":1.0}}\n',
  )
  assert.equal(batch.hours[0], Math.floor(1564629783000 / 3_600_000))
})

test('whatever a record holds comes back from its line, which is one line of valid JSON', () => {
  const encoder = new LineEncoder(atType)
  const head = new LineHead()
  const roundTrip = fc.property(sourceBatch(), (source) => {
    const batch = encoder.encode(source)
    assert.equal(batch.count, source.records.length)
    assert.equal(batch.lines.length, batch.count === 0 ? 0 : batch.ends[batch.count - 1])
    source.records.forEach((record, i) => {
      const line = lineOf(batch, i)
      assert.equal(line.indexOf(0x0a), line.length - 1)
      assert.equal(line.indexOf(0x0d), -1)
      assert.ok(isUtf8(line))
      JSON.parse(line.toString())
      const decoded = decodeLine(line)
      assert.equal(decoded.topic, source.topic)
      assert.equal(decoded.partition, source.partition)
      assert.deepEqual(decoded.type, batch.types[batch.typeIndexes[i]!])
      assert.equal(decoded.record.offset, record.offset)
      assert.equal(decoded.record.timestamp, record.timestamp)
      assert.deepEqual(decoded.record.key, record.key)
      assert.deepEqual(decoded.record.headers, record.headers)
      assert.equal(batch.hours[i], hourOf(Number(record.timestamp)))
      assert.ok(head.read(line, 0))
      assert.deepEqual([head.offset, head.timestamp], [record.offset, batch.timestamps[i]])
      const { value } = record
      const isFramed =
        value !== null && value[0] === 0 && isUtf8(value.subarray(5)) && isJson(value.subarray(5))
      assert.equal(line.includes(',"schema_id":'), isFramed)
      if (value === null || value.toString() === 'null') assert.equal(decoded.record.value, null)
      else if (isFramed) {
        const onOneLine = value.toString('latin1', 5).replace(/[\r\n]/g, ' ')
        assert.deepEqual(
          decoded.record.value,
          Buffer.concat([value.subarray(0, 5), Buffer.from(onOneLine, 'latin1')]),
        )
        assert.equal(decoded.error, undefined)
      } else if (decoded.error !== undefined) assert.deepEqual(decoded.record.value, value)
      else {
        assert.ok(isUtf8(value))
        assert.notEqual(parse(value.toString()), undefined)
        assert.equal(decoded.record.value?.toString(), value.toString().replace(/[\r\n]/g, ' '))
      }
      if (decoded.error !== undefined)
        assert.ok(!isUtf8(value!) || parse(value!.toString()) === undefined)
    })
  })
  fc.assert(roundTrip, { numRuns: 1500 })
})

test('numbers of all lengths, times of all days', () => {
  const encoder = new LineEncoder(atType)
  const any = fc.oneof(
    fc.constantFrom(
      0,
      9,
      10,
      999_999_999,
      1e9,
      1e9 + 1,
      9_999_999_999,
      2 ** 31,
      2 ** 32,
      2 ** 53 - 2,
    ),
    fc.maxSafeNat().map((n) => Math.min(n, 2 ** 53 - 2)),
    fc.nat(),
  )
  const written = fc.property(
    any,
    fc.oneof(any, fc.nat({ max: 253_402_300_799_999 })),
    (offset, timestamp) => {
      const records = [
        { offset, timestamp, key: null, value: Buffer.from('{"type":"a"}'), headers: noHeaders },
      ]
      const line = encoder
        .encode({ topic: 't', partition: 0, from: offset, next: offset + 1, records })
        .lines.toString()
      const time =
        timestamp < 253_402_300_800_000
          ? `"@timestamp":"${new Date(timestamp).toISOString()}",`
          : ''
      assert.equal(
        line,
        `{${time}"type":"a","kafka":{"topic":"t","partition":0,"offset":${offset},"timestamp":${timestamp}},"value":{"type":"a"}}\n`,
      )
    },
  )
  fc.assert(written, { numRuns: 3000 })
})

test('gaps and records tile the range of a batch', () => {
  const encoder = new LineEncoder(atType)
  const tiles = fc.property(sourceBatch(), (source) => {
    const { gaps, offsets, count, from, next } = encoder.encode(source)
    const pieces = [
      ...gaps,
      ...Array.from({ length: count }, (_, i) => ({ from: offsets[i]!, next: offsets[i]! + 1 })),
    ]
    pieces.sort((a, b) => a.from - b.from)
    let at = from
    for (const piece of pieces) {
      assert.equal(piece.from, at)
      at = piece.next
    }
    assert.equal(at, next)
  })
  fc.assert(tiles, { numRuns: 300 })
})

test('the types of a batch are those that JSON.parse finds', () => {
  const encoder = new LineEncoder(atType)
  const agrees = fc.property(jsonText, (text) => {
    const batch = encoder.encode({
      topic: 'events',
      partition: 0,
      from: 0,
      next: 1,
      records: [
        { offset: 0, timestamp: 0, key: null, value: Buffer.from(text), headers: noHeaders },
      ],
    })
    const value = JSON.parse(text) as { type?: unknown } | null
    const own =
      value !== null && Object.hasOwn(Object(value) as object, 'type') ? value.type : undefined
    const expected =
      typeof own === 'string' && own !== ''
        ? { name: own, reserved: false }
        : { name: '_untyped', reserved: true }
    assert.deepEqual(batch.types[batch.typeIndexes[0]!], expected)
  })
  fc.assert(agrees, { numRuns: 2000 })
})

test('a type is read with its escapes, and a message cannot give itself a reserved one', () => {
  assert.deepEqual(encodeOne({ value: Buffer.from('{"type":"\\u0061"}') }).type, {
    name: 'a',
    reserved: false,
  })
  const impostor = encodeOne({ value: Buffer.from('{"type":"_malformed"}') })
  assert.deepEqual(impostor.type, { name: '_malformed', reserved: false })
  assert.deepEqual(decodeLine(impostor.line).type, { name: '_malformed', reserved: false })
})

test('no usable type: the reserved type, and no type field', () => {
  for (const value of [
    '{}',
    '{"type":1}',
    '{"type":""}',
    '{"type":null}',
    '[]',
    '3',
    'null',
    '"type"',
  ]) {
    const { type, line } = encodeOne({ value: Buffer.from(value) })
    assert.deepEqual(type, { name: '_untyped', reserved: true }, value)
    assert.ok(!line.includes('"type":"_untyped"'))
  }
  const tombstone = encodeOne({ value: null })
  assert.deepEqual(tombstone.type, { name: '_untyped', reserved: true })
  assert.ok(tombstone.line.toString().endsWith('},"value":null}\n'))
})

test('not JSON: the bytes in base64, why, and the reserved type', () => {
  const wrong: Readonly<Record<string, string>> = {
    '': 'invalid_json',
    '\ufeff{}': 'invalid_json',
    '{"a":NaN}': 'invalid_json',
    '{"a":1}{"a":2}': 'invalid_json',
    '{"a":"\n"}': 'invalid_json',
  }
  for (const [text, kind] of Object.entries(wrong)) {
    const { type, line } = encodeOne({ value: Buffer.from(text) })
    assert.deepEqual(type, { name: '_malformed', reserved: true }, text)
    const { error, record } = decodeLine(line)
    assert.equal(error?.type, kind)
    assert.equal(record.value?.toString(), text)
  }
  const invalid = Buffer.from('7b2261223a22ff227d', 'hex')
  const { line, type } = encodeOne({ value: invalid })
  assert.deepEqual(type, { name: '_malformed', reserved: true })
  assert.equal(decodeLine(line).error?.type, 'invalid_utf8')
  assert.deepEqual(decodeLine(line).record.value, invalid)
})

test('large values, keys and headers are written in pieces, the same as whole', () => {
  const sizes = fc.constantFrom(49_151, 49_152, 49_153, 65_535, 65_536, 65_537, 200_001)
  // Characters of one to four bytes, so that pieces end inside some; and characters that JSON
  // escapes.
  const texts = fc.tuple(
    sizes,
    fc.constantFrom('é', '€', '\u{1f600}', '"', '\\', '\u0001', '\ufeffa'),
    fc.nat({ max: 3 }),
  )
  const agrees = fc.property(texts, fc.boolean(), ([size, unit, shift], isText) => {
    const text = 'x'.repeat(shift) + unit.repeat(Math.ceil(size / Buffer.byteLength(unit)))
    const bytes = isText
      ? Buffer.from(text)
      : Buffer.concat([Buffer.from(text), Buffer.from([0xff])])
    const headers = [{ key: text, value: bytes }]
    const { line } = encodeOne({
      key: bytes,
      headers,
      value: Buffer.concat([Buffer.from([0xff]), bytes]),
    })
    const { kafka, value_base64 } = JSON.parse(line.toString()) as {
      kafka: Record<string, unknown> & { headers: Record<string, unknown>[] }
      value_base64: string
    }
    const field = (name: string) =>
      isText ? { [name]: text } : { [`${name}_base64`]: bytes.toString('base64') }
    assert.deepEqual(kafka.headers, [{ key: text, ...field('value') }])
    const { key, key_base64 } = kafka
    assert.deepEqual(isText ? { key } : { key_base64 }, field('key'))
    assert.equal(value_base64, Buffer.concat([Buffer.from([0xff]), bytes]).toString('base64'))
    assert.deepEqual(decodeLine(line).record.key, bytes)
  })
  fc.assert(agrees, { numRuns: 40 })
})

test('no string of a whole value is made: base64 of 403 MB is longer than any string of Node', () => {
  const value = Buffer.alloc(1_000_000)
  let longest = 0
  // The only part of a record is its own bytes, so the encoder calls this instance.
  value.toString = (encoding, start, end) => {
    const text = value.subarray(start, end).toString(encoding)
    longest = Math.max(longest, text.length)
    return text
  }
  const { line } = encodeOne({ value })
  assert.deepEqual(decodeLine(line).record.value, Buffer.alloc(1_000_000))
  assert.ok(longest > 0 && longest <= 65_536, `${longest}`)
})

test('one large value in base64 does not make the buffers of later batches large', (t) => {
  const encoder = new LineEncoder(atType)
  const records = (count: number, value: Buffer) =>
    Array.from({ length: count }, (_, offset) => ({
      offset,
      timestamp: 0,
      key: null,
      value,
      headers: noHeaders,
    }))
  const encode = (count: number, value: Buffer) =>
    encoder.encode({
      topic: 'events',
      partition: 3,
      from: 0,
      next: count,
      records: records(count, value),
    })
  encode(1, Buffer.alloc(8_000_000))
  const allocated = t.mock.method(Buffer, 'allocUnsafeSlow')
  encode(10_000, Buffer.from('{}'))
  const sizes = allocated.mock.calls.map(({ arguments: [size] }) => size)
  assert.ok(Math.max(...sizes) <= 20_000_000, `${sizes}`)
})

test('a text of more than 64 KiB is no usable type', () => {
  const long = 'a'.repeat(65_537)
  assert.equal(encodeOne({ value: Buffer.from(`{"type":"${long}"}`) }).type.name, '_untyped')
  const headers = [{ key: 'kind', value: Buffer.from(long) }]
  assert.equal(
    encodeOne({ value: Buffer.from('{}'), headers }, { from: 'header', header: 'kind' }).type.name,
    '_untyped',
  )
  assert.equal(
    encodeOne({ value: Buffer.from(`{"type":"${long.slice(1)}"}`) }).type.name,
    long.slice(1),
  )
})

test('the type from a header (the last of several), from the topic, from a nested path', () => {
  const header: TypeSource = { from: 'header', header: 'kind' }
  const value = Buffer.from('{"type":"in the value"}')
  const headers = [
    { key: 'kind', value: Buffer.from('first') },
    { key: 'kind', value: Buffer.from('last') },
  ]
  assert.equal(encodeOne({ value, headers }, header).type.name, 'last')
  assert.equal(
    encodeOne({ value, headers: [{ key: 'kind', value: null }] }, header).type.name,
    '_untyped',
  )
  assert.equal(
    encodeOne({ value, headers: [{ key: 'kind', value: Buffer.from([0xff]) }] }, header).type.name,
    '_untyped',
  )
  assert.equal(encodeOne({ value }, header).type.reserved, true)
  assert.deepEqual(encodeOne({ value }, { from: 'topic' }).type, {
    name: 'events',
    reserved: false,
  })
  assert.equal(encodeOne({ value: null }, { from: 'topic' }).type.name, '_untyped')
  assert.equal(encodeOne({ value: Buffer.from('{') }, { from: 'topic' }).type.name, '_malformed')
  const nested = Buffer.from('{"type":"no","meta":{"x.y":"yes"}}')
  assert.equal(
    encodeOne({ value: nested }, { from: 'value', path: parseTypePath('meta.x\\.y') }).type.name,
    'yes',
  )
})

test('a timestamp without an hour: no field of the time', () => {
  assert.ok(!encodeOne({ timestamp: -1, value: Buffer.from('{}') }).line.includes('@timestamp'))
})

test('offsets out of order are an error that names the partition', () => {
  const record = { timestamp: 0, key: null, value: null, headers: noHeaders }
  const records = [
    { offset: 4, ...record },
    { offset: 4, ...record },
  ]
  assert.throws(
    () =>
      new LineEncoder(atType).encode({ topic: 'events', partition: 3, from: 4, next: 6, records }),
    (error) =>
      error instanceof ArchiverError &&
      error.code === 'INTERNAL' &&
      error.message.includes('events/3'),
  )
})
