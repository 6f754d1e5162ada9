import assert from 'node:assert/strict'
import { test } from 'node:test'
import { august, makeArchive } from '../helpers/archive.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { batchOf } from '../helpers/elasticsearch-sink.ts'
import { mysqlClient, openMysqlSink } from '../helpers/mysql.ts'

/** Values that fit no column, and must not cost a row its JSON. */
const later = [
  ...['1e400', '1e99', '-0', '123456789012345678901234567890', 'true', 'null', '{"a":1}', '[1]'],
  ...['"x"', '""', '"1.5"', '"2019-02-30"', '"2019-13-01T00:00:00Z"', '"2019-08-01T24:00:00Z"'],
  ...['"0000-00-00"', '"9999-12-31T23:59:59.999999999Z"', '"1000-01-01T00:00:00+14:00"'],
  // `$` of a pattern is also before a line end, for some of them before U+2028.
  ...[
    '"1.5\\n"',
    '"5\\n"',
    '"2019-08-01\\n"',
    '"5\\r"',
    '"5\\u2028"',
    '"2019-08-01T00:00Z\\u0085"',
  ],
  ...[
    '"2019-08-01t00:00:00z"',
    '"1.5\\u0000"',
    '" 5"',
    '"5 "',
    '"٣"',
    '"１２"',
    '"1E5"',
    '"+5"',
    '"TRUE"',
    '"true "',
  ],
  ...['99999999999999', '-1', '1.5e3', `"${'é'.repeat(300)}"`, `1${'0'.repeat(300)}`],
]

test('generated columns hold the numbers and times of the messages, and are indexed', async (t) => {
  const { write, table } = await openMysqlSink(t)
  const client = mysqlClient(t)
  const messages = Array.from(
    { length: 300 },
    (_, i) =>
      `{"type":"o'r","total":${i}.25,"price":"${i}.10","n":${i},"at":"2019-08-01T0${i % 10}:00:00.5+02:00","ts":${1_564_629_783_000 + i},"key":"k${i} \u{1f600} ä","ok":${i % 2 === 0},"a b":{"c.d":${i}},"items":[{"q":1}]}`,
  )
  await write(batchOf('columns', messages))
  const made = messages.map((value, offset) => ({
    offset,
    type: "o'r",
    timestamp: august,
    value: Buffer.from(value),
  }))
  const tp = { topic: 'columns', partition: 0 }
  const root = await makeArchive(t, [{ tp, flushes: [made] }])
  const { code, output: sql } = await runArchiver(t, [
    ...['mapping', '--type', "o'r", '--to', 'mysql', '--mysql-table', table],
    ...['--archive-dir', root, '--no-elasticsearch'],
  ])
  assert.equal(code, 0, sql)
  await client.query(sql.trim().replace(/;$/, ''))
  assert.match(sql, /^-- items\.q: in a list/m)
  // Each odd value in each field.
  const names = ['total', 'price', 'n', 'at', 'ts', 'key', 'ok']
  const odd = later.flatMap((value) => names.map((name) => `{"type":"o'r","${name}":${value}}`))
  await write(batchOf('columns', odd, { from: messages.length }))
  const [lost] = await client.query<readonly object[]>(
    `SELECT COUNT(*) AS n FROM ${table} WHERE value IS NULL`,
  )
  assert.deepEqual(lost, { n: '0' })
  const [sums] = await client.query<readonly Record<string, unknown>[]>(
    `SELECT SUM(o_r_total) AS total, SUM(o_r_price) AS price, SUM(o_r_n) AS n, SUM(o_r_ok) AS ok, SUM(o_r_a_b_c_d) AS dotted, MIN(o_r_at) AS at, CAST(MIN(o_r_ts_time) AS CHAR) AS ts, SUM(o_r_key = CONCAT('k', o_r_n, ' \u{1f600} ä')) AS texts FROM ${table} WHERE \`offset\` < 300`,
  )
  assert.deepEqual(
    Object.fromEntries(Object.entries(sums ?? {}).map(([key, value]) => [key, String(value)])),
    {
      total: '44925.00',
      price: '44880.00',
      n: '44850',
      ok: '150',
      dotted: '44850',
      at: '2019-07-31 22:00:00.500000',
      ts: '2019-08-01 03:23:03.000000',
      texts: '300',
    },
  )
  const [plan] = await client.query<readonly { key: string }[]>(
    `EXPLAIN SELECT SUM(o_r_total) FROM ${table} WHERE o_r_total > 10`,
  )
  assert.equal(plan?.key, 'o_r_total')
  const [odds] = await client.query<readonly Record<string, unknown>[]>(
    `SELECT COUNT(o_r_at) AS at, COUNT(o_r_total) AS total, COUNT(o_r_ok) AS ok, COUNT(o_r_price) AS price FROM ${table} WHERE \`offset\` >= 300`,
  )
  assert.deepEqual(odds, { at: '1', total: '4', ok: '1', price: '6' })
})
