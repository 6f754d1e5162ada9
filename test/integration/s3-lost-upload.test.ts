import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { describe, it, type TestContext } from 'node:test'
import type { FilesSink } from '../../src/files/sink.ts'
import type { S3Home } from '../../src/home/s3/home.ts'
import type { BucketSettings } from '../../src/home/s3/settings.ts'
import { runArchiver } from '../helpers/archiver.ts'
import {
  brokenLink,
  contentOf,
  dataFiles,
  encodedBatch,
  flush,
  manifestsIn,
  offsetsIn,
  tp,
} from '../helpers/bucket-archive.ts'
import { deleteRecords } from '../helpers/exactly-once.ts'
import { FaultyStore } from '../helpers/faulty-store.ts'
import { createFilesSink } from '../helpers/files-sink.ts'
import { bucketSettings, openS3Home, s3Url, startVersitygw } from '../helpers/object-stores.ts'
import { brokers, createTopic, produce, uniqueName, until, withAdmin } from '../helpers/servers.ts'

/** A store ends an open upload between the manifest and the completion of a flush. */

const start = Date.UTC(2019, 7, 1, 3)

function messages(from: number, next: number, partition = 0) {
  return Array.from({ length: next - from }, (_, i) => ({
    value: JSON.stringify({ type: (from + i) % 3 === 0 ? 'b' : 'a', n: from + i }),
    timestamp: start + (from + i) * 1000,
    partition,
  }))
}

/** Ends open uploads, as a lifecycle rule does. Returns how many. */
async function expire(home: S3Home, isOne: (key: string) => boolean = () => true): Promise<number> {
  let ended = 0
  for await (const upload of home.openUploads()) {
    if (!isOne(upload.key)) continue
    await home.abortUpload(upload)
    ended++
  }
  return ended
}

/** Every offset below `next` is in the files once, and no other. */
async function assertOnce(home: S3Home, next: number): Promise<void> {
  const found = [...(await offsetsIn(home))].sort(([a], [b]) => a - b)
  assert.deepEqual(
    found,
    Array.from({ length: next }, (_, i) => [i, 1]),
  )
}

async function openWhole(sink: FilesSink): Promise<number> {
  for (;;) {
    const { next, incomplete = [] } = await sink.open(tp, 0)
    if (incomplete.length === 0) return next!
    for (const range of incomplete) {
      async function* fromKafka() {
        yield encodedBatch(range.from, range.next)
      }
      assert.deepEqual(await sink.refill(tp, range, fromKafka(), false), [])
    }
  }
}

function worker({ bucket, prefix, endpoint }: BucketSettings, topic: string, group: string) {
  const archive = [
    ...['--archive-dir', `s3://${bucket}/${prefix}`],
    ...['--s3-endpoint', endpoint!, '--s3-path-style'],
  ]
  const kafka = ['--brokers', brokers.join(','), '--group', group, '--no-elasticsearch']
  const worker = ['--topics', topic, '--until-end', '--session-timeout', '6000']
  return {
    run: ['run', ...kafka, ...archive, ...worker],
    verify: ['verify', ...kafka, ...archive],
  }
}

const stores: readonly [string, (t: TestContext) => Promise<string | undefined>][] = [
  ['S3Proxy', async () => s3Url],
  ['versitygw', startVersitygw],
]

