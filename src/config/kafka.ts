import type { KafkaConnection, Login, Secret } from '../kafka/connection.ts'
import { isLoopback } from '../runtime/address.ts'
import type { Proxies } from '../runtime/proxies.ts'
import {
  addressIn,
  combine,
  exclusive,
  file,
  flag,
  group,
  hostPorts,
  httpUrl,
  implied,
  is,
  oneOf,
  requires,
  secret,
  text,
  url,
  type ValuesOf,
} from './options.ts'

const brokerGroup = group('Kafka', {
  brokers: hostPorts({
    default: '127.0.0.1:9092',
    explanation: 'Brokers to contact first; they name the rest of the cluster.',
  }),
  clientId: text({
    placeholder: '<name>',
    check: checkClientId,
    explanation:
      "Name of this program for Kafka: in the brokers' logs and metrics, and for quotas of a client id. Without it: the name of the command, and for a worker archiver-<host>-<process>.",
  }),
})

const password = ['saslPassword', 'saslPasswordFile'] as const
const token = ['saslTokenFile', 'saslTokenUrl', 'saslMskRegion'] as const
const passwordLogin = is('saslMechanism', 'plain', 'scram-sha-256', 'scram-sha-512')
const tokenLogin = is('saslMechanism', 'oauthbearer')

const securityGroup = group(
  'TLS and logins of Kafka',
  {
    kafkaTls: flag({ default: false, explanation: 'Connect to brokers over TLS.' }),
    kafkaCa: file({
      explanation:
        'Certificate authority of the brokers, as a PEM file. Files with certificates and secrets for Kafka are read again for every connection, so they can be replaced without a restart.',
    }),
    kafkaCert: file({
      explanation: 'Our certificate, as a PEM file, for brokers that ask for one.',
    }),
    kafkaKey: file({ explanation: 'Key of that certificate, as a PEM file.' }),
    saslMechanism: oneOf(['none', 'plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'], {
      default: 'none',
      nothing: 'none',
      explanation: 'How to log in to Kafka.',
    }),
    saslUsername: text({
      explanation: 'User to log in as, or the client id for --sasl-token-url.',
    }),
    saslPassword: secret(
      text({
        explanation:
          'Password of the user, or the secret for --sasl-token-url. Prefer a variable or a file.',
      }),
    ),
    saslPasswordFile: file({
      explanation: 'File with that password; a line break at its end is ignored.',
    }),
    saslTokenFile: file({ explanation: 'File with the token for oauthbearer.' }),
    saslTokenUrl: url(
      { explanation: 'OAuth 2.0 token endpoint for oauthbearer (client credentials grant).' },
      tokenUrl,
    ),
    saslTokenScope: text({ explanation: 'Scope to request at --sasl-token-url.' }),
    saslMskRegion: text({
      placeholder: '<region>',
      check: checkRegion,
      explanation:
        'Region of a cluster of Amazon MSK, to log in to it by IAM: a token is signed with the AWS credentials that are found, as for a bucket (variables, a profile, a web identity, the role of a container or of an instance).',
    }),
  },
  [
    implied('kafkaTls', 'kafkaCa', 'kafkaCert', 'saslMskRegion'),
    requires(['kafkaCert'], 'kafkaKey'),
    requires(['kafkaKey'], 'kafkaCert'),
    exclusive(...password),
    exclusive(...token),
    requires(token, tokenLogin),
    requires(['saslUsername', ...password], 'saslMechanism'),
    requires([passwordLogin, 'saslTokenUrl'], 'saslUsername'),
    requires([passwordLogin, 'saslTokenUrl'], ...password),
    requires([tokenLogin], ...token),
  ],
)

/** How to reach Kafka: for every command that speaks to it. */
export const kafkaConnectionSet = combine([brokerGroup, securityGroup])

function checkRegion(region: string): void {
  if (!/^[a-z]+(-[a-z]+)+-\d+$/.test(region)) throw new Error('a region such as eu-central-1')
}

/** A text of Kafka's protocol, and part of a name of JMX and of metrics. */
function checkClientId(id: string): void {
  if (!/^[\x21-\x7e]{1,200}$/.test(id))
    throw new Error('up to 200 visible characters of ASCII, without blanks')
}

/** @throws Error whose message says what is allowed. */
function tokenUrl(text: string): string {
  const address = addressIn(text, httpUrl)
  if (address.url.protocol !== 'https:' && !isLoopback(address.url.hostname))
    throw new Error(
      'https://, or a host of this machine: http would show the secret to everyone on the way',
    )
  if ((address.username ?? address.password) !== undefined)
    throw new Error('no credentials in it, but --sasl-username and --sasl-password')
  return text
}

/** The connection of these options, whose relations hold. */
export function kafkaConnection(
  values: ValuesOf<typeof kafkaConnectionSet>,
  proxies: Proxies,
): KafkaConnection {
  const certificate = fileOf('--kafka-cert', values.kafkaCert)
  const key = fileOf('--kafka-key', values.kafkaKey)
  return {
    brokers: values.brokers,
    clientId: values.clientId,
    tls: values.kafkaTls,
    ca: fileOf('--kafka-ca', values.kafkaCa),
    certificate: certificate === undefined || key === undefined ? undefined : { certificate, key },
    login: loginOf(values, proxies),
  }
}

function loginOf(values: ValuesOf<typeof securityGroup>, proxies: Proxies): Login | undefined {
  const { saslMechanism: mechanism, saslUsername: username, saslTokenUrl: endpoint } = values
  if (mechanism === 'none') return undefined
  const password =
    values.saslPassword === undefined
      ? fileOf('--sasl-password-file', values.saslPasswordFile)
      : { text: values.saslPassword }
  if (mechanism !== 'oauthbearer') return { mechanism, username: username!, password: password! }
  if (values.saslMskRegion !== undefined)
    return { mechanism, token: { region: values.saslMskRegion, proxies } }
  if (endpoint === undefined)
    return { mechanism, token: fileOf('--sasl-token-file', values.saslTokenFile)! }
  const scope = values.saslTokenScope
  return {
    mechanism,
    token: { url: endpoint, clientId: username!, clientSecret: password!, scope, proxies },
  }
}

function fileOf(flag: string, path: string | undefined): Secret | undefined {
  return path === undefined ? undefined : { file: path, flag }
}
