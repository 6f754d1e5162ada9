import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compareTables, createTableSql } from '../../src/mysql/schema.ts'
import { rejectedTable } from '../../src/mysql/table-name.ts'
import { LineEncoder } from '../../src/record/line/encoder.ts'
import { lineStart, type RecordBatch, type SourceRecord } from '../../src/record/record.ts'
import { sourceBatch } from '../helpers/arbitraries.ts'
import { mysqlClient, openMysqlSink, readLines, tableName } from '../helpers/mysql.ts'

/** Whatever a message says, its row holds it: byte for byte, findable, and stopping nothing. */

const encoder = new LineEncoder({ from: 'value', path: ['type'] })
const someTime = 1_564_629_783_000

function linesOf(batch: RecordBatch): string[] {
  return Array.from({ length: batch.count }, (_, i) =>
    batch.lines.toString('utf8', lineStart(batch, i), batch.ends[i]! - 1),
  )
}

function batchOf(topic: string, records: readonly Partial<SourceRecord>[]): RecordBatch {
  return encoder.encode({
    topic,
    partition: 0,
    from: 0,
    next: records.length,
    records: records.map((record, offset) => ({
      offset,
      timestamp: someTime,
      key: null,
      value: Buffer.from('{"type":"a"}'),
      headers: [],
      ...record,
    })),
  })
}

interface Found {
  readonly o: string
  readonly type: string | null
  readonly type_json: string | null
  readonly time: string | null
  readonly timestamp: string
  readonly value: string | object | null
  readonly value_text: string | null
  readonly value_bytes: Buffer | null
  readonly key_text: string | null
  readonly key_bytes: Buffer | null
  readonly headers: string | null
  readonly error_type: string | null
  readonly error_reason: string | null
}

const everything =
  'SELECT `offset` AS o, type, type_json, `time`, `timestamp`, value, value_text, value_bytes, key_text, key_bytes, headers, error_type, error_reason FROM'

test('any record comes back as the line that it was, however often it is written', async (t) => {
  const { write, table, sumOf } = await openMysqlSink(t, { lingerMs: 0 })
  const client = mysqlClient(t)
  let topics = 0
  await fc.assert(
    fc.asyncProperty(sourceBatch({ maxRecords: 30 }), async (source) => {
      const batch = encoder.encode({ ...source, topic: `topic-${topics++}` })
      await write(batch)
      await write(batch)
      const found = await readLines(client, `${table} WHERE topic = '${batch.topic}'`)
      assert.deepEqual(found, linesOf(batch))
    }),
    { numRuns: 40 },
  )
  assert.ok(sumOf('records_present') > 0)
})

