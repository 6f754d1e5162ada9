import {
  type elasticsearchConnectionOptions,
  elasticsearchHeaders,
  type elasticsearchOptions,
} from '../../config/config.ts'
import type { Values } from '../../config/options.ts'
import { Elasticsearch, type ElasticsearchConnection } from '../../elasticsearch/client/client.ts'
import { ObservedElasticsearch } from '../../elasticsearch/sink/observed.ts'
import type { ElasticsearchSinkOptions } from '../../elasticsearch/sink/sink.ts'
import type { Observer } from '../../pipeline/observer.ts'
import { Proxies } from '../../runtime/proxies.ts'
import { secretOf } from './secret.ts'

const templateCheckMs = 300_000

/**
 * The client that the options describe; `nodes` are those of `--elasticsearch`.
 * @throws ArchiverError `USAGE` where a file with a secret cannot be read.
 */
export function elasticsearchClient(
  nodes: readonly string[],
  options: Values<typeof elasticsearchConnectionOptions>,
  observer?: Observer,
): Elasticsearch {
  const connection: ElasticsearchConnection = {
    nodes,
    cloudId: options.elasticsearchCloudId,
    username: options.elasticsearchUser,
    password:
      options.elasticsearchPassword ??
      secretOf('--elasticsearch-password-file', options.elasticsearchPasswordFile),
    apiKey:
      options.elasticsearchApiKey ??
      secretOf('--elasticsearch-api-key-file', options.elasticsearchApiKeyFile),
    caFile: options.elasticsearchCa,
    caFingerprint: options.elasticsearchFingerprint,
    headers: elasticsearchHeaders(options),
    compression: options.elasticsearchGzip,
    requestTimeoutMs: options.elasticsearchTimeout * 1000,
    proxies: new Proxies(process.env),
  }
  return observer === undefined
    ? new Elasticsearch(connection)
    : new ObservedElasticsearch(connection, observer)
}

/** What the options say of the sink; `memoryLimit` in bytes is the share of whoever runs it. */
export function elasticsearchSinkOptions(
  options: Values<typeof elasticsearchOptions>,
  {
    memoryLimit,
    hasFiles,
    logSamples,
  }: Pick<ElasticsearchSinkOptions, 'memoryLimit' | 'hasFiles' | 'logSamples'>,
): ElasticsearchSinkOptions {
  return {
    indexPrefix: options.indexPrefix,
    bulkBytes: options.bulkBytes,
    bulkConcurrency: options.bulkConcurrency,
    bulkLingerMs: options.bulkLinger,
    shardTimeoutMs: Math.min(20_000, options.elasticsearchTimeout * 500),
    rejectBreaker: options.rejectBreaker,
    rejectHoldMs: options.rejectHold * 60_000,
    memoryLimit,
    hasFiles,
    logSamples,
    installTemplates: options.templates,
    templateCheckMs,
    indexProfile: options.indexProfile,
  }
}
