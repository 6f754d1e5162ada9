import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Connection, createConnection } from 'mysql2/promise'
import { Mysql } from '../../src/mysql/client.ts'
import { insertSql, rowSql } from '../../src/mysql/row.ts'
import { lineStart, type RecordBatch } from '../../src/record/record.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { batchOf } from '../helpers/elasticsearch-sink.ts'
import {
  connectionOf,
  mysqlClient,
  openMysqlSink,
  readLines,
  rootClient,
} from '../helpers/mysql.ts'
import { ownMariadb } from '../helpers/own-mariadb.ts'
import { mysqlUrl, temporaryDirectory, until } from '../helpers/servers.ts'

/**
 * Whatever the server does, nothing is lost and nothing is there twice; what can be mended is
 * waited for, and said.
 */

const value = (n: number, size = 10) => `{"type":"a","n":${n},"text":"${'x'.repeat(size)}"}`
const values = (from: number, next: number, size?: number) =>
  Array.from({ length: next - from }, (_, i) => value(from + i, size))

function linesOf(...batches: readonly RecordBatch[]): string[] {
  return batches.flatMap((batch) =>
    Array.from({ length: batch.count }, (_, i) =>
      batch.lines.toString('utf8', lineStart(batch, i), batch.ends[i]! - 1),
    ),
  )
}

/** A session of its own, for transactions. */
async function session(t: TestContext): Promise<Connection> {
  const { host, port, user, password, database } = connectionOf()
  const connection = await createConnection({ host, port, user, database, password: password! })
  t.after(() => connection.destroy())
  return connection
}

const rowsOf = (batch: RecordBatch) =>
  Array.from({ length: batch.count }, (_, i) => rowSql(batch, i))

test('a deadlock is tried again', async (t) => {
  const { write, table, sink } = await openMysqlSink(t, { lingerMs: 0 })
  const other = await session(t)
  await other.beginTransaction()
  // Heavy, so that the other one is the victim.
  await other.query(insertSql(table, rowsOf(batchOf('heavy', values(0, 200)))))
  const batch = batchOf('t', values(0, 20))
  const rows = rowsOf(batch)
  await other.query(insertSql(table, [rows[15]!]))
  const written = write(batch)
  const client = rootClient(t)
  await until('the sink waits for the lock', () => isWaiting(client, table))
  await other.query(insertSql(table, [rows[5]!]))
  await until('the sink tells of the deadlock', () => sink.waiting?.includes('1213') === true)
  await other.rollback()
  await written
  assert.deepEqual(await readLines(client, table), linesOf(batch))
})

/**
 * True if an INSERT into the table waits for a lock: one that merely runs may not have reached the
 * row yet. `INNODB_TRX` does not help: it shows the same picture for as long as it is queried more
 * often than every 100 ms.
 */
async function isWaiting(client: Mysql, table: string): Promise<boolean> {
  const [running, [waits]] = await Promise.all([
    client.query<readonly unknown[]>(
      `SELECT 1 FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT INTO \`${table}\`%'`,
    ),
    client.query<readonly { readonly Value: string }[]>(
      "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'",
    ),
  ])
  return running.length > 0 && Number(waits!.Value) > 0
}

test('a killed connection and a lock that is held for long are waited out; the batch is there once', async (t) => {
  const { write, table, sink, counts } = await openMysqlSink(t, { lingerMs: 0 })
  const client = rootClient(t)
  const other = await session(t)
  const batch = batchOf('t', values(0, 20))
  await other.beginTransaction()
  await other.query(insertSql(table, [rowsOf(batch)[7]!]))
  const written = write(batch)
  await until('the sink waits for the lock', () => isWaiting(client, table))
  const [process] = await client.query<readonly { readonly ID: number }[]>(
    `SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT INTO \`${table}\`%'`,
  )
  await client.query(`KILL CONNECTION ${process!.ID}`)
  await until('the sink tells of the lost connection', () => sink.waiting !== undefined)
  assert.match(sink.waiting!, /lost|killed|ECONNRESET/i)
  await until('the lock wait timed out', () => sink.waiting?.includes('1205') === true)
  // The row is the same record's: a zombie has written it.
  await other.commit()
  await written
  assert.deepEqual(await readLines(client, table), linesOf(batch))
  assert.equal(sink.waiting, undefined)
  assert.equal(counts.rejected, 0)
})

