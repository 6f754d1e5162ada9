import { checkElasticsearchOptions, type elasticsearchOptions, type logOptions } from '../config.ts'
import { installTemplates } from '../elasticsearch/templates.ts'
import { ArchiverError } from '../errors.ts'
import { createLogger } from '../log.ts'
import type { Values } from '../options.ts'
import { elasticsearchClient } from './elasticsearch-client.ts'

/** Installs what the archiver needs in Elasticsearch, for clusters where workers may not do that themselves. */
export async function setup(options: Values<typeof elasticsearchOptions & typeof logOptions>): Promise<void> {
  checkElasticsearchOptions(options)
  if (options.elasticsearch === undefined)
    throw new ArchiverError('USAGE', '--no-elasticsearch leaves nothing to set up')
  const log = createLogger({ level: options.logLevel, stream: process.stdout })
  const client = elasticsearchClient(options.elasticsearch, options)
  try {
    await client.detect()
    await installTemplates(client, options.indexPrefix, log)
    log.info(`templates for ${options.indexPrefix}* are in place on Elasticsearch ${client.version}`)
  } finally {
    await client.close()
  }
}
