import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { Mysql } from '../../src/mysql/client.ts'
import type { MysqlConnection } from '../../src/mysql/connection.ts'
import { lineOfRow, type StoredRow, selectedColumns } from '../../src/mysql/row.ts'
import { MysqlSink, type MysqlSinkOptions } from '../../src/mysql/sink.ts'
import { rejectedTable } from '../../src/mysql/table-name.ts'
import type { RecordBatch } from '../../src/record/record.ts'
import { SinkCounts, type SinkLog, sinkLog } from './observed-sink.ts'
import { mysqlUrl } from './servers.ts'

/** The connection that a URL describes. */
export function connectionOf(url: string = mysqlUrl): MysqlConnection {
  const { hostname: host, port, username: user, password, pathname } = new URL(url)
  return {
    host,
    port: Number(port),
    user,
    password,
    database: pathname.slice(1),
    timeoutMs: 20_000,
  }
}

/** A client that is closed when the test ends. */
export function mysqlClient(t: TestContext, settings: Partial<MysqlConnection> = {}): Mysql {
  const client = new Mysql({ ...connectionOf(), ...settings })
  t.after(() => client.close())
  return client
}

/** The administrator of the test server. */
export function rootClient(t: TestContext): Mysql {
  return mysqlClient(t, { user: 'root' })
}

/** A name for a table of this test alone; both tables are dropped when it ends. */
export function tableName(t: TestContext): string {
  const table = `test_${randomBytes(6).toString('hex')}`
  t.after(async () => {
    const client = new Mysql(connectionOf())
    try {
      await client.query(`DROP TABLE IF EXISTS ${table}, ${rejectedTable(table)}`)
    } catch {
      // Only tidying up; what fails here would keep the next hooks of the test from theirs.
    } finally {
      await client.close()
    }
  })
  return table
}

/**
 * Every line in a table, in the order of its primary key. Rows that do not hold all of their record
 * are `undefined`.
 */
export async function readLines(client: Mysql, table: string): Promise<(string | undefined)[]> {
  const rows = await client.query<readonly StoredRow[]>(
    `SELECT ${selectedColumns} FROM ${table} ORDER BY topic, \`partition\`, \`offset\``,
  )
  return rows.map((row) => lineOfRow(row)?.toString('utf8'))
}

/** A sink on its own, without Kafka and worker. */
export interface OpenMysqlSink extends SinkLog {
  readonly sink: MysqlSink
  readonly counts: SinkCounts
  readonly table: string
  /**
   * Opens the partition if that is not done, and writes. Settles when every record is durable.
   */
  readonly write: (batch: RecordBatch) => Promise<void>
}

export async function openMysqlSink(
  t: TestContext,
  options: { connection?: Partial<MysqlConnection> } & Partial<MysqlSinkOptions> = {},
): Promise<OpenMysqlSink> {
  const { connection, ...rest } = options
  const written = sinkLog()
  const counts = new SinkCounts()
  const table = rest.table ?? tableName(t)
  const sink = new MysqlSink(
    new Mysql({ ...connectionOf(), ...connection }),
    {
      table,
      batchBytes: 2_000_000,
      concurrency: 2,
      lingerMs: 20,
      unrecognizedMs: 600_000,
      hasFiles: true,
      logSamples: false,
      memoryLimit: 64 * 2 ** 20,
      observer: counts,
      ...rest,
    },
    written.logger,
  )
  t.after(() => sink.stop())
  await sink.start(() => {})
  const opened = new Set<string>()
  return {
    ...written,
    sink,
    counts,
    table,
    write: async (batch) => {
      const key = `${batch.topic}/${batch.partition}`
      if (!opened.has(key)) await sink.open(batch)
      opened.add(key)
      await sink.write(batch)
    },
  }
}
