import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type RunningArchiver, runArchiver, startArchiver } from '../helpers/archiver.ts'
import {
  createTopic,
  freePort,
  produce,
  temporaryDirectory,
  uniqueName,
  until,
} from '../helpers/servers.ts'

/** Pausing and resuming workers, as an operator does it. */

const token = 'a-token-of-the-operator'

interface Status {
  readonly ready: boolean
  readonly paused: boolean
  readonly paused_topics: readonly string[]
  readonly records: number
  readonly partitions: readonly {
    readonly topic: string
    readonly waiting?: string
    readonly lag?: number
    readonly state: string
  }[]
}

interface Operated {
  readonly running: RunningArchiver
  readonly post: (path: string, secret?: string) => Promise<number>
  readonly status: () => Promise<Status>
  readonly metric: (name: string) => Promise<string | undefined>
}

async function operated(t: TestContext, argv: readonly string[]): Promise<Operated> {
  const file = join(await temporaryDirectory(t), 'token')
  await writeFile(file, `${token}\n`)
  const port = await freePort()
  const at = `http://127.0.0.1:${port}`
  const flags = ['--http', `${port}`, '--http-token-file', file, '--flush-interval', '0.5']
  const running = startArchiver(t, ['run', ...argv, ...flags, '--no-elasticsearch'])
  await running.says('endpoint_started')
  return {
    running,
    post: async (path, secret = token) => {
      const headers = { authorization: `Bearer ${secret}` }
      const answer = await fetch(at + path, { method: 'POST', headers })
      await answer.body?.cancel()
      return answer.status
    },
    status: async () => (await fetch(`${at}/status`)).json() as Promise<Status>,
    metric: async (name) =>
      new RegExp(`^${name} (.+)$`, 'm').exec(await (await fetch(`${at}/metrics`)).text())?.[1],
  }
}

const messages = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ value: `{"type":"a","n":${i}}` }))

test('a paused worker reads nothing, stays in the group and says so; another one takes over', async (t) => {
  const [topic, other] = [
    await createTopic(t, { stem: 'paused', partitions: 2 }),
    await createTopic(t, { stem: 'paused-not' }),
  ]
  const group = uniqueName('paused')
  const root = join(await temporaryDirectory(t), 'archive')
  const argv = ['--topics', `${topic},${other}`, '--group', group, '--archive-dir', root]
  const worker = await operated(t, argv)
  await produce(t, topic, messages(4))
  const reads = (records: number) => async () => (await worker.status()).records === records
  await until('it reads', reads(4))

  assert.equal(await worker.post('/pause?topic=none'), 404)
  assert.equal(await worker.post('/pause', `${token}x`), 403)
  assert.equal(await worker.post(`/pause?topic=${topic}`), 200)
  await produce(t, topic, messages(6))
  await produce(t, other, messages(3))
  await until('the other topic goes on', reads(7))
  const status = await worker.status()
  assert.deepEqual([status.ready, status.paused, status.paused_topics], [true, false, [topic]])
  for (const { topic: name, waiting } of status.partitions)
    assert.equal(waiting, name === topic ? 'paused by an operator' : undefined)
  assert.equal(await worker.metric('archiver_paused_partitions'), '2')
  assert.equal(await worker.metric('archiver_pauses_total'), '0')

  assert.equal(await worker.post('/pause'), 200)
  assert.equal((await worker.status()).paused, true, 'who paused it reads no older answer')
  assert.equal(await worker.post(`/resume?topic=${topic}`), 409)
  await produce(t, other, messages(2))
  // What moves away goes on there; what stays, or comes back, is paused.
  const second = await operated(t, argv)
  await until('the second worker has partitions', async () => {
    const { partitions } = await second.status()
    return partitions.length > 0 && partitions.every(({ state }) => state === 'open')
  })
  second.running.child.kill('SIGTERM')
  assert.equal(await second.running.ended, 143)
  await until('all partitions are back and open', async () => {
    const { partitions } = await worker.status()
    return partitions.length === 3 && partitions.every(({ state }) => state === 'open')
  })
  assert.equal((await worker.status()).records, 7)
  assert.equal(await worker.metric('archiver_paused_partitions'), '3')
  const { records: taken } = await second.status().catch(() => ({ records: undefined }))
  assert.equal(taken, undefined, 'it ended')

  assert.equal(await worker.post('/resume'), 200)
  await until('nothing is left', async () => {
    const { partitions } = await worker.status()
    return partitions.every(({ lag, waiting }) => lag === 0 && waiting === undefined)
  })
  worker.running.child.kill('SIGTERM')
  assert.equal(await worker.running.ended, 143)
  const events = worker.running.log().map(({ event }) => event)
  assert.equal(events.filter((event) => event === 'operator_paused').length, 2)
  assert.equal(events.filter((event) => event === 'operator_resumed').length, 1)
  assert.ok(!worker.running.output().includes(token))
})

test('a token that is too short is refused before the worker starts', async (t) => {
  const file = join(await temporaryDirectory(t), 'token')
  await writeFile(file, 'short\n')
  for (const [flag, value] of [
    ['--http-token-file', file],
    ['--http-token', 'short'],
  ] as const) {
    const argv = ['run', '--topics', 'none', '--no-files', '--http', '0', flag, value]
    const { code, output } = await runArchiver(t, argv)
    assert.equal(code, 2, output)
    assert.match(output, new RegExp(`^archiver: ${flag}.*16 or more visible characters`))
    assert.doesNotMatch(output, /worker_started|endpoint_started|short/)
  }
})
