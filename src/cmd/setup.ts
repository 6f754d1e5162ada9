import { checkElasticsearchOptions, checkKibanaOptions, checkMysqlOptions, type setupOptions } from '../config.ts'
import { compareTemplates, installTemplates } from '../elasticsearch/templates.ts'
import { ArchiverError } from '../errors.ts'
import { compareObjects, installObjects } from '../kibana/install.ts'
import { shippedObjects } from '../kibana/shipped.ts'
import { createLogger, type Logger } from '../log.ts'
import { compareTables, installTables } from '../mysql/schema.ts'
import type { Values } from '../options.ts'
import { elasticsearchClient } from './elasticsearch-client.ts'
import { kibanaClient } from './kibana-client.ts'
import { mysqlClient } from './mysql-client.ts'
import { standardOutput } from './standard-streams.ts'

type SetupOptions = Values<typeof setupOptions>

/**
 * Installs what the archiver needs in Elasticsearch and MySQL, for servers where workers may not do that themselves, and its dashboards in
 * Kibana.
 * @throws ArchiverError `DIFFERS` where `--check` found something to do.
 */
export async function setup(options: SetupOptions): Promise<void> {
  checkElasticsearchOptions(options)
  checkKibanaOptions(options)
  checkMysqlOptions(options)
  if (options.elasticsearch === undefined && options.kibana === undefined && options.mysql === undefined) {
    throw new ArchiverError('USAGE', '--no-elasticsearch without --kibana or --mysql leaves nothing to set up')
  }
  const log = createLogger({ level: options.logLevel, stream: standardOutput })
  let differences = 0
  if (options.elasticsearch !== undefined) differences += await setUpTemplates(options, options.elasticsearch, log)
  if (options.mysql !== undefined) differences += await setUpTables(options, options.mysql, log)
  if (options.kibana !== undefined) differences += await setUpKibana(options, options.kibana, log)
  if (differences > 0) {
    throw new ArchiverError(
      'DIFFERS',
      `${differences} ${differences === 1 ? 'thing differs' : 'things differ'} from what this version installs${options.check ? '; run setup without --check' : ''}`,
    )
  }
}

/** Returns how many templates differ; none where they were installed. */
async function setUpTemplates(options: SetupOptions, nodes: readonly string[], log: Logger): Promise<number> {
  const client = elasticsearchClient(nodes, options)
  try {
    await client.detect()
    const { check, indexPrefix, indexProfile: profile } = options
    if (!check) await installTemplates(client, indexPrefix, log, { mend: true, profile })
    const differences = await compareTemplates(client, indexPrefix, profile)
    for (const { name, state, message } of differences) {
      if (check || state === 'overridden') log.warn({ template: name, state }, message)
    }
    if (!check) {
      log.info(`templates for ${indexPrefix}* are in place on Elasticsearch ${client.version}`)
      return 0
    }
    if (differences.length === 0) log.info(`templates for ${indexPrefix}* are as this version installs them`)
    return differences.length
  } finally {
    await client.close()
  }
}

/** Returns how many tables differ; none where they were made. */
async function setUpTables(options: SetupOptions, url: string, log: Logger): Promise<number> {
  const client = mysqlClient(url, options)
  try {
    const { kind, version } = await client.detect()
    if (!options.check) await installTables(client, options.mysqlTable, log)
    const differences = await compareTables(client, options.mysqlTable)
    for (const { table, state, message } of differences) log.warn({ table, state }, message)
    if (differences.length === 0) {
      log.info(
        `table ${options.mysqlTable} is in place on ${kind === 'mysql' ? 'MySQL' : 'MariaDB'} ${version} at ${client.address}`,
      )
    }
    return differences.length
  } finally {
    await client.close()
  }
}

/** Returns how many objects differ; none where they were imported. */
async function setUpKibana(options: SetupOptions, url: string, log: Logger): Promise<number> {
  const kibana = kibanaClient(url, options)
  try {
    const version = await kibana.ready(options.kibanaWait * 1000, log)
    const objects = shippedObjects(options.indexPrefix)
    const compared = options.check ? await compareObjects(kibana, objects) : await installObjects(kibana, objects)
    for (const { object, state } of compared) {
      const { id, type } = object
      const name = String(object.attributes.name ?? object.attributes.title)
      if (options.check) log.info({ type, id, state }, `${type} ${id} («${name}»): ${state}`)
      else if (state !== 'same')
        log.info({ type, id, was: state }, `imported ${type} ${id} («${name}»), which was ${state}`)
    }
    const different = compared.filter(({ state }) => state !== 'same').length
    if (options.check) return different
    const done = different === 0 ? 'nothing was to be done' : `${different} of ${objects.length} objects were imported`
    const dashboards = objects.filter(({ type }) => type === 'dashboard').map(({ id }) => kibana.dashboardUrl(id))
    log.info(`Kibana ${version} has the dashboards (${done}): ${dashboards.join(' ')}`)
    return 0
  } finally {
    await kibana.close()
  }
}