test('a server that takes no writes now is waited for', async (t) => {
  const { write, table, sink, said } = await openMysqlSink(t, { lingerMs: 0 })
  const root = rootClient(t)
  const batch = batchOf('t', values(0, 20))
  await root.query('SET GLOBAL read_only = 1')
  try {
    const written = write(batch)
    await until('the sink says why it waits', () => sink.waiting?.includes('read-only') === true)
    assert.equal(sink.heldBytes, batch.lines.length)
    await root.query('SET GLOBAL read_only = 0')
    await written
  } finally {
    await root.query('SET GLOBAL read_only = 0')
  }
  assert.deepEqual(await readLines(root, table), linesOf(batch))
  assert.equal(said('warn').length, 1)
  assert.ok(said('info').some((message) => message.startsWith('sink_recovered:')))
})

test('a missing table is logged as an error, and the sink waits for it', async (t) => {
  const { write, table, sink, said } = await openMysqlSink(t, { lingerMs: 0 })
  const client = mysqlClient(t)
  await client.query(`RENAME TABLE ${table} TO ${table}_away`)
  const batch = batchOf('t', values(0, 20))
  const written = write(batch)
  await until('the sink says why it waits', () => sink.waiting?.includes('1146') === true)
  assert.equal(said('error').length, 1)
  await client.query(`RENAME TABLE ${table}_away TO ${table}`)
  await written
  assert.deepEqual(await readLines(client, table), linesOf(batch))
})

test('statements stay below what the server takes, and a record above it is kept without its value', async (t) => {
  const root = rootClient(t)
  const [before] = await root.query<readonly { readonly n: string }[]>(
    'SELECT @@GLOBAL.max_allowed_packet AS n',
  )
  const all = [...values(0, 30, 20_000), value(30, 200_000), ...values(31, 40)]
  const batch = batchOf('t', all)
  await root.query('SET GLOBAL max_allowed_packet = 102400')
  try {
    const { write, table, said, events } = await openMysqlSink(t, { hasFiles: false })
    await write(batch)
    const lines = linesOf(batch)
    assert.deepEqual(
      await readLines(root, table),
      lines.map((line, i) => (i === 30 ? undefined : line)),
    )
    const [row] = await root.query<readonly Record<string, unknown>[]>(
      `SELECT type, value, value_text, error_type, error_reason FROM ${table} WHERE \`offset\` = 30`,
    )
    assert.deepEqual(
      { ...row },
      {
        type: 'a',
        value: null,
        value_text: null,
        error_type: 'value_omitted',
        error_reason:
          'larger than the server accepts a statement: max_allowed_packet is 102400 bytes',
      },
    )
    assert.ok(said('warn').some((message) => message.includes('value_omitted')))
    assert.equal(said('error').length, 1)
    const [omitted] = events('value_omitted')
    assert.deepEqual(
      [omitted?.sink, omitted?.topic, omitted?.partition, omitted?.offset],
      ['mysql', 't', 0, 30],
    )
  } finally {
    await root.query(`SET GLOBAL max_allowed_packet = ${before!.n}`)
  }
})

test('a server that takes less than it did when it was asked is believed', async (t) => {
  const { write, table } = await openMysqlSink(t, { lingerMs: 0, concurrency: 1 })
  const root = rootClient(t)
  const [before] = await root.query<readonly { readonly n: string }[]>(
    'SELECT @@GLOBAL.max_allowed_packet AS n',
  )
  const first = batchOf('t', values(0, 10))
  await write(first)
  await root.query('SET GLOBAL max_allowed_packet = 102400')
  try {
    const sessions = await root.query<readonly { readonly ID: number }[]>(
      "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'archiver'",
    )
    for (const { ID } of sessions) await root.query(`KILL CONNECTION ${ID}`)
    const second = batchOf('t', values(10, 40, 20_000), { from: 10 })
    await write(second)
    assert.deepEqual(await readLines(root, table), linesOf(first, second))
  } finally {
    await root.query(`SET GLOBAL max_allowed_packet = ${before!.n}`)
  }
})

