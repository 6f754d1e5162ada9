import {
  type elasticsearchConnectionOptions,
  type kafkaConnectionOptions,
  type kibanaOptions,
  mysqlAddress,
  type mysqlConnectionOptions,
} from '../../config/config.ts'
import type { Values } from '../../config/options.ts'
import { addressOf, isLoopback } from '../../runtime/address.ts'
import type { Logger } from '../../runtime/log.ts'

/** The options of a command that reaches some of these. */
export type ConnectionValues = Partial<
  Values<
    typeof kafkaConnectionOptions &
      typeof elasticsearchConnectionOptions &
      typeof mysqlConnectionOptions &
      typeof kibanaOptions
  >
>

/**
 * The credentials that the options send over a network without encryption: each as what goes where.
 */
export function sentInClear(options: ConnectionValues): string[] {
  return [
    ...kafkaInClear(options),
    ...elasticsearchInClear(options),
    ...kibanaInClear(options),
    ...mysqlInClear(options),
  ]
}

/** One warning at the start names all that anyone on the way can read. */
export function warnOfClearText(options: ConnectionValues, log: Logger): void {
  const sent = sentInClear(options)
  if (sent.length === 0) return
  log.warn(
    { sent },
    `not encrypted: ${sent.join(', ')}; anyone on the network between can read it, use TLS or https`,
  )
}

function kafkaInClear({
  saslMechanism,
  kafkaTls,
  kafkaCa,
  kafkaCert,
  brokers = [],
}: ConnectionValues): string[] {
  if (kafkaTls === true || (kafkaCa ?? kafkaCert) !== undefined) return []
  if (brokers.every((broker) => isLoopback(broker.replace(/:\d+$/, '')))) return []
  if (saslMechanism === 'plain') return ['the password for Kafka (--sasl-mechanism plain)']
  return saslMechanism === 'oauthbearer'
    ? ['the token for Kafka (--sasl-mechanism oauthbearer)']
    : []
}

function elasticsearchInClear(options: ConnectionValues): string[] {
  if (options.elasticsearchCloudId !== undefined) return []
  const secret = hasElasticsearchLogin(options)
  return (options.elasticsearch ?? [])
    .filter((url) => isClear(url, secret || options.elasticsearchHeaders !== undefined))
    .map((url) => `the credentials for Elasticsearch (${addressOf(url).url.host})`)
}

function kibanaInClear(options: ConnectionValues): string[] {
  const { kibana, kibanaUser, kibanaApiKey, kibanaApiKeyFile } = options
  if (kibana === undefined) return []
  // Without a login of its own, that for Elasticsearch is used.
  const hasLogin =
    (kibanaUser ?? kibanaApiKey ?? kibanaApiKeyFile) !== undefined || hasElasticsearchLogin(options)
  return isClear(kibana, hasLogin)
    ? [`the credentials for Kibana (${addressOf(kibana).url.host})`]
    : []
}

function mysqlInClear({
  mysql,
  mysqlPassword,
  mysqlPasswordFile,
  mysqlTls,
  mysqlCa,
}: ConnectionValues): string[] {
  if (mysql === undefined || mysqlTls === true || mysqlCa !== undefined) return []
  const { host, password } = mysqlAddress(mysql)
  const hasPassword = (password ?? mysqlPassword ?? mysqlPasswordFile) !== undefined
  return hasPassword && !isLoopback(host) ? [`the login and the records for MySQL (${host})`] : []
}

function hasElasticsearchLogin(options: ConnectionValues): boolean {
  const { elasticsearchUser, elasticsearchApiKey, elasticsearchApiKeyFile } = options
  return (elasticsearchUser ?? elasticsearchApiKey ?? elasticsearchApiKeyFile) !== undefined
}

function isClear(text: string, hasLogin: boolean): boolean {
  const { url, username } = addressOf(text)
  return (
    url.protocol === 'http:' && (hasLogin || username !== undefined) && !isLoopback(url.hostname)
  )
}
