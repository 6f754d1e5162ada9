import { writeFile } from 'node:fs/promises'
import type { DashboardOptions } from '../config/commands/dashboard.ts'
import { elasticsearchConnection } from '../config/elasticsearch.ts'
import { kibanaConnection } from '../config/kibana.ts'
import { Elasticsearch } from '../elasticsearch/client/client.ts'
import { RequestFailure } from '../elasticsearch/client/failure.ts'
import type { ElasticsearchConnection } from '../elasticsearch/connection.ts'
import { readTypeFacts } from '../elasticsearch/read/type-facts.ts'
import { Kibana } from '../kibana/client.ts'
import { typeDashboard, typeDashboardId } from '../kibana/dashboards/type/dashboard.ts'
import { familyMarks } from '../kibana/dashboards/type/described.ts'
import { installObjects } from '../kibana/install.ts'
import { ndjson, type SavedObject } from '../kibana/saved-object.ts'
import { typeOfName } from '../record/type-name.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { Proxies } from '../runtime/proxies.ts'
import { announceConnections } from './lib/connections.ts'
import { plainLog } from './lib/plain-log.ts'

/** Makes a dashboard for a type from its fields in Elasticsearch, in Kibana or as a file. */
export async function dashboard(options: DashboardOptions): Promise<void> {
  const { out } = options
  const { name: type } = typeOfName(options.type!)
  const proxies = new Proxies(process.env)
  const elasticsearch = elasticsearchConnection(options, proxies)!
  const kibana = kibanaConnection(options, proxies)
  const log = plainLog(options)
  announceConnections({ elasticsearch, kibana }, log)
  const objects = await objectsFor(elasticsearch, options.indexPrefix, type)
  if (out !== undefined) {
    try {
      await writeFile(out, ndjson(objects))
    } catch (error) {
      throw new ArchiverError('USAGE', `--out ${out} cannot be written: ${messageOf(error)}`)
    }
    log.info(
      `wrote ${out}: a dashboard for type ${type}, its data view and its search; import it in Stack Management`,
    )
    return
  }
  const client = new Kibana(kibana!)
  try {
    await client.ready(options.kibanaWait * 1000, log)
    const compared = await installObjects(client, objects)
    const imported = compared.filter(({ state }) => state !== 'same').length
    const done = imported === 0 ? 'it already existed' : `${imported} objects imported`
    log.info(
      `dashboard for type ${type} (${done}): ${client.dashboardUrl(typeDashboardId(options.indexPrefix, type))}`,
    )
  } finally {
    await client.close()
  }
}

async function objectsFor(
  elasticsearch: ElasticsearchConnection,
  indexPrefix: string,
  type: string,
): Promise<readonly SavedObject[]> {
  const client = new Elasticsearch(elasticsearch)
  try {
    await client.detect()
    const facts = await readTypeFacts(client, indexPrefix, type, familyMarks)
    return typeDashboard(indexPrefix, facts, Date.now())
  } catch (error) {
    if (!(error instanceof RequestFailure)) throw error
    throw new ArchiverError(
      'UNREACHABLE',
      `Elasticsearch cannot answer about type ${type} in ${indexPrefix}*: ${messageOf(error)}; the fields @timestamp and type of an index that was made without the archiver's templates are of other kinds: run setup, and restore into new indices`,
      {},
      error,
    )
  } finally {
    await client.close()
  }
}
