import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { reasonsNotReady } from '../../src/monitor/endpoint.ts'
import { Metrics } from '../../src/monitor/metrics.ts'
import { runArchiver, startArchiver } from '../helpers/archiver.ts'
import {
  createTopic,
  elasticsearchUrl,
  indexPrefix,
  produce,
  temporaryDirectory,
  until,
} from '../helpers/servers.ts'

const messages = Array.from({ length: 50 }, (_, i) => ({
  value: JSON.stringify({ type: 'a', i }),
  timestamp: 1_700_000_000_000,
}))

/** A worker that serves its state, and the address. */
async function startWorker(t: TestContext, topic: string, more: readonly string[]) {
  const root = `${await temporaryDirectory(t)}/archive`
  const running = startArchiver(t, [
    'run',
    '--topics',
    topic,
    '--group',
    topic,
    '--archive-dir',
    root,
    '--http',
    '0',
    ...more,
  ])
  await running.says('serving metrics, health and status')
  const base = /"address":"(http:[^"]+)"/.exec(running.output())![1]!
  const get = async (path: string) => {
    const answer = await fetch(base + path)
    return { status: answer.status, body: await answer.text() }
  }
  return { root, running, base, get }
}

/** The value of a metric whose labels contain these words. */
function valueIn(body: string, name: string, ...words: string[]): number | undefined {
  const line = body
    .split('\n')
    .find((one) => one.startsWith(name) && words.every((word) => one.includes(word)))
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1))
}

test('a worker tells what it did, that it is ready, and what its partitions wait for', async (t) => {
  const topic = await createTopic(t)
  const { get, root, base } = await startWorker(t, topic, [
    '--index-prefix',
    indexPrefix(t),
    '--flush-interval',
    '3',
  ])
  assert.equal((await get('/healthz')).status, 200)
  await until('ready', async () => (await get('/readyz')).status === 200)
  await produce(t, topic, messages)
  const partition = `topic="${topic}",partition="0"`
  await until(
    'all committed',
    async () =>
      valueIn((await get('/metrics')).body, 'archiver_partition_committed_offset', partition) ===
      50,
  )
  const { body } = await get('/metrics')
  assert.equal(valueIn(body, 'archiver_records_total'), 50)
  assert.equal(valueIn(body, 'archiver_acknowledged_records_total', 'sink="files"'), 50)
  assert.equal(valueIn(body, 'archiver_acknowledged_records_total', 'sink="elasticsearch"'), 50)
  assert.equal(valueIn(body, 'archiver_partition_lag', partition), 0)
  assert.equal(valueIn(body, 'archiver_flush_duration_seconds_count'), 1)
  assert.ok(valueIn(body, 'archiver_bulk_duration_seconds_count')! >= 1)
  assert.equal(valueIn(body, 'archiver_sink_waiting', 'elasticsearch'), 0)
  assert.ok(valueIn(body, 'process_resident_memory_bytes')! > 0)
  assert.equal((await get('/nothing')).status, 404)

  const { code, output } = await runArchiver(t, [
    'status',
    '--archive-dir',
    root,
    '--workers',
    base,
  ])
  assert.equal(code, 0, output)
  assert.match(output, new RegExp(`${topic}/0 +50 +50 +50 +0 +0 s +\\S+`))
  assert.match(output, /worker \S+ is ready/)
  const away = await runArchiver(t, ['status', '--archive-dir', root, '--workers', '127.0.0.1:1'])
  assert.equal(away.code, 1)
  assert.match(away.output, /worker at http:\/\/127.0.0.1:1 does not answer/)
})

test('a worker whose Elasticsearch is away is healthy and not ready, and says why', async (t) => {
  let isAway = false
  const proxy = createServer((request, response) => {
    if (isAway) {
      response.writeHead(503, { 'content-type': 'application/json' }).end('{"error":"away"}')
      return
    }
    void (async () => {
      const body: Buffer[] = []
      for await (const piece of request) body.push(piece as Buffer)
      const headers = Object.entries(request.headers).filter(
        ([name]) => !['host', 'connection', 'content-length'].includes(name),
      )
      const answer = await fetch(`${elasticsearchUrl}${request.url}`, {
        method: request.method!,
        headers: Object.fromEntries(headers) as Record<string, string>,
        ...(body.length === 0 ? {} : { body: Buffer.concat(body) }),
      })
      const { status } = answer
      const forwarded = ['content-type', 'x-elastic-product'].flatMap((name) => [
        [name, answer.headers.get(name) ?? ''],
      ])
      response
        .writeHead(status, Object.fromEntries(forwarded) as Record<string, string>)
        .end(Buffer.from(await answer.arrayBuffer()))
    })()
  })
  await new Promise<void>((resolve) => {
    proxy.listen(0, '127.0.0.1', resolve)
  })
  t.after(() => proxy.close())
  t.after(() => proxy.closeAllConnections())
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  const topic = await createTopic(t)
  const { get } = await startWorker(t, topic, [
    '--index-prefix',
    indexPrefix(t),
    '--elasticsearch',
    url,
  ])
  await until('ready', async () => (await get('/readyz')).status === 200)
  isAway = true
  await produce(t, topic, messages)
  await until('not ready', async () => (await get('/readyz')).status === 503)
  assert.match((await get('/readyz')).body, /elasticsearch: /)
  assert.equal((await get('/healthz')).status, 200)
  const { body } = await get('/metrics')
  assert.equal(valueIn(body, 'archiver_sink_waiting', 'elasticsearch'), 1)
  assert.ok(valueIn(body, 'archiver_retries_total', 'elasticsearch')! >= 1)
  isAway = false
  await until('ready again', async () => (await get('/readyz')).status === 200)
})

