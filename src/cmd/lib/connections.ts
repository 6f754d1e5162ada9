import type { ElasticsearchConnection } from '../../elasticsearch/connection.ts'
import { type BucketSettings, storeUrl } from '../../home/s3/settings.ts'
import type { KafkaConnection } from '../../kafka/connection.ts'
import type { KibanaConnection } from '../../kibana/connection.ts'
import type { MysqlConnection } from '../../mysql/connection.ts'
import { isLoopback } from '../../runtime/address.ts'
import type { Logger } from '../../runtime/log.ts'
import { noProxies, type Proxies } from '../../runtime/proxies.ts'

/** The connections that a command is about to use. */
export interface Connections {
  readonly kafka?: KafkaConnection | undefined
  readonly elasticsearch?: ElasticsearchConnection | undefined
  readonly kibana?: KibanaConnection | undefined
  readonly mysql?: MysqlConnection | undefined
  readonly bucket?: BucketSettings | undefined
}

/** Logs at the start what an operator should know of the connections. */
export function announceConnections(connections: Connections, log: Logger): void {
  const sent = sentInClear(connections)
  if (sent.length > 0)
    log.warn({ event: 'credentials_unencrypted', sent }, 'credentials are not encrypted')
  for (const used of proxiesOf(connections))
    log.info({ event: 'proxy_used', ...used }, 'requests go through a proxy')
}

/** The credentials that cross a network without encryption: what, and where to. */
export function sentInClear(connections: Connections): readonly string[] {
  const { kafka, elasticsearch, kibana, mysql } = connections
  return [
    ...(kafka === undefined ? [] : kafkaInClear(kafka)),
    ...(elasticsearch === undefined ? [] : elasticsearchInClear(elasticsearch)),
    ...(kibana === undefined ? [] : kibanaInClear(kibana)),
    ...(mysql === undefined ? [] : mysqlInClear(mysql)),
  ]
}

function kafkaInClear({ tls, login, brokers }: KafkaConnection): readonly string[] {
  if (tls || brokers.every((broker) => isLoopback(broker.replace(/:\d+$/, '')))) return []
  if (login?.mechanism === 'plain') return ['the password for Kafka (--sasl-mechanism plain)']
  return login?.mechanism === 'oauthbearer'
    ? ['the token for Kafka (--sasl-mechanism oauthbearer)']
    : []
}

function elasticsearchInClear(connection: ElasticsearchConnection): readonly string[] {
  const { cloudId, nodes, username, apiKey, headers } = connection
  if (cloudId !== undefined || (username ?? apiKey ?? headers) === undefined) return []
  return nodes
    .filter(isClear)
    .map((node) => `the credentials for Elasticsearch (${new URL(node).host})`)
}

function kibanaInClear({ url, username, apiKey }: KibanaConnection): readonly string[] {
  if ((username ?? apiKey) === undefined || !isClear(url)) return []
  return [`the credentials for Kibana (${new URL(url).host})`]
}

function mysqlInClear({ tls, password, host }: MysqlConnection): readonly string[] {
  if (tls === true || password === undefined || isLoopback(host)) return []
  return [`the login and the records for MySQL (${host})`]
}

function isClear(text: string): boolean {
  const { protocol, hostname } = new URL(text)
  return protocol === 'http:' && !isLoopback(hostname)
}

/** The proxies in the environment that requests go through. */
function proxiesOf({ kafka, elasticsearch, kibana, bucket }: Connections) {
  const token = kafka?.login?.mechanism === 'oauthbearer' ? kafka.login.token : undefined
  const endpoint = token !== undefined && 'url' in token ? token : undefined
  return [
    ...proxiesFor('Elasticsearch', elasticsearch?.nodes ?? [], elasticsearch?.proxies),
    ...proxiesFor('Kibana', kibana === undefined ? [] : [kibana.url], kibana?.proxies),
    ...proxiesFor('bucket', bucket === undefined ? [] : [storeUrl(bucket)], bucket?.proxies),
    ...proxiesFor('tokens', endpoint === undefined ? [] : [endpoint.url], endpoint?.proxies),
  ]
}

function proxiesFor(target: string, urls: readonly string[], proxies: Proxies = noProxies) {
  const found = urls.flatMap((url) => proxies.of(new URL(url)) ?? [])
  return [...new Set(found)].map(({ url, variable }) => ({ target, proxy: url.origin, variable }))
}
