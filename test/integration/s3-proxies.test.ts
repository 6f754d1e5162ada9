import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { Proxies } from '../../src/runtime/proxies.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { CertificateMaker } from '../helpers/certificates.ts'
import { type ForwardProxy, forwardProxy } from '../helpers/forward-proxy.ts'
import { bucketSettings, openS3Home, s3Url } from '../helpers/object-stores.ts'
import { freePort, temporaryDirectory } from '../helpers/servers.ts'

/** The proxies of the environment, on the way to a bucket. */

/** Creates an object through the proxies, and reads it back. */
async function roundTrip(t: TestContext, env: Readonly<Record<string, string>>, endpoint = s3Url) {
  const settings = bucketSettings(endpoint, { proxies: new Proxies(env) })
  const home = await openS3Home(t, settings, { patienceMs: 0 })
  await home.begin()
  // The key needs escapes, also in the request line of a proxy.
  const name = '_manifests/a+b=%20/0.json'
  assert.equal(await home.create(name, 'x'.repeat(3_000_000)), true)
  const file = await home.open(name)
  assert.equal(await file?.read(Buffer.alloc(10), 0), 10)
  await home.remove([name])
}

const login = `Basic ${Buffer.from('user:p@ss').toString('base64')}`
const withLogin = ({ url }: ForwardProxy) => url.replace('//', '//user:p%40ss@')

test('a proxy forwards requests to a store over http, with its login', async (t) => {
  const proxy = await forwardProxy(t)
  await roundTrip(t, { http_proxy: withLogin(proxy), https_proxy: 'http://127.0.0.1:1' })
  assert.ok(proxy.forwarded.length >= 4)
  assert.ok(proxy.forwarded.every((url) => url.startsWith(`${s3Url}/archive`)))
  assert.ok(proxy.logins.every((one) => one === login))
})

test('requests to a store of NO_PROXY go straight to it', async (t) => {
  const proxy = await forwardProxy(t)
  await roundTrip(t, { http_proxy: proxy.url, no_proxy: new URL(s3Url).host })
  assert.deepEqual(proxy.forwarded, [])
})

test('a store over https is reached in a tunnel, and its certificate is verified', async (t) => {
  const proxy = await forwardProxy(t)
  const { url, authority } = await storeOverTls(t)
  const settings = ['--archive-dir', 's3://archive/tunnel', '--s3-endpoint', url, '--s3-path-style']
  const env = { HTTPS_PROXY: withLogin(proxy), NODE_EXTRA_CA_CERTS: authority }
  const listed = await runArchiver(t, ['ls', ...settings], env)
  assert.match(listed.output, /s3:\/\/archive\/tunnel is not an archive/)
  assert.deepEqual(new Set(proxy.tunnels), new Set([new URL(url).host]))
  assert.ok(proxy.logins.every((one) => one === login))
  const untrusted = await runArchiver(t, ['ls', ...settings], { HTTPS_PROXY: withLogin(proxy) })
  assert.match(untrusted.output, /the certificate of https:\S+ through the proxy .* not trusted/)
  assert.doesNotMatch(listed.output + untrusted.output, /p@ss|p%40ss/)
})

test('a proxy that refuses, or is not there, is named in one line', async (t) => {
  const proxy = await forwardProxy(t)
  proxy.refusal = 403
  const endpoint = `https://127.0.0.1:${await freePort()}`
  await assert.rejects(roundTrip(t, { https_proxy: proxy.url }, endpoint), {
    message: /^the proxy http:\S+ \(https_proxy\) refused to connect to 127\.0\.0\.1:\d+: 403/,
  })
  await assert.rejects(roundTrip(t, { http_proxy: proxy.url }), {
    message: /through the proxy http:\S+ \(http_proxy\) .*403/,
  })
  await assert.rejects(roundTrip(t, { http_proxy: 'http://127.0.0.1:1' }), {
    message: /^no answer from \S+ through the proxy http:\S+ \(http_proxy\): .*ECONNREFUSED/,
  })
})

test('a worker names the proxy of its bucket at the start', async (t) => {
  const proxy = await forwardProxy(t)
  const place = ['--archive-dir', 's3://no-such-bucket/x', '--s3-endpoint', s3Url]
  const worker = ['run', '--topics', 'x', '--no-elasticsearch', ...place, '--s3-path-style']
  const { output } = await runArchiver(t, worker, { HTTP_PROXY: withLogin(proxy) })
  assert.match(
    output,
    /"event":"proxy_used","target":"bucket","proxy":"http:\/\/127\.0\.0\.1:\d+","variable":"HTTP_PROXY"/,
  )
  assert.doesNotMatch(output, /p@ss|p%40ss/)
})

/** The store of the tests behind TLS; `authority` is a file. */
async function storeOverTls(t: TestContext): Promise<{ url: string; authority: string }> {
  const maker = new CertificateMaker(await temporaryDirectory(t))
  const authority = await maker.make({ name: 'authority', isAuthority: true })
  const identity = await maker.make({ name: 's', altNames: ['IP:127.0.0.1'], issuer: authority })
  const { hostname, port } = new URL(s3Url)
  const sockets = new Set<Socket>()
  const server = createTlsServer({ key: identity.key, cert: identity.certificate }, (near) => {
    const far = connect({ host: hostname, port: Number(port) })
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
    }
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const { port: own } = server.address() as { port: number }
  return { url: `https://127.0.0.1:${own}`, authority: authority.certificateFile }
}
