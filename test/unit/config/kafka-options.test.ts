import assert from 'node:assert/strict'
import { it } from 'node:test'
import { kafkaConnection, kafkaConnectionSet } from '../../../src/config/kafka.ts'
import { readOptions, related } from '../../../src/config/options.ts'
import { kafkaClient } from '../../../src/kafka/client.ts'
import { connectFailure } from '../../../src/kafka/security.ts'
import { createLogger } from '../../../src/runtime/log.ts'
import { noProxies } from '../../../src/runtime/proxies.ts'

const connection = (...argv: readonly string[]) =>
  kafkaConnection(
    related(kafkaConnectionSet, readOptions(kafkaConnectionSet.options, { argv, env: {} })),
    noProxies,
  )
const user = ['--sasl-username', 'u']
const password = ['--sasl-password', 'p']

it('takes logins and certificates that are complete', () => {
  for (const argv of [
    [],
    ['--kafka-tls'],
    ['--kafka-cert', 'a', '--kafka-key', 'b'],
    ['--sasl-mechanism', 'plain', ...user, ...password],
    ['--sasl-mechanism', 'scram-sha-512', ...user, '--sasl-password-file', 'f'],
    ['--sasl-mechanism', 'oauthbearer', '--sasl-token-file', 'f'],
    ['--sasl-mechanism', 'oauthbearer', '--sasl-msk-region', 'eu-central-1'],
    [
      '--sasl-mechanism',
      'oauthbearer',
      '--sasl-token-url',
      'https://id/token',
      ...user,
      ...password,
    ],
  ]) {
    connection(...argv)
  }
})

it('says which option of a login is missing or too much', () => {
  for (const [argv, expected] of [
    [['--kafka-cert', 'a'], /--kafka-key/],
    [
      ['--sasl-mechanism', 'plain', ...user],
      /plain.* needs --sasl-password or --sasl-password-file/,
    ],
    [['--sasl-mechanism', 'plain', ...password], /plain.* needs --sasl-username/],
    [
      ['--sasl-mechanism', 'plain', ...user, ...password, '--sasl-password-file', 'f'],
      /exclude each other/,
    ],
    [
      ['--sasl-mechanism', 'plain', ...user, ...password, '--sasl-token-file', 'f'],
      /--sasl-token-file needs --sasl-mechanism oauthbearer/,
    ],
    [
      ['--sasl-mechanism', 'oauthbearer'],
      /oauthbearer needs --sasl-token-file, --sasl-token-url or --sasl-msk-region/,
    ],
    [
      ['--sasl-mechanism', 'oauthbearer', '--sasl-token-url', 'nowhere', ...user, ...password],
      /expected http/,
    ],
    ...['http://id/token', 'http://10.0.0.1/token', 'http://localhost.example/token'].map(
      (url) =>
        [
          ['--sasl-mechanism', 'oauthbearer', '--sasl-token-url', url, ...user, ...password],
          /--sasl-token-url: .* http would show the secret/,
        ] as [string[], RegExp],
    ),
    [
      ['--sasl-mechanism', 'oauthbearer', '--sasl-token-url', 'https://id/token'],
      /needs --sasl-username/,
    ],
    [[...user, ...password], /--sasl-username needs --sasl-mechanism/],
    [['--sasl-token-file', 'f'], /--sasl-token-file needs --sasl-mechanism oauthbearer/],
    [
      [
        '--sasl-mechanism',
        'oauthbearer',
        '--sasl-token-file',
        'f',
        '--sasl-token-url',
        'https://id/token',
      ],
      /--sasl-token-file and --sasl-token-url exclude each other/,
    ],
  ] as const) {
    assert.throws(() => connection(...argv), { code: 'USAGE', message: expected })
  }
})

it('names a file of a secret that cannot be read', () => {
  const about = { clientId: 'test', log: createLogger({ level: 'silent', stream: process.stderr }) }
  const missing = connection(
    '--sasl-mechanism',
    'plain',
    ...user,
    '--sasl-password-file',
    '/no/such/file',
  )
  assert.throws(() => kafkaClient(missing, about), {
    code: 'USAGE',
    message: /--sasl-password-file \/no\/such\/file/,
  })
})

it('distinguishes why a first connection failed', () => {
  const failure = (code: string, message: string) =>
    connectFailure(Object.assign(new Error(message), { code }), 'b:1')
  assert.match(
    failure('ECONNREFUSED', 'connect ECONNREFUSED'),
    /is it running, and is --brokers right\?$/,
  )
  assert.match(failure('ECONNRESET', 'read ECONNRESET'), /--kafka-tls\?$/)
  assert.match(failure('CERT_HAS_EXPIRED', 'certificate has expired'), /not trusted.*--kafka-ca/)
  assert.match(failure('EPROTO', 'wrong version number'), /do not agree on TLS/)
})
