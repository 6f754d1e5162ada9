import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import {
  lineOfRejected,
  type RejectedSource,
  rejectedDocument,
} from '../../../src/elasticsearch/rejected.ts'
import { lineOfRow, rowSql } from '../../../src/mysql/row.ts'
import { isSameRecord } from '../../../src/pipeline/recreated.ts'
import { decodeLine, valueOfLine } from '../../../src/record/line/decoder.ts'
import { LineEncoder } from '../../../src/record/line/encoder.ts'
import type { SourceRecord } from '../../../src/record/record.ts'

function encode(
  value: Buffer,
  options: { framedJson?: boolean; key?: Buffer; headers?: SourceRecord['headers'] } = {},
) {
  const record = {
    offset: 7,
    timestamp: 0,
    key: options.key ?? null,
    value,
    headers: options.headers ?? [],
  }
  const encoder = new LineEncoder({ from: 'value', path: ['type'] }, options)
  const batch = encoder.encode({
    topic: 'events',
    partition: 3,
    from: 7,
    next: 8,
    records: [record],
  })
  return { record, batch, line: batch.lines, type: batch.types[0]! }
}

const bytes = (hex: string, text = '') =>
  Buffer.concat([Buffer.from(hex, 'hex'), Buffer.from(text)])
const utf16be = (text: string) => Buffer.from(text, 'utf16le').swap16()

test('framed JSON: the text is the value, the id is last in kafka, the frame comes back', () => {
  const value = bytes('0000000005', '{"type":"order","n":1.0, "value":{"kafka":1}}')
  const { line, type, record } = encode(value, {
    headers: [{ key: 'schema_id', value: Buffer.from('x') }],
  })
  assert.equal(
    line.toString(),
    '{"@timestamp":"1970-01-01T00:00:00.000Z","type":"order","kafka":{"topic":"events","partition":3,"offset":7,"timestamp":0,"headers":[{"key":"schema_id","value":"x"}],"schema_id":5},"value":{"type":"order","n":1.0, "value":{"kafka":1}}}\n',
  )
  assert.deepEqual(type, { name: 'order', reserved: false })
  assert.equal(valueOfLine(line)?.toString(), value.toString('utf8', 5))
  assert.deepEqual(decodeLine(line).record.value, value)
  assert.ok(isSameRecord(decodeLine(line).record, record))
})

test('any JSON text may be framed, with any id: nothing becomes a tombstone or loses its frame', () => {
  for (const id of [
    '00000000',
    '00000001',
    '0a0d0a0d',
    '7fffffff',
    '80000000',
    'ffffffff',
    '7b227d22',
  ]) {
    for (const text of [
      'null',
      '42',
      '"text"',
      '[]',
      ' {"type":"a"} ',
      'true',
      '{"a":"\\ud800"}',
    ]) {
      const value = bytes(`00${id}`, text)
      const { line, record } = encode(value)
      const decoded = decodeLine(line)
      assert.deepEqual(decoded.record.value, value, `${id} ${text}`)
      assert.equal(
        (JSON.parse(line.toString()) as { kafka: { schema_id: number } }).kafka.schema_id,
        Number(`0x${id}`),
      )
      assert.ok(isSameRecord(decoded.record, record))
    }
  }
  const broken = encode(bytes('000a0d0a0d', '{\r\n"type":\n"a"}'))
  assert.deepEqual(decodeLine(broken.line).record.value, bytes('000a0d0a0d', '{  "type": "a"}'))
  assert.ok(isSameRecord(decodeLine(broken.line).record, broken.record))
})

test('--no-framed-json keeps it as it came, and says what it is', () => {
  const value = bytes('0000000005', '{"type":"order"}')
  const { line, type } = encode(value, { framedJson: false })
  assert.deepEqual(type, { name: '_malformed', reserved: true })
  const { error, record } = decodeLine(line)
  assert.deepEqual(record.value, value)
  assert.equal(
    error?.reason,
    'unexpected byte 0x00 at byte 0; looks like Schema Registry framing, schema id 5, with JSON inside',
  )
})

test('a key that is framed stays bytes', () => {
  const key = bytes('00000000ff', '{"id":1}')
  const { line } = encode(bytes('0000000005', '{"type":"a"}'), { key })
  assert.ok(line.includes('"key_base64":"'))
  assert.deepEqual(decodeLine(line).record.key, key)
})

test('rejects and rows hold the frame, and give the same line back', () => {
  for (const framedJson of [true, false]) {
    for (const text of ['{"type":"order"}', 'null', '{"type":']) {
      const { batch, line } = encode(bytes('0000000005', text), { framedJson })
      const reject = JSON.parse(
        rejectedDocument(batch, 0, { type: 'x', reason: 'refused' }).toString(),
      ) as RejectedSource
      assert.deepEqual(lineOfRejected(reject)?.toString(), line.toString(), text)
    }
  }
  const { batch, line } = encode(bytes('0000000005', 'null'))
  assert.match(rowSql(batch, 0), /,NULL,5,NULL,NULL,NULL,NULL\)$/)
  const row = {
    ...{ topic: 'events', partition: 3, offset: 7, timestamp: 0, time: '1970-01-01 00:00:00.000' },
    ...{
      type: null,
      type_json: null,
      key_text: null,
      key_bytes: null,
      headers: null,
      schema_id: 5,
    },
    ...{ value_text: null, value_bytes: null, error_type: null, error_reason: null },
  }
  assert.equal(`${lineOfRow(row)?.toString()}\n`, line.toString())
})

