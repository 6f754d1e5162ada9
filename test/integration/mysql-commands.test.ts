import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Mysql } from '../../src/mysql/client.ts'
import { RowReader } from '../../src/mysql/reader.ts'
import { columns } from '../../src/mysql/row.ts'
import { createTableSql } from '../../src/mysql/schema.ts'
import { checkPartition, type Thoroughness } from '../../src/verify/partition.ts'
import type { Verdict } from '../../src/verify/verdict.ts'
import { august, type MadeUpRecord, makeArchive, records } from '../helpers/archive.ts'
import { runArchiver, startArchiver } from '../helpers/archiver.ts'
import { homeAt } from '../helpers/home.ts'
import {
  connectionOf,
  mysqlClient,
  openMysqlSink,
  readLines,
  rootClient,
  tableName,
} from '../helpers/mysql.ts'
import {
  createTopic,
  mysqlUrl,
  produce,
  temporaryDirectory,
  uniqueName,
  until,
} from '../helpers/servers.ts'
import { readFiles } from '../helpers/stores.ts'

/** The commands on a real server: what a worker writes is proven, restored, pruned and set up. */

const tp = { topic: 'orders', partition: 1 }
const msPerDay = 86_400_000

async function archived(t: TestContext, flushes: readonly (readonly MadeUpRecord[])[]) {
  const table = tableName(t)
  const root = await makeArchive(t, [{ tp, flushes }])
  const client = mysqlClient(t)
  const run = async (command: string, ...argv: string[]) => {
    const here = ['--archive-dir', root, '--mysql', mysqlUrl, '--mysql-table', table]
    const { code, output } = await runArchiver(t, [command, ...here, ...argv])
    return { code, output }
  }
  const restored = await run('restore', '--to', 'mysql')
  assert.equal(restored.code, 0, restored.output)
  await client.detect()
  const check = (thoroughness: Thoroughness = 'full'): Promise<Verdict> =>
    checkPartition({
      home: homeAt(root),
      tp,
      thoroughness,
      elasticsearch: undefined,
      mysql: { reader: new RowReader(client, table), table },
      kafka: undefined,
      onProgress: () => {},
    })
  return { table, root, client, run, check, restored: restored.output }
}

const kinds = ({ problems }: Verdict) => [...new Set(problems.map(({ kind }) => kind))].sort()

/** Changes rows for the time of a step; an error in it brings them back as well. */
async function changed(
  client: Mysql,
  sql: string,
  back: string,
  step: () => Promise<void>,
): Promise<void> {
  await client.query(sql)
  try {
    await step()
  } finally {
    await client.query(back)
  }
}

test('verify finds in MySQL, by name', async (t) => {
  // Offsets 600 to 609 were not delivered, so that a missing and an additional row cannot cancel
  // each other out.
  const all = records(0, 1000).filter(({ offset }) => offset < 600 || offset >= 610)
  const unusual: MadeUpRecord[] = [
    { offset: 1000, value: null, headers: [{ key: 'h', value: Buffer.from([0xff]) }] },
    { offset: 1001, value: Buffer.from('{"type":"a","n":1.0, "n":2}'), timestamp: -1 },
    { offset: 1002, value: Buffer.from([0xff]), key: null },
  ]
  const { client, table, check } = await archived(t, [all.slice(0, 400), all.slice(400), unusual])
  const kept = tableName(t)
  await client.query(createTableSql(kept, client.facts, true))
  const names = columns.map((name) => `\`${name}\``).join(', ')
  const bring = `INSERT INTO ${table} (${names}) SELECT ${names} FROM ${kept}`
  await client.query(
    `INSERT INTO ${kept} (${names}) SELECT ${names} FROM ${table} WHERE \`offset\` = 500`,
  )

  await t.test('nothing where all is as it should be', async () => {
    for (const thoroughness of ['fast', 'full', 'deep'] as const) {
      const verdict = await check(thoroughness)
      assert.deepEqual(verdict.problems, [], thoroughness)
      assert.deepEqual([verdict.records, verdict.rows, verdict.rows_rejected], [993, 993, 0])
    }
  })

  await t.test('a deleted row', async () => {
    await changed(client, `DELETE FROM ${table} WHERE \`offset\` = 500`, bring, async () => {
      assert.deepEqual(kinds(await check('fast')), ['row-missing'])
      const verdict = await check()
      assert.deepEqual(kinds(verdict), ['row-missing'])
      assert.deepEqual(verdict.problems[0]!.offsets, { from: 500, next: 501 })
    })
  })

  await t.test('an extra row where Kafka delivered nothing, even as one is missing', async () => {
    const move = (from: number, to: number) =>
      `UPDATE ${table} SET \`offset\` = ${to} WHERE \`offset\` = ${from}`
    await changed(client, move(700, 605), move(605, 700), async () => {
      const verdict = await check()
      assert.deepEqual(kinds(verdict), ['row-extra', 'row-missing'])
      assert.deepEqual(verdict.problems.find(({ kind }) => kind === 'row-extra')!.offsets, {
        from: 605,
        next: 606,
      })
    })
  })

  for (const [what, change] of [
    ['the text', `value_text = CONCAT(value_text, ' ')`],
    ['the key', `key_text = 'other'`],
    ['the headers', `headers = '[{"key":"h","value":null}]'`],
    ['the timestamp', '`timestamp` = `timestamp` + 1'],
    ['the type', `type = 'A'`],
  ] as const) {
    await t.test(`a row with ${what} changed`, async () => {
      const back = `DELETE FROM ${table} WHERE \`offset\` = 500`
      await changed(
        client,
        `UPDATE ${table} SET ${change} WHERE \`offset\` = 500`,
        back,
        async () => {
          const verdict = await check('deep')
          assert.deepEqual(kinds(verdict), ['row-changed'])
          assert.deepEqual(verdict.problems[0]!.offsets, { from: 500, next: 501 })
        },
      )
      await client.query(bring)
    })
  }

  await t.test('a record whose position another one has', async () => {
    const collide = `INSERT INTO ${table}_rejected SELECT * FROM ${kept}`
    await changed(client, collide, `DELETE FROM ${table}_rejected`, async () => {
      const verdict = await check()
      assert.deepEqual(kinds(verdict), ['row-collision'])
      assert.deepEqual(verdict.problems[0]!.offsets, { from: 500, next: 501 })
    })
  })

  await t.test('no problem for a row that says that it has no value', async () => {
    const omit = `UPDATE ${table} SET value_text = NULL, error_type = 'value_omitted' WHERE \`offset\` = 500`
    await changed(client, omit, `DELETE FROM ${table} WHERE \`offset\` = 500`, async () => {
      const verdict = await check('deep')
      assert.deepEqual(verdict.problems, [])
      assert.equal(verdict.rows_rejected, 1)
    })
  })
})

