import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redirected } from '../../../src/runtime/address.ts'
import { describeProxy, Proxies } from '../../../src/runtime/proxies.ts'

const proxy = 'http://proxy:3128'

test('lower case wins over capitals; each protocol has its own proxy', () => {
  const of = (url: string, env: Readonly<Record<string, string>>) =>
    new Proxies(env).of(new URL(url))?.url.host
  const env = { HTTP_PROXY: 'http://a:1', HTTPS_PROXY: 'http://b:2' }
  assert.equal(of('http://es:9200', env), 'a:1')
  assert.equal(of('https://es:9200', env), 'b:2')
  assert.equal(of('http://es', { ...env, http_proxy: 'http://c:3' }), 'c:3')
  assert.equal(of('https://es', { ...env, http_proxy: 'http://c:3' }), 'b:2')
  assert.equal(of('https://es', { HTTP_PROXY: 'http://a:1' }), undefined)
  assert.equal(of('http://es', { ...env, http_proxy: '' }), 'a:1')
  assert.equal(of('http://es', {}), undefined)
  assert.equal(of('http://es', { http_proxy: 'a:1' }), 'a:1')
  assert.equal(of('http://es', { http_proxy: 'https://a' }), 'a')
  assert.equal(of('http://es', { http_proxy: 'http://[::1]:3128' }), '[::1]:3128')
})

test('credentials go into a header, not into what is shown', () => {
  const found = new Proxies({ HTTPS_PROXY: 'http://user:p%40ss@proxy:3128' }).of(
    new URL('https://es'),
  )!
  assert.equal(found.authorization, `Basic ${Buffer.from('user:p@ss').toString('base64')}`)
  assert.equal(describeProxy(found), 'the proxy http://proxy:3128 (HTTPS_PROXY)')
})

test('what is no proxy for HTTP is refused by the name of its variable', () => {
  for (const text of [
    'socks5://u:canary@a:1',
    'ftp://canary',
    'http://',
    '://canary',
    'http://canary:99999',
    'http://u:ca%nary@a:1',
  ]) {
    assert.throws(
      () => new Proxies({ https_proxy: text }),
      (error: Error) => {
        assert.match(
          error.message,
          /^https_proxy: the value is not allowed; expected the URL of a proxy/,
        )
        assert.doesNotMatch(error.message, /canary|nary@/)
        return true
      },
    )
  }
})

const cases: readonly (readonly [noProxy: string, url: string, isDirect: boolean])[] = [
  ['*', 'http://es:9200', true],
  ['es', 'http://es:9200', true],
  ['ES', 'http://es:9200', true],
  ['es', 'http://other-es:9200', false],
  ['es', 'http://es.example:9200', false],
  ['example', 'http://es.example:9200', true],
  ['.example', 'http://es.example:9200', true],
  ['*.example', 'http://es.example:9200', true],
  ['.example', 'http://badexample:9200', false],
  ['es:9200', 'http://es:9200', true],
  ['es:9201', 'http://es:9200', false],
  ['es:80', 'http://es', true],
  ['es:443', 'https://es', true],
  ['a, es', 'http://es:9200', true],
  ['a es', 'http://es:9200', true],
  ['127.0.0.1', 'http://127.0.0.1:9200', true],
  ['127.0.0.1:9200', 'http://127.0.0.1:9200', true],
  ['0.0.1', 'http://127.0.0.1:9200', false],
  ['10.0.0.0/8', 'http://10.1.2.3', true],
  ['10.0.0.0/8', 'http://11.1.2.3', false],
  ['10.0.0.0/8', 'http://es', false],
  ['10.0.0.0/99', 'http://10.1.2.3', false],
  ['::1', 'http://[::1]:9200', true],
  ['[::1]', 'http://[::1]:9200', true],
  ['[::1]:9200', 'http://[::1]:9200', true],
  ['[::1]:9201', 'http://[::1]:9200', false],
  ['fd00::/8', 'http://[fd12::1]:9200', true],
  ['localhost', 'http://127.0.0.1:9200', false],
  ['', 'http://127.0.0.1:9200', false],
]

for (const [noProxy, url, isDirect] of cases) {
  test(`NO_PROXY=${noProxy} and ${url}: ${isDirect ? 'directly' : 'through the proxy'}`, () => {
    for (const name of ['NO_PROXY', 'no_proxy']) {
      const proxies = new Proxies({ http_proxy: proxy, https_proxy: proxy, [name]: noProxy })
      assert.equal(proxies.of(new URL(url)) === undefined, isDirect)
    }
  })
}

test('the target of a redirect is shown without credentials and query', () => {
  assert.match(
    redirected(301, 'https://u:canary@es:9200/x?token=canary'),
    /^it redirects to "https:\/\/es:9200\/x" \(301\), which is not followed/,
  )
  assert.match(redirected(302, '/login#canary'), /^it redirects to "\/login" \(302\)/)
  assert.match(redirected(307, undefined), /^it redirects to another address \(307\)/)
  assert.match(
    redirected(308, '//u:canary@h/\n\u001b[31m'),
    /^it redirects to "\/\/h\/\\n\\u001b\[31m" \(308\)/,
  )
})
