import type { Kafka } from 'kafkajs'
import {
  checkKafkaOptions,
  type kafkaConnectionOptions,
  type kafkaSecurityOptions,
} from '../../config/config.ts'
import type { Values } from '../../config/options.ts'
import { createKafka, type KafkaOptions } from '../../kafka/client.ts'
import { type KafkaSecurity, kafkaSecurity, type Login, type Secret } from '../../kafka/security.ts'
import { Proxies } from '../../runtime/proxies.ts'

/**
 * The client that the options describe. Nothing is connected yet.
 * @throws ArchiverError `USAGE` where options contradict each other, or a file with a secret cannot
 *   be read.
 */
export function kafkaClient(
  options: Values<typeof kafkaConnectionOptions>,
  about: Pick<KafkaOptions, 'clientId' | 'log' | 'retry'>,
): Kafka {
  checkKafkaOptions(options)
  return createKafka({
    brokers: options.brokers,
    ...about,
    ...kafkaSecurity(securityOf(options), about.log),
  })
}

function securityOf(options: Values<typeof kafkaSecurityOptions>): KafkaSecurity {
  const ca = file('--kafka-ca', options.kafkaCa)
  const certificate = file('--kafka-cert', options.kafkaCert)
  const key = file('--kafka-key', options.kafkaKey)
  return {
    tls: options.kafkaTls || ca !== undefined || certificate !== undefined,
    ca,
    certificate: certificate === undefined || key === undefined ? undefined : { certificate, key },
    login: loginOf(options),
  }
}

/** The options were checked: what a mechanism needs is there. */
function loginOf(options: Values<typeof kafkaSecurityOptions>): Login | undefined {
  const {
    saslMechanism: mechanism,
    saslUsername: username,
    saslPassword: text,
    saslTokenUrl: url,
  } = options
  if (mechanism === 'none') return undefined
  const password =
    text === undefined ? file('--sasl-password-file', options.saslPasswordFile) : { text }
  if (mechanism !== 'oauthbearer') return { mechanism, username: username!, password: password! }
  if (url === undefined)
    return { mechanism, token: file('--sasl-token-file', options.saslTokenFile)! }
  return {
    mechanism,
    token: {
      url,
      clientId: username!,
      clientSecret: password!,
      scope: options.saslTokenScope,
      proxies: new Proxies(process.env),
    },
  }
}

function file(flag: string, path: string | undefined): Secret | undefined {
  return path === undefined ? undefined : { file: path, flag }
}