const protobuf = '0a056f72646572' // field 1: "order"
const looks: readonly (readonly [what: string, value: Buffer, reason: RegExp])[] = [
  [
    'Avro in a frame',
    bytes('00000000050a6f7264657202'),
    /schema id 5, not JSON inside: fits no Protobuf message/,
  ],
  [
    'Avro with a union first',
    bytes('0000000005', '\u0002\u0006abc\u00ff'),
    /schema id 5, not JSON inside: fits no Protobuf message, perhaps Avro$/,
  ],
  [
    'Protobuf',
    bytes(`000000000500${protobuf}`),
    /schema id 5, not JSON inside: fits Protobuf, message indexes \[0\]$/,
  ],
  [
    'Protobuf, nested',
    bytes(`0000000005040204${protobuf}`),
    /schema id 5.*fits Protobuf, message indexes \[1, 2\]$/,
  ],
  [
    'Protobuf index, then JSON',
    bytes('000000000500', '{"type":"a"}'),
    /schema id 5, not JSON inside/,
  ],
  [
    'a frame and nothing',
    bytes('0000000005'),
    /Schema Registry framing, schema id 5, nothing inside$/,
  ],
  [
    'broken JSON in a frame',
    bytes('0000000005', '{"a":'),
    /schema id 5, not JSON inside: unexpected end at byte 10$/,
  ],
  [
    'NaN in a frame',
    bytes('0000000005', '{"a":NaN}'),
    /schema id 5, not JSON inside: unexpected N at byte 10$/,
  ],
  [
    'invalid UTF-8 in a frame',
    bytes('00000000057b2261223a22ff227d'),
    /^the value is not valid UTF-8; .*schema id 5, not JSON inside: not valid UTF-8$/,
  ],
  [
    'gzip in a frame',
    Buffer.concat([bytes('0000000005'), gzipSync('{}')]),
    /schema id 5, not JSON inside: gzip$/,
  ],
  [
    'a byte order mark in a frame',
    bytes('0000000005', '\ufeff{}'),
    /schema id 5, not JSON inside: JSON behind a byte/,
  ],
  [
    'a frame of Apicurio',
    bytes('000000000000000007', '{"a":1}'),
    /an id of eight bytes \(Apicurio\), schema id 7, with/,
  ],
  ['AWS Glue', bytes('0300000102030405060708090a0b0c0d0e0f', '{"a":1}'), /looks like AWS Glue/],
  [
    'a byte order mark',
    bytes('efbbbf', '{"type":"bom"}'),
    /looks like JSON behind a byte order mark$/,
  ],
  [
    'a byte order mark before a text',
    bytes('efbbbf', 'a,b'),
    /looks like UTF-8 behind a byte order mark$/,
  ],
  ['UTF-16', Buffer.from('\ufeff{"type":"a"}', 'utf16le'), /looks like UTF-16 \(little endian\)$/],
  [
    'UTF-16 without a mark',
    Buffer.from('{"type":"a"}', 'utf16le'),
    /looks like UTF-16 \(little endian\)$/,
  ],
  ['UTF-16 BE', utf16be('\ufeff{"type":"a"}'), /looks like UTF-16 \(big endian\)$/],
  ['UTF-16 BE without a mark', utf16be('{"type":"a"}'), /looks like UTF-16 \(big endian\)$/],
  ['gzip', gzipSync('{"type":"a"}'), /^the value is not valid UTF-8; looks like gzip$/],
  ['zlib', deflateSync('{"type":"a"}'), /looks like zlib$/],
  ['zstd', bytes('28b52ffd2400'), /looks like zstd$/],
  [
    'several texts',
    Buffer.from('{"type":"a"}\n{"type":"b"}\n'),
    /at byte 13; looks like several JSON texts in one/,
  ],
  [
    'a zero byte behind',
    Buffer.from('{"type":"a"}\0'),
    /looks like JSON with a zero byte behind it$/,
  ],
  [
    'NaN',
    Buffer.from('{"a": NaN}'),
    /unexpected N at byte 6; looks like NaN, which JSON does not have$/,
  ],
  [
    'Python',
    Buffer.from("{'type': 'a'}"),
    /looks like a literal with single quotes, as Python prints$/,
  ],
  ['XML', Buffer.from('<?xml version="1.0"?><a/>'), /looks like XML$/],
  ['Java', bytes('aced0005740001', 'a'), /looks like Java serialization$/],
]

for (const [what, value, reason] of looks) {
  test(`says what it looks like: ${what}`, () => {
    const { line, type } = encode(value)
    assert.deepEqual(type, { name: '_malformed', reserved: true })
    const decoded = decodeLine(line)
    assert.match(decoded.error!.reason, reason)
    assert.deepEqual(decoded.record.value, value)
  })
}

test('what looks like nothing known is not given a name', () => {
  const values = [
    Buffer.alloc(0),
    Buffer.alloc(40),
    bytes('00'),
    bytes('00000000'),
    Buffer.from('hello'),
    Buffer.from('{"a":1}x'),
    brotliCompressSync('{"type":"a"}'),
    // A number of eight bytes, as a LongSerializer writes it.
    bytes('00000000000000ff'),
  ]
  for (const value of values) {
    assert.doesNotMatch(
      decodeLine(encode(value).line).error!.reason,
      /looks like/,
      value.toString('hex'),
    )
  }
})

test('no reason quotes what a value holds', () => {
  for (const value of [
    bytes('0000000005', '{"secret":secret}'),
    Buffer.from('{"secret":secret}'),
    Buffer.from('secret'),
  ]) {
    assert.ok(!decodeLine(encode(value).line).error!.reason.includes('secret'))
  }
})
