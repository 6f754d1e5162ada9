import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { FilesSink, FilesSinkOptions } from '../../src/files/sink.ts'
import type { S3Home } from '../../src/home/s3/home.ts'
import type { BucketSettings } from '../../src/home/s3/settings.ts'
import { faultPoints } from '../../src/runtime/fault.ts'
import {
  brokenLink,
  compactNow,
  dataFiles,
  flush,
  manifestsIn,
  offsetsIn,
  overlap,
  tp,
} from '../helpers/bucket-archive.ts'
import { type FaultRule, FaultyStore } from '../helpers/faulty-store.ts'
import { createFilesSink } from '../helpers/files-sink.ts'
import {
  bucketSettings,
  openS3Home,
  s3Title,
  s3Url,
  startVersitygw,
} from '../helpers/object-stores.ts'
import { temporaryDirectory, until } from '../helpers/servers.ts'

/** Exactly once in a bucket: the sink on real stores, killed, raced, frozen and lied to. */

const writer = fileURLToPath(new URL('../helpers/bucket-writer.ts', import.meta.url))

async function openSink(
  t: TestContext,
  settings: BucketSettings,
  options: Partial<FilesSinkOptions> = {},
): Promise<{ sink: FilesSink; home: S3Home }> {
  const home = await openS3Home(t, settings)
  const sink = createFilesSink('', { home, ...options })
  await sink.start(() => {})
  t.after(() => sink.stop())
  return { sink, home }
}

/** Every offset below `next` is in the files once, and no other. */
async function assertOnce(home: S3Home, next: number): Promise<void> {
  const found = await offsetsIn(home)
  const twice = [...found].filter(([, times]) => times !== 1)
  assert.deepEqual(twice, [])
  assert.deepEqual(
    [...found.keys()].sort((a, b) => a - b),
    Array.from({ length: next }, (_, i) => i),
  )
}

/** Runs a writer in a process; returns the signal that ended it. */
async function write(
  t: TestContext,
  { endpoint, prefix }: BucketSettings,
  next: number,
  { fault, compact = false }: { fault?: string; compact?: boolean },
): Promise<string | null> {
  const scratch = await temporaryDirectory(t)
  const argv = [
    '--import',
    'tsx',
    writer,
    endpoint!,
    prefix,
    scratch,
    String(next),
    ...(compact ? ['compact'] : []),
  ]
  const env = { ...process.env, ...(fault === undefined ? {} : { ARCHIVER_FAULT: fault }) }
  const child = spawn(process.execPath, argv, { env, stdio: ['ignore', 'inherit', 'inherit'] })
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  if (signal === null) assert.equal(code, 0)
  return signal
}

/** Points in which the two stores could differ. */
const fewPoints = [
  'files.content-written',
  'files.linked',
  'files.renamed-one',
  'compaction.linked',
]

const stores: readonly [string, (t: TestContext) => Promise<string | undefined>][] = [
  [s3Title, async () => s3Url],
  ['versitygw', startVersitygw],
]

