import '../chaos/stack.ts'
import assert from 'node:assert/strict'
import { pbkdf2Sync, randomBytes, X509Certificate } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { Agent, request } from 'undici'
import type { ElasticsearchConnection } from '../../src/elasticsearch/connection.ts'
import type { ElasticsearchSinkOptions } from '../../src/elasticsearch/sink/options.ts'
import { openStack, type Stack } from '../../stack/stack-control.ts'
import { useStack } from '../chaos/stack.ts'
import { type RunningArchiver, runArchiver } from '../helpers/archiver.ts'
import { batchOf, type OpenSink, openSink, someDay } from '../helpers/elasticsearch-sink.ts'
import { createTopic, produce, temporaryDirectory, uniqueName, until } from '../helpers/servers.ts'

/** An engine with TLS, users and rights of its own: what a cluster in a company is like. */

useStack()

const elasticPassword = 'elastic-of-the-test'
/** No message, log line or error may have it in it. */
const canary = 'canary-3f9c21a0-secret'

let stack: Stack
let fingerprint: string
let agent: Agent

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
        }),
    ),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** A request of the superuser. */
async function asElastic<T = unknown>(
  method: 'GET' | 'PUT' | 'POST' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<T> {
  const { statusCode, body: answer } = await request(`${stack.elasticsearchUrl}${path}`, {
    method,
    dispatcher: agent,
    headers: {
      authorization: `Basic ${Buffer.from(`elastic:${elasticPassword}`).toString('base64')}`,
      'content-type': 'application/json',
    },
    body: body === undefined ? null : JSON.stringify(body),
  })
  const text = await answer.text()
  if (statusCode >= 400) throw new Error(`${method} ${path}: ${statusCode} ${text}`)
  return (text === '' ? {} : JSON.parse(text)) as T
}

interface Role {
  readonly cluster: readonly string[]
  readonly indices: readonly {
    readonly names: readonly string[]
    readonly privileges: readonly string[]
  }[]
}

/** The rights that docs/elasticsearch.md lists; a test holds its table against them. */
const roles = {
  worker: (prefix: string): Role => ({
    cluster: ['monitor'],
    indices: [{ names: [`${prefix}*`], privileges: ['create_doc', 'auto_configure', 'read'] }],
  }),
  setup: (): Role => ({ cluster: ['monitor', 'manage_index_templates'], indices: [] }),
  'retry-rejected': (prefix: string): Role => ({
    cluster: ['monitor'],
    indices: [
      { names: [`${prefix}*`], privileges: ['create_doc', 'auto_configure', 'read'] },
      { names: [`${prefix}_rejected-*`], privileges: ['maintenance', 'delete'] },
    ],
  }),
  verify: (prefix: string): Role => ({
    cluster: ['monitor'],
    indices: [{ names: [`${prefix}*`], privileges: ['read', 'maintenance', 'monitor'] }],
  }),
  restore: (prefix: string): Role => ({
    cluster: ['monitor'],
    indices: [
      {
        names: [`${prefix}*`],
        privileges: ['create_doc', 'auto_configure', 'read', 'maintenance'],
      },
    ],
  }),
  prune: (prefix: string): Role => ({
    cluster: ['monitor'],
    indices: [
      {
        names: [`${prefix}*`],
        privileges: ['monitor', 'maintenance', 'read', 'view_index_metadata', 'delete_index'],
      },
    ],
  }),
  dashboard: (prefix: string): Role => ({
    cluster: ['monitor'],
    indices: [{ names: [`${prefix}*`], privileges: ['read'] }],
  }),
}

/** A role less one of its rights on indices. */
function without(role: Role, missing: string): Role {
  const indices = role.indices.map(({ names, privileges }) => ({
    names,
    privileges: privileges.filter((privilege) => privilege !== missing),
  }))
  return { ...role, indices: indices.filter(({ privileges }) => privileges.length > 0) }
}

interface User {
  password: string
  role: Role
}

/** Users and roles in files: the minimal distribution cannot keep them in an index. */
const users = new Map<string, User>()

/** The engine of the stack sees the change within a second. */
function writeUsers(): void {
  const lines = (line: (name: string, user: User) => string) =>
    [...users].map(([name, user]) => `${line(name, user)}\n`).join('')
  const config = dirname(stack.certificateFile)
  writeFileSync(
    join(config, 'roles.yml'),
    lines((name, { role }) => `${name}: ${JSON.stringify(role)}`),
  )
  writeFileSync(
    join(config, 'users'),
    lines((name, { password }) => `${name}:${hashOf(password)}`),
  )
  writeFileSync(
    join(config, 'users_roles'),
    lines((name) => `${name}:${name}`),
  )
}

/** As Elasticsearch writes it: PBKDF2 with HMAC-SHA-512, iterations, salt and key of 32 bytes. */
function hashOf(password: string): string {
  const salt = randomBytes(32)
  const key = pbkdf2Sync(password, salt, 1000, 32, 'sha512')
  return `{PBKDF2}1000$${salt.toString('base64')}$${key.toString('base64')}`
}

async function statusFor(name: string, password: string): Promise<number> {
  const { statusCode, body } = await request(`${stack.elasticsearchUrl}/_cluster/health`, {
    dispatcher: agent,
    headers: { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` },
  })
  await body.dump()
  return statusCode
}

/** A user with a role of its own. */
async function createUser(role: Role, password = canary): Promise<string> {
  const name = uniqueName('user')
  users.set(name, { password, role })
  writeUsers()
  await until(`the user ${name}`, async () => {
    return (await statusFor(name, password)) === 200
  })
  return name
}

async function secured(
  t: TestContext,
  connection: Partial<ElasticsearchConnection>,
  options: Partial<ElasticsearchSinkOptions> = {},
): Promise<OpenSink> {
  return openSink(t, {
    nodes: [stack.elasticsearchUrl],
    connection: { caFile: stack.certificateFile, requestTimeoutMs: 30_000, ...connection },
    ...options,
  })
}

async function count(pattern: string): Promise<number> {
  await asElastic('POST', `/${pattern}/_refresh?ignore_unavailable=true`)
  return (await asElastic<{ count: number }>('GET', `/${pattern}/_count?ignore_unavailable=true`))
    .count
}

function setupOf(
  t: TestContext,
  env: Readonly<Record<string, string>>,
  ...argv: string[]
): Promise<{ code: number; output: string; log: ReturnType<RunningArchiver['log']> }> {
  return runArchiver(t, ['setup', '--log-level', 'trace', ...argv], {
    ARCHIVER_ELASTICSEARCH: stack.elasticsearchUrl,
    ARCHIVER_ELASTICSEARCH_CA: stack.certificateFile,
    ...env,
  })
}

describe('an engine with TLS and users', () => {
  const ends: (() => Promise<unknown> | unknown)[] = []
  after(async () => {
    for (const end of ends.reverse()) await end()
  })

  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'archiver-test-'))
    ends.push(() => rm(directory, { recursive: true, force: true }))
    chmodSync(directory, 0o755)
    const [elasticsearchPort, transportPort] = await freePorts(2)
    stack = openStack({
      dir: join(directory, 'stack'),
      elasticsearchPort,
      transportPort,
      elasticsearchHeap: 512 * 2 ** 20,
      security: true,
      elasticPassword,
    })
    ends.push(() => stack.wipe())
    await stack.start('elasticsearch')
    const certificate = readFileSync(stack.certificateFile)
    agent = new Agent({ connect: { ca: certificate } })
    ends.push(() => agent.close())
    fingerprint = new X509Certificate(certificate).fingerprint256
  })

  test('the rights of a worker are enough: new indices, new fields, replays, rejects', async (t) => {
    const prefix = `${uniqueName('t')}-`
    const admin = await createUser(roles.setup())
    const set = await setupOf(t, {
      ARCHIVER_ELASTICSEARCH_USER: admin,
      ARCHIVER_ELASTICSEARCH_PASSWORD: canary,
      ARCHIVER_INDEX_PREFIX: prefix,
    })
    assert.equal(set.code, 0, set.output)
    const username = await createUser(roles.worker(prefix))
    const { write, sink, said, sumOf } = await secured(
      t,
      { username, password: canary },
      { indexPrefix: prefix },
    )
    const batch = batchOf('topic', [
      '{"type":"a","n":1}',
      '{"type":"a","new":"x"}',
      '{"type":"a","new":{"a":1}}',
    ])
    await write(batch)
    await sink.open(batch)
    await sink.write(batch)
    assert.equal(await count(`${prefix}*`), 3)
    assert.equal(await count(`${prefix}_rejected-*`), 1)
    assert.deepEqual(said('error'), [])
    assert.equal(sumOf('records_present'), 3)

    const retrier = await createUser(roles['retry-rejected'](prefix))
    await asElastic('DELETE', `/${prefix}a-${someDay}`)
    const retried = await runArchiver(
      t,
      ['retry-rejected', '--index-prefix', prefix, '--log-level', 'trace'],
      {
        ARCHIVER_ELASTICSEARCH: stack.elasticsearchUrl,
        ARCHIVER_ELASTICSEARCH_CA: stack.certificateFile,
        ARCHIVER_ELASTICSEARCH_USER: retrier,
        ARCHIVER_ELASTICSEARCH_PASSWORD: canary,
      },
    )
    assert.equal(retried.code, 0, retried.output)
    assert.equal(await count(`${prefix}_rejected-*`), 0)
    assert.equal(await count(`${prefix}a-*`), 1)
  })

  test('docs/elasticsearch.md lists these rights', () => {
    const page = readFileSync(new URL('../../docs/elasticsearch.md', import.meta.url), 'utf8')
    const [, table] = /^### Least privileges$([\s\S]+?)^#/m.exec(page)!
    for (const [name, roleOf] of Object.entries(roles)) {
      const command = name === 'worker' ? '`run` with `--no-templates`' : `\`${name}\``
      const row = table!.split('\n').find((line) => line.split('|')[1]?.includes(command))
      const { cluster, indices } = roleOf('archive-')
      for (const right of [
        ...cluster,
        ...indices.flatMap(({ names, privileges }) => [...names, ...privileges]),
      ]) {
        assert.ok(row?.includes(`\`${right}\``), `${command}: ${right}`)
      }
    }
  })

  test('none of the rights of a worker can be left out', async (t) => {
    const prefix = `${uniqueName('t')}-`
    for (const missing of ['create_doc', 'auto_configure', 'read']) {
      const username = await createUser(without(roles.worker(prefix), missing))
      const { sink, said, counts } = await secured(
        t,
        { username, password: canary },
        { indexPrefix: `${prefix}${missing}-` },
      )
      const batch = batchOf('topic', ['{"type":"a","n":1}'])
      await sink.open(batch)
      if (missing === 'read') {
        await sink.write(batch)
        await sink.open(batch)
      }
      void sink.write(batch)
      await until(`the sink logs the lack of ${missing}`, () =>
        said('error').some((text) => /security_exception/.test(text)),
      )
      assert.equal(counts.rejected, 0)
    }
  })

  test('the rights of the commands that read and restore are enough, and none can be left out', async (t) => {
    const prefix = `${uniqueName('t')}-`
    const root = join(await temporaryDirectory(t), 'archive')
    const topic = await createTopic(t)
    const connection = {
      ARCHIVER_ELASTICSEARCH: stack.elasticsearchUrl,
      ARCHIVER_ELASTICSEARCH_CA: stack.certificateFile,
    }
    const group = uniqueName('group')
    const archiver = (user: string, ...argv: string[]) =>
      runArchiver(
        t,
        [
          ...argv,
          '--index-prefix',
          prefix,
          ...(argv[0] === 'dashboard' ? [] : ['--archive-dir', root]),
        ],
        {
          ...connection,
          ARCHIVER_ELASTICSEARCH_USER: user,
          ARCHIVER_ELASTICSEARCH_PASSWORD: canary,
        },
      )
    // All at once: each waits until the engine has seen its user.
    const usersOf = async (role: Role, needed: readonly string[]) => ({
      enough: await createUser(role),
      lacking: await Promise.all(
        needed.map(async (right) => ({ right, user: await createUser(without(role, right)) })),
      ),
    })
    const [admin, worker, verifier, deepVerifier, restorer, maker, pruner] = await Promise.all([
      createUser(roles.setup()),
      createUser(roles.worker(prefix)),
      usersOf(without(roles.verify(prefix), 'monitor'), ['read', 'maintenance']),
      usersOf(roles.verify(prefix), ['read', 'maintenance', 'monitor']),
      // Without the others it waits, as a worker does.
      usersOf(roles.restore(prefix), ['read', 'maintenance']),
      usersOf(roles.dashboard(prefix), ['read']),
      usersOf(roles.prune(prefix), [
        'monitor',
        'maintenance',
        'read',
        'view_index_metadata',
        'delete_index',
      ]),
    ])
    const set = await setupOf(t, {
      ARCHIVER_ELASTICSEARCH_USER: admin,
      ARCHIVER_ELASTICSEARCH_PASSWORD: canary,
      ARCHIVER_INDEX_PREFIX: prefix,
    })
    assert.equal(set.code, 0, set.output)
    const archiveOne = async () => {
      await produce(t, topic, [
        { value: '{"type":"a","n":1}', timestamp: Date.parse('2019-08-01T03:00:00Z') },
      ])
      const run = [
        'run',
        '--topics',
        topic,
        '--group',
        group,
        '--until-end',
        '--no-templates',
        '--no-status-documents',
      ]
      const { code, output } = await archiver(worker, ...run)
      assert.equal(code, 0, output)
    }
    const index = `${prefix}a-2019.08.01`
    const out = join(root, '..', 'dashboard.ndjson')
    await archiveOne()
    // What was archived a moment ago is seen by searches only because `maintenance` makes it
    // visible.
    for (const { argv, who, before } of [
      { argv: ['verify'], who: verifier },
      { argv: ['verify', '--deep'], who: deepVerifier, before: archiveOne },
      {
        argv: ['restore', '--no-templates'],
        who: restorer,
        before: () => asElastic('DELETE', `/${index}`),
      },
      { argv: ['dashboard', '--type', 'a', '--out', out], who: maker },
      { argv: ['prune', '--older-than', '1d', '--no-files'], who: pruner },
    ]) {
      await before?.()
      for (const { right, user } of who.lacking) {
        const { code, output } = await archiver(user, ...argv)
        assert.equal(code, 1, `${argv[0]} without ${right}: ${output}`)
        assert.match(output, /security_exception/, `${argv[0]} without ${right}`)
      }
      const { code, output } = await archiver(who.enough, ...argv)
      assert.equal(code, 0, `${argv[0]}: ${output}`)
      if (argv[0] === 'restore') assert.equal(await count(`${prefix}*`), 2)
    }
    assert.equal(await count(`${prefix}*`), 0)
  })

  test('a right that is granted later is noticed', async (t) => {
    const prefix = `${uniqueName('t')}-`
    const role = roles.worker(prefix)
    const username = await createUser({
      ...role,
      indices: [{ names: [`${prefix}b-*`], privileges: ['all'] }],
    })
    const { write, said } = await secured(
      t,
      { username, password: canary },
      { indexPrefix: prefix },
    )
    const written = write(batchOf('topic', ['{"type":"a","n":1}', '{"type":"b","n":1}']))
    await until('the index is held', () =>
      said('error').some((text) => text.includes('security_exception')),
    )
    await until('the other goes on', async () => (await count(`${prefix}b-*`)) === 1)
    users.get(username)!.role = role
    writeUsers()
    await written
    assert.equal(await count(`${prefix}*`), 2)
  })

  test('a password that is wrong for a while stops everything and loses nothing', async (t) => {
    const prefix = `${uniqueName('t')}-`
    const username = await createUser(roles.worker(prefix))
    const { write, said, sink } = await secured(
      t,
      { username, password: canary },
      { indexPrefix: prefix },
    )
    await write(batchOf('topic', ['{"type":"a","n":1}']))
    users.get(username)!.password = 'another-password'
    writeUsers()
    await until('the engine noticed', async () => (await statusFor(username, canary)) === 401)
    const written = write(batchOf('topic', ['{"type":"a","n":2}'], { from: 1 }))
    await until('the sink logs it', () =>
      said('error').some((text) => text.includes('security_exception (401)')),
    )
    assert.match(sink.waiting ?? '', /401/)
    users.get(username)!.password = canary
    writeUsers()
    await written
    assert.equal(await count(`${prefix}*`), 2)
    assert.ok(!said('error').some((text) => text.includes(canary)))
  })

  test('a user, a fingerprint, a file: each lets in, and a wrong one says what is wrong in one line', async (t) => {
    const prefix = `${uniqueName('t')}-`
    const directory = await temporaryDirectory(t)
    const file = (name: string, text: string) => {
      writeFileSync(join(directory, name), text)
      return join(directory, name)
    }
    const user = await createUser(roles.setup())
    const basic = { ARCHIVER_ELASTICSEARCH_USER: user, ARCHIVER_ELASTICSEARCH_PASSWORD: canary }
    const withUser = stack.elasticsearchUrl.replace('//', `//${user}:${canary}@`)
    const good: Readonly<Record<string, Readonly<Record<string, string>>>> = {
      'a password in a file': {
        ARCHIVER_ELASTICSEARCH_USER: user,
        ARCHIVER_ELASTICSEARCH_PASSWORD_FILE: file('password', `${canary}\n`),
      },
      'a fingerprint': {
        ...basic,
        ARCHIVER_ELASTICSEARCH_CA: '',
        ARCHIVER_ELASTICSEARCH_FINGERPRINT: fingerprint,
      },
      'a user in the URL': { ARCHIVER_ELASTICSEARCH: withUser },
    }
    for (const [name, env] of Object.entries(good)) {
      const { code, output } = await setupOf(t, env, '--check', '--index-prefix', prefix)
      assert.equal(code, 1, `${name}: ${output}`)
      assert.match(output, /is missing/, name)
      assert.ok(!output.includes(canary), name)
    }
    const wrongPrint = fingerprint.replace(/^../, (digits) => (digits === '00' ? '11' : '00'))
    const bad: Readonly<
      Record<string, { env: Readonly<Record<string, string>>; says: RegExp; code: number }>
    > = {
      'a wrong password': {
        env: { ...basic, ARCHIVER_ELASTICSEARCH_PASSWORD: `${canary}-wrong` },
        says: /security_exception \(401\).*check the user, password or API key/,
        code: 1,
      },
      'a wrong key': {
        env: { ARCHIVER_ELASTICSEARCH_API_KEY: Buffer.from(`id:${canary}`).toString('base64') },
        says: /security_exception \(401\)/,
        code: 1,
      },
      'no authority': {
        env: { ...basic, ARCHIVER_ELASTICSEARCH_CA: '' },
        says: /self-signed certificate/,
        code: 1,
      },
      'a wrong fingerprint': {
        env: {
          ...basic,
          ARCHIVER_ELASTICSEARCH_CA: '',
          ARCHIVER_ELASTICSEARCH_FINGERPRINT: wrongPrint,
        },
        says: /fingerprint does not match/,
        code: 1,
      },
      'http instead of https': {
        env: {
          ...basic,
          ARCHIVER_ELASTICSEARCH_CA: '',
          ARCHIVER_ELASTICSEARCH: withUser.replace('https', 'http'),
        },
        says: /Elasticsearch at http:\/\/127/,
        code: 1,
      },
      'a user in the URL of nobody': {
        env: { ARCHIVER_ELASTICSEARCH: `https://${user}:${canary}@127.0.0.1:1` },
        says: /Elasticsearch at https:\/\/127\.0\.0\.1:1: /,
        code: 1,
      },
      'a URL that is none': {
        env: { ARCHIVER_ELASTICSEARCH: `ftp://${user}:${canary}@127.0.0.1` },
        says: /ARCHIVER_ELASTICSEARCH: the value is not allowed/,
        code: 2,
      },
      'a password that is not percent-encoded': {
        env: { ARCHIVER_ELASTICSEARCH: withUser.replace(canary, `${canary}%`) },
        says: /ARCHIVER_ELASTICSEARCH: the value is not allowed.* percent-encoded/,
        code: 2,
      },
      'a header that is none': {
        env: { ...basic, ARCHIVER_ELASTICSEARCH_HEADERS: `Bearer ${canary}` },
        says: /--elasticsearch-headers: number 1 is not allowed/,
        code: 2,
      },
      'two credentials': {
        env: { ...basic, ARCHIVER_ELASTICSEARCH_API_KEY: canary },
        says: /exclude each other/,
        code: 2,
      },
      'a file that is missing': {
        env: { ARCHIVER_ELASTICSEARCH_API_KEY_FILE: join(directory, 'none') },
        says: /--elasticsearch-api-key-file .* cannot be read/,
        code: 2,
      },
    }
    for (const [name, { env, says, code: expected }] of Object.entries(bad)) {
      const { code, output } = await setupOf(t, env, '--index-prefix', prefix)
      assert.match(output, says, name)
      assert.equal(code, expected, name)
      assert.equal(output.trim().split('\n').length, 1, `${name}: ${output}`)
      assert.ok(!output.includes(canary), `${name}: ${output}`)
    }
  })

  test('a worker says no secret at the level trace', async (t) => {
    const prefix = `${uniqueName('t')}-`
    const role = roles.worker(prefix)
    const user = await createUser({ ...role, cluster: [...role.cluster, 'manage_index_templates'] })
    const topic = await createTopic(t)
    await produce(t, topic, [{ value: '{"type":"a"}' }, { value: '{"type":"a","a":1,"a":2}' }])
    const { code, output } = await runArchiver(
      t,
      [
        'run',
        '--topics',
        topic,
        '--until-end',
        '--no-files',
        '--log-level',
        'trace',
        '--group',
        uniqueName('group'),
      ],
      {
        ARCHIVER_ELASTICSEARCH: stack.elasticsearchUrl.replace('//', `//${user}:${canary}@`),
        ARCHIVER_ELASTICSEARCH_CA: stack.certificateFile,
        ARCHIVER_ELASTICSEARCH_HEADERS: `x-proxy-key: ${canary}`,
        ARCHIVER_INDEX_PREFIX: prefix,
      },
    )
    assert.equal(code, 0, output)
    assert.equal(await count(`${prefix}*`), 2)
    assert.ok(!output.includes(canary))
    // What it may install, it may compare.
    assert.doesNotMatch(output, /could not be looked at/)
  })
})
