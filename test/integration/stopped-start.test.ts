import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startArchiver } from '../helpers/archiver.ts'
import { flush } from '../helpers/bucket-archive.ts'
import { FaultyStore, type StoreRequest } from '../helpers/faulty-store.ts'
import { createFilesSink } from '../helpers/files-sink.ts'
import { bucketSettings, s3Url } from '../helpers/object-stores.ts'
import { createTopic, temporaryDirectory, uniqueName, until } from '../helpers/servers.ts'

/** Commands that a signal stops while their start waits for a server that does not answer. */

/** A server that takes connections and never answers. */
async function silentServer(t: TestContext) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as { port: number }
  return {
    address: `127.0.0.1:${port}`,
    asked: () => until('the server is asked', () => sockets.size > 0, 60_000),
  }
}

interface Place {
  /** The address of the server that does not answer. */
  readonly away: string
  readonly topic: string
  readonly group: string
  readonly directory: string
}

type Words = (place: Place) => readonly string[]

const run: Words = ({ topic, group }) => ['run', '--topics', topic, '--group', group]
const inDirectory: Words = ({ directory }) => ['--archive-dir', directory]
const inBucketAway: Words = ({ away }) => [
  ...['--archive-dir', 's3://archive/none', '--s3-endpoint', `http://${away}`, '--s3-path-style'],
]
const noKafka = ['--no-kafka', '--no-elasticsearch']

const cases: readonly (readonly [string, string, Words])[] = [
  ['run', 'Kafka', (at) => [...run(at), ...inDirectory(at), '--brokers', at.away]],
  [
    'run',
    'Elasticsearch',
    (at) => [...run(at), ...inDirectory(at), '--elasticsearch', `http://${at.away}`],
  ],
  [
    'run',
    'MySQL',
    (at) => [
      ...[...run(at), ...inDirectory(at), '--no-elasticsearch'],
      ...['--mysql', `mysql://user@${at.away}/archiver`],
    ],
  ],
  [
    'run',
    'its bucket',
    (at) => [...run(at), ...inBucketAway(at), '--no-elasticsearch', '--shutdown-timeout', '1'],
  ],
  ['verify', 'Kafka', (at) => ['verify', ...inDirectory(at), '--brokers', at.away]],
  [
    'verify',
    'Elasticsearch',
    (at) => ['verify', ...inDirectory(at), '--no-kafka', '--elasticsearch', `http://${at.away}`],
  ],
  [
    'restore',
    'Kafka',
    (at) => [
      ...['restore', ...inDirectory(at), '--to', 'kafka', '--to-topic', 'x', '--yes'],
      ...['--brokers', at.away],
    ],
  ],
  [
    'restore',
    'Elasticsearch',
    (at) => ['restore', ...inDirectory(at), '--elasticsearch', `http://${at.away}`],
  ],
  [
    'retry-rejected',
    'Elasticsearch',
    (at) => ['retry-rejected', '--elasticsearch', `http://${at.away}`],
  ],
  ['verify', 'its bucket', (at) => ['verify', ...inBucketAway(at), ...noKafka]],
  ['cat', 'its bucket', (at) => ['cat', ...inBucketAway(at)]],
  ['ls', 'its bucket', (at) => ['ls', ...inBucketAway(at)]],
  ['compact', 'its bucket', (at) => ['compact', ...inBucketAway(at)]],
  ['sweep', 'its bucket', (at) => ['sweep', ...inBucketAway(at)]],
  [
    'prune',
    'its bucket',
    (at) => ['prune', ...inBucketAway(at), '--older-than', '90d', '--no-elasticsearch'],
  ],
  ['copy', 'its source', (at) => ['copy', 's3://archive/none', '/dev/shm/none', ...away(at)]],
  ['copy', 'its target', (at) => ['copy', at.directory, 's3://archive/none', ...away(at)]],
]

function away({ away: address }: Place): string[] {
  return ['--s3-endpoint', `http://${address}`, '--s3-path-style']
}

describe('a signal ends a start at once', () => {
  for (const [i, [command, server, words]] of cases.entries()) {
    const [signal, code] = i % 2 === 0 ? (['SIGTERM', 143] as const) : (['SIGINT', 130] as const)
    it(`${signal}: ${command}, ${server} does not answer`, async (t) => {
      const silent = await silentServer(t)
      const directory = await temporaryDirectory(t)
      const sink = createFilesSink(directory)
      await sink.start(() => {})
      await sink.open({ topic: 'events', partition: 3 }, 0)
      await flush(sink, 0, 10)
      await sink.stop()
      const running = startArchiver(
        t,
        words({
          away: silent.address,
          topic: command === 'run' ? await createTopic(t, { stem: 'stopped' }) : '',
          group: uniqueName('stopped'),
          directory,
        }),
      )
      await silent.asked()
      const sent = performance.now()
      running.child.kill(signal)
      assert.equal(await running.ended, code, running.output())
      const tookMs = performance.now() - sent
      assert.ok(tookMs < 3000, `it took ${tookMs} ms\n${running.output()}`)
      assert.equal(running.errors(), '')
    })
  }
})

it('a start that fails after the signal ends as one that is stopped', async (t) => {
  const store = await FaultyStore.start(s3Url)
  t.after(() => store[Symbol.asyncDispose]())
  const stopped = Promise.withResolvers<void>()
  const isProof = ({ operation }: StoreRequest) => operation === 'UploadPart'
  store.hold(isProof, stopped.promise)
  store.rule = (request) =>
    isProof(request) ? { kind: 'answer', status: 403, code: 'AccessDenied' } : undefined
  const topic = await createTopic(t, { stem: 'stopped' })
  const { bucket, prefix } = bucketSettings(s3Url)
  const worker = startArchiver(t, [
    ...['run', '--topics', topic, '--group', prefix, '--no-elasticsearch'],
    ...['--archive-dir', `s3://${bucket}/${prefix}`, '--s3-endpoint', store.url, '--s3-path-style'],
  ])
  await until('the proof uploads', () => store.count('UploadPart') > 0, 60_000)
  worker.child.kill('SIGTERM')
  // The signal is there before the answer.
  await sleep(200)
  stopped.resolve()
  assert.equal(await worker.ended, 143, worker.output())
  assert.equal(worker.errors(), '')
  const line = worker.log().find(({ event }) => event === 'start_stopped')
  assert.match(String(line?.err), /does not allow s3:PutObject/)
})
