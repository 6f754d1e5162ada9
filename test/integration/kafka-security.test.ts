import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { kafkaConnection, kafkaConnectionSet } from '../../src/config/kafka.ts'
import { flagName, readOptions, related } from '../../src/config/options.ts'
import { createKafka, kafkaClient } from '../../src/kafka/client.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { noProxies } from '../../src/runtime/proxies.ts'
import { runArchiver } from '../helpers/archiver.ts'
import {
  password,
  type SecuredKafka,
  startSecuredKafka,
  unsignedToken,
} from '../helpers/secured-kafka.ts'
import { temporaryDirectory } from '../helpers/servers.ts'
import { readFiles } from '../helpers/stores.ts'

const log = createLogger({ level: 'silent', stream: process.stderr })
const records = 20

describe('a Kafka with TLS and logins', { timeout: 240_000 }, () => {
  let directory: string
  let kafka: SecuredKafka
  const topic = 'secured'

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'archiver-secured-'))
    kafka = await startSecuredKafka(directory)
    const client = createKafka({ brokers: [kafka.open], clientId: 'test', log })
    const admin = client.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true })
    await admin.disconnect()
    const producer = client.producer()
    await producer.connect()
    const messages = Array.from({ length: records }, (_, i) => ({
      value: JSON.stringify({ type: 'a', i }),
    }))
    await producer.send({ topic, messages })
    await producer.disconnect()
  })

  after(async () => {
    await kafka?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  const secret = async (t: TestContext, content: string): Promise<string> => {
    const path = join(await temporaryDirectory(t), 'secret')
    await writeFile(path, content)
    return path
  }
  const words = (options: Readonly<Record<string, string>>) =>
    Object.entries(options).map(([key, value]) => `--${flagName(key)}=${value}`)
  const withLogin = (mechanism: string) => ({
    brokers: kafka.saslTls,
    kafkaCa: kafka.caFile,
    saslMechanism: mechanism,
    saslUsername: 'archiver',
  })

  /**
   * Archives the topic as a user does; returns the exit code, the output and how many records the
   * files hold.
   */
  const archive = async (
    t: TestContext,
    options: Readonly<Record<string, string>>,
    ...more: readonly string[]
  ) => {
    const root = join(await temporaryDirectory(t), 'archive')
    const argv = [
      'run',
      '--topics',
      topic,
      '--archive-dir',
      root,
      '--no-elasticsearch',
      '--until-end',
      ...more,
    ]
    const { code, output } = await runArchiver(t, [...argv, '--group', root, ...words(options)])
    return { code, output, count: code === 0 ? (await readFiles(root)).length : undefined }
  }

  /** Whether one more client of the same options gets in. */
  const connects = async (client: ReturnType<typeof kafkaClient>): Promise<string> => {
    const admin = client.admin()
    try {
      await admin.connect()
      return 'yes'
    } catch (error) {
      return String(error)
    } finally {
      await admin.disconnect()
    }
  }
  const clientOf = (given: Readonly<Record<string, string>>) => {
    const values = readOptions(kafkaConnectionSet.options, { argv: words(given), env: {} })
    const connection = kafkaConnection(related(kafkaConnectionSet, values), noProxies)
    return kafkaClient(connection, { clientId: 'test', log, retry: { retries: 0 } })
  }

  it('archives over TLS with a login by SCRAM-SHA-512 whose password is in a file', async (t) => {
    const saslPasswordFile = await secret(t, `${password}\n`)
    const { code, count, output } = await archive(t, {
      ...withLogin('scram-sha-512'),
      saslPasswordFile,
    })
    assert.equal(code, 0, output)
    assert.equal(count, records)
    assert.ok(!output.includes(password))
  })

  it('archives with a certificate of its own', async (t) => {
    const { kafkaCa, brokers } = { kafkaCa: kafka.caFile, brokers: kafka.mutualTls }
    const certificate = { kafkaCert: kafka.clientCertificate, kafkaKey: kafka.clientKey }
    const { code, count, output } = await archive(t, { brokers, kafkaCa, ...certificate })
    assert.equal(code, 0, output)
    assert.equal(count, records)
    const without = await archive(t, { brokers, kafkaCa })
    assert.equal(without.code, 1)
    assert.match(
      without.output,
      /Kafka at \S+ (does not answer|and this program do not agree on TLS)/,
    )
  })

  it('archives from a cluster that advertises addresses of IPv6 alone', async (t) => {
    if (kafka.ipv6 === undefined) return t.skip('this machine has no IPv6')
    const { code, count, output } = await archive(t, { brokers: kafka.ipv6 })
    assert.equal(code, 0, output)
    assert.equal(count, records)
  })

  for (const mechanism of ['plain', 'scram-sha-256']) {
    it(`logs in by ${mechanism}`, async () => {
      assert.equal(
        await connects(clientOf({ ...withLogin(mechanism), saslPassword: password })),
        'yes',
      )
    })
  }

  it('logs in with a token from a file, and reads the next one from it', async (t) => {
    const saslTokenFile = await secret(t, unsignedToken('archiver', -60))
    const options = {
      brokers: kafka.saslTls,
      kafkaCa: kafka.caFile,
      saslMechanism: 'oauthbearer',
      saslTokenFile,
    }
    const client = clientOf(options)
    assert.match(await connects(client), /OAUTHBEARER authentication failed.*invalid_token/)
    await writeFile(saslTokenFile, unsignedToken('archiver', 600))
    assert.equal(await connects(client), 'yes')
  })

  it('logs in with a token that it fetches with an id and a secret', async (t) => {
    const seen: string[] = []
    const endpoint = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      request.on('end', () => {
        seen.push(`${request.headers.authorization} ${body}`)
        response.setHeader('content-type', 'application/json')
        response.end(
          JSON.stringify({ access_token: unsignedToken('archiver', 600), token_type: 'Bearer' }),
        )
      })
    })
    endpoint.listen(0, '127.0.0.1')
    await once(endpoint, 'listening')
    t.after(() => endpoint.close())
    const saslTokenUrl = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/token`
    const login = {
      ...withLogin('oauthbearer'),
      saslPassword: 'a:secret',
      saslTokenUrl,
      saslTokenScope: 'kafka',
    }
    assert.equal(await connects(clientOf(login)), 'yes')
    const basic = Buffer.from('archiver:a%3Asecret').toString('base64')
    assert.equal(seen[0], `Basic ${basic} grant_type=client_credentials&scope=kafka`)
  })

  it('says no secret at the level trace', async (t) => {
    const token = unsignedToken('archiver', 600)
    const logins: readonly Readonly<Record<string, string>>[] = [
      { ...withLogin('plain'), saslPassword: password },
      { ...withLogin('scram-sha-512'), saslPassword: password },
      {
        brokers: kafka.saslTls,
        kafkaCa: kafka.caFile,
        saslMechanism: 'oauthbearer',
        saslTokenFile: await secret(t, token),
      },
    ]
    const secrets = [
      password,
      Buffer.from(`\0archiver\0${password}`).toString('base64'),
      token.split('.')[1]!,
    ]
    for (const login of logins) {
      const { code, output } = await archive(t, login, '--log-level', 'trace')
      assert.equal(code, 0, output)
      assert.match(output, /"level":"trace"/)
      for (const secret of secrets) assert.ok(!output.includes(secret), login.saslMechanism)
    }
  })

  it('reads a password that was changed, without a restart', async (t) => {
    const saslPasswordFile = await secret(t, 'wrong')
    const client = clientOf({ ...withLogin('scram-sha-256'), saslPasswordFile })
    assert.match(await connects(client), /SASL SCRAM SHA256 authentication failed/)
    await writeFile(saslPasswordFile, password)
    assert.equal(await connects(client), 'yes')
    await rm(saslPasswordFile)
    assert.equal(await connects(client), 'yes', 'what it held before')
  })

  it('says in one line what is wrong', async (t) => {
    const cases: readonly (readonly [RegExp, Readonly<Record<string, string>>])[] = [
      [
        /refused the login.*--sasl-mechanism/,
        { ...withLogin('scram-sha-512'), saslPassword: 'wrong' },
      ],
      [/certificate that is not trusted.*--kafka-ca/, { brokers: kafka.saslTls, kafkaTls: 'true' }],
      [/do not agree on TLS/, { brokers: kafka.open, kafkaTls: 'true' }],
      [/--kafka-tls\?/, { brokers: kafka.saslTls }],
    ]
    for (const [expected, options] of cases) {
      const { code, output } = await archive(t, options, '--log-level', 'error')
      assert.equal(code, 1, output)
      assert.match(output, expected)
      assert.equal(output.trim().split('\n').length, 1, output)
    }
  })
})
