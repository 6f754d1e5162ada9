import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { accessTokenIn } from '../../../src/kafka/security.ts'
import { Kibana } from '../../../src/kibana/client.ts'
import type { SavedObject } from '../../../src/kibana/saved-object.ts'
import { judge, sayable } from '../../../src/mysql/answer.ts'
import type { Mysql } from '../../../src/mysql/client.ts'
import { checkAnswer, MysqlFailure } from '../../../src/mysql/failure.ts'
import { RowReader } from '../../../src/mysql/reader.ts'
import { lineOfRow } from '../../../src/mysql/row.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { createLogger } from '../../../src/runtime/log.ts'
import type { Shape } from '../../../src/runtime/shape.ts'
import { answerLike, fuzz, oddValue, unlike } from '../../helpers/fuzz.ts'

const log = createLogger({ level: 'silent', stream: process.stderr })

test('fuzz: Kibana: any answer is read, or refused by name', async (t) => {
  let answers: readonly { readonly status: number; readonly body: Buffer }[] = []
  let asked = 0
  const server = createServer((request, response) => {
    request.resume()
    const { status, body } = answers[asked++ % answers.length]!
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close().closeAllConnections())
  const kibana = new Kibana({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    space: undefined,
    username: undefined,
    password: undefined,
    apiKey: undefined,
    caFile: undefined,
    timeoutMs: 10_000,
  })
  t.after(() => kibana.close())
  const object = {
    type: 'dashboard',
    id: 'a',
    attributes: { title: 'A' },
    references: [],
  } as unknown as SavedObject
  const good = [
    { version: { number: '8.12.2' }, status: { overall: { level: 'available' } } },
    object,
    { attributes: { objects: [{ type: 'dashboard', id: 'a', error: { statusCode: 404 } }] } },
    {
      success: false,
      successCount: 0,
      errors: [
        { type: 'a', id: 'b', error: { type: 'conflict', references: [{ type: 'c', id: 'd' }] } },
      ],
    },
  ]
  const status = fc.constantFrom(200, 200, 200, 400, 401, 403, 404, 422, 500)
  const answer = fc.oneof(...good.map((one) => fc.record({ status, body: answerLike(one) })))
  await fuzz(t, 100, fc.array(answer, { minLength: 1, maxLength: 3 }), async (next) => {
    answers = next
    const uses = [
      () => kibana.ready(0, log),
      () => kibana.find([object, { type: 'lens', id: 'y' }]),
      () => kibana.import([object]),
    ]
    for (const use of uses) {
      asked = 0
      try {
        await use()
      } catch (error) {
        if (!(error instanceof ArchiverError)) throw error
        assert.equal(error.code, 'KIBANA')
        assert.ok(error.message.length < 20_000)
      }
    }
  })
})

test('fuzz: token endpoints: a token of visible characters, or none', async (t) => {
  const good = { access_token: 'abc.def', token_type: 'Bearer', expires_in: 3600 }
  await fuzz(t, 1000, answerLike(good), (answer) => {
    const token = accessTokenIn(answer.toString('utf8'))
    assert.ok(token === undefined || /^[\x20-\x7e]+$/.test(token))
  })
  for (const token of ['', 'a\u0001auth=Bearer b', 'a\nb', 'ä', 7, null]) {
    assert.equal(accessTokenIn(JSON.stringify({ access_token: token })), undefined)
  }
})

const row = {
  topic: 'events',
  partition: 2,
  offset: '7',
  timestamp: '1564628400000',
  time: '2019-08-01 03:00:00.000',
  type: 'a',
  type_json: null,
  key_text: 'k',
  key_bytes: null,
  headers: '[{"key":"h","value":"v"}]',
  value_text: '{"n":1}',
  value_bytes: null,
  error_type: null,
  error_reason: null,
}

test('fuzz: MySQL: rows of any server are read, or refused as no answer', async (t) => {
  const someRow = fc.oneof(fc.constant(row), unlike(row))
  const columns = fc.oneof(fc.constant({ n: '3', o: '7' }), unlike({ n: '3', o: '7' }))
  const answers = fc.record({
    rows: fc.array(someRow, { maxLength: 3 }),
    answer: fc.oneof(fc.array(columns, { maxLength: 3 }), oddValue),
  })
  await fuzz(t, 1500, answers, async ({ rows, answer }) => {
    const client = {
      address: 'db',
      query: (_: string, shape: Shape) =>
        Promise.resolve().then(() => {
          checkAnswer(answer, shape)
          return answer
        }),
      rows: async function* (_: string, shape: Shape) {
        for await (const one of rows) {
          checkAnswer(one, shape)
          yield one
        }
      },
    } as unknown as Mysql
    const reader = new RowReader(client, 'records')
    const tp = { topic: 'events', partition: 2 }
    const uses = [
      () => reader.count(tp, {}),
      () => reader.held(tp, [7]),
      () => reader.offsets(tp, {}),
      async () => {
        for await (const one of reader.rows(tp, {})) lineOfRow(one)
      },
    ]
    for (const use of uses) {
      try {
        await use()
      } catch (error) {
        if (!(error instanceof ArchiverError)) throw error
        assert.equal(error.code, 'UNREACHABLE')
      }
    }
  })
})

test('fuzz: MySQL: every number of an error has one meaning, and every text an end', async (t) => {
  const number = fc.oneof(fc.constant(undefined), fc.integer({ min: 1000, max: 70_000 }))
  await fuzz(t, 1000, fc.tuple(fc.string(), fc.string(), number), ([message, code, errno]) => {
    const verdict = judge(errno)
    assert.ok(['again', 'refused', 'exists', 'row', 'unknown'].includes(verdict))
    const said = sayable(new MysqlFailure(message, code, errno))
    if (verdict === 'row' || verdict === 'unknown') assert.equal(said, `${code} (error ${errno})`)
  })
})
