import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { readdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { decodeLine } from '../../src/record/line/decoder.ts'
import type { Header, RecordType } from '../../src/record/record.ts'
import { typeSegment } from '../../src/record/segment.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { produceRaw } from '../helpers/raw-produce.ts'
import { committedAndEnds, createScenario } from '../helpers/scenario.ts'
import { createTopic, elasticsearch, elasticsearchUrl } from '../helpers/servers.ts'
import { accountFor, offsetsOf, readFiles } from '../helpers/stores.ts'

/** A message that has broken systems of this kind, and the type that the archive gives it. */
interface NastyInput {
  readonly name: string
  readonly value: Buffer | string | null
  readonly type: string
  readonly key?: Buffer | string
  readonly headers?: readonly Header[]
  readonly timestamp?: string
}

const bytesOf = (value: Buffer | string) => (typeof value === 'string' ? Buffer.from(value) : value)
const bytesOrNull = (value: Buffer | string | null | undefined) =>
  value == null ? null : bytesOf(value)
const untyped = '_untyped'
const malformed = '_malformed'
const nested = (depth: number, open: string, close: string) =>
  `${open.repeat(depth)}1${close.repeat(depth)}`
const object = (type: string, rest = '"n":1') => `{"type":${JSON.stringify(type)},${rest}}`
const framed = (schemaId: number, inside: Buffer | string) => {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(schemaId, 1)
  return Buffer.concat([head, bytesOf(inside)])
}
/** Headers in their order, as a client other than kafkajs may send them. */
const headersOf = (...entries: readonly (readonly [string, Buffer | string | null])[]): Header[] =>
  entries.map(([key, value]) => ({ key, value: value === null ? null : bytesOf(value) }))

const inputs: readonly NastyInput[] = [
  // JSON that a parser would change or refuse.
  {
    name: 'numbers beyond 2^53',
    value: object('numbers', '"a":12345678901234567890,"b":9007199254740993'),
    type: 'numbers',
  },
  {
    name: 'an integer beyond long',
    value: object('numbers', '"a":1234567890123456789012345678901234567890'),
    type: 'numbers',
  },
  {
    name: '1.0, -0 and 1e400',
    value: object('floats', '"a":1.0,"b":-0,"c":1e400'),
    type: 'floats',
  },
  {
    name: 'duplicate keys',
    value: '{"type":"first","type":"duplicates","a":1,"a":2}',
    type: 'duplicates',
  },
  { name: 'a byte order mark', value: `\ufeff${object('bom')}`, type: malformed },
  { name: 'invalid UTF-8', value: Buffer.from('7b2261223a22ff80c3227d', 'hex'), type: malformed },
  { name: 'NaN', value: '{"type":"nan","a":NaN}', type: malformed },
  { name: 'Infinity', value: '{"type":"nan","a":-Infinity}', type: malformed },
  { name: 'a trailing comma', value: '{"type":"comma",}', type: malformed },
  { name: 'a comment', value: '{"type":"comment"/* */}', type: malformed },
  { name: 'single quotes', value: "{'type':'quotes'}", type: malformed },
  { name: 'two texts', value: `${object('two')}${object('two')}`, type: malformed },
  { name: 'cut off', value: '{"type":"cut', type: malformed },
  { name: 'a raw line break in a string', value: '{"type":"a\nb"}', type: malformed },
  {
    name: 'raw binary',
    value: Buffer.from('00089f1b10ffd8ffe000104a464946000a0d22', 'hex'),
    type: malformed,
  },
  {
    name: '60-deep nesting',
    value: object('deep', `"v":${nested(60, '{"a":', '}')}`),
    type: 'deep',
  },
  {
    name: '3000-deep nesting',
    value: object('deep', `"v":${nested(3000, '{"a":', '}')}`),
    type: 'deep',
  },
  { name: '3000-deep arrays', value: nested(3000, '[', ']'), type: untyped },
  {
    name: 'lone surrogate escapes',
    value: object('surrogates', '"a":"\\ud800","b":"x\\udc00y"'),
    type: 'surrogates',
  },
  { name: 'a lone surrogate as the type', value: '{"type":"\\ud800"}', type: '\ud800' },
  {
    name: 'pretty-printed JSON',
    value: JSON.stringify({ type: 'pretty', a: { b: [1, 2] } }, undefined, 2),
    type: 'pretty',
  },
  { name: 'CRLF between tokens', value: '\r\n{\r\n"type"\r\n:"pretty"}\r\n', type: 'pretty' },
  {
    name: 'U+2028 and NUL in strings',
    value: object('unicode', '"a":"\u2028\\u0000"'),
    type: 'unicode',
  },
  {
    name: 'keys of Object',
    value: object('proto', '"__proto__":{"x":1},"constructor":1,"toString":"s"'),
    type: 'proto',
  },
  {
    name: 'what looks like an envelope',
    value: object(
      'envelope',
      '"@timestamp":"no","kafka":{"offset":"x"},"_id":"1","_source":{},"_index":"i"',
    ),
    type: 'envelope',
  },
  {
    name: '_id at the top',
    value: '{"_id":"1","type":"metadata","_type":"t","_routing":"r"}',
    type: 'metadata',
  },
  // As a Schema Registry's serializers send it.
  { name: 'framed JSON', value: framed(5, object('framed')), type: 'framed' },
  {
    name: 'framed JSON with a large id',
    value: framed(4_294_967_295, object('framed')),
    type: 'framed',
  },
  {
    name: 'framed JSON that Elasticsearch refuses',
    value: framed(6, object('framed', '"n":{"a":1}')),
    type: 'framed',
  },
  { name: 'a framed null', value: framed(5, 'null'), type: untyped },
  { name: 'framed JSON without a type', value: framed(5, '[1]'), type: untyped },
  { name: 'framed Avro', value: framed(5, Buffer.from('0a6f7264657202', 'hex')), type: malformed },
  // Values that are no object with a type.
  { name: 'a tombstone', value: null, type: untyped, key: 'deleted' },
  { name: 'a tombstone without a key', value: null, type: untyped },
  { name: 'an empty value', value: Buffer.alloc(0), type: malformed },
  { name: 'white space alone', value: ' \n ', type: malformed },
  { name: 'an array', value: '[1,"two",{"three":3}]', type: untyped },
  { name: 'an array of objects', value: '[{"type":"a"},{"type":"b"}]', type: untyped },
  { name: 'a string', value: '"object.one"', type: untyped },
  { name: 'a number', value: '42', type: untyped },
  { name: 'true', value: 'true', type: untyped },
  { name: 'null', value: 'null', type: untyped },
  { name: 'an empty object', value: '{}', type: untyped },
  { name: 'a type that is a number', value: '{"type":7}', type: untyped },
  { name: 'a type that is an object', value: '{"type":{"type":"x"}}', type: untyped },
  { name: 'an empty type', value: '{"type":""}', type: untyped },
  // Types.
  ...[
    '../../etc/passwd',
    '..',
    '.',
    '/etc/passwd',
    'a/b\\c',
    'a\0b',
    'C:\\x',
    '_malformed',
    '_rejected',
    '.hidden',
    'with space and %2F',
    'a=b',
    'trailing.',
    '*?"<>|,#:',
    'Größe 日本 😀',
    'ﬁ-ligature',
    'é (composed)',
    'e\u0301 (decomposed)',
    'Case',
    'case',
    'CASE',
    'x'.repeat(300),
    `${'x'.repeat(299)}y`,
    'é'.repeat(150),
    '__proto__',
    'constructor',
    '-',
    '+',
  ].map(
    (type): NastyInput => ({
      name: `the type ${JSON.stringify(type).slice(0, 40)}`,
      value: object(type),
      type,
    }),
  ),
  // Size and shape, for Elasticsearch.
  {
    name: '1 MB',
    value: object('large', `"text":"${'lorem ipsum '.repeat(83_000)}"`),
    type: 'large',
  },
  { name: 'a 33 kB word', value: object('word', `"word":"${'w'.repeat(33_000)}"`), type: 'word' },
  {
    name: 'a 33 kB word in an array',
    value: object('word', `"words":["a","${'w'.repeat(33_000)}"]`),
    type: 'word',
  },
  {
    name: '1500 fields',
    value: object('wide', Array.from({ length: 1500 }, (_, i) => `"f${i}":${i}`).join()),
    type: 'wide',
  },
  { name: 'dots in names', value: object('dots', '"a":1,"a.b":2,"a.b.c":3'), type: 'dots' },
  {
    name: 'odd dots in names',
    value: object('dots', '".":1,"..":2,".x":3,"x.":4,"x..y":5'),
    type: 'dots',
  },
  { name: 'an empty name', value: object('names', '"":1'), type: 'names' },
  { name: 'names with spaces', value: object('names', '" ":1,"a b":2,"*":3'), type: 'names' },
  { name: 'a field as a number', value: object('conflict', '"a":1'), type: 'conflict' },
  {
    name: 'the same field as an object',
    value: object('conflict', '"a":{"b":1}'),
    type: 'conflict',
  },
  {
    name: 'the same field as a text',
    value: object('conflict', '"a":"the door is closed, no such index"'),
    type: 'conflict',
  },
  {
    name: 'the same field as an array of both',
    value: object('conflict', '"a":[1,{"b":2},"c",null]'),
    type: 'conflict',
  },
  {
    name: 'texts that look like dates',
    value: object('dates', '"a":"2019-01-01","b":"2019-01-01T00:00:00Z"'),
    type: 'dates',
  },
  {
    name: 'the same fields, no dates',
    value: object('dates', '"a":"never","b":"x"'),
    type: 'dates',
  },
  // Keys and headers.
  {
    name: 'a binary key',
    value: object('keys'),
    type: 'keys',
    key: Buffer.from([0xff, 0x00, 0x0a]),
  },
  { name: 'an empty key', value: object('keys'), type: 'keys', key: '' },
  {
    name: 'a key with quotes and line breaks',
    value: object('keys'),
    type: 'keys',
    key: '"\\\r\n\u2028',
  },
  { name: 'a long key', value: object('keys'), type: 'keys', key: 'k'.repeat(40_000) },
  {
    name: 'repeated headers between others',
    value: object('headers'),
    type: 'headers',
    headers: headersOf(['h', '1'], ['g', 'x'], ['h', '2'], ['h', '1']),
  },
  {
    name: 'binary, empty and null headers',
    value: object('headers'),
    type: 'headers',
    headers: headersOf(['b', Buffer.from([0xff, 0x00])], ['e', ''], ['n', null]),
  },
  {
    name: 'headers named like members of Object',
    value: object('headers'),
    type: 'headers',
    headers: headersOf(
      ['__proto__', 'p'],
      ['constructor', 'c'],
      ['toString', 't'],
      ['__proto__', 'q'],
      ['hasOwnProperty', 'h'],
    ),
  },
  {
    name: 'headers with strange names',
    value: object('headers'),
    type: 'headers',
    headers: headersOf(['ключ "\n', 'v'], ['', 'no name']),
  },
  {
    name: 'a large header',
    value: object('headers'),
    type: 'headers',
    headers: headersOf(['h', 'x'.repeat(40_000)]),
  },
  // Timestamps.
  { name: 'the timestamp 0', value: object('times'), type: 'times', timestamp: '0' },
  { name: 'the timestamp 1', value: object('times'), type: 'times', timestamp: '1' },
  {
    name: 'a timestamp of 2050',
    value: object('times'),
    type: 'times',
    timestamp: String(Date.UTC(2050, 5, 1)),
  },
  { name: 'no timestamp', value: object('times'), type: 'times', timestamp: '-1' },
  { name: 'a negative timestamp', value: object('times'), type: 'times', timestamp: '-5000000000' },
  {
    name: 'the last moment of the year 9999',
    value: object('times'),
    type: 'times',
    timestamp: '253402300799999',
  },
  { name: 'the year 10000', value: object('times'), type: 'times', timestamp: '253402300800000' },
  {
    name: 'microseconds for milliseconds',
    value: object('times'),
    type: 'times',
    timestamp: '1564629783000000',
  },
  {
    name: 'the last moment of an int64',
    value: object('times'),
    type: 'times',
    timestamp: '9223372036854775807',
  },
]

/** Line breaks between tokens become spaces. */
const oneLine = (value: Buffer | string) =>
  bytesOf(value)
    .toString('latin1')
    .replace(/[\r\n]/g, ' ')

const usual = String(Date.UTC(2019, 7, 1, 3, 23, 3))

function expectedType({ type }: NastyInput): RecordType {
  // A message that names a reserved type has it as its own, and says so in its value.
  const reserved = type === untyped || type === malformed
  return { name: type, reserved }
}

interface Hit {
  readonly _index: string
  readonly _id: string
  readonly _source: {
    readonly kafka: { readonly schema_id?: number }
    readonly error?: { readonly type: string }
    readonly value_text?: string
  }
}

test('no input stops a partition, is lost, is changed, or leaves the archive', async (t) => {
  const topic = await createTopic(t, {
    stem: 'inputs',
    config: { 'message.timestamp.after.max.ms': '9223372036854775807' },
  })
  for (const { value, key, headers = [], timestamp = usual } of inputs) {
    const baseTimestamp = BigInt(timestamp)
    const record = { offsetDelta: 0, key: bytesOrNull(key), value: bytesOrNull(value), headers }
    await produceRaw(topic, { baseOffset: 0, baseTimestamp, records: [record] })
  }
  const { root, prefix, group, untilEnd } = await createScenario(t)
  const { code, output } = await untilEnd('--topics', topic)
  assert.equal(code, 0, output)
  const { committed, end } = (await committedAndEnds(t, group, [topic])).get(`${topic}/0`)!
  assert.deepEqual([committed, end], [inputs.length, inputs.length])

  const files = await readFiles(root)
  const all = () => new Map([[`${topic}/0`, offsetsOf(0, inputs.length)]])
  assert.deepEqual(accountFor(all(), files), { missing: [], duplicates: [], unexpected: [] })
  assert.deepEqual(await readdir(dirname(root)), ['archive'], 'nothing lies outside the archive')
  for (const name of await readdir(root))
    assert.match(name, /^(type=[^.]|_archive\.json$|_manifests$|_staging$)/)

  const lines = new Map<string, string>()
  for (const { offset, place, line } of files) {
    const input = inputs[offset]!
    const { record, type } = decodeLine(Buffer.from(line))
    const isPretender = input.value === object('_malformed')
    const wanted = isPretender ? { name: input.type, reserved: false } : expectedType(input)
    assert.deepEqual(type, wanted, input.name)
    const timestamp = input.timestamp ?? usual
    assert.equal(String(record.timestamp), timestamp, input.name)
    const ms = Number(timestamp)
    const iso = ms >= 0 && ms < Date.UTC(9999, 11, 31, 24) ? new Date(ms).toISOString() : undefined
    const hour =
      iso === undefined ? 'dt=unknown/hr=unknown' : `dt=${iso.slice(0, 10)}/hr=${iso.slice(11, 13)}`
    assert.ok(
      place.startsWith(`type=${typeSegment(wanted)}/${hour}/${topic}+0+`),
      `${input.name}: ${place}`,
    )
    assert.deepEqual(record.key, input.key === undefined ? null : bytesOf(input.key), input.name)
    assert.deepEqual(record.headers, input.headers ?? [], input.name)
    if (input.value === null || input.value === 'null') assert.equal(record.value, null, input.name)
    else if (wanted.name === malformed && wanted.reserved)
      assert.deepEqual(record.value, bytesOf(input.value), input.name)
    else assert.equal(record.value?.toString('latin1'), oneLine(input.value), input.name)
    lines.set(`${topic}+0+${offset}`, line)
  }

  await elasticsearch('POST', `/${prefix}*/_refresh`)
  const { hits } = await elasticsearch<{ hits: { hits: Hit[] } }>('POST', `/${prefix}*/_search`, {
    size: 1000,
    query: { match_all: {} },
  })
  assert.deepEqual(
    hits.hits.map(({ _id }) => _id).toSorted(),
    [...lines.keys()].toSorted(),
    'each is there once, in its own index or among the rejected',
  )
  const rejected = new Map<string, string>()
  for (const { _index, _id, _source } of hits.hits) {
    const input = inputs[Number(_id.split('+').at(-1))]!
    if (!_index.startsWith(`${prefix}_rejected-`)) {
      const response = await fetch(
        `${elasticsearchUrl}/${encodeURIComponent(_index)}/_source/${encodeURIComponent(_id)}`,
      )
      assert.equal(await response.text(), lines.get(_id), input.name)
      continue
    }
    rejected.set(input.name, _source.error!.type)
    assert.ok(input.value !== null)
    const { schema_id: schemaId } = _source.kafka
    const text = bytesOf(input.value).subarray(schemaId === undefined ? 0 : 5)
    assert.ok(isUtf8(text))
    assert.equal(
      schemaId,
      schemaId === undefined ? undefined : bytesOf(input.value).readUInt32BE(1),
    )
    assert.equal(_source.value_text, text.toString().replace(/[\r\n]/g, ' '), input.name)
  }
  t.diagnostic(`rejected: ${JSON.stringify(Object.fromEntries(rejected))}`)
  const byId = await elasticsearch<{ hits: { total: { value: number } } }>(
    'POST',
    `/${prefix}*/_search`,
    {
      query: { terms: { 'kafka.schema_id': [5, 4_294_967_295] } },
    },
  )
  assert.equal(byId.hits.total.value, 4, 'found by the id of their schema')
  for (const name of [
    'duplicate keys',
    '3000-deep nesting',
    'the same field as an object',
    'framed JSON that Elasticsearch refuses',
  ]) {
    assert.ok(rejected.has(name), `${name} is refused by Elasticsearch and kept as text`)
  }
  for (const name of [
    'numbers beyond 2^53',
    'a 33 kB word',
    '1500 fields',
    '1 MB',
    'the same fields, no dates',
    'no timestamp',
  ]) {
    assert.ok(!rejected.has(name), `${name} is taken: ${rejected.get(name)}`)
  }
  const verified = await runArchiver(t, [
    'verify',
    '--archive-dir',
    root,
    '--index-prefix',
    prefix,
    '--deep',
  ])
  assert.equal(verified.code, 0, verified.output)
})
