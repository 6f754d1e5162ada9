import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { batchOf, openSink, someDay } from '../helpers/elasticsearch-sink.ts'
import { openMysqlSink, rootClient } from '../helpers/mysql.ts'
import {
  elasticsearch,
  elasticsearchUrl,
  indexPrefix,
  uniqueName,
  until,
} from '../helpers/servers.ts'
import { errorBody, json, standIn } from '../helpers/stand-in-elasticsearch.ts'

/** No log line and no status holds content of a record, whatever a server quotes of it. */

const canary = 'canary9317'

/** Values that this mapping refuses; what Elasticsearch says quotes each of them in its own way. */
const properties = {
  date: { type: 'date', format: 'strict_date_time' },
  ip: { type: 'ip' },
  long: { type: 'long' },
  integer: { type: 'integer' },
  short: { type: 'short' },
  double: { type: 'double' },
  boolean: { type: 'boolean' },
  geo: { type: 'geo_point' },
  range: { type: 'integer_range' },
  binary: { type: 'binary' },
  vector: { type: 'dense_vector', dims: 3 },
  object: { type: 'object' },
  keyword: { type: 'keyword' },
  flat: { type: 'flattened', depth_limit: 2 },
} as const

const texts = [
  `${canary}`,
  `93178931 ${canary}`,
  `[${canary}]`,
  `${canary}' of type [x]`,
  `{"${canary}":1}`,
]
const wrong: readonly string[] = [
  ...Object.keys(properties).flatMap((field) => [
    ...texts.map((text) => `{"type":"a","${field}":${JSON.stringify(text)}}`),
    `{"type":"a","${field}":{"${canary}":"${canary}"}}`,
    `{"type":"a","${field}":[["${canary}"],{"a":{"b":{"c":"${canary}"}}}]}`,
    `{"type":"a","${field}":93178931931789319317893193178931}`,
    `{"type":"a","${field}":9317893193178.9317e3178}`,
  ]),
  `{"type":"a","${canary}":1,"${canary}":2}`,
  `{"type":"a","x":{"${canary}":1,"${canary}":2}}`,
  `{"type":"a","x":${'{"y":'.repeat(1200)}"${canary}"${'}'.repeat(1200)}}`,
  `{"type":"a","x":${'9317893'.repeat(200)}}`,
  `{"type":"a","${canary}..x":1}`,
  `{"type":"a","":"${canary}"}`,
]
const digits = /9317893/

function assertSaysNothing(where: string, what: unknown): void {
  const text = JSON.stringify(what)
  assert.ok(
    !text.includes(canary),
    `${where}: ${text.slice(Math.max(0, text.indexOf(canary) - 200)).slice(0, 400)}`,
  )
  assert.doesNotMatch(text, digits, where)
}

/** An index that takes few values, and does not ignore the others. */
async function strictIndex(t: TestContext): Promise<string> {
  const prefix = indexPrefix(t)
  await elasticsearch('PUT', `/${prefix}a-${someDay}`, {
    mappings: { properties: { value: { properties } } },
  })
  return prefix
}

