import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import type { ElasticsearchConnection } from '../../src/elasticsearch/connection.ts'
import { noProxies, Proxies } from '../../src/runtime/proxies.ts'
import { CertificateMaker, type Identity, keyIdOf } from '../helpers/certificates.ts'
import { type ForwardProxy, forwardProxy } from '../helpers/forward-proxy.ts'

/** Which servers `--elasticsearch-fingerprint` accepts. No other server may see a credential. */

const apiKey = 'c2VjcmV0LW9mLXRoZS10ZXN0'
const altNames = ['DNS:localhost', 'IP:127.0.0.1']

interface Seen {
  readonly url: string
  /** What came with requests as `authorization`. */
  readonly credentials: (string | undefined)[]
}

/** A server that answers as Elasticsearch does, and presents these certificates. */
async function serve(t: TestContext, own: Identity, ...chain: readonly Identity[]): Promise<Seen> {
  const credentials: (string | undefined)[] = []
  const cert = [own, ...chain].map(({ certificate }) => certificate).join('')
  const server = createServer({ key: own.key, cert }, (request, response) => {
    credentials.push(request.headers.authorization)
    response.writeHead(200, {
      'content-type': 'application/json',
      'x-elastic-product': 'Elasticsearch',
    })
    response.end('{"version":{"number":"9.5.3"}}')
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `https://localhost:${(server.address() as AddressInfo).port}`, credentials }
}

/** Those of the suite that runs. */
let proxies = noProxies

async function connect(
  t: TestContext,
  connection: Partial<ElasticsearchConnection>,
): Promise<void> {
  const client = new Elasticsearch({
    nodes: [],
    apiKey,
    compression: false,
    requestTimeoutMs: 10_000,
    proxies,
    ...connection,
  })
  t.after(() => client.close())
  await client.detect()
  assert.equal((await client.request<{ version?: unknown }>('GET', [])).status, 200)
}

for (const through of ['', ', through the tunnel of a proxy'])
  describe(`a fingerprint alone${through}`, () => {
    let proxy: ForwardProxy | undefined
    const closing: (() => Promise<void>)[] = []

    let authority: Identity
    let honest: Identity
    let maker: CertificateMaker
    let directory: string
    after(async () => {
      proxies = noProxies
      for (const close of closing) await close()
      if (proxy !== undefined) {
        assert.ok(proxy.tunnels.length > 10, `${proxy.tunnels.length} tunnels`)
        assert.deepEqual(proxy.forwarded, [])
      }
      await rm(directory, { recursive: true, force: true })
    })

    before(async () => {
      if (through !== '') {
        proxy = await forwardProxy({ after: (close) => void closing.push(close) })
        proxies = new Proxies({ HTTPS_PROXY: proxy.url })
      }
      directory = await mkdtemp(join(tmpdir(), 'archiver-test-'))
      maker = new CertificateMaker(directory)
      authority = await maker.make({ name: 'authority', isAuthority: true })
      honest = await maker.make({ name: 'node', altNames, issuer: authority })
    })

    test('of the authority accepts a server whose certificate it signed', async (t) => {
      const server = await serve(t, honest, authority)
      await connect(t, { nodes: [server.url], caFingerprint: authority.fingerprint })
      assert.ok(
        server.credentials.length >= 2 &&
          server.credentials.every((one) => one === `ApiKey ${apiKey}`),
      )
      // As other tools print it.
      const bare = authority.fingerprint.replaceAll(':', '').toLowerCase()
      await connect(t, { nodes: [server.url], caFingerprint: bare })
    })

    test('of the authority accepts an intermediate one that it signed, and may be that of the intermediate', async (t) => {
      const intermediate = await maker.make({
        name: 'intermediate',
        isAuthority: true,
        issuer: authority,
      })
      const leaf = await maker.make({ name: 'node', altNames, issuer: intermediate })
      const server = await serve(t, leaf, intermediate, authority)
      await connect(t, { nodes: [server.url], caFingerprint: authority.fingerprint })
      await connect(t, { nodes: [server.url], caFingerprint: intermediate.fingerprint })
    })

    test('of one server accepts that server, whoever signed its certificate', async (t) => {
      const alone = await maker.make({ name: 'alone', altNames })
      const server = await serve(t, alone)
      await connect(t, { nodes: [server.url], caFingerprint: alone.fingerprint })
      const signed = await serve(t, honest)
      await connect(t, { nodes: [signed.url], caFingerprint: honest.fingerprint })
    })

    interface Case {
      readonly present: () => Promise<readonly [Identity, ...Identity[]]>
      readonly fingerprint: () => string
      readonly says: RegExp
    }

    const refused: Readonly<Record<string, Case>> = {
      'a certificate that pretends to be signed by the authority, beside the public certificate of that':
        {
          present: async () => {
            const keyId = await keyIdOf(authority)
            const foreign = await maker.make({ name: 'authority', isAuthority: true, keyId })
            return [await maker.make({ name: 'node', altNames, issuer: foreign }), authority]
          },
          fingerprint: () => authority.fingerprint,
          says: /certificate signature failure|unable to/i,
        },
      'a certificate of the authority for another host': {
        present: async () => [
          await maker.make({ name: 'evil', altNames: ['DNS:evil.example'], issuer: authority }),
          authority,
        ],
        fingerprint: () => authority.fingerprint,
        says: /altnames|does not match certificate/i,
      },
      'a certificate that signs itself': {
        present: async () => [await maker.make({ name: 'authority', altNames })],
        fingerprint: () => authority.fingerprint,
        says: /the fingerprint does not match: none of the 1 certificates/,
      },
      'a certificate that signs itself, beside that of the authority': {
        present: async () => [await maker.make({ name: 'authority', altNames }), authority],
        fingerprint: () => authority.fingerprint,
        says: /self-signed|fingerprint does not match|unable to/i,
      },
      'a certificate that the pinned certificate of a server signed': {
        present: async () => {
          const issuer = { ...honest }
          return [await maker.make({ name: 'node', altNames, issuer }), honest]
        },
        fingerprint: () => honest.fingerprint,
        says: /fingerprint does not match|invalid CA|unable to|unsuitable/i,
      },
      'another server of the same authority, where the fingerprint is that of one': {
        present: async () => [
          await maker.make({ name: 'node', altNames, issuer: authority }),
          authority,
        ],
        fingerprint: () => honest.fingerprint,
        says: /the fingerprint does not match/,
      },
      'a pinned server under another name': {
        present: async () => [await maker.make({ name: 'other', altNames: ['DNS:other.example'] })],
        fingerprint: () => '',
        says: /altnames|does not match certificate/i,
      },
    }

    for (const [name, { present, fingerprint, says }] of Object.entries(refused)) {
      test(`refuses ${name}`, async (t) => {
        const [own, ...chain] = await present()
        const server = await serve(t, own, ...chain)
        const caFingerprint = fingerprint() || own.fingerprint
        await assert.rejects(connect(t, { nodes: [server.url], caFingerprint }), {
          code: 'UNREACHABLE',
          message: says,
        })
        assert.deepEqual(server.credentials, [])
      })
    }

    test('with a file as well: both must be satisfied', async (t) => {
      const other = await maker.make({ name: 'other', isAuthority: true })
      const server = await serve(t, honest, authority)
      const both = { nodes: [server.url], caFingerprint: authority.fingerprint }
      await connect(t, { ...both, caFile: authority.certificateFile })
      await assert.rejects(connect(t, { ...both, caFile: other.certificateFile }), {
        code: 'UNREACHABLE',
      })
      const wrong = { ...both, caFingerprint: other.fingerprint, caFile: authority.certificateFile }
      await assert.rejects(connect(t, wrong), /the fingerprint does not match/)
    })

    test('that is none, or for nodes without TLS, is a mistake of the user', () => {
      const made = (connection: Partial<ElasticsearchConnection>) => () =>
        new Elasticsearch({ nodes: [], compression: false, requestTimeoutMs: 1000, ...connection })
      const nodes = ['https://localhost:9200']
      for (const caFingerprint of ['', 'abc', 'g'.repeat(64), `${'a'.repeat(62)}:`]) {
        assert.throws(made({ nodes, caFingerprint }), {
          code: 'USAGE',
          message: /^--elasticsearch-fingerprint: /,
        })
      }
      const caFingerprint = 'a'.repeat(64)
      assert.throws(made({ nodes: ['http://localhost:9200'], caFingerprint }), { code: 'USAGE' })
      assert.throws(made({ nodes: ['https://a:9200', 'http://b:9200'], caFingerprint }), {
        code: 'USAGE',
      })
    })
  })
