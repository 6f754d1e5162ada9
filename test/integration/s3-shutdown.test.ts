import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type RunningArchiver, runArchiver, startArchiver } from '../helpers/archiver.ts'
import { offsetsIn } from '../helpers/bucket-archive.ts'
import { type Fault, FaultyStore, type StoreRequest } from '../helpers/faulty-store.ts'
import { bucketSettings, openS3Home, s3Url } from '../helpers/object-stores.ts'
import { brokers, createTopic, produce, temporaryDirectory, until } from '../helpers/servers.ts'

/** Workers that are to end while their store does not answer. */

const timeoutS = 2
/** What a worker may take beyond that: it leaves the group and closes its connections. */
const graceMs = 8000
const records = 40
const messages = Array.from({ length: records }, (_, n) => ({
  value: JSON.stringify({ type: n % 2 === 0 ? 'a' : 'b', n }),
  timestamp: Date.UTC(2019, 7, 1, 3) + n * 1000,
}))

const hang: Fault = { kind: 'hang' }
const reset: Fault = { kind: 'reset' }

/** A worker of a topic with records, on a store that can be made to fail. */
async function createWorker(t: TestContext) {
  const topic = await createTopic(t, { stem: 's3-shutdown' })
  await produce(t, topic, messages)
  const store = await FaultyStore.start(s3Url)
  t.after(() => store[Symbol.asyncDispose]())
  const settings = bucketSettings(s3Url)
  const scratch = await temporaryDirectory(t)
  const argv = (endpoint: string, ...more: readonly string[]) => [
    ...['run', '--brokers', brokers.join(','), '--topics', topic, '--group', settings.prefix],
    ...['--archive-dir', `s3://${settings.bucket}/${settings.prefix}`, '--scratch-dir', scratch],
    ...['--s3-endpoint', endpoint, '--s3-path-style', '--no-elasticsearch'],
    ...['--session-timeout', '6000', ...more],
  ]
  return {
    store,
    start: (...more: readonly string[]) =>
      startArchiver(t, argv(store.url, ...more), {
        ARCHIVER_SHUTDOWN_TIMEOUT: String(timeoutS),
      }),
    produceMore: () => produce(t, topic, messages),
    untilEnd: () => runArchiver(t, argv(s3Url, '--until-end')),
    home: () => openS3Home(t, settings),
    /** From now on requests like these meet a fault. Settles once one did. */
    fail: async (fault: Fault, isMeant: (request: StoreRequest) => boolean = () => true) => {
      let met = false
      store.rule = (request) => {
        if (!isMeant(request)) return undefined
        met = true
        return fault
      }
      await until('a request meets the fault', () => met, 60_000)
    },
  }
}

/** SIGTERM ends it in time, and one line says what was given up. */
async function assertGivenUp(worker: RunningArchiver, what: RegExp): Promise<void> {
  const sent = performance.now()
  worker.child.kill('SIGTERM')
  assert.equal(await worker.ended, 143, worker.output())
  const tookMs = performance.now() - sent
  assert.ok(tookMs < timeoutS * 1000 + graceMs, `it took ${tookMs} ms\n${worker.output()}`)
  const lines = worker.log().filter(({ event }) => event === 'shutdown_timeout')
  assert.equal(lines.length, 1, worker.output())
  assert.match((lines[0]!.waiting as string[]).join(), what)
  assert.equal(worker.errors(), '')
}

describe('SIGTERM ends a worker whose store does not answer', () => {
  it('during the proof of the store', async (t) => {
    const { fail, start } = await createWorker(t)
    const failing = fail(hang, ({ operation }) => operation === 'UploadPart')
    const worker = start()
    await failing
    await assertGivenUp(worker, /^files: UploadPart of s3:.*probe-.*, which was not answered$/)
  })

  it('while it opens a partition', async (t) => {
    const { fail, start } = await createWorker(t)
    const worker = start()
    await worker.says('"event":"worker_started"', 90_000)
    await fail(reset)
    await assertGivenUp(worker, /^files: \w+ of s3:.*, which failed .*: no answer from http/)
  })

  for (const [operation, isMeant] of [
    ['UploadPart', () => true],
    ['PutObject', ({ key }) => key.includes('/_manifests/') && !key.endsWith('origin.json')],
    ['CompleteMultipartUpload', () => true],
  ] as readonly [string, (request: StoreRequest) => boolean][]) {
    it(`while it flushes: ${operation}`, async (t) => {
      const { fail, start, untilEnd, home } = await createWorker(t)
      const worker = start('--flush-interval', '1')
      await worker.says('"event":"worker_started"', 90_000)
      await fail(hang, (request) => request.operation === operation && isMeant(request))
      await assertGivenUp(worker, new RegExp(`^files: ${operation} of s3:`))
      const next = await untilEnd()
      assert.equal(next.code, 0, next.output)
      const found = await offsetsIn(await home())
      assert.deepEqual([...found.values()], new Array(records).fill(1))
    })
  }

  it('while it compacts', async (t) => {
    const { fail, start, untilEnd, produceMore } = await createWorker(t)
    assert.equal((await untilEnd()).code, 0)
    await produceMore()
    assert.equal((await untilEnd()).code, 0)
    const worker = start('--compact-after', '1s')
    await worker.says('"event":"worker_started"', 90_000)
    await fail(hang, ({ operation, key }) => operation === 'GetObject' && key.includes('/type='))
    await assertGivenUp(worker, /^files: GetObject of s3:.*type=/)
  })

  it('at once, if it is the second', async (t) => {
    const { fail, start } = await createWorker(t)
    const worker = start('--shutdown-timeout', '600')
    await worker.says('"event":"worker_started"', 90_000)
    await fail(hang)
    worker.child.kill('SIGTERM')
    await worker.says('"event":"worker_stopping"')
    // Sooner, they count as one.
    await sleep(700)
    const sent = performance.now()
    worker.child.kill('SIGTERM')
    assert.equal(await worker.ended, 143)
    assert.ok(performance.now() - sent < 1000)
  })
})