describe('what Elasticsearch refuses', () => {
  test('is not quoted: positions, types and kinds of errors alone', async (t) => {
    const prefix = await strictIndex(t)
    const { write, sink, log, counts } = await openSink(t, {
      nodes: [elasticsearchUrl],
      connection: { requestTimeoutMs: 30_000 },
      indexPrefix: prefix,
      rejectBreaker: 0,
    })
    const waiting: (string | undefined)[] = []
    const timer = setInterval(() => waiting.push(sink.waiting), 5)
    await write(batchOf(uniqueName('topic'), wrong))
    await sink.stop()
    clearInterval(timer)
    assert.ok(counts.rejected > 60, `${counts.rejected} of ${wrong.length} were refused`)
    assert.ok(log.some(({ error }) => error === 'document_parsing_exception'))
    assertSaysNothing('a log line', log)
    assertSaysNothing('the status', waiting)
  })

  test('is shown with --log-samples', async (t) => {
    const prefix = await strictIndex(t)
    const { write, log } = await openSink(t, {
      nodes: [elasticsearchUrl],
      connection: { requestTimeoutMs: 30_000 },
      indexPrefix: prefix,
      logSamples: true,
    })
    await write(batchOf(uniqueName('topic'), [`{"type":"a","long":"${canary}"}`]))
    const [{ reason, sample }] = log.filter(({ level }) => level === 'warn') as [
      Record<string, unknown>,
    ]
    assert.match(String(reason), /failed to parse field \[value\.long\].*canary9317/)
    assert.match(String(sample), /"long":"canary9317"/)
  })

  test('is not quoted where its index is held, either', async (t) => {
    const prefix = await strictIndex(t)
    const { write, sink, log } = await openSink(t, {
      nodes: [elasticsearchUrl],
      connection: { requestTimeoutMs: 30_000 },
      indexPrefix: prefix,
      rejectBreaker: 5,
      rejectHoldMs: 1000,
    })
    const waiting: (string | undefined)[] = []
    const timer = setInterval(() => waiting.push(sink.waiting), 5)
    const values = Array.from({ length: 50 }, (_, i) => `{"type":"a","long":"${canary} ${i}"}`)
    await write(batchOf(uniqueName('topic'), values))
    clearInterval(timer)
    assert.ok(log.some(({ level, event }) => level === 'error' && event === 'index_held'))
    assertSaysNothing('a log line', log)
    assert.ok(waiting.some((text) => text?.includes('document_parsing_exception')))
    assertSaysNothing('the status', waiting)
  })

  const ofRequest: Readonly<Record<string, unknown>> = {
    'by an error of the request': errorBody(
      400,
      'illegal_argument_exception',
      `Malformed content [${canary}]`,
    ),
    'by one that nobody knows': errorBody(400, 'x_exception', `Malformed content [${canary}]`),
    'by a proxy': { error: `blocked: ${canary}` },
    'by an error of the server': errorBody(500, 'runtime_exception', `cannot read ${canary}`),
  }
  for (const [name, body] of Object.entries(ofRequest)) {
    test(`is not quoted where the whole request is refused ${name}`, async (t) => {
      const server = await standIn(t)
      let refused = 0
      server.intercept = ({ path, body: sent }, response) => {
        const isRefused = path === '/_bulk' && sent.includes(canary) && ++refused < 3
        return isRefused && json(response, (body as { status?: number }).status ?? 403, body)
      }
      const { write, sink, log } = await openSink(t, { nodes: [server.url], rejectHoldMs: 0 })
      const waiting: (string | undefined)[] = []
      const timer = setInterval(() => waiting.push(sink.waiting), 5)
      await write(batchOf('topic', [`{"type":"a","n":"${canary}"}`, '{"type":"a"}']))
      clearInterval(timer)
      assert.ok(refused > 0)
      assertSaysNothing('a log line', log)
      assertSaysNothing('the status', waiting)
    })
  }

  test('is not quoted by an item of an unknown kind, by one of the server, or by what caused it', async (t) => {
    const server = await standIn(t)
    const errors = [
      { status: 400, error: { type: 'x_exception', reason: canary } },
      { status: 500, error: { type: 'y_exception', reason: canary } },
      {
        status: 400,
        error: {
          type: 'mapper_exception',
          reason: 'a',
          caused_by: { type: 'b_exception', reason: canary },
        },
      },
    ]
    const { write, sink, log } = await openSink(t, { nodes: [server.url], rejectHoldMs: 100 })
    const waiting: (string | undefined)[] = []
    const timer = setInterval(() => waiting.push(sink.waiting), 5)
    for (const [i, create] of errors.entries()) {
      server.trouble(1, (_, response) => json(response, 200, { errors: true, items: [{ create }] }))
      await write(batchOf('topic', [`{"type":"a","n":"${canary}"}`], { from: i }))
    }
    clearInterval(timer)
    await until('all were written', () => server.documents.size >= 3)
    assertSaysNothing('a log line', log)
    assertSaysNothing('the status', waiting)
  })
})

describe('what MySQL refuses', () => {
  for (const number of [1366, 1406, 7777]) {
    test(`is not quoted: error ${number}`, async (t) => {
      const { write, sink, table, log } = await openMysqlSink(t, { unrecognizedMs: 100 })
      const root = rootClient(t)
      await root.query(
        `CREATE TRIGGER ${table}_quote BEFORE INSERT ON ${table} FOR EACH ROW BEGIN DECLARE words VARCHAR(120); IF CONCAT_WS(' ', NEW.value, NEW.value_text) LIKE '%${canary}%' THEN SET words = CONCAT('Incorrect value: ', LEFT(CONCAT_WS(' ', NEW.value, NEW.value_text), 90)); SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = ${number}, MESSAGE_TEXT = words; END IF; END`,
      )
      const waiting: (string | undefined)[] = []
      const timer = setInterval(() => waiting.push(sink.waiting), 5)
      const written = write(
        batchOf(uniqueName('topic'), [`{"type":"a","n":"${canary}"}`, '{"type":"a","n":"short"}']),
      )
      if (number === 7777) {
        // The sink waits for it, whatever is left of the row, until it is mended.
        await until('the sink waits', () => waiting.some((text) => text?.includes('error 7777')))
        await root.query(`DROP TRIGGER ${table}_quote`)
      }
      await written
      clearInterval(timer)
      if (number !== 7777) {
        assert.ok(
          log.some(({ reason }) =>
            new RegExp(`ER_\\w+ \\(error ${number}\\)`).test(String(reason)),
          ),
        )
        const [row] = await root.query<readonly { error_reason: string }[]>(
          `SELECT error_reason FROM ${table} WHERE error_type IS NOT NULL`,
        )
        assert.match(row!.error_reason, new RegExp(canary))
      }
      assertSaysNothing('a log line', log)
      assertSaysNothing('the status', waiting)
    })
  }
})