for (const [name, start] of stores) {
  describe(`an archive in a bucket of ${name}`, () => {
    /** Without Go there is no versitygw, and S3Proxy has to do. */
    const on = (title: string, run: (t: TestContext, url: string) => Promise<void>) =>
      it(title, async (t) => {
        const url = await start(t)
        if (url === undefined) t.diagnostic(`${name} is not to be had here`)
        else await run(t, url)
      })

    on('has files, a chain of manifests, and nothing else', async (t, url) => {
      const settings = bucketSettings(url)
      const { sink, home } = await openSink(t, settings)
      await sink.open(tp, 0)
      for (let from = 0; from < 60; from += 20) await flush(sink, from, from + 20)
      await assertOnce(home, 60)
      assert.equal(await brokenLink(home), undefined)
      assert.equal((await manifestsIn(home)).length, 3)
      assert.deepEqual((await home.list('')).sort(), [
        '_archive.json',
        '_manifests',
        'type=a',
        'type=b',
      ])

      const compacted = await compactNow(home)
      assert.equal(compacted.folded, 3)
      assert.deepEqual((await dataFiles(home)).length, 2)
      await assertOnce(home, 60)
      await sink.close(tp)
      const { next } = await sink.open(tp, 0)
      assert.equal(next, 60)
      await flush(sink, 60, 80)
      await assertOnce(home, 80)
      assert.equal(await brokenLink(home), undefined)
      const uploads: string[] = []
      for await (const { key } of home.openUploads()) uploads.push(key)
      assert.deepEqual(uploads, [])
    })

    on('takes a range from one of two workers at one position', async (t, url) => {
      const settings = bucketSettings(url)
      const one = await openSink(t, settings, { worker: 'one' })
      const two = await openSink(t, settings, { worker: 'two' })
      for (let from = 0; from < 50; from += 10) {
        await Promise.all([one.sink.open(tp, 0), two.sink.open(tp, 0)])
        const results = await Promise.allSettled([
          flush(one.sink, from, from + 10),
          flush(two.sink, from, from + 10),
        ])
        const failures = results.flatMap((result) =>
          result.status === 'rejected' ? [result.reason] : [],
        )
        assert.equal(failures.length, 1)
        assert.equal((failures[0] as { code: string }).code, 'FENCED')
      }
      await assertOnce(one.home, 50)
      assert.equal(await brokenLink(one.home), undefined)
      await Promise.all([one.sink.close(tp), two.sink.close(tp)])
      const uploads: string[] = []
      for await (const { key } of one.home.openUploads()) uploads.push(key)
      assert.deepEqual(uploads, [])
    })

    on('lets a frozen worker finish nothing that others have merged', async (t, url) => {
      const proxy = await FaultyStore.start(url)
      t.after(() => proxy[Symbol.asyncDispose]())
      const settings = bucketSettings(url)
      const frozen = await openSink(t, { ...settings, endpoint: proxy.url }, { worker: 'frozen' })
      await frozen.sink.open(tp, 0)
      let thaw = () => {}
      const thawed = new Promise<void>((resolve) => {
        thaw = resolve
      })
      proxy.hold((request) => request.operation === 'CompleteMultipartUpload', thawed)
      const flushed = flush(frozen.sink, 0, 10)
      await until('the frozen worker completes', () => proxy.count('CompleteMultipartUpload') > 0)

      const other = await openSink(t, settings, { worker: 'other' })
      assert.equal((await other.sink.open(tp, 0)).next, 10)
      await flush(other.sink, 10, 20)
      await compactNow(other.home)
      await assertOnce(other.home, 20)
      const merged = await dataFiles(other.home)
      thaw()
      await assert.rejects(flushed, { code: 'FENCED' })
      assert.deepEqual(await dataFiles(other.home), merged)
      await assertOnce(other.home, 20)
      assert.equal(await brokenLink(other.home), undefined)
    })

    on('is whole after a kill at every point of a flush and of a compaction', async (t, url) => {
      const points = faultPoints.filter(
        (point) => !point.startsWith('worker.') && (name === s3Title || fewPoints.includes(point)),
      )
      const rest = points.values()
      const lane = async () => {
        for (const point of rest) await isWholeAfter(point)
      }
      const isWholeAfter = async (point: string) => {
        const settings = bucketSettings(url)
        const isCompaction = point.startsWith('compaction.')
        const signal = await write(t, settings, 30, { fault: point, compact: isCompaction })
        assert.equal(signal, 'SIGKILL', `${point} was not come by`)
        const home = await openS3Home(t, settings)
        const early = await dataFiles(home)
        if (!isCompaction) assert.ok(!overlap(early), point)
        const { sink } = await openSink(t, settings, { worker: 'next' })
        const { next } = await sink.open(tp, 0)
        await flush(sink, next!, 40)
        if (isCompaction) await compactNow(home)
        await assertOnce(home, 40)
        assert.equal(await brokenLink(home), undefined, point)
      }
      await Promise.all([lane(), lane(), lane()])
    })

    on('is whole through a store that loses, refuses and cuts', async (t, url) => {
      const proxy = await FaultyStore.start(url)
      t.after(() => proxy[Symbol.asyncDispose]())
      proxy.forgetsCompleted = true
      const settings = bucketSettings(url)
      const { sink, home } = await openSink(t, {
        ...settings,
        endpoint: proxy.url,
        requestTimeoutMs: 500,
      })
      proxy.rule = everyFew()
      await sink.open(tp, 0)
      for (let from = 0; from < 80; from += 10) await flush(sink, from, from + 10)
      await compactNow(home)
      proxy.rule = () => undefined
      await assertOnce(await openS3Home(t, settings), 80)
      assert.equal(await brokenLink(home), undefined)
    })

    on('never shows a reader that lists it two files with the same records', async (t, url) => {
      const settings = bucketSettings(url)
      const { sink } = await openSink(t, settings)
      const reader = await openS3Home(t, settings)
      await sink.open(tp, 0)
      let isOver = false
      const reading = (async () => {
        let looks = 0
        for (; !isOver; looks++) assert.ok(!overlap(await dataFiles(reader)))
        return looks
      })()
      for (let from = 0; from < 100; from += 10) await flush(sink, from, from + 10)
      isOver = true
      assert.ok((await reading) > 0)
    })
  })
}

/** Faults of every kind in turn, one for every third request. */
function everyFew(): FaultRule {
  let count = 0
  const kinds: readonly ReturnType<FaultRule>[] = [
    { kind: 'lost-answer' },
    { kind: 'answer', status: 503, code: 'SlowDown' },
    { kind: 'reset' },
    { kind: 'answer', status: 409, code: 'ConditionalRequestConflict' },
    { kind: 'cut-body' },
    { kind: 'late', ms: 300 },
    { kind: 'answer', status: 500, code: 'InternalError' },
    { kind: 'hang' },
  ]
  return ({ operation }) => {
    if (++count % 3 !== 0) return undefined
    const fault = kinds[(count / 3) % kinds.length]
    // Only a completion has its error in a body that says 200.
    if (operation === 'CompleteMultipartUpload' && count % 2 === 0)
      return { kind: 'answer', status: 200, code: 'InternalError' }
    return fault
  }
}
