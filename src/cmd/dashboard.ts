import { writeFile } from 'node:fs/promises'
import {
  checkElasticsearchOptions,
  checkKibanaOptions,
  type dashboardOptions,
} from '../config/config.ts'
import type { Values } from '../config/options.ts'
import { RequestFailure } from '../elasticsearch/client/client.ts'
import { readTypeFacts } from '../elasticsearch/read/type-facts.ts'
import { typeDashboard, typeDashboardId } from '../kibana/dashboards/type.ts'
import { installObjects } from '../kibana/install.ts'
import { ndjson, type SavedObject } from '../kibana/saved-object.ts'
import { nameOfType, typeOfName } from '../record/type-name.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { warnOfClearText } from './lib/cleartext.ts'
import { elasticsearchClient } from './lib/elasticsearch-client.ts'
import { kibanaClient } from './lib/kibana-client.ts'
import { plainLog } from './lib/plain-log.ts'
import { tellProxies } from './lib/proxy-notice.ts'

type DashboardOptions = Values<typeof dashboardOptions>

/** Makes a dashboard for a type from what Elasticsearch knows of it, in Kibana or as a file. */
export async function dashboard(options: DashboardOptions): Promise<void> {
  checkElasticsearchOptions(options)
  checkKibanaOptions(options)
  const { out, kibana: url } = options
  if (options.type === undefined) {
    throw new ArchiverError('USAGE', '--type is needed: a dashboard for which type of messages?')
  }
  const { name: type, reserved } = typeOfName(options.type)
  if (reserved) {
    throw new ArchiverError(
      'USAGE',
      `--type: records that are ${type} have no fields of their own to show; the type that messages call ${type} is ${nameOfType({ name: type, reserved: false })}`,
    )
  }
  if ((out === undefined) === (url === undefined)) {
    throw new ArchiverError(
      'USAGE',
      'either --kibana or --out is needed: where is the dashboard to go?',
    )
  }
  // Kibana refuses a file of another name.
  if (out !== undefined && !out.endsWith('.ndjson')) {
    throw new ArchiverError(
      'USAGE',
      `--out: "${out}" is not allowed; expected a name that ends in .ndjson`,
    )
  }
  const log = plainLog(options)
  warnOfClearText(options, log)
  tellProxies(options, log)
  const objects = await objectsFor(options, type)
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
  const kibana = kibanaClient(url!, options)
  try {
    await kibana.ready(options.kibanaWait * 1000, log)
    const compared = await installObjects(kibana, objects)
    const imported = compared.filter(({ state }) => state !== 'same').length
    const done = imported === 0 ? 'it was there already' : `${imported} objects imported`
    log.info(
      `the dashboard for type ${type} (${done}): ${kibana.dashboardUrl(typeDashboardId(options.indexPrefix, type))}`,
    )
  } finally {
    await kibana.close()
  }
}

async function objectsFor(
  options: DashboardOptions,
  type: string,
): Promise<readonly SavedObject[]> {
  if (options.elasticsearch === undefined) {
    throw new ArchiverError('USAGE', '--no-elasticsearch leaves nobody to ask about the type')
  }
  const client = elasticsearchClient(options.elasticsearch, options)
  try {
    await client.detect()
    return typeDashboard(
      options.indexPrefix,
      await readTypeFacts(client, options.indexPrefix, type),
      Date.now(),
    )
  } catch (error) {
    if (!(error instanceof RequestFailure)) throw error
    throw new ArchiverError(
      'UNREACHABLE',
      `Elasticsearch cannot answer about type ${type} in ${options.indexPrefix}*: ${messageOf(error)}; the fields @timestamp and type of an index that was made without the archiver's templates are of other kinds: run setup, and restore into new indices`,
      {},
      error,
    )
  } finally {
    await client.close()
  }
}
