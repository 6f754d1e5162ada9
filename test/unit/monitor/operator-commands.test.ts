import assert from 'node:assert/strict'
import { request } from 'node:http'
import { type TestContext, test } from 'node:test'
import { jsonAnswer, serveHttp } from '../../../src/monitor/http.ts'
import { operatorCommands } from '../../../src/monitor/operator-commands.ts'
import { Pauses } from '../../../src/pipeline/pauses.ts'
import { createLogger } from '../../../src/runtime/log.ts'

/** Who may pause a worker, and what it makes of a request. */

const token = 'a-token-of-the-operator'
const log = createLogger({ level: 'silent', stream: { write: () => true } })

async function serve(t: TestContext, withToken = true) {
  const paused = new Pauses()
  const worker = {
    paused,
    topics: ['a', 'b', 'with space'],
    pause: (topics: readonly string[]) => paused.pause(topics),
    resume: (topics: readonly string[]) => paused.resume(topics),
  }
  const commands = withToken ? operatorCommands(token, worker, log) : undefined
  const routes = { '/healthz': () => jsonAnswer(200, {}) }
  const endpoint = await serveHttp({ host: '127.0.0.1', port: 0, commands }, routes)
  t.after(() => endpoint.close())
  const ask = (method: string, path: string, authorization?: string) =>
    new Promise<{ status: number; text: string; headers: Record<string, unknown> }>(
      (resolve, reject) => {
        const headers = authorization === undefined ? {} : { authorization }
        const sent = request(
          endpoint.address + path,
          { method, headers, agent: false },
          (answer) => {
            let text = ''
            answer.setEncoding('utf8').on('data', (part: string) => {
              text += part
            })
            answer.on('end', () =>
              resolve({ status: answer.statusCode!, text, headers: answer.headers }),
            )
          },
        )
        sent.on('error', reject).end()
      },
    )
  const post = (path: string) => ask('POST', path, `Bearer ${token}`)
  return { paused, ask, post }
}

test('without a token there is nothing to post to', async (t) => {
  const { ask, post } = await serve(t, false)
  for (const answer of [await post('/pause'), await ask('GET', '/pause')]) {
    assert.equal(answer.status, 404)
    assert.doesNotMatch(answer.text, /pause/)
  }
})

test('only who has the token may pause, and only by POST', async (t) => {
  const { ask, paused } = await serve(t)
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']) {
    const { status, headers } = await ask(method, '/pause', `Bearer ${token}`)
    assert.deepEqual([status, headers.allow], [405, 'POST'], method)
  }
  for (const none of [undefined, '', 'Bearer', 'Bearer ', token, `Basic ${token}`, 'Bearer a b']) {
    const { status, headers } = await ask('POST', '/pause', none)
    assert.deepEqual([status, headers['www-authenticate']], [401, 'Bearer'], none)
  }
  for (const wrong of ['x', `${token}x`, token.slice(1), token.toUpperCase()])
    assert.equal((await ask('POST', '/pause', `Bearer ${wrong}`)).status, 403, wrong)
  assert.equal(paused.isWhole, false)
  assert.equal((await ask('POST', '/pause', `bearer  ${token}`)).status, 200)
  assert.equal(paused.isWhole, true)
  assert.equal((await ask('POST', '/healthz', `Bearer ${token}`)).status, 404)
})

test('topics are paused and resumed one by one, and all at once', async (t) => {
  const { post, paused } = await serve(t)
  const answerOf = async (path: string) => {
    const { status, text } = await post(path)
    return status === 200 ? (JSON.parse(text) as object) : status
  }
  assert.deepEqual(await answerOf('/pause?topic=b&topic=a'), {
    paused: false,
    paused_topics: ['a', 'b'],
  })
  assert.deepEqual(await answerOf('/pause?topic=with%20space'), {
    paused: false,
    paused_topics: ['a', 'b', 'with space'],
  })
  assert.deepEqual(await answerOf('/resume?topic=b'), {
    paused: false,
    paused_topics: ['a', 'with space'],
  })
  assert.deepEqual([paused.holds('a'), paused.holds('b')], [true, false])
  for (const [path, status] of [
    ['/pause?topic=c', 404],
    ['/pause?topic=', 404],
    ['/pause?topics=a', 400],
    ['/resume?topic=c', 404],
  ] as const)
    assert.equal(await answerOf(path), status, path)
  assert.deepEqual(await answerOf('/pause'), { paused: true, paused_topics: [] })
  assert.ok(paused.holds('anything that comes later'))
  assert.equal(await answerOf('/resume?topic=a'), 409)
  assert.deepEqual(await answerOf('/resume'), { paused: false, paused_topics: [] })
  assert.equal(paused.holds('a'), false)
})
