import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { cached, type HttpRoutes, jsonAnswer, serveHttp } from '../../src/monitor/http.ts'
import { startArchiver } from '../helpers/archiver.ts'
import { createTopic, indexPrefix, produce, temporaryDirectory, until } from '../helpers/servers.ts'

async function serve(
  t: TestContext,
  routes: HttpRoutes,
  names: readonly string[] = [],
): Promise<number> {
  const endpoint = await serveHttp({ host: '127.0.0.1', port: 0, names }, routes)
  t.after(() => endpoint.close())
  return Number(new URL(endpoint.address).port)
}

/** Opens a connection that sends this and nothing else. */
async function halfOpen(t: TestContext, port: number, words = ''): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {}) // The other end may close it: that is the subject.
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  socket.write(words)
  return socket
}

async function ask(
  port: number,
  options: { path?: string; host?: string; method?: string; body?: string } = {},
) {
  const { path = '/healthz', host, method = 'GET', body } = options
  const asking = request({
    port,
    path,
    method,
    agent: false,
    headers: {
      ...(host === undefined ? {} : { host }),
      ...(body === undefined ? {} : { 'content-length': body.length }),
    },
  })
  asking.end(body)
  const [answer] = (await once(asking, 'response')) as [IncomingMessage]
  let text = ''
  for await (const part of answer.setEncoding('utf8')) text += part
  return { status: answer.statusCode, headers: answer.headers, text }
}

const healthy: HttpRoutes = { '/healthz': () => jsonAnswer(200, { healthy: true }) }

test('connections that ask nothing give way to those that do', async (t) => {
  const port = await serve(t, healthy)
  const silent = await Promise.all(
    Array.from({ length: 300 }, () => halfOpen(t, port, 'GET /healthz HTTP/1.1\r\nHost: a')),
  )
  assert.equal((await ask(port)).status, 200)
  await until(
    'most are closed',
    () => silent.filter((socket) => socket.destroyed || socket.readableEnded).length >= 230,
  )
})

test('a request that dribbles in, or is too long, is ended', async (t) => {
  const port = await serve(t, healthy)
  const slow = await halfOpen(t, port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ')
  const answer = once(slow.setEncoding('utf8'), 'data')
  const long = await halfOpen(
    t,
    port,
    `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(5000)}\r\n`,
  )
  const [refusal] = (await once(long.setEncoding('utf8'), 'data')) as [string]
  assert.match(refusal, /^HTTP\/1.1 431 /)
  assert.match(((await answer) as [string])[0], /^HTTP\/1.1 408 /)
})

test('what is asked with a body is answered, and the connection closed', async (t) => {
  const port = await serve(t, healthy)
  const posted = await ask(port, { method: 'POST', body: 'x'.repeat(1000) })
  assert.equal(posted.status, 404)
  assert.equal(posted.headers.connection, 'close')
})

test('only addresses, names without a dot and given names are served', async (t) => {
  const port = await serve(t, healthy, ['Archiver.Example.com'])
  const statusFor = async (host: string) => (await ask(port, { host })).status
  for (const host of [
    'localhost',
    'localhost:80',
    '127.0.0.1:9464',
    '[::1]:9464',
    'archiver',
    'archiver.example.com.',
  ])
    assert.equal(await statusFor(host), 200, host)
  for (const host of [
    'evil.example',
    'evil.example:9464',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
  ])
    assert.equal(await statusFor(host), 421, host)
})

test('an answer is computed once for all who ask at the same time, and again when it is old', async (t) => {
  let computed = 0
  const port = await serve(t, {
    '/metrics': cached(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      return { status: 200, type: 'text/plain', body: `computed ${++computed}` }
    }, 50),
  })
  const answers = await Promise.all(
    Array.from({ length: 30 }, () => ask(port, { path: '/metrics' })),
  )
  assert.ok(computed < 30)
  assert.ok(answers.every(({ text }) => text.startsWith('computed ')))
  const before = computed
  await until(
    'a newer answer',
    async () => (await ask(port, { path: '/metrics' })).text === `computed ${before + 1}`,
  )
})

test('an answer that is still fresh is computed again when the state of the worker changes', async (t) => {
  let state = 'running'
  const port = await serve(t, {
    '/readyz': cached(
      () => ({ status: 200, type: 'text/plain', body: state }),
      60_000,
      () => state,
    ),
  })
  for (const next of ['running', 'paused', 'paused', 'running']) {
    state = next
    assert.equal((await ask(port, { path: '/readyz' })).text, next)
  }
})

test('archiving continues under a flood of half-open connections, and health is answered', async (t) => {
  const topic = await createTopic(t)
  const root = `${await temporaryDirectory(t)}/archive`
  const argv = ['run', '--topics', topic, '--group', topic, '--archive-dir', root, '--http', '0']
  // Few descriptors: a flood that took them would end every flush.
  const running = startArchiver(
    t,
    [...argv, '--index-prefix', indexPrefix(t), '--flush-interval', '1'],
    {},
    300,
  )
  await running.says('serving metrics, health and status')
  const port = Number(/"address":"http:\/\/[^:]+:(\d+)/.exec(running.output())![1])
  for (let opened = 0; opened < 10_000; opened += 500) {
    const sockets = await Promise.all(Array.from({ length: 500 }, () => halfOpen(t, port, 'GET /')))
    if (opened === 5000) await produce(t, topic, [{ value: '{"type":"a"}' }])
    assert.equal((await ask(port)).status, 200)
    for (const socket of sockets) socket.destroy()
  }
  const committed = /archiver_partition_committed_offset\{[^}]*\} 1\n/
  await until('the record committed', async () =>
    committed.test((await ask(port, { path: '/metrics' })).text),
  )
  assert.doesNotMatch(running.output(), /too many open files|EMFILE/)
})
