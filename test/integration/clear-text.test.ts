import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runArchiver } from '../helpers/archiver.ts'

/** What commands say of connections that show or believe too much, before anything is sent. */

test('one warning names the credentials that go out unencrypted, and shows none', async (t) => {
  const env = { ARCHIVER_ELASTICSEARCH: 'http://user:hunter2@elasticsearch.invalid:9200' }
  const { code, output } = await runArchiver(t, ['setup'], env)
  assert.equal(code, 1, output)
  assert.match(
    output,
    /warning: credentials are not encrypted: sent the credentials for Elasticsearch \(elasticsearch\.invalid:9200\)/,
  )
  assert.doesNotMatch(output, /hunter2/)
})

test('there is no warning about this machine', async (t) => {
  const env = { ARCHIVER_ELASTICSEARCH: 'http://user:hunter2@127.0.0.1:9' }
  const { output } = await runArchiver(t, ['setup'], env)
  assert.doesNotMatch(output, /not encrypted|hunter2/)
})

const mistakes: readonly (readonly [readonly string[], RegExp])[] = [
  [
    ['setup', '--elasticsearch-fingerprint', 'a'.repeat(64)],
    /--elasticsearch-fingerprint is for nodes with https/,
  ],
  [
    ['setup', '--elasticsearch', 'https://127.0.0.1:9', '--elasticsearch-fingerprint', 'abc'],
    /--elasticsearch-fingerprint: "abc" is not allowed/,
  ],
  [
    ['setup', '--mysql', 'mysql://u@10.0.0.1/a', '--mysql-tls-name', 'db'],
    /--mysql-tls-name needs --mysql-tls or --mysql-ca/,
  ],
]
for (const [argv, says] of mistakes) {
  test(`a mistake: ${argv.slice(1).join(' ').slice(0, 60)}`, async (t) => {
    const { code, output } = await runArchiver(t, argv)
    assert.equal(code, 2, output)
    assert.match(output, says)
  })
}
