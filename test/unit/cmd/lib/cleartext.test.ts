import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConnectionValues, sentInClear } from '../../../../src/cmd/lib/cleartext.ts'
import { isLoopback } from '../../../../src/runtime/address.ts'

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

const cases: Readonly<Record<string, readonly [ConnectionValues, RegExp | undefined]>> = {
  nothing: [{}, undefined],
  'PLAIN without TLS': [{ brokers: ['k:9092'], saslMechanism: 'plain' }, /^the password for Kafka/],
  'PLAIN with TLS': [{ brokers: ['k:9092'], saslMechanism: 'plain', kafkaTls: true }, undefined],
  'PLAIN with a CA': [{ brokers: ['k:9092'], saslMechanism: 'plain', kafkaCa: 'f' }, undefined],
  'PLAIN on this machine': [
    { brokers: ['127.0.0.1:9092', '[::1]:9092'], saslMechanism: 'plain' },
    undefined,
  ],
  'PLAIN, one broker elsewhere': [
    { brokers: ['127.0.0.1:9092', 'k:9092'], saslMechanism: 'plain' },
    /Kafka/,
  ],
  'SCRAM without TLS': [{ brokers: ['k:9092'], saslMechanism: 'scram-sha-512' }, undefined],
  'OAUTHBEARER without TLS': [
    { brokers: ['k:9092'], saslMechanism: 'oauthbearer' },
    /^the token for Kafka/,
  ],
  'an API key over http': [
    { elasticsearch: ['http://e:9200'], elasticsearchApiKey: 'x' },
    /^the credentials for Elasticsearch \(e:9200\)$/,
  ],
  'an API key in a file, one node of two': [
    { elasticsearch: ['https://a:9200', 'http://b:9200'], elasticsearchApiKeyFile: 'x' },
    /\(b:9200\)$/,
  ],
  'an API key over https': [
    { elasticsearch: ['https://e:9200'], elasticsearchApiKey: 'x' },
    undefined,
  ],
  'an API key on this machine': [
    { elasticsearch: ['http://localhost:9200'], elasticsearchApiKey: 'x' },
    undefined,
  ],
  'a user in the URL': [{ elasticsearch: ['http://u:secret@e:9200'] }, /\(e:9200\)$/],
  headers: [{ elasticsearch: ['http://e:9200'], elasticsearchHeaders: ['x: y'] }, /Elasticsearch/],
  'no credentials': [{ elasticsearch: ['http://e:9200'] }, undefined],
  'Kibana with a key of its own': [
    { kibana: 'http://k:5601', kibanaApiKey: 'x' },
    /^the credentials for Kibana/,
  ],
  'Kibana with the login for Elasticsearch': [
    { kibana: 'http://k:5601', elasticsearch: ['https://e'], elasticsearchUser: 'u' },
    /^the credentials for Kibana/,
  ],
  'Kibana over https': [{ kibana: 'https://k:5601', kibanaApiKey: 'x' }, undefined],
  'MySQL with a password': [{ mysql: 'mysql://u:secret@m/a' }, /MySQL \(m\)$/],
  'MySQL with a password in a file': [{ mysql: 'mysql://u@m/a', mysqlPasswordFile: 'f' }, /MySQL/],
  'MySQL with TLS': [{ mysql: 'mysql://u:secret@m/a', mysqlTls: true }, undefined],
  'MySQL with a CA': [{ mysql: 'mysql://u:secret@m/a', mysqlCa: 'f' }, undefined],
  'MySQL on this machine': [{ mysql: 'mysql://u:secret@127.0.0.1/a' }, undefined],
}
for (const [name, [options, expected]] of Object.entries(cases)) {
  test(`sent in clear: ${name}`, () => {
    const sent = sentInClear(options)
    assert.equal(sent.length, expected === undefined ? 0 : 1, sent.join())
    if (expected !== undefined) assert.match(sent[0]!, expected)
    assert.doesNotMatch(sent.join(), /secret/)
  })
}
