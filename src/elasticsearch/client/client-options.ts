import { type ClientOptions, Serializer, SniffingTransport } from '@elastic/elasticsearch'
import { noProxies } from '../../runtime/proxies.ts'
import type { ElasticsearchConnection } from '../connection.ts'
import { agentFor } from './agent.ts'
import { BoundedConnection } from './bounded-connection.ts'
import { noErrors, UnparsedBulk } from './bulk-answer.ts'
import { maxAnswerBytes } from './failure.ts'
import type { PinnedTls } from './pinned-authority.ts'

const mediaType = (kind: string, major: number) =>
  `application/vnd.elasticsearch+${kind}; compatible-with=${major}`

/**
 * The client speaks the REST API of one major version. A server understands its own and the one
 * before (Elasticsearch reference, "REST API compatibility"), so everybody understands 8 until the
 * server's version is known.
 */
function transportFor(major: number): typeof SniffingTransport {
  return class extends SniffingTransport {
    constructor(options: ConstructorParameters<typeof SniffingTransport>[0]) {
      super({
        ...options,
        // Whoever sends waits between tries, for a time that suits what is sent.
        retryBackoff: () => 0,
        vendoredHeaders: {
          jsonContentType: mediaType('json', major),
          ndjsonContentType: mediaType('x-ndjson', major),
          accept: `${mediaType('json', major)},text/plain`,
        },
      })
    }
  }
}

class BulkSerializer extends Serializer {
  override deserialize<T>(json: string): T {
    return json.startsWith(noErrors) ? (new UnparsedBulk(json) as T) : super.deserialize(json)
  }
}

/** How the official client connects. `major`: the version of the REST API that it speaks. */
export function clientOptions(
  connection: ElasticsearchConnection,
  major: number,
  tls: PinnedTls | { readonly ca: Buffer } | undefined,
): ClientOptions {
  const { nodes, username, password, apiKey, cloudId, headers, compression } = connection
  const { proxies = noProxies, requestTimeoutMs } = connection
  return {
    ...agentFor(proxies, nodes, tls, requestTimeoutMs),
    Transport: transportFor(major),
    Connection: BoundedConnection,
    Serializer: BulkSerializer,
    // If a node does not answer, another one is tried at once; a connection that the other side has
    // closed is tried once more.
    maxRetries: Math.max(1, nodes.length - 1),
    requestTimeout: requestTimeoutMs,
    // Otherwise each error gets a copy of its request in which secrets are masked, made byte by
    // byte: for 5 MB that takes half a minute and a gigabyte, and the worker falls out of its
    // group. `failureOf` keeps nothing of a request.
    redaction: { type: 'off' },
    compression,
    maxResponseSize: maxAnswerBytes,
    maxCompressedResponseSize: maxAnswerBytes,
    ...(cloudId === undefined ? { nodes: [...nodes] } : { cloud: { id: cloudId } }),
    ...(apiKey === undefined ? {} : { auth: { apiKey } }),
    ...(username === undefined || apiKey !== undefined
      ? {}
      : { auth: { username, password: password ?? '' } }),
    ...(tls === undefined ? {} : { tls }),
    ...(headers === undefined ? {} : { headers: { ...headers } }),
  }
}
