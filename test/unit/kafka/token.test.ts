import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { Mechanism } from 'kafkajs'
import { kafkaSecurity } from '../../../src/kafka/security.ts'
import { createLogger } from '../../../src/runtime/log.ts'

/** What a token endpoint may do with the secret that it gets. */

const log = createLogger({ level: 'silent', stream: { write: () => true } })

async function endpoint(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string; readonly requests: () => number }> {
  let requests = 0
  const server = createServer((request, response) => {
    requests++
    request.resume()
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    requests: () => requests,
  }
}

/** Logs in with a token of this endpoint; returns what would be sent to the broker. */
async function login(url: string): Promise<string> {
  const token = { url, clientId: 'id', clientSecret: { text: 'hunter2' }, scope: undefined }
  const security = { tls: false, ca: undefined, certificate: undefined }
  const { sasl } = kafkaSecurity({ ...security, login: { mechanism: 'oauthbearer', token } }, log)
  let sent = ''
  await (sasl as Mechanism)
    .authenticationProvider({
      host: 'broker',
      port: 9092,
      logger: undefined as never,
      saslAuthenticate: async ({ request }) => {
        sent = String(await request.encode())
        return undefined as never
      },
    })
    .authenticate()
  return sent
}

test('a token is sent on', async (t) => {
  const { url } = await endpoint(t, (_, response) => response.end('{"access_token":"good"}'))
  assert.match(await login(url), /auth=Bearer good/)
})

for (const status of [301, 302, 303, 307, 308]) {
  test(`a redirect (${status}) is not followed, and the token at its end is not used`, async (t) => {
    const other = await endpoint(t, (_, response) => response.end('{"access_token":"foreign"}'))
    const { url } = await endpoint(t, (_, response) =>
      response.writeHead(status, { location: other.url }).end(),
    )
    await assert.rejects(login(url))
    assert.equal(other.requests(), 0)
  })
}

test('an answer that is no token is refused, and not quoted', async (t) => {
  for (const body of ['canary is no JSON', 'null', '{}', '{"access_token":5}', '[]', '"canary"']) {
    const { url } = await endpoint(t, (_, response) => response.end(body))
    await assert.rejects(login(url), (error: Error) => {
      assert.match(error.message, /gave no access_token/)
      return !error.message.includes('canary')
    })
  }
})

test('an answer without an end is not read to its end', async (t) => {
  const { url } = await endpoint(t, (_, response) => {
    const piece = Buffer.alloc(2 ** 16, ' ')
    const more = () => {
      while (!response.destroyed && response.write(piece));
      response.once('drain', more)
    }
    more()
  })
  await assert.rejects(login(url), /the answer has more than 1 MiB/)
})