test('another record at a position is loud, and is kept in the table of rejects', async (t) => {
  const first = await openMysqlSink(t)
  const client = mysqlClient(t)
  const old = batchOf('t', values(0, 10))
  await first.write(old)
  const again = await openMysqlSink(t, { table: first.table })
  const made = batchOf('t', [...values(100, 109), '{"broken'], { timestamp: 1_700_000_000_000 })
  // Twice: a reject is there once as well.
  await again.write(made)
  await again.write(made)
  assert.deepEqual(await readLines(client, first.table), linesOf(old))
  const rejects = await client.query<readonly Record<string, unknown>[]>(
    `SELECT \`offset\` AS o, \`timestamp\` AS t, value_text, value_bytes, error_type FROM ${first.table}_rejected ORDER BY o`,
  )
  assert.deepEqual(
    rejects.map(({ o, t, value_text, error_type }) => [
      Number(o),
      Number(t),
      value_text,
      error_type,
    ]),
    [...values(100, 109), null].map((text, i) => [i, 1_700_000_000_000, text, 'position_taken']),
  )
  assert.equal(String(rejects[9]!.value_bytes), '{"broken')
  assert.ok(again.said('error').some((message) => message.includes('position_taken')))
})

test('a row that the server refuses is found among many, and the others are as they are', async (t) => {
  const { write, table, counts } = await openMysqlSink(t)
  const client = mysqlClient(t)
  // A column that is too short for one of them represents whatever a server may find wrong with a
  // row.
  await client.query(`ALTER TABLE ${table} MODIFY value_text VARCHAR(200) CHARACTER SET utf8mb4`)
  const batch = batchOf('t', [...values(0, 40), value(40, 300), ...values(41, 100)])
  await write(batch)
  assert.deepEqual(
    await readLines(client, table),
    linesOf(batch).map((line, i) => (i === 40 ? undefined : line)),
  )
  const [row] = await client.query<readonly Record<string, unknown>[]>(
    `SELECT error_type, error_reason FROM ${table} WHERE \`offset\` = 40`,
  )
  assert.equal(row!.error_type, 'value_omitted')
  assert.match(String(row!.error_reason), /Data too long for column 'value_text'.*error 1406/)
  assert.equal(counts.rejected, 1)
})

/** Answers an unrecognized error to each row for which the condition is true. */
async function refuse(
  root: Mysql,
  table: string,
  condition: string,
): Promise<() => Promise<unknown>> {
  await root.query(
    `CREATE TRIGGER ${table}_refuse BEFORE INSERT ON ${table} FOR EACH ROW BEGIN IF ${condition} THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 7777, MESSAGE_TEXT = 'a new trouble'; END IF; END`,
  )
  return () => root.query(`DROP TRIGGER ${table}_refuse`)
}

test('an unheard-of error to every row is waited out, however long: no row is to blame', async (t) => {
  const { write, table, sink, said, counts } = await openMysqlSink(t, {
    lingerMs: 0,
    unrecognizedMs: 200,
  })
  const root = rootClient(t)
  const mend = await refuse(root, table, 'TRUE')
  const batch = batchOf('t', values(0, 20))
  const written = write(batch)
  const tries = counts.retries
  await until('tries after the time is over', () => counts.retries >= tries + 4)
  assert.match(sink.waiting ?? '', /7777/)
  assert.deepEqual(
    said('info').filter((message) => message.includes('sink_recovered')),
    [],
  )
  await mend()
  await written
  assert.deepEqual(await readLines(root, table), linesOf(batch))
  assert.equal(counts.rejected, 0)
  const refused = await root.query<readonly unknown[]>(
    `SELECT 1 FROM ${table} WHERE error_type IS NOT NULL`,
  )
  assert.equal(refused.length, 0)
})

