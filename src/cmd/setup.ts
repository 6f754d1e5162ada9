import type { SetupOptions } from '../config/commands/setup.ts'
import { elasticsearchConnection } from '../config/elasticsearch.ts'
import { kibanaConnection } from '../config/kibana.ts'
import { mysqlConnection } from '../config/mysql.ts'
import { Elasticsearch } from '../elasticsearch/client/client.ts'
import type { ElasticsearchConnection } from '../elasticsearch/connection.ts'
import { compareTemplates } from '../elasticsearch/templates/compare.ts'
import { compareTypeTemplates } from '../elasticsearch/templates/compare-types.ts'
import { installTemplates } from '../elasticsearch/templates/install.ts'
import { Kibana } from '../kibana/client.ts'
import type { KibanaConnection } from '../kibana/connection.ts'
import { compareObjects, installObjects } from '../kibana/install.ts'
import { shippedObjects } from '../kibana/shipped.ts'
import { Mysql } from '../mysql/client.ts'
import type { MysqlConnection } from '../mysql/connection.ts'
import { compareTables, installTables } from '../mysql/schema.ts'
import { ArchiverError } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { Proxies } from '../runtime/proxies.ts'
import { announceConnections } from './lib/connections.ts'
import { plainLog } from './lib/plain-log.ts'

/**
 * Installs what the archiver needs in Elasticsearch and MySQL, for servers where workers may not do
 * so, and its dashboards in Kibana.
 * @throws ArchiverError `DIFFERS` if `--check` finds something to do
 */
export async function setup(options: SetupOptions): Promise<void> {
  const proxies = new Proxies(process.env)
  const elasticsearch = elasticsearchConnection(options, proxies)
  const mysql = mysqlConnection(options)
  const kibana = kibanaConnection(options, proxies)
  const log = plainLog(options)
  announceConnections({ elasticsearch, mysql, kibana }, log)
  const parts: Part[] = []
  if (elasticsearch !== undefined) parts.push(await setUpTemplates(options, elasticsearch, log))
  if (mysql !== undefined) parts.push(await setUpTables(options, mysql, log))
  if (kibana !== undefined) parts.push(await setUpKibana(options, kibana, log))
  const differences = parts.reduce((sum, part) => sum + part.differences, 0)
  if (options.check && differences > 0) {
    throw new ArchiverError(
      'DIFFERS',
      `${differences} ${differences === 1 ? 'thing differs' : 'things differ'} from what this version installs; run setup without --check`,
    )
  }
  const states = parts.map(({ state }) => state).join('; ')
  if (options.check) log.info(`everything is as this version installs it: ${states}`)
  else if (parts.every(({ changes }) => changes === 0)) log.info(`nothing to do: ${states}`)
  else log.info(`done: ${states}`)
  if (differences > 0) {
    throw new ArchiverError(
      'DIFFERS',
      `${differences} ${differences === 1 ? 'thing still differs' : 'things still differ'} from what this version installs`,
    )
  }
}

/** The work on one server. */
interface Part {
  readonly changes: number
  /** Differences from what this version installs. */
  readonly differences: number
  /** The state afterwards, for people. */
  readonly state: string
}

async function setUpTemplates(
  options: SetupOptions,
  connection: ElasticsearchConnection,
  log: Logger,
): Promise<Part> {
  const client = new Elasticsearch(connection)
  try {
    await client.detect()
    const { check, indexPrefix, indexProfile: profile } = options
    const changes = check
      ? 0
      : await installTemplates(client, indexPrefix, log, { mend: true, profile })
    const differences = [
      ...(await compareTemplates(client, indexPrefix, profile)),
      ...(check ? await compareTypeTemplates(client, indexPrefix, profile) : []),
    ]
    for (const { name, state, message } of differences) {
      if (check || state === 'overridden') log.warn({ template: name, state }, message)
    }
    const state = `templates for ${indexPrefix}* on Elasticsearch ${client.version}`
    return { changes, differences: check ? differences.length : 0, state }
  } finally {
    await client.close()
  }
}

async function setUpTables(
  options: SetupOptions,
  connection: MysqlConnection,
  log: Logger,
): Promise<Part> {
  const client = new Mysql(connection)
  try {
    const { kind, version } = await client.detect()
    const changes = options.check ? 0 : await installTables(client, options.mysqlTable, log)
    const differences = await compareTables(client, options.mysqlTable)
    for (const { table, state, message } of differences) log.warn({ table, state }, message)
    const server = kind === 'mysql' ? 'MySQL' : 'MariaDB'
    const state = `table ${options.mysqlTable} on ${server} ${version} at ${client.address}`
    return { changes, differences: differences.length, state }
  } finally {
    await client.close()
  }
}

async function setUpKibana(
  options: SetupOptions,
  connection: KibanaConnection,
  log: Logger,
): Promise<Part> {
  const kibana = new Kibana(connection)
  try {
    const version = await kibana.ready(options.kibanaWait * 1000, log)
    const objects = shippedObjects(options.indexPrefix)
    const compared = options.check
      ? await compareObjects(kibana, objects)
      : await installObjects(kibana, objects)
    const different = compared.filter(({ state }) => state !== 'same')
    for (const { object, state } of different) {
      const { id, type } = object
      const name = String(object.attributes.name ?? object.attributes.title)
      if (options.check) log.warn({ type, id, state }, `${type} ${id} («${name}»): ${state}`)
      else
        log.info({ type, id, was: state }, `imported ${type} ${id} («${name}»), which was ${state}`)
    }
    const dashboards = objects
      .filter(({ type }) => type === 'dashboard')
      .map(({ id }) => kibana.dashboardUrl(id))
    const imported =
      different.length === 0 || options.check
        ? ''
        : ` (${different.length} of ${objects.length} objects were imported)`
    const state = `dashboards in Kibana ${version}${imported}: ${dashboards.join(' ')}`
    const changes = options.check ? 0 : different.length
    return { changes, differences: options.check ? different.length : 0, state }
  } finally {
    await kibana.close()
  }
}
