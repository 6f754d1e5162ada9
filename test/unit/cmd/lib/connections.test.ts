import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Connections, sentInClear } from '../../../../src/cmd/lib/connections.ts'
import {
  elasticsearchConnection,
  elasticsearchGroup,
} from '../../../../src/config/elasticsearch.ts'
import { kafkaConnection, kafkaConnectionSet } from '../../../../src/config/kafka.ts'
import { kibanaConnection, kibanaGroup } from '../../../../src/config/kibana.ts'
import { mysqlConnection, mysqlGroup } from '../../../../src/config/mysql.ts'
import { combine, readOptions, related } from '../../../../src/config/options.ts'
import { isLoopback } from '../../../../src/runtime/address.ts'
import { noProxies } from '../../../../src/runtime/proxies.ts'
import { temporaryDirectory } from '../../../helpers/servers.ts'

test('addresses of this machine alone are loopback', () => {
  for (const host of [
    'localhost',
    'LOCALHOST',
    'a.localhost',
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '[::1]',
    '[::ffff:127.0.0.1]',
  ])
    assert.equal(isLoopback(host), true, host)
  for (const host of [
    'localhost.example',
    '127.example',
    '127.0.0.1.example',
    '0.0.0.0',
    '10.0.0.1',
    '::',
    '[::2]',
    '',
  ])
    assert.equal(isLoopback(host), false, host)
})

const set = combine([kafkaConnectionSet, elasticsearchGroup, kibanaGroup, mysqlGroup])

function connectionsOf(argv: readonly string[]): Connections {
  const values = related(set, readOptions(set.options, { argv, env: {} }))
  return {
    kafka: kafkaConnection(values, noProxies),
    elasticsearch: elasticsearchConnection(values, noProxies),
    kibana: kibanaConnection(values, noProxies),
    mysql: mysqlConnection(values),
  }
}

const plain = ['--sasl-mechanism', 'plain', '--sasl-username', 'u', '--sasl-password', 'secret']
const scram = ['--sasl-mechanism', 'scram-sha-512', ...plain.slice(2)]
const bearer = ['--sasl-mechanism', 'oauthbearer', '--sasl-token-file', 'FILE']
const key = ['--elasticsearch-api-key', 'secret']
const kibanaKey = ['--kibana-api-key', 'secret']
const es = (...urls: readonly string[]) => ['--elasticsearch', urls.join()]

/** Flags, in which FILE is a file with a secret. */
const cases: Readonly<Record<string, readonly [readonly string[], RegExp | undefined]>> = {
  nothing: [[], undefined],
  'PLAIN without TLS': [['--brokers', 'k:9092', ...plain], /^the password for Kafka/],
  'PLAIN with TLS': [['--brokers', 'k:9092', ...plain, '--kafka-tls'], undefined],
  'PLAIN with a CA': [['--brokers', 'k:9092', ...plain, '--kafka-ca', 'FILE'], undefined],
  'PLAIN with a certificate': [
    ['--brokers', 'k:9092', ...plain, '--kafka-cert', 'FILE', '--kafka-key', 'FILE'],
    undefined,
  ],
  'PLAIN on this machine': [['--brokers', '127.0.0.1:9092,[::1]:9092', ...plain], undefined],
  'PLAIN, one broker elsewhere': [['--brokers', '127.0.0.1:9092,k:9092', ...plain], /Kafka/],
  'SCRAM without TLS': [['--brokers', 'k:9092', ...scram], undefined],
  'OAUTHBEARER without TLS': [['--brokers', 'k:9092', ...bearer], /^the token for Kafka/],
  'an API key over http': [
    [...es('http://e:9200'), ...key],
    /^the credentials for Elasticsearch \(e:9200\)$/,
  ],
  'an API key in a file, one node of two': [
    [...es('https://a:9200', 'http://b:9200'), '--elasticsearch-api-key-file', 'FILE'],
    /\(b:9200\)$/,
  ],
  'an API key over https': [[...es('https://e:9200'), ...key], undefined],
  'an API key on this machine': [[...es('http://localhost:9200'), ...key], undefined],
  'an API key for a cloud id': [
    [...es('http://e:9200'), ...key, '--elasticsearch-cloud-id', 'x'],
    undefined,
  ],
  'a user in the URL': [es('http://u:secret@e:9200'), /\(e:9200\)$/],
  headers: [[...es('http://e:9200'), '--elasticsearch-headers', 'x: y'], /Elasticsearch/],
  'no credentials': [es('http://e:9200'), undefined],
  'Kibana with a key of its own': [
    ['--kibana', 'http://k:5601', ...kibanaKey],
    /^the credentials for Kibana/,
  ],
  'Kibana with a user in the URL': [
    ['--kibana', 'http://u:secret@k:5601'],
    /^the credentials for Kibana \(k:5601\)$/,
  ],
  'Kibana with the login for Elasticsearch': [
    ['--kibana', 'http://k:5601', ...es('https://e'), '--elasticsearch-user', 'u'],
    /^the credentials for Kibana/,
  ],
  'Kibana over https': [['--kibana', 'https://k:5601', ...kibanaKey], undefined],
  'MySQL with a password': [['--mysql', 'mysql://u:secret@m/a'], /MySQL \(m\)$/],
  'MySQL with a password in a file': [
    ['--mysql', 'mysql://u@m/a', '--mysql-password-file', 'FILE'],
    /MySQL/,
  ],
  'MySQL with TLS': [['--mysql', 'mysql://u:secret@m/a', '--mysql-tls'], undefined],
  'MySQL with a CA': [['--mysql', 'mysql://u:secret@m/a', '--mysql-ca', 'FILE'], undefined],
  'MySQL on this machine': [['--mysql', 'mysql://u:secret@127.0.0.1/a'], undefined],
}
for (const [name, [argv, expected]] of Object.entries(cases)) {
  test(`sent in clear: ${name}`, async (t) => {
    const file = join(await temporaryDirectory(t), 'secret')
    writeFileSync(file, 'secret')
    const sent = sentInClear(connectionsOf(argv.map((word) => (word === 'FILE' ? file : word))))
    assert.equal(sent.length, expected === undefined ? 0 : 1, sent.join())
    if (expected !== undefined) assert.match(sent[0]!, expected)
    assert.doesNotMatch(sent.join(), /secret/)
  })
}