test('an unheard-of error to one row: it is kept as text after a while, the others are as they are', async (t) => {
  const { write, table, said, counts } = await openMysqlSink(t, {
    lingerMs: 0,
    unrecognizedMs: 200,
  })
  const root = rootClient(t)
  await refuse(root, table, 'NEW.`offset` = 7 AND NEW.error_type IS NULL')
  const batch = batchOf('t', values(0, 20))
  await write(batch)
  assert.deepEqual(await readLines(root, table), linesOf(batch))
  const refused = await root.query<readonly { readonly o: string; readonly error_type: string }[]>(
    `SELECT \`offset\` AS o, error_type FROM ${table} WHERE error_type IS NOT NULL`,
  )
  assert.deepEqual(
    refused.map(({ o, error_type }) => [Number(o), error_type]),
    [[7, 'refused_as_json']],
  )
  assert.equal(counts.rejected, 1)
  assert.ok(said('warn').some((message) => message.includes('7777')))
})

test('an unheard-of error to a row that is text already is not reason enough to omit its value', async (t) => {
  const { write, table, counts } = await openMysqlSink(t, { lingerMs: 0, unrecognizedMs: 200 })
  const root = rootClient(t)
  const mend = await refuse(root, table, 'NEW.`offset` = 7')
  const batch = batchOf('t', values(0, 20))
  const written = write(batch)
  await until('tries after the time is over', () => counts.retries >= 4)
  await mend()
  await written
  assert.deepEqual(await readLines(root, table), linesOf(batch))
})

test('a server that is frozen, killed and started again has every record once', async (t) => {
  const stack = await ownMariadb(t)
  const connection = { ...connectionOf(stack.mysqlUrl), timeoutMs: 1500 }
  const { write, sink, counts } = await openMysqlSink(t, {
    connection,
    table: 'records',
    lingerMs: 0,
  })
  const batches = Array.from({ length: 12 }, (_, i) =>
    batchOf('t', values(i * 500, (i + 1) * 500), { from: i * 500 }),
  )
  await write(batches[0]!)

  assert.ok(stack.mariadb.signal('SIGSTOP'))
  const frozen = batches.slice(1, 4).map(write)
  await until('the sink notices', () => sink.waiting?.includes('no answer within 1.5 s') === true)
  assert.ok(stack.mariadb.signal('SIGCONT'))
  await Promise.all(frozen)

  const killed = batches.slice(4, 8).map(write)
  await stack.mariadb.kill()
  await until('the sink notices', () => sink.waiting !== undefined)
  await stack.start('mariadb')
  await Promise.all(killed)

  const stopped = batches.slice(8).map(write)
  await stack.stop('mariadb')
  await stack.start('mariadb')
  await Promise.all(stopped)
  const client = new Mysql(connection)
  t.after(() => client.close())
  assert.deepEqual(await readLines(client, 'records'), linesOf(...batches))
  assert.equal(counts.rejected, 0)
})

test('a mistake at the start is one clear line, and shows no password', async (t) => {
  const archive = [
    '--topics',
    'none',
    '--no-elasticsearch',
    '--archive-dir',
    await temporaryDirectory(t),
  ]
  const url = new URL(mysqlUrl)
  url.password = 'wrong-secret'
  const failing = async (argv: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    const { code, output } = await runArchiver(t, argv, env)
    const lines = output.split('\n').filter((line) => line !== '')
    assert.equal(lines.length, 1, output)
    assert.doesNotMatch(output, /wrong-secret/)
    return { code, line: lines[0]! }
  }
  const denied = await failing(['setup', '--no-elasticsearch', '--mysql', String(url)])
  assert.equal(denied.code, 1)
  assert.match(
    denied.line,
    /^archiver: MySQL at .*\/archive as archiver: Access denied for user 'archiver'/,
  )
  const away = await failing([
    'setup',
    '--no-elasticsearch',
    '--mysql',
    'mysql://archiver:wrong-secret@127.0.0.1:1/archive',
  ])
  assert.equal(away.code, 1)
  assert.match(away.line, /127\.0\.0\.1:1\/archive as archiver: connect ECONNREFUSED/)
  const wrong = await failing([...archive, '--mysql', 'archiver:wrong-secret@host/archive'])
  assert.equal(wrong.code, 2)
  assert.match(
    wrong.line,
    /--mysql: the value is not allowed; expected mysql:\/\/user@host:3306\/database/,
  )
})
