import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it, type TestContext } from 'node:test'
import { planSweep, sweep } from '../../src/files/compact/sweep.ts'
import { listPartitions } from '../../src/files/log/commit-log.ts'
import { DamagedPartitions } from '../../src/files/read/damaged-partitions.ts'
import type { S3Home } from '../../src/home/s3/home.ts'
import { strayFiles } from '../../src/verify/strays.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { dataFiles, flush, offsetsIn, tp } from '../helpers/bucket-archive.ts'
import { FaultyStore } from '../helpers/faulty-store.ts'
import { createFilesSink } from '../helpers/files-sink.ts'
import {
  bucketSettings,
  openS3Home,
  s3Title,
  s3Url,
  startVersitygw,
} from '../helpers/object-stores.ts'
import { temporaryDirectory, until } from '../helpers/servers.ts'

/** What dead workers left open in a bucket. */

const hour = 'type=a/dt=2019-08-01/hr=03'
const file = (topic: string, first: number) =>
  `${hour}/${topic}+3+${String(first).padStart(20, '0')}-${String(first + 1).padStart(20, '0')}.jsonl.gz`

/** An upload whose writer dies before it commits. */
async function leaveUpload(home: S3Home, path: string): Promise<void> {
  const content = Buffer.from(path)
  const sha256 = createHash('sha256').update(content).digest('hex')
  const staging = await home.stage('_staging/events/3/dead')
  await staging.file('0.part').complete({ path, bytes: content.length, sha256 }, content)
}

async function uploadsOf(home: S3Home): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of home.openUploads()) keys.push(key)
  return keys.sort()
}

async function strays(home: S3Home): Promise<string[]> {
  const found: string[] = []
  for await (const name of strayFiles(home, [tp], undefined)) found.push(name)
  return found
}

async function plan(home: S3Home, before: number, damaged = new DamagedPartitions(() => {})) {
  return planSweep(home, await listPartitions(home), damaged, before)
}

const stores: readonly [string, (t: TestContext) => Promise<string | undefined>][] = [
  [s3Title, async () => s3Url],
  ['versitygw', startVersitygw],
]

for (const [name, startStore] of stores) {
  describe(`a sweep of a bucket of ${name}`, () => {
    it('ends what the dead left, and nothing that a live worker or a manifest needs', async (t) => {
      const url = await startStore(t)
      if (url === undefined) return t.diagnostic(`${name} is not to be had here`)
      const proxy = await FaultyStore.start(url)
      t.after(() => proxy[Symbol.asyncDispose]())
      const settings = bucketSettings(url)
      const sink = createFilesSink('', {
        home: await openS3Home(t, { ...settings, endpoint: proxy.url }),
      })
      t.after(() => sink.stop())
      await sink.start(() => {})
      await sink.open(tp, 0)
      await flush(sink, 0, 20)
      const thaw = Promise.withResolvers<void>()
      proxy.hold(({ operation }) => operation === 'CompleteMultipartUpload', thaw.promise)
      const before = proxy.count('CompleteMultipartUpload')
      const flushed = flush(sink, 20, 40)
      await until('it completes', () => proxy.count('CompleteMultipartUpload') > before + 1)

      const home = await openS3Home(t, settings)
      const dead = [file('events', 40), file('another', 0), file('events', 3)]
      for (const path of dead) await leaveUpload(home, path)
      await leaveUpload(home, '_archive.json.probe-0123-upload')
      await leaveUpload(home, 'of/another/program')
      const probe = '_archive.json.probe-0123-create'
      await home.create(probe, 'one')
      await home.create('_archive.json.probing', 'of another program')

      const young = await plan(home, Date.now() - 3_600_000)
      assert.deepEqual([young.dead, young.young, young.needed, young.foreign], [[], 6, 0, 1])
      assert.deepEqual(young.probes, [])
      const old = await plan(home, Date.now() + 3_600_000)
      assert.deepEqual(old.dead.map(({ key }) => key).sort(), [
        '_archive.json.probe-0123-upload',
        ...dead.toSorted(),
      ])
      assert.deepEqual([old.young, old.needed, old.unknown, old.foreign], [0, 2, 0, 1])
      assert.deepEqual(old.probes, [probe])
      assert.deepEqual(await strays(home), [])
      await sweep(home, old)
      await sweep(home, old)
      assert.equal(await home.stat(probe), undefined)
      assert.notEqual(await home.stat('_archive.json.probing'), undefined)
      assert.equal((await uploadsOf(home)).length, 3)

      await home.replace('_manifests/events/3/00000000000000000020.json', '{')
      const damaged = new DamagedPartitions(() => {})
      const doubtful = await plan(home, Date.now() + 3_600_000, damaged)
      assert.deepEqual([doubtful.dead, doubtful.unknown, damaged.isAny], [[], 2, true])
      thaw.resolve()
      await flushed
      assert.equal((await dataFiles(home)).length, 4)
      assert.equal((await offsetsIn(home)).size, 40)
    })
  })
}

it('a sweep is a command, with a look before it acts', async (t) => {
  const settings = bucketSettings(s3Url)
  const home = await openS3Home(t, settings)
  const sink = createFilesSink('', { home })
  t.after(() => sink.stop())
  await sink.start(() => {})
  await leaveUpload(home, file('events', 40))
  const archive = [
    ...['--archive-dir', `s3://${settings.bucket}/${settings.prefix}`],
    ...['--s3-endpoint', s3Url, '--s3-path-style'],
  ]
  const look = await runArchiver(t, ['sweep', ...archive, '--dry-run'])
  assert.equal(look.code, 0, look.output)
  assert.match(look.output, /: 0 open uploads of dead workers, begun before /)
  assert.match(look.output, /^left: 1 began since .*: a worker may still need it$/m)
  const json = await runArchiver(t, ['sweep', ...archive, '--json'])
  assert.match(
    json.output,
    /"dead":0,"probes":0,"ended":true,"young":1,"needed":0,"unknown":0,"foreign":0/,
  )
  assert.deepEqual(await uploadsOf(home), [file('events', 40)])
  const hasty = await runArchiver(t, ['sweep', ...archive, '--older-than', '5m'])
  assert.equal(hasty.code, 2)
  assert.match(
    hasty.output,
    /--older-than: .*expected 1h or more: a worker may still need a younger upload/,
  )

  const directory = await temporaryDirectory(t)
  assert.equal((await runArchiver(t, ['sweep', '--archive-dir', directory])).code, 1)
  const files = createFilesSink(directory)
  await files.start(() => {})
  await files.stop()
  const nothing = await runArchiver(t, ['sweep', '--archive-dir', directory])
  assert.equal(nothing.code, 0, nothing.output)
  assert.match(nothing.output, /is a directory and has no uploads/)
})
