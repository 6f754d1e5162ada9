import { ArchiverError } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { list, nullable, object, text } from '../runtime/shape.ts'
import type { Mysql } from './client.ts'
import { guarded } from './failure.ts'
import { maxType } from './row.ts'
import type { ServerFacts } from './server-facts.ts'
import { rejectedTable } from './table-name.ts'

/**
 * The table of the records, and the one of rejects: records whose position another record has. Both
 * are created if they are missing, and migrated if they are of an older version; never the other
 * way.
 */

/**
 * The version of the tables that this program makes and understands. It is in their comment.
 */
export const schemaVersion = 2
const commentStart = 'archiver schema '

/**
 * Trailing spaces and the case of letters tell types apart, so: byte by byte and without padding.
 */
function textCollation({ kind }: Pick<ServerFacts, 'kind'>): string {
  return kind === 'mysql' ? 'utf8mb4_0900_bin' : 'utf8mb4_nopad_bin'
}

/** A column as `information_schema` has it, in the words that MySQL and MariaDB share. */
interface ColumnDeclaration {
  readonly name: string
  readonly sql: string
  /** `DATA_TYPE`. */
  readonly type: string
  readonly nullable: boolean
}

function columnsOf(
  facts: Pick<ServerFacts, 'kind'>,
  isRejected: boolean,
): readonly ColumnDeclaration[] {
  const text = `CHARACTER SET utf8mb4 COLLATE ${textCollation(facts)}`
  const needed = (name: string, type: string, sql: string) => ({
    name,
    type,
    sql: `${sql} NOT NULL`,
    nullable: false,
  })
  const optional = (name: string, type: string, sql: string) => ({
    name,
    type,
    sql,
    nullable: true,
  })
  const value =
    facts.kind === 'mysql'
      ? // Stored: checked when a row is written, and binary for those who read.
        optional(
          'value',
          'json',
          'JSON GENERATED ALWAYS AS (IF(`error_type` IS NULL, `value_text`, NULL)) STORED',
        )
      : // JSON is text in MariaDB: what is generated when it is read costs no place.
        optional(
          'value',
          'longtext',
          `LONGTEXT ${text} GENERATED ALWAYS AS (IF(\`error_type\` IS NULL, \`value_text\`, NULL)) VIRTUAL`,
        )
  return [
    needed('topic', 'varchar', 'VARCHAR(249) CHARACTER SET ascii COLLATE ascii_bin'),
    needed('partition', 'int', 'INT UNSIGNED'),
    needed('offset', 'bigint', 'BIGINT UNSIGNED'),
    needed('timestamp', 'bigint', 'BIGINT'),
    optional('time', 'datetime', 'DATETIME(3)'),
    optional('type', 'varchar', `VARCHAR(${maxType}) ${text}`),
    optional('type_json', 'longtext', `LONGTEXT ${text}`),
    optional('key_text', 'longtext', `LONGTEXT ${text}`),
    optional('key_bytes', 'longblob', 'LONGBLOB'),
    optional('headers', 'longtext', `LONGTEXT ${text}`),
    optional('schema_id', 'int', 'INT UNSIGNED'),
    ...(isRejected ? [] : [value]),
    optional('value_text', 'longtext', `LONGTEXT ${text}`),
    optional('value_bytes', 'longblob', 'LONGBLOB'),
    optional('error_type', 'varchar', 'VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin'),
    optional('error_reason', 'text', `TEXT ${text}`),
  ]
}

/** The columns of both tables. */
export const columnNames: readonly string[] = columnsOf({ kind: 'mysql' }, false).map(
  ({ name }) => name,
)

const primaryKey = ['topic', 'partition', 'offset']
const primaryKeyOfRejects = [...primaryKey, 'timestamp']
/** By type and time, by time, and what is not as it should be. */
const indexes: Readonly<Record<string, readonly string[]>> = {
  type_time: ['type', 'time'],
  time: ['time'],
  error_time: ['error_type', 'time'],
}

/** The statement that makes the table of records, or the one of rejects. */
export function createTableSql(
  table: string,
  facts: Pick<ServerFacts, 'kind'>,
  isRejected: boolean,
): string {
  const list = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ')
  const lines = [
    ...columnsOf(facts, isRejected).map(({ name, sql }) => `\`${name}\` ${sql}`),
    `PRIMARY KEY (${list(isRejected ? primaryKeyOfRejects : primaryKey)})`,
    ...(isRejected
      ? []
      : Object.entries(indexes).map(([name, columns]) => `KEY \`${name}\` (${list(columns)})`)),
    ...(facts.kind === 'mysql' || isRejected
      ? []
      : // Refuses a value that its JSON functions do not understand, as the column's type does in
        // MySQL.
        [
          'CONSTRAINT `value_is_json` CHECK (`error_type` IS NOT NULL OR `value_text` IS NULL OR JSON_VALID(`value_text`))',
        ]),
  ]
  return `CREATE TABLE IF NOT EXISTS \`${table}\` (\n  ${lines.join(',\n  ')}\n) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='${commentStart}${schemaVersion}'`
}

/** What must be done to tables of an older version, by the version that they have then. */
const migrations: ReadonlyMap<number, (table: string, facts: ServerFacts) => readonly string[]> =
  new Map([
    // Version 2: the schema id of framed JSON. Not the last column, so that `SELECT *` shows the
    // same order for old and new tables.
    [
      2,
      (table) => [
        `ALTER TABLE \`${table}\` ADD COLUMN \`schema_id\` INT UNSIGNED AFTER \`headers\``,
      ],
    ],
  ])

/** How a table differs from what this version makes. */
export interface TableDifference {
  readonly table: string
  readonly state: 'missing' | 'older' | 'newer' | 'foreign' | 'different'
  readonly message: string
}