for (const [name, startStore] of stores) {
  describe(`an upload that ${name} ends after its manifest`, () => {
    const on = (title: string, run: (t: TestContext, url: string) => Promise<void>) =>
      it(title, async (t) => {
        const url = await startStore(t)
        if (url === undefined) t.diagnostic(`${name} is not to be had here`)
        else await run(t, url)
      })

    on('is read from Kafka again, also by a worker that is killed over it', async (t, url) => {
      const settings = bucketSettings(url, { prefix: uniqueName('lost') })
      const topic = await createTopic(t, { stem: 'lost' })
      const { run, verify } = worker(settings, topic, uniqueName('lost'))
      await produce(t, topic, messages(0, 60))
      assert.equal((await runArchiver(t, run)).code, 0)
      await produce(t, topic, messages(60, 150))
      const home = await openS3Home(t, settings)
      const points = ['files.linked', 'compaction.content-written', 'compaction.linked']
      for (const point of name === 'S3Proxy' ? points : ['files.linked', 'compaction.linked']) {
        const killed = await runArchiver(t, run, { ARCHIVER_FAULT: point })
        assert.equal(killed.code, 137, `${point} was not come by: ${killed.output}`)
        assert.ok((await expire(home)) > 0, point)
      }
      assert.equal((await runArchiver(t, verify)).code, 1, 'files are missing')
      const healed = await runArchiver(t, run)
      assert.equal(healed.code, 0, healed.output)
      const events = healed.log.filter(({ event }) => event === 'range_reread')
      assert.deepEqual(
        events.map(({ from, next, records }) => [from, next, records]),
        [[60, 150, 90]],
      )
      const verified = await runArchiver(t, verify)
      assert.equal(verified.code, 0, verified.output)
      assert.match(verified.output, /proven: 1 partition, 150 records/)
      await assertOnce(home, 150)
      assert.deepEqual(
        (await manifestsIn(home, { topic, partition: 0 })).map(({ from, generation }) => [
          from,
          generation,
        ]),
        [
          [0, undefined],
          [60, 2],
        ],
      )
    })

    on(
      'cannot come back: the zombie completes it after the range was read again',
      async (t, url) => {
        const proxy = await FaultyStore.start(url)
        t.after(() => proxy[Symbol.asyncDispose]())
        const settings = bucketSettings(url)
        const home = await openS3Home(t, settings)
        const zombie = createFilesSink('', {
          home: await openS3Home(t, { ...settings, endpoint: proxy.url }),
          worker: 'zombie',
        })
        t.after(() => zombie.stop())
        await zombie.start(() => {})
        await zombie.open(tp, 0)
        const thaw = Promise.withResolvers<void>()
        proxy.hold((request) => request.operation === 'CompleteMultipartUpload', thaw.promise)
        const flushed = flush(zombie, 0, 40).then(
          () => 'acknowledged',
          ({ code }: { code: string }) => code,
        )
        await until('the zombie completes', () => proxy.count('CompleteMultipartUpload') > 1)
        // One of its two files is lost, the other is still an open upload.
        assert.equal(await expire(home, (key) => key.startsWith('type=a/')), 1)

        const owner = createFilesSink('', {
          home: await openS3Home(t, settings),
          worker: 'owner',
          // Other bytes with the same records: the zombie must not take them for its own.
          gzipLevel: 9,
        })
        t.after(() => owner.stop())
        await owner.start(() => {})
        assert.equal(await openWhole(owner), 40)
        await flush(owner, 40, 50)
        const names = await dataFiles(home)
        assert.equal(names.length, 4)
        thaw.resolve()
        // versitygw takes the repeated completion of an object that is there for done.
        assert.match(await flushed, name === 'S3Proxy' ? /^FENCED$/ : /^(FENCED|acknowledged)$/)
        assert.deepEqual(await dataFiles(home), names)
        for (const file of (await manifestsIn(home)).flatMap(({ files }) => files)) {
          const content = await contentOf(home, file.path)
          assert.equal(hash('sha256', content!), file.sha256, file.path)
        }
        await assertOnce(home, 50)
        assert.equal(await brokenLink(home), undefined)
      },
    )
  })
}

it('what Kafka has not any more stops the partition, and others go on', async (t) => {
  const settings = bucketSettings(s3Url, { prefix: uniqueName('lost') })
  const topic = await createTopic(t, { stem: 'lost', partitions: 2 })
  const { run, verify } = worker(settings, topic, uniqueName('lost'))
  await produce(t, topic, messages(0, 50))
  const killed = await runArchiver(t, run, { ARCHIVER_FAULT: 'files.linked' })
  assert.equal(killed.code, 137, killed.output)
  assert.equal(await expire(await openS3Home(t, settings)), 2)
  await deleteRecords(await withAdmin(t), topic, 20)
  await produce(t, topic, messages(0, 30, 1))

  const stopped = await runArchiver(t, run)
  assert.equal(stopped.code, 1, stopped.output)
  const loss = stopped.log.find(({ event }) => event === 'records_lost')
  assert.deepEqual(
    [loss?.from, loss?.next, loss?.reason, loss?.offsets, loss?.stopped],
    [0, 50, 'file-lost', 20, true],
  )
  const accepted = await runArchiver(t, [...run, '--on-gap', 'continue'])
  assert.equal(accepted.code, 0, accepted.output)
  const verified = await runArchiver(t, verify)
  assert.equal(verified.code, 0, verified.output)
  assert.match(verified.output, /proven: 2 partitions, 60 records/)
})

it('what somebody removed after the group committed it stops the partition', async (t) => {
  const settings = bucketSettings(s3Url, { prefix: uniqueName('lost') })
  const topic = await createTopic(t, { stem: 'lost' })
  const { run } = worker(settings, topic, uniqueName('lost'))
  await produce(t, topic, messages(0, 50))
  assert.equal((await runArchiver(t, run)).code, 0)
  const home = await openS3Home(t, settings)
  await home.remove((await dataFiles(home)).slice(0, 1))
  await produce(t, topic, messages(50, 60))
  const stopped = await runArchiver(t, run)
  assert.equal(stopped.code, 1, stopped.output)
  assert.match(stopped.output, /somebody removed them/)
  const again = await runArchiver(t, [...run, '--on-gap', 'continue'])
  assert.equal(again.code, 0, again.output)
  await assertOnce(home, 60)
})
