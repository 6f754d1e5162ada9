import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findJavas } from '../../stack/java.ts'
import { kafkaPart } from '../../stack/kafka-part.ts'
import { Part } from '../../stack/part.ts'
import { mebibyte, resolveSettings } from '../../stack/settings.ts'

const run = promisify(execFile)
const silent = { update: () => {}, say: () => {} }

/**
 * A Kafka with TLS and logins, beside the one of the other tests. Users: `archiver` with
 * `password`.
 */
export interface SecuredKafka {
  /** Without TLS and login, to prepare topics. */
  readonly open: string
  /** TLS, and a login by PLAIN, SCRAM or OAUTHBEARER. */
  readonly saslTls: string
  /** TLS with a certificate of the client's own. */
  readonly mutualTls: string
  /**
   * Without TLS and login; all that it advertises is an address of IPv6. Undefined on a machine
   * without IPv6.
   */
  readonly ipv6: string | undefined
  readonly caFile: string
  readonly clientCertificate: string
  readonly clientKey: string
  readonly stop: () => Promise<void>
}

const ports = { open: 19_292, saslTls: 19_294, mutualTls: 19_295, ipv6: 19_296 }
const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)
export const password = 'correct horse: battery'

/** Starts it in a directory of its own; the certificates are made by openssl. */
export async function startSecuredKafka(directory: string): Promise<SecuredKafka> {
  const files = await makeCertificates(directory)
  const login = (mechanism: string) => `listener.name.sasl_ssl.${mechanism}.sasl.jaas.config`
  const security = 'org.apache.kafka.common.security'
  const settings = resolveSettings(
    { dir: directory, kafkaPort: ports.open, kafkaHeap: 320 * mebibyte },
    {},
    // Of no account: no Elasticsearch is started.
    () => '9.5.3',
  )
  const listeners = [
    `PLAINTEXT://127.0.0.1:${ports.open}`,
    `SASL_SSL://127.0.0.1:${ports.saslTls}`,
    `SSL://127.0.0.1:${ports.mutualTls}`,
    ...(hasIpv6 ? [`IPV6://[::1]:${ports.ipv6}`] : []),
  ].join(',')
  const part = new Part(
    kafkaPart(settings, findJavas, {
      properties: {
        listeners: `${listeners},CONTROLLER://127.0.0.1:${settings.controllerPort}`,
        'advertised.listeners': listeners,
        'listener.security.protocol.map':
          'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,IPV6:PLAINTEXT',
        'inter.broker.listener.name': 'PLAINTEXT',
        'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
        [login('plain')]:
          `${security}.plain.PlainLoginModule required user_archiver="${password}";`,
        [login('scram-sha-256')]: `${security}.scram.ScramLoginModule required;`,
        [login('scram-sha-512')]: `${security}.scram.ScramLoginModule required;`,
        [login('oauthbearer')]: `${security}.oauthbearer.OAuthBearerLoginModule required;`,
        // Accepts unsigned tokens: the client is under test.
        'listener.name.sasl_ssl.oauthbearer.sasl.server.callback.handler.class': `${security}.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler`,
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.location': files.broker,
        'ssl.truststore.type': 'PEM',
        'ssl.truststore.location': files.ca,
        'listener.name.ssl.ssl.client.auth': 'required',
      },
      format: ['256', '512'].flatMap((bits) => [
        '--add-scram',
        `SCRAM-SHA-${bits}=[name=archiver,password="${password}"]`,
      ]),
    }),
  )
  await part.start(silent)
  return {
    open: `127.0.0.1:${ports.open}`,
    saslTls: `127.0.0.1:${ports.saslTls}`,
    mutualTls: `127.0.0.1:${ports.mutualTls}`,
    ipv6: hasIpv6 ? `[::1]:${ports.ipv6}` : undefined,
    caFile: files.ca,
    clientCertificate: files.clientCertificate,
    clientKey: files.clientKey,
    stop: async () => {
      await part.stop(silent)
    },
  }
}

/** An unsigned token (RFC 7515, algorithm `none`) that names a user and its expiry. */
export function unsignedToken(subject: string, lifetimeS: number): string {
  const now = Math.floor(Date.now() / 1000)
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  return `${encode({ alg: 'none' })}.${encode({ sub: subject, iat: now, exp: now + lifetimeS })}.`
}

/** A certificate authority, and certificates of it for the broker and a client. */
async function makeCertificates(directory: string) {
  const path = (name: string) => join(directory, name)
  const openssl = (...words: string[]) => run('openssl', words)
  const fresh = ['-newkey', 'rsa:2048', '-nodes']
  const caKey = path('ca.key')
  const ca = path('ca.pem')
  await openssl(
    'req',
    '-x509',
    ...fresh,
    '-days',
    '2',
    '-subj',
    '/CN=test-ca',
    '-keyout',
    caKey,
    '-out',
    ca,
  )
  const sign = async (name: string, extension: string) => {
    const key = path(`${name}.key`)
    const request = path(`${name}.csr`)
    const certificate = path(`${name}.crt`)
    const extensions = path(`${name}.ext`)
    await writeFile(extensions, extension)
    await openssl('req', ...fresh, '-subj', `/CN=${name}`, '-keyout', key, '-out', request)
    const signer = [
      '-CA',
      ca,
      '-CAkey',
      caKey,
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      extensions,
    ]
    await openssl('x509', '-req', '-in', request, '-out', certificate, ...signer)
    return { key, certificate }
  }
  const broker = await sign('broker', 'subjectAltName=IP:127.0.0.1,DNS:localhost')
  const client = await sign('client', 'extendedKeyUsage=clientAuth')
  const both = path('broker.pem')
  await run('sh', ['-c', `cat '${broker.key}' '${broker.certificate}' > '${both}'`])
  return { ca, broker: both, clientCertificate: client.certificate, clientKey: client.key }
}
