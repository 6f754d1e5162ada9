import { hostname } from 'node:os'
import type { RunOptions } from '../../config/commands/run.ts'
import type { ElasticsearchConnection } from '../../elasticsearch/connection.ts'
import { StatusDocuments, type StatusParts } from '../../monitor/status-documents.ts'
import type { Logger } from '../../runtime/log.ts'

/** Undefined without Elasticsearch or with `--no-status-documents`. */
export async function startStatusDocuments(
  {
    options,
    name,
    connections: { elasticsearch },
    log,
  }: {
    readonly options: RunOptions
    readonly name: string
    readonly connections: { readonly elasticsearch: ElasticsearchConnection | undefined }
    readonly log: Logger
  },
  parts: StatusParts,
): Promise<{ stop(): Promise<void> } | undefined> {
  if (elasticsearch === undefined || !options.statusDocuments) return undefined
  const { Elasticsearch } = await import('../../elasticsearch/client/client.ts')
  const { StatusWriter } = await import('../../elasticsearch/status.ts')
  const documents = new StatusDocuments(parts)
  const writer = new StatusWriter({
    client: new Elasticsearch(elasticsearch),
    origin: {
      worker: name,
      host: hostname(),
      group: options.group,
      index_prefix: options.indexPrefix,
    },
    documents: (seconds) => documents.take(seconds),
    intervalMs: options.statusInterval * 1000,
    log,
  })
  return {
    stop: async () => {
      await writer.stop()
      documents.stop()
    },
  }
}