test('a worker whose archive cannot be written is not ready, and says what waits and for how long', async (t) => {
  const topic = await createTopic(t)
  const { get, root } = await startWorker(t, topic, ['--no-elasticsearch', '--flush-interval', '1'])
  await until('ready', async () => (await get('/readyz')).status === 200)
  await produce(t, topic, messages)
  const partition = `topic="${topic}",partition="0"`
  const metric = async (name: string, ...words: string[]) =>
    valueIn((await get('/metrics')).body, name, ...words)
  await until(
    'all committed',
    async () => (await metric('archiver_partition_committed_offset', partition)) === 50,
  )
  await rm(`${root}/_staging`, { recursive: true })
  await writeFile(`${root}/_staging`, 'in the way')
  await produce(t, topic, messages)
  await until(
    'the partition cannot be opened',
    async () => (await metric('archiver_partition_opening', partition)) === 1,
  )
  await until('not ready', async () => /files: /.test((await get('/readyz')).body))
  assert.equal(await metric('archiver_sink_waiting', 'files'), 1)
  assert.equal(await metric('archiver_partition_lag', partition), 50)
  const age = () => metric('archiver_partition_oldest_unacknowledged_seconds', partition)
  await until('what was read grows older', async () => (await age())! > 3)
  await rm(`${root}/_staging`)
  await until(
    'all committed',
    async () => (await metric('archiver_partition_committed_offset', partition)) === 100,
  )
  await until('ready again', async () => (await get('/readyz')).status === 200)
  assert.equal(await metric('archiver_sink_waiting', 'files'), 0)
  assert.equal(await age(), 0)
})

test('an address that is taken is reported in one line', async (t) => {
  const server = createServer()
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const topic = await createTopic(t)
  const root = `${await temporaryDirectory(t)}/archive`
  const argv = [
    'run',
    '--topics',
    topic,
    '--group',
    topic,
    '--archive-dir',
    root,
    '--no-elasticsearch',
    '--http',
    `${port}`,
  ]
  const { code, output } = await runArchiver(t, argv)
  assert.equal(code, 2, output)
  assert.match(output, new RegExp(`--http 127.0.0.1:${port}: another process listens there`))
})

test('readiness: back-pressure is no trouble, all else that waits is', () => {
  const partition = { topic: 't', partition: 0, position: 1, committed: 1, lag: 0 }
  const open = { ...partition, state: 'open', waiting: 'paused until the sinks have room' } as const
  const stuck = { ...partition, state: 'opening', waiting: 'no space left' } as const
  const sink = { name: 'files', waiting: undefined }
  assert.deepEqual(reasonsNotReady([], [open], [sink]), [])
  assert.deepEqual(reasonsNotReady([], [stuck], [sink]), ['t/0: no space left'])
  assert.equal(
    reasonsNotReady(['not joined yet'], [], [{ name: 'elasticsearch', waiting: 'away' }]).length,
    2,
  )
})

test('every metric is documented, and nothing else is', async () => {
  const metrics = new Metrics()
  metrics.watch({
    group: 'g',
    maxPartitions: 500,
    counts: () => ({
      records: 0,
      bytes: 0,
      acknowledged: new Map(),
      acknowledgedBytes: new Map(),
      lostOffsets: 0,
      oversizedRecords: 0,
      pauses: 0,
      rebalances: 0,
      fenced: 0,
      commitFailures: 0,
      missingGroupOffsets: 0,
    }),
    silentMs: () => 0,
    partitions: () => [],
    age: () => 0,
    sinks: [],
    files: undefined,
    lostLogLines: () => 0,
  })
  const names = (text: string) => new Set(text.match(/archiver_[a-z_]+[a-z]/g))
  const told = [...(await metrics.print()).body.matchAll(/^# TYPE (archiver_\S+)/gm)].map(
    ([, name]) => name!,
  )
  const documented = names(
    await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8'),
  )
  assert.deepEqual(
    told.filter((name) => !documented.has(name)),
    [],
  )
  const derived = /_(bucket|count|sum)$/
  assert.deepEqual(
    [...documented].filter((name) => !told.includes(name.replace(derived, ''))),
    [],
  )
})