test('restore sends what is missing, and twice is once; prune takes old days, and verify knows', async (t) => {
  const at = (from: number, next: number, timestamp: number) =>
    records(from, next).map((record) => ({ ...record, timestamp: timestamp + record.offset }))
  const flushes = [
    [...at(0, 20, august), ...at(20, 30, Date.now() - msPerDay)],
    at(30, 40, Date.now() - msPerDay),
  ]
  const { client, table, root, run, restored } = await archived(t, flushes)
  assert.match(restored, /restored 40 records to mysql/)
  const lines = (await readFiles(root)).sort((a, b) => a.offset - b.offset).map(({ line }) => line)
  assert.deepEqual(await readLines(client, table), lines)
  await client.query(`DELETE FROM ${table} WHERE \`offset\` IN (7, 12, 35)`)
  assert.match(
    (await run('restore', '--to', 'mysql')).output,
    /restored 3 records .*; 37 records were there already/,
  )
  assert.deepEqual(await readLines(client, table), lines)

  const others = ['--no-elasticsearch', '--no-files', '--older-than', '90d']
  const shown = await run('prune', ...others, '--dry-run')
  assert.match(shown.output, new RegExp(`${table} +rows +20`))
  assert.equal((await readLines(client, table)).length, 40)
  const pruned = await run('prune', ...others)
  assert.equal(pruned.code, 0, pruned.output)
  assert.deepEqual(await readLines(client, table), lines.slice(20))
  const verified = await run('verify', '--no-elasticsearch', '--no-kafka', '--deep')
  assert.equal(verified.code, 0, verified.output)
  assert.match(verified.output, /20 rows/)
})

test('setup makes the tables, and --check says what differs', async (t) => {
  const table = tableName(t)
  const client = mysqlClient(t)
  const setup = (...more: string[]) =>
    runArchiver(t, [
      'setup',
      '--no-elasticsearch',
      '--mysql',
      mysqlUrl,
      '--mysql-table',
      table,
      ...more,
    ])
  const missing = await setup('--check')
  assert.equal(missing.code, 1)
  assert.match(missing.output, new RegExp(`table ${table} is missing`))
  assert.match(missing.output, new RegExp(`table ${table}_rejected is missing`))
  const made = await setup()
  assert.equal(made.code, 0, made.output)
  await client.query(`ALTER TABLE ${table} DROP KEY time, MODIFY headers TEXT`)
  const different = await setup('--check')
  assert.equal(different.code, 1)
  assert.match(different.output, /column headers is text, not longtext, index time is not on time/)
})

test('tables of a newer version and those of others are refused by name', async (t) => {
  const table = tableName(t)
  const client = mysqlClient(t)
  await client.query(`CREATE TABLE ${table} (a INT)`)
  await assert.rejects(openMysqlSink(t, { table }), {
    code: 'DIFFERS',
    message: /is none of this program/,
  })
  await client.query(`ALTER TABLE ${table} COMMENT = 'archiver schema 99'`)
  await assert.rejects(openMysqlSink(t, { table }), {
    code: 'DIFFERS',
    message: /has version 99, made by a newer/,
  })
})