test('the edges of what a record may be', async (t) => {
  const { write, table, said } = await openMysqlSink(t)
  const client = mysqlClient(t)
  const long = 'x'.repeat(300)
  const longer = 'ü'.repeat(3000)
  const json = (value: unknown) => Buffer.from(JSON.stringify(value))
  const timestamps = [
    -1,
    0,
    2_524_608_000_000,
    253_402_300_799_999,
    253_402_300_800_000,
    9_223_372_036_854_775_807n,
  ]
  const deep = `${'['.repeat(5000)}1${']'.repeat(5000)}`
  const records: Partial<SourceRecord>[] = [
    { value: null },
    { value: Buffer.alloc(0) },
    { value: Buffer.from('{"broken":') },
    { value: Buffer.from([0xff, 0xfe, 0x00]) },
    { value: Buffer.from('null') },
    { value: json({ type: long }) },
    { value: json({ type: 'Case' }) },
    { value: json({ type: 'case' }) },
    { value: json({ type: 'case ' }) },
    { value: json({ type: longer }) },
    { value: Buffer.from('{"type":"\\ud800"}') },
    { value: json({ type: '𝄞\u0000\'"\\%_`' }) },
    {
      value: Buffer.from('{"type":"a","n":12345678901234567890,"f":1.0,"f":2.50,"e":1e400,"z":-0}'),
    },
    { value: Buffer.from(`{"type":"a","b":1, "a" : [ 1,\r\n2 ],"s":"\\ud800 \\u0000 \u{1F600}"}`) },
    { value: Buffer.from(`{"type":"a","deep":${deep}}`) },
    { value: json({ type: 'a', text: 'y'.repeat(1_200_000) }) },
    { key: Buffer.from([0x00, 0xff]), headers: [{ key: 'h', value: Buffer.from([0xff]) }] },
    {
      key: Buffer.from('k\'\\"\u0000𝄞'),
      headers: [
        { key: '__proto__', value: null },
        { key: '__proto__', value: Buffer.from("'); DROP TABLE x; --") },
      ],
    },
    { key: Buffer.alloc(0) },
    ...timestamps.map((timestamp) => ({ timestamp })),
  ]
  const batch = batchOf('edges', records)
  await write(batch)
  assert.deepEqual(await readLines(client, table), linesOf(batch))

  const rows = await client.query<readonly Found[]>(`${everything} ${table} ORDER BY \`offset\``)
  const row = (offset: number) => rows.find(({ o }) => Number(o) === offset)!
  assert.deepEqual(
    [0, 1, 2, 3].map((offset) => [
      row(offset).type,
      row(offset).value_text,
      row(offset).error_type,
    ]),
    [
      [null, null, null],
      [null, null, 'invalid_json'],
      [null, null, 'invalid_json'],
      [null, null, 'invalid_utf8'],
    ],
  )
  assert.deepEqual(row(3).value_bytes, Buffer.from([0xff, 0xfe, 0x00]))
  assert.deepEqual(row(1).value_bytes, Buffer.alloc(0))
  for (const type of ['Case', 'case', 'case ', long]) {
    const found = await client.query<readonly unknown[]>(
      `SELECT 1 FROM ${table} WHERE type = '${type}'`,
    )
    assert.equal(found.length, 1, JSON.stringify(type))
  }
  assert.equal(row(9).type_json, JSON.stringify(longer))
  assert.match(row(9).type!, /^ü{479}-[0-9a-f]{32}$/)
  assert.equal(row(10).type_json, '"\\ud800"')
  assert.equal(row(11).type, '𝄞\u0000\'"\\%_`')
  assert.deepEqual(row(16).key_bytes, Buffer.from([0x00, 0xff]))
  assert.equal(row(17).key_text, 'k\'\\"\u0000𝄞')
  assert.equal(row(18).key_text, '')
  const times = timestamps.map((_, i) => [row(19 + i).time, row(19 + i).timestamp])
  assert.deepEqual(times, [
    [null, '-1'],
    ['1970-01-01 00:00:00.000', '0'],
    ['2050-01-01 00:00:00.000', '2524608000000'],
    ['9999-12-31 23:59:59.999', '253402300799999'],
    [null, '253402300800000'],
    [null, '9223372036854775807'],
  ])
  // What the server's JSON cannot hold is there as text, and says so. Which that is differs; too
  // deep is it everywhere.
  for (const { o, value, value_text, error_type } of rows) {
    if (error_type === null) assert.equal(value === null, value_text === null, o)
    else assert.equal(value, null, o)
  }
  assert.deepEqual([row(14).value, row(14).error_type], [null, 'refused_as_json'])
  assert.match(row(14).error_reason!, /error \d{4}/)
  assert.equal(row(14).value_text, `{"type":"a","deep":${deep}}`)
  assert.ok(said('warn').some((message) => message.includes('refused_as_json')))
})

test('tables of version 1 get the column of schema ids, by two workers at once', async (t) => {
  const table = tableName(t)
  const client = mysqlClient(t)
  await client.detect()
  for (const isRejected of [false, true]) {
    const name = isRejected ? rejectedTable(table) : table
    const old = createTableSql(name, client.facts, isRejected)
      .replace(/^ *`schema_id`.*\n/m, '')
      .replace("'archiver schema 2'", "'archiver schema 1'")
    await client.query(old)
  }
  assert.deepEqual(
    (await compareTables(client, table)).map(({ state }) => state),
    ['older', 'older'],
  )
  await Promise.all([openMysqlSink(t, { table }), openMysqlSink(t, { table })])
  assert.deepEqual(await compareTables(client, table), [])
  const batch = batchOf('framed', [
    { value: Buffer.from('\0\xff\xff\xff\xff{"type":"a"}', 'latin1') },
    { value: Buffer.from('\0\0\0\0\x05null', 'latin1') },
    { value: Buffer.from('{"type":"a"}') },
  ])
  const { write } = await openMysqlSink(t, { table })
  await write(batch)
  assert.deepEqual(await readLines(client, table), linesOf(batch))
  const ids = await client.query<readonly { readonly schema_id: number | null }[]>(
    `SELECT schema_id FROM ${table} ORDER BY \`offset\``,
  )
  assert.deepEqual(
    ids.map(({ schema_id: id }) => id),
    [4_294_967_295, 5, null],
  )
})
