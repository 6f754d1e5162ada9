import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { Mechanism } from 'kafkajs'
import { kafkaSecurity } from '../../src/kafka/security.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { Proxies } from '../../src/runtime/proxies.ts'
import { makeArchive, records } from '../helpers/archive.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { forwardProxy } from '../helpers/forward-proxy.ts'
import {
  createTopic,
  elasticsearchUrl,
  indexPrefix,
  produce,
  temporaryDirectory,
} from '../helpers/servers.ts'
import { startKibana } from '../helpers/stand-in-kibana.ts'

/** What the environment says of proxies, and servers that have moved, as a user meets them. */

const restore = async (
  t: TestContext,
  env: Readonly<Record<string, string>>,
  ...more: readonly string[]
) => {
  const root = await makeArchive(t, [
    { tp: { topic: 'proxied', partition: 0 }, flushes: [records(0, 5)] },
  ])
  return runArchiver(
    t,
    ['restore', '--archive-dir', root, '--index-prefix', indexPrefix(t), ...more],
    env,
  )
}

describe('proxies of the environment', { concurrency: 2 }, () => {
  it('carry what goes to Elasticsearch, for all of run', async (t) => {
    const proxy = await forwardProxy(t)
    const topic = await createTopic(t, { stem: 'options-proxy' })
    await produce(t, topic, [{ value: '{"type":"a"}' }, { value: '{"type":"b"}' }])
    const root = join(await temporaryDirectory(t), 'archive')
    const prefix = indexPrefix(t)
    const words = [
      '--topics',
      topic,
      '--group',
      root,
      '--archive-dir',
      root,
      '--index-prefix',
      prefix,
      '--until-end',
    ]
    const env = { HTTP_PROXY: proxy.url.replace('//', '//user:p%40ss@') }
    const { code, output } = await runArchiver(t, ['run', ...words, '--no-status-documents'], env)
    assert.equal(code, 0, output)
    assert.ok(
      proxy.forwarded.some((url) => url.startsWith(`${elasticsearchUrl}/_bulk`)),
      proxy.forwarded.join(),
    )
    const login = `Basic ${Buffer.from('user:p@ss').toString('base64')}`
    assert.ok(proxy.logins.every((one) => one === login))
    assert.match(
      output,
      /"event":"proxy_used","target":"Elasticsearch","proxy":"http:\/\/127\.0\.0\.1:\d+","variable":"HTTP_PROXY"/,
    )
    assert.doesNotMatch(output, /p@ss|p%40ss/)
    const { output: verified, code: verdict } = await runArchiver(t, [
      'verify',
      '--archive-dir',
      root,
      '--index-prefix',
      prefix,
      '--deep',
    ])
    assert.equal(verdict, 0, verified)
  })

  it('carry nothing for hosts of NO_PROXY', async (t) => {
    const proxy = await forwardProxy(t)
    const env = { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: 'localhost,127.0.0.0/8' }
    const { code, output } = await restore(t, env)
    assert.equal(code, 0, output)
    assert.deepEqual([proxy.forwarded, proxy.tunnels], [[], []])
  })

  it('that refuse, or are not there, are named', async (t) => {
    const proxy = await forwardProxy(t)
    proxy.refusal = 403
    const refused = await restore(t, { http_proxy: proxy.url })
    assert.equal(refused.code, 1)
    assert.match(
      refused.output,
      /Elasticsearch at \S+ through the proxy http:\S+ \(http_proxy\): .*403/,
    )
    const tunnel = await restore(
      t,
      { https_proxy: proxy.url },
      '--elasticsearch',
      'https://es.invalid:9200',
    )
    assert.equal(tunnel.code, 1)
    assert.match(
      tunnel.output,
      /Elasticsearch at \S+ through the proxy http:\S+ \(https_proxy\): the proxy refuse/,
    )
    const gone = await restore(t, { http_proxy: 'http://127.0.0.1:1' })
    assert.match(
      gone.output,
      /through the proxy http:\/\/127\.0\.0\.1:1 \(http_proxy\): connect ECONNREFUSED/,
    )
    const wrong = await restore(t, { http_proxy: 'socks5://u:canary@127.0.0.1:1' })
    assert.equal(wrong.code, 2)
    assert.match(wrong.output, /http_proxy: the value is not allowed; expected the URL of a proxy/)
    assert.doesNotMatch(wrong.output, /canary/)
  })

  it('carry what goes to Kibana', async (t) => {
    const proxy = await forwardProxy(t)
    const kibana = await startKibana(t)
    const words = ['setup', '--kibana', kibana.url, '--index-prefix', indexPrefix(t)]
    const { code, output } = await runArchiver(t, words, { http_proxy: proxy.url })
    assert.equal(code, 0, output)
    assert.ok(
      proxy.forwarded.some((url) => url.startsWith(`${kibana.url}/api/saved_objects/_import`)),
    )
    assert.ok(kibana.imports.length > 0)
  })

  it('carry the request for a token', async (t) => {
    const proxy = await forwardProxy(t)
    const { url } = await listening(
      t,
      createServer((_, response) => response.end('{"access_token":"good"}')),
    )
    const proxies = new Proxies({ http_proxy: proxy.url })
    assert.match(await tokenOf(url, proxies), /auth=Bearer good/)
    assert.deepEqual(proxy.forwarded, [`${url}/`])
  })
})

