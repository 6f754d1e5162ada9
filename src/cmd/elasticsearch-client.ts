import type { elasticsearchConnectionOptions } from '../config.ts'
import { Elasticsearch } from '../elasticsearch/client.ts'
import type { Values } from '../options.ts'

/** The client that the options describe; `nodes` are those of `--elasticsearch`. */
export function elasticsearchClient(
  nodes: readonly string[],
  options: Values<typeof elasticsearchConnectionOptions>,
): Elasticsearch {
  return new Elasticsearch({
    nodes,
    cloudId: options.elasticsearchCloudId,
    username: options.elasticsearchUser,
    password: options.elasticsearchPassword,
    apiKey: options.elasticsearchApiKey,
    caFile: options.elasticsearchCa,
    caFingerprint: options.elasticsearchFingerprint,
    compression: options.elasticsearchGzip,
    requestTimeoutMs: options.elasticsearchTimeout * 1000,
  })
}
