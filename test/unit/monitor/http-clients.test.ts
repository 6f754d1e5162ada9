import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type HttpEndpoint, serveHttp } from '../../../src/monitor/http.ts'

const large = Buffer.alloc(2 ** 20, 'x')

async function serve(
  t: TestContext,
): Promise<{ readonly endpoint: HttpEndpoint; readonly open: () => Promise<Socket> }> {
  const endpoint = await serveHttp(
    { host: '127.0.0.1', port: 0 },
    {
      '/healthz': () => ({ status: 200, type: 'text/plain', body: 'ok\n' }),
      '/large': () => ({ status: 200, type: 'text/plain', body: large }),
    },
  )
  t.after(() => endpoint.close())
  const port = Number(new URL(endpoint.address).port)
  return {
    endpoint,
    open: async () => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      t.after(() => socket.destroy())
      await once(socket, 'connect')
      return socket
    },
  }
}

/** All that comes until the other side closes, or until it says what is waited for. */
async function answerTo(socket: Socket, request: string, until?: RegExp): Promise<string> {
  socket.write(request)
  let answer = ''
  for await (const piece of socket) {
    answer += String(piece)
    if (until?.test(answer) === true) break
  }
  return answer
}

test('clients of old, and those that want another protocol, are answered or hung up on', async (t) => {
  const { open } = await serve(t)
  assert.match(
    await answerTo(await open(), 'GET /healthz HTTP/1.0\r\n\r\n'),
    /^HTTP\/1\.1 200 OK[\s\S]*ok\n$/,
  )
  const upgrade =
    'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'
  assert.match(await answerTo(await open(), upgrade, /ok\n$/), /^HTTP\/1\.1 200 OK/)
  for (const request of [
    'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\u0016\u0003\u0001\u0002\u0000\u0001',
    'GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n',
    'GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    `GET /${'a'.repeat(5000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  ]) {
    const answer = await answerTo(await open(), request)
    assert.ok(answer === '' || /^HTTP\/1\.1 4/.test(answer), `${request.slice(0, 30)}: ${answer}`)
  }
  const proxied =
    'GET http://evil.example/healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n'
  assert.match(await answerTo(await open(), proxied), /^HTTP\/1\.1 421 /)
  assert.match(await answerTo(await open(), 'GET /healthz HTTP/1.0\r\n\r\n'), /ok\n$/)
})

test('clients that ask for much and read nothing cost one copy of the answer', async (t) => {
  const { open } = await serve(t)
  const before = process.memoryUsage().rss
  const requests = 'GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(500)
  const greedy = await Promise.all(Array.from({ length: 60 }, open))
  for (const socket of greedy) socket.pause().write(requests)
  // Answered while they wait: 30,000 times a megabyte.
  for (let i = 0; i < 5; i++) {
    assert.match(await answerTo(await open(), 'GET /healthz HTTP/1.0\r\n\r\n'), /ok\n$/)
  }
  assert.ok(
    process.memoryUsage().rss - before < 512 * 2 ** 20,
    `${process.memoryUsage().rss - before} bytes`,
  )
})