interface TableRow {
  readonly comment: string
  readonly engine: string | null
}

interface ColumnRow {
  readonly name: string
  readonly type: string
  readonly nullable: string
}

interface IndexRow {
  readonly name: string
  readonly columns: string
}

/**
 * Compares both tables with what this version makes; changes nothing. @throws ArchiverError
 * `UNREACHABLE`
 */
export async function compareTables(
  client: Mysql,
  table: string,
): Promise<readonly TableDifference[]> {
  const differences: TableDifference[] = []
  for (const name of [table, rejectedTable(table)]) {
    const difference = await guarded(client, () => compareTable(client, name, name !== table))
    if (difference !== undefined) differences.push(difference)
  }
  return differences
}

async function compareTable(
  client: Mysql,
  table: string,
  isRejected: boolean,
): Promise<TableDifference | undefined> {
  const version = await versionOf(client, table)
  if (version === 'missing')
    return { table, state: 'missing', message: `table ${table} is missing` }
  if (version === 'foreign') {
    return {
      table,
      state: 'foreign',
      message: `table ${table} is none of this program: its comment names no version`,
    }
  }
  if (version !== schemaVersion) {
    const state = version < schemaVersion ? 'older' : 'newer'
    return {
      table,
      state,
      message: `table ${table} has version ${version}, this program knows ${schemaVersion}`,
    }
  }
  const what = [
    ...(await columnDifferences(client, table, isRejected)),
    ...(await indexDifferences(client, table, isRejected)),
  ]
  if (what.length === 0) return undefined
  return { table, state: 'different', message: `table ${table}: ${what.join(', ')}` }
}

async function versionOf(client: Mysql, table: string): Promise<number | 'missing' | 'foreign'> {
  const [row] = await client.query<readonly TableRow[]>(
    `SELECT TABLE_COMMENT AS comment, ENGINE AS engine FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '${table}'`,
    list(object({ comment: text, engine: nullable(text) })),
  )
  if (row === undefined) return 'missing'
  const [, version] = /^archiver schema (\d+)$/.exec(row.comment) ?? []
  return version === undefined ? 'foreign' : Number(version)
}

async function columnDifferences(
  client: Mysql,
  table: string,
  isRejected: boolean,
): Promise<string[]> {
  const rows = await client.query<readonly ColumnRow[]>(
    `SELECT COLUMN_NAME AS name, DATA_TYPE AS type, IS_NULLABLE AS nullable FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '${table}'`,
    list(object({ name: text, type: text, nullable: text })),
  )
  const found = new Map(rows.map((row) => [row.name, row]))
  return columnsOf(client.facts, isRejected).flatMap(({ name, type, nullable }) => {
    const row = found.get(name)
    if (row === undefined) return [`column ${name} is missing`]
    if (row.type.toLowerCase() !== type) return [`column ${name} is ${row.type}, not ${type}`]
    return (row.nullable === 'YES') === nullable
      ? []
      : [`column ${name} ${nullable ? 'may not' : 'may'} be NULL`]
  })
}

async function indexDifferences(
  client: Mysql,
  table: string,
  isRejected: boolean,
): Promise<string[]> {
  const rows = await client.query<readonly IndexRow[]>(
    `SELECT INDEX_NAME AS name, GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX) AS columns FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '${table}' GROUP BY INDEX_NAME`,
    list(object({ name: text, columns: nullable(text) })),
  )
  const found = new Map(rows.map(({ name, columns }) => [name, columns]))
  const expected = isRejected
    ? { PRIMARY: primaryKeyOfRejects }
    : { PRIMARY: primaryKey, ...indexes }
  return Object.entries(expected).flatMap(([name, columns]) =>
    found.get(name) === columns.join(',') ? [] : [`index ${name} is not on ${columns.join(', ')}`],
  )
}

/**
 * Creates missing tables and migrates older ones. Does nothing if both are of this version.
 * @returns how many steps were done
 * @throws ArchiverError `UNREACHABLE` if the server refuses, `DIFFERS` if the tables are newer, or
 *   not this program's
 */
export async function installTables(client: Mysql, table: string, log: Logger): Promise<number> {
  let steps = 0
  for (const name of [table, rejectedTable(table)]) {
    steps += await guarded(client, () => installTable(client, name, name !== table, log))
  }
  return steps
}

async function installTable(
  client: Mysql,
  table: string,
  isRejected: boolean,
  log: Logger,
): Promise<number> {
  let steps = 0
  let version = await versionOf(client, table)
  if (version === 'missing') {
    await client.query(createTableSql(table, client.facts, isRejected))
    steps++
    log.info({ event: 'table_created', table, address: client.address }, 'created a table')
    version = await versionOf(client, table)
  }
  if (version === 'missing' || version === 'foreign') {
    throw new ArchiverError(
      'DIFFERS',
      `table ${table} in ${client.address} is none of this program; choose another one with --mysql-table`,
    )
  }
  if (version > schemaVersion) {
    throw new ArchiverError(
      'DIFFERS',
      `table ${table} in ${client.address} has version ${version}, made by a newer archiver; this one knows ${schemaVersion}`,
    )
  }
  for (let next = version + 1; next <= schemaVersion; next++) {
    for (const sql of migrations.get(next)?.(table, client.facts) ?? []) await addOnce(client, sql)
    await client.query(`ALTER TABLE \`${table}\` COMMENT='${commentStart}${next}'`)
    steps++
    log.info({ event: 'table_migrated', table, version: next }, 'migrated a table')
  }
  return steps
}

/**
 * Runs a statement that adds something; another worker that starts at the same moment may have
 * added it.
 */
async function addOnce(client: Mysql, sql: string): Promise<void> {
  try {
    await client.query(sql)
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== 'ER_DUP_FIELDNAME') throw error
  }
}