test('speaks TLS, and only with the server that it knows', async (t) => {
  const caFile = process.env.ARCHIVER_TEST_MYSQL_CA
  assert.ok(caFile !== undefined, 'ARCHIVER_TEST_MYSQL_CA names the certificate of the test server')
  for (const host of ['127.0.0.1', 'localhost']) {
    const client = mysqlClient(t, { caFile, host })
    await client.detect()
    const [row] = await client.query<readonly { readonly Value: string }[]>(
      "SHOW STATUS LIKE 'Ssl_cipher'",
    )
    assert.notEqual(row!.Value, '')
  }
  const stranger = mysqlClient(t, { tls: true })
  await assert.rejects(stranger.detect(), { code: 'UNREACHABLE', message: /certificate/ })
  const nowhere = mysqlClient(t, { caFile: '/does/not/exist' })
  await assert.rejects(nowhere.detect(), {
    code: 'UNREACHABLE',
    message: /certificate authority cannot be read/,
  })
  assert.equal(connectionOf().caFile, undefined)
})

test('a worker says no secret at the level trace, whatever goes wrong', async (t) => {
  const canary = 'canary-3f9c21a0-secret'
  const user = uniqueName('canary')
  t.after(async () => {
    const root = new Mysql({ ...connectionOf(), user: 'root' })
    await root.query(`DROP USER IF EXISTS '${user}'@'%'`).finally(() => root.close())
  })
  const root = rootClient(t)
  await root.query(`CREATE USER '${user}'@'%' IDENTIFIED BY '${canary}'`)
  await root.query(`GRANT ALL ON \`archive%\`.* TO '${user}'@'%'`)
  const topic = await createTopic(t)
  const deep = `${'['.repeat(40)}${']'.repeat(40)}`
  await produce(t, topic, [
    { value: '{"type":"a"}' },
    { value: `{"type":"a","deep":${deep}}` },
    { value: 'no JSON' },
  ])
  const url = (password: string) => {
    const { host, pathname } = new URL(mysqlUrl)
    return `mysql://${user}:${password}@${host}${pathname}`
  }
  const run = (mysql: string) => {
    const sinks = [
      '--no-files',
      '--no-elasticsearch',
      '--mysql',
      mysql,
      '--mysql-table',
      tableName(t),
    ]
    return runArchiver(t, [
      'run',
      '--topics',
      topic,
      '--group',
      topic,
      '--until-end',
      '--log-level',
      'trace',
      ...sinks,
    ])
  }
  const wrong = await run(url(`${canary}-wrong`))
  assert.equal(wrong.code, 1, wrong.output)
  const good = await run(url(canary))
  assert.equal(good.code, 0, good.output)
  assert.match(good.output, /refused_as_json/)
  for (const { output } of [wrong, good]) {
    assert.match(output, /"level":"trace"/)
    assert.ok(!output.includes(canary))
  }
})

test('two workers, one of them killed, leave every record once in files and in MySQL', async (t) => {
  const topic = await createTopic(t, { partitions: 4 })
  const table = tableName(t)
  const root = `${await temporaryDirectory(t)}/archive`
  const options = ['--topics', topic, '--group', topic, '--archive-dir', root, '--no-elasticsearch']
  const mysql = ['--mysql', mysqlUrl, '--mysql-table', table]
  const run = [
    'run',
    ...options,
    ...mysql,
    '--flush-interval',
    '1',
    '--session-timeout',
    '6000',
    '--http',
    '0',
  ]
  const messages = (from: number, next: number) =>
    Array.from({ length: next - from }, (_, i) => ({
      value:
        (from + i) % 100 === 0 ? 'no JSON' : JSON.stringify({ type: `t${i % 5}`, n: from + i }),
      key: `k${i}`,
      timestamp: august + (from + i) * 1000,
      partition: i % 4,
    }))
  await produce(t, topic, messages(0, 4000))
  const [first, second] = [startArchiver(t, run), startArchiver(t, run)]
  await first.says('serving metrics, health and status')
  const client = mysqlClient(t)
  const rows = async () => (await readLines(client, table).catch(() => [])).length
  await until('some rows', async () => (await rows()) > 0)
  first.child.kill('SIGKILL')
  await produce(t, topic, messages(4000, 8000))
  await until('all rows', async () => (await rows()) === 8000, 60_000)
  const base = /"address":"(http:[^"]+)"/.exec(second.output())![1]!
  const metrics = await (await fetch(`${base}/metrics`)).text()
  assert.match(metrics, /archiver_acknowledged_records_total\{sink="mysql"\} [1-9]/)
  assert.match(metrics, /archiver_insert_duration_seconds_count [1-9]/)
  assert.match(metrics, /archiver_rejected_records_total\{sink="mysql"\} 0/)
  second.child.kill('SIGTERM')
  assert.equal(await second.ended, 143, second.output())
  const ended = await runArchiver(t, ['run', ...options, ...mysql, '--until-end'])
  assert.equal(ended.code, 0, ended.output)
  assert.match(ended.output, /"event":"worker_stopped".*"acknowledged":\{"files":\d+,"mysql":\d+\}/)
  const verified = await runArchiver(t, [
    'verify',
    '--archive-dir',
    root,
    '--no-elasticsearch',
    ...mysql,
    '--deep',
  ])
  assert.equal(verified.code, 0, verified.output)
  assert.match(verified.output, /proven: 4 partitions, 8,000 records in \d+ files, 8,000 rows/)
})