describe('a server that has moved', { concurrency: 2 }, () => {
  for (const status of [301, 302, 303, 307, 308]) {
    it(`is named with its new address, which gets nothing (${status})`, async (t) => {
      let followed = 0
      const target = await listening(
        t,
        createServer((_, response) => {
          followed++
          response.end('{}')
        }),
      )
      const location = `${target.url.replace('//', '//u:canary@')}/es?token=canary`
      const moved = await listening(
        t,
        createServer((request, response) => {
          request.resume()
          response
            .writeHead(status, { location, 'content-type': 'text/html' })
            .end('<html>moved</html>')
        }),
      )
      const { code, output } = await restore(t, {}, '--elasticsearch', moved.url)
      assert.equal(code, 1)
      assert.match(
        output,
        new RegExp(
          `Elasticsearch at ${moved.url}: it redirects to "${target.url}/es" \\(${status}\\), which is not followed`,
        ),
      )
      const kibana = await runArchiver(t, ['setup', '--no-elasticsearch', '--kibana', moved.url])
      assert.equal(kibana.code, 1, kibana.output)
      assert.match(
        kibana.output,
        new RegExp(`Kibana at ${moved.url}: .*it redirects to "${target.url}/es" \\(${status}\\)`),
      )
      await assert.rejects(
        tokenOf(moved.url, new Proxies({})),
        new RegExp(`it redirects to "${target.url}/es" \\(${status}\\)`),
      )
      assert.doesNotMatch(output + kibana.output, /canary/)
      assert.equal(followed, 0)
    })
  }
})

async function listening(t: TestContext, server: Server): Promise<{ readonly url: string }> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** What a broker would be sent with a token of this endpoint. */
async function tokenOf(url: string, proxies: Proxies): Promise<string> {
  const log = createLogger({ level: 'silent', stream: { write: () => true } })
  const token = {
    url,
    clientId: 'id',
    clientSecret: { text: 'hunter2' },
    scope: undefined,
    proxies,
  }
  const login = { mechanism: 'oauthbearer' as const, token }
  const { sasl } = kafkaSecurity({ tls: false, ca: undefined, certificate: undefined, login }, log)
  let sent = ''
  const about = { host: 'broker', port: 9092, logger: undefined as never }
  const { authenticate } = (sasl as Mechanism).authenticationProvider({
    ...about,
    saslAuthenticate: async ({ request }) => {
      sent = String(await request.encode())
      return undefined as never
    },
  })
  await authenticate()
  return sent
}
