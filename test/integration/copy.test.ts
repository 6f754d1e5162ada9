import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Home } from '../../src/home/home.ts'
import { PosixHome } from '../../src/home/posix.ts'
import { runArchiver, startArchiver } from '../helpers/archiver.ts'
import { brokenLink, compactNow, flush, offsetsIn } from '../helpers/bucket-archive.ts'
import { assertHolds, assertSameFiles, workerOf } from '../helpers/copies.ts'
import { bucketSettings, environmentKeys, openS3Home, s3Url } from '../helpers/object-stores.ts'
import {
  brokers,
  createTopic,
  produce,
  temporaryDirectory,
  uniqueName,
} from '../helpers/servers.ts'
import { launchVersitygw } from '../helpers/versitygw.ts'

/** `archiver copy` between directories and buckets, as a user types it. */

const s3 = ['--s3-endpoint', s3Url, '--s3-path-style']

/** A place that is empty, as an option names it. */
interface Place {
  readonly name: string
  readonly words: readonly string[]
  /** A handle of its own, as each process has one. */
  readonly open: () => Promise<Home>
}

type Kind = 'directory' | 'bucket'

async function emptyPlace(t: TestContext, kind: Kind): Promise<Place> {
  if (kind === 'bucket') {
    const settings = bucketSettings(s3Url)
    const name = `s3://${settings.bucket}/${settings.prefix}`
    return { name, words: s3, open: () => openS3Home(t, settings) }
  }
  const name = join(await temporaryDirectory(t), 'archive')
  return { name, words: [], open: async () => new PosixHome(name) }
}

function copyWords(from: Place, to: Place): string[] {
  return ['copy', from.name, to.name, ...new Set([...from.words, ...to.words])]
}

async function write(place: Place, from: number, next: number): Promise<void> {
  const { sink, next: position } = await workerOf(await place.open())
  assert.equal(position ?? 0, from)
  for (let at = from; at < next; at += 10) await flush(sink, at, at + 10)
  await sink.stop()
}

const ways: readonly (readonly [Kind, Kind])[] = [
  ['directory', 'bucket'],
  ['bucket', 'directory'],
  ['directory', 'directory'],
  ['bucket', 'bucket'],
]

for (const [from, to] of ways) {
  test(`a ${from} is copied to a ${to}, continued, and copied again`, async (t) => {
    const source = await emptyPlace(t, from)
    const target = await emptyPlace(t, to)
    await write(source, 0, 40)
    await compactNow(await source.open())
    await write(source, 40, 60)
    const run = async (text: RegExp) => {
      const { code, output } = await runArchiver(t, copyWords(source, target))
      assert.equal(code, 0, output)
      assert.match(output, text)
      await assertSameFiles(await source.open(), await target.open())
      if (to === 'bucket') assert.equal(await brokenLink(await target.open()), undefined)
    }
    await run(/ok {3}events\/3 .*\ncopied: 6 files .* 1 partition, 60 records in 6 files/)
    await run(/copied: 0 files/)
    await write(source, 60, 70)
    await compactNow(await source.open())
    await write(source, 70, 80)
    await run(/80 records/)
    await write(target, 80, 90)
    await assertHolds(await target.open(), 90)
    await compactNow(await target.open())
    await assertHolds(await target.open(), 90)
    const { code, output } = await runArchiver(t, copyWords(source, target))
    assert.equal(code, 1)
    assert.match(output, /reaches offset 90, and the source 80: a worker continued it/)
  })
}

test('a copy that is killed at any of its steps goes on, and copies no file twice', async (t) => {
  const source = await emptyPlace(t, 'directory')
  await write(source, 0, 20)
  await compactNow(await source.open())
  await write(source, 20, 40)
  for (const fault of [
    'files.content-written',
    'files.linked:1',
    'files.renamed-one:2',
    'staging.written:4',
  ]) {
    const target = await emptyPlace(t, 'bucket')
    const killed = await runArchiver(t, copyWords(source, target), { ARCHIVER_FAULT: fault })
    assert.equal(killed.code, 137, `${fault}: ${killed.output}`)
    const ls = await runArchiver(t, ['ls', '--archive-dir', target.name, ...s3])
    assert.equal(ls.code, 1)
    assert.match(ls.output, /is not yet the whole copy of .*: run copy again/)
    const before = (await offsetsIn(await target.open())).size
    const { code, output } = await runArchiver(t, [...copyWords(source, target), '--json'])
    assert.equal(code, 0, output)
    const { copied_files: files } = JSON.parse(output.split('\n')[0]!) as { copied_files: number }
    if (before > 0) assert.ok(files < 6, `${fault}: ${files} files of 6 are copied again`)
    await assertHolds(await target.open(), 40)
    assert.equal(await brokenLink(await target.open()), undefined)
  }
})

test('two stores have their own addresses and credentials', async (t) => {
  const folder = await temporaryDirectory(t)
  const owner = { accessKeyId: 'other', secretAccessKey: 'other-secret' }
  const store = await launchVersitygw(join(folder, 'root'), { owner })
  if (store === undefined) {
    t.skip('needs Go')
    return
  }
  t.after(() => store.stop())
  const profiles = join(folder, 'credentials')
  const profile = (name: string, keys: typeof owner) =>
    `[${name}]\naws_access_key_id = ${keys.accessKeyId}\naws_secret_access_key = ${keys.secretAccessKey}\n`
  await writeFile(profiles, profile('mine', environmentKeys()) + profile('other', owner))
  const before = process.env.AWS_SHARED_CREDENTIALS_FILE
  process.env.AWS_SHARED_CREDENTIALS_FILE = profiles
  t.after(() => {
    if (before === undefined) delete process.env.AWS_SHARED_CREDENTIALS_FILE
    else process.env.AWS_SHARED_CREDENTIALS_FILE = before
  })
  const source = await emptyPlace(t, 'bucket')
  await write(source, 0, 20)
  await compactNow(await source.open())
  await write(source, 20, 40)
  const settings = bucketSettings(store.url, { profile: 'other' })
  const name = `s3://${settings.bucket}/${settings.prefix}`
  const home = () => openS3Home(t, settings)
  const words = [...copyWords(source, { name, words: [], open: home }), '--s3-profile', 'mine']
  const own = ['--to-s3-endpoint', store.url, '--to-s3-profile']
  for (const [more, message] of [
    [[...own, 'none'], /^archiver: profile none \(--to-s3-profile\) gives no credentials/],
    [[...own, 'mine'], /127\.0\.0\.1:\d+ does not know the access key/],
  ] as const) {
    const refused = startArchiver(t, [...words, ...more])
    assert.equal(await refused.ended, 1, refused.output())
    assert.match(refused.errors().split('\n').at(-2)!, message)
  }
  const elsewhere = words.map((word) => (word === name ? 's3://nowhere/x' : word))
  const refused = await runArchiver(t, [...elsewhere, ...own, 'other'])
  assert.match(refused.output, /no bucket nowhere at .*with --copy-to or --to-s3-endpoint/)
  const argv = [...words, ...own, 'other']
  const killed = await runArchiver(t, argv, { ARCHIVER_FAULT: 'files.renamed-one:2' })
  assert.equal(killed.code, 137, killed.output)
  const { code, output } = await runArchiver(t, [...argv, '--json'])
  assert.equal(code, 0, output)
  const { copied_files: files } = JSON.parse(output.split('\n')[0]!) as { copied_files: number }
  assert.ok(files < 6, `${files} files of 6 are copied again`)
  await assertSameFiles(await source.open(), await home())
  await assertHolds(await home(), 40)
  assert.equal(await brokenLink(await home()), undefined)
  const verify = await runArchiver(t, [
    ...['verify', '--archive-dir', name, '--no-kafka', '--no-elasticsearch'],
    ...['--s3-endpoint', store.url, '--s3-path-style', '--s3-profile', 'other'],
  ])
  assert.equal(verify.code, 0, verify.output)
  assert.match(verify.output, /proven: 1 partition, 40 records/)
})

test('a worker continues at the copy where it ended at the source', async (t) => {
  const topic = await createTopic(t, { stem: 'copy' })
  const group = uniqueName('copy')
  const messages = (from: number, next: number) =>
    Array.from({ length: next - from }, (_, i) => ({
      value: JSON.stringify({ type: 'a', n: from + i }),
      timestamp: Date.UTC(2019, 7, 1, 3) + from + i,
    }))
  const source = await emptyPlace(t, 'directory')
  const target = await emptyPlace(t, 'bucket')
  const work = (place: Place) => {
    const words = ['run', '--topics', topic, '--group', group, '--archive-dir', place.name]
    return runArchiver(t, [...words, ...place.words, '--no-elasticsearch', '--until-end'])
  }
  await produce(t, topic, messages(0, 100))
  assert.equal((await work(source)).code, 0)
  await produce(t, topic, messages(100, 150))
  assert.equal((await runArchiver(t, copyWords(source, target))).code, 0)
  // It is gone: nothing but the copy and the group's offsets say where to go on.
  await rm(source.name, { recursive: true })
  const run = await work(target)
  assert.equal(run.code, 0, run.output)
  assert.deepEqual([...(await offsetsIn(await target.open())).values()], new Array(150).fill(1))
  const words = ['verify', '--brokers', brokers.join(','), '--archive-dir', target.name, ...s3]
  const verify = await runArchiver(t, [...words, '--no-elasticsearch', '--group', group])
  assert.equal(verify.code, 0, verify.output)
  assert.match(verify.output, /proven: 1 partition, 150 records/)
})

test('what no copy can come of is one line', async (t) => {
  const source = await emptyPlace(t, 'bucket')
  await write(source, 0, 10)
  const refused: readonly [readonly string[], RegExp][] = [
    [['copy', source.name, source.name, ...s3], /is the archive s3:.* itself: name another place/],
    [['copy', source.name, `${source.name}/inner`, ...s3], /lies inside the archive s3:/],
    [['copy', source.name, ...s3], /--copy-to is needed/],
    [['copy', source.name, '/a', '/b', ...s3], /"\/b" is not an option/],
    [['copy', `${source.name}/none`, '/dev/shm/none', ...s3], /is not an archive/],
    [['copy', '/dev/shm/a', '/dev/shm/b', ...s3], /--s3-endpoint needs an --archive-dir in a/],
    [
      ['copy', source.name, '/dev/shm/b', ...s3, '--to-s3-region', 'eu-west-1'],
      /--to-s3-region needs a --copy-to in a bucket/,
    ],
  ]
  for (const [words, message] of refused) {
    const running = startArchiver(t, words)
    const code = await running.ended
    const errors = running.errors()
    assert.notEqual(code, 0, errors)
    assert.match(errors, message)
    assert.equal(errors.trimEnd().split('\n').length, 1, errors)
  }
  // A worker of the place that a copy is made to waits as well.
  const target = await emptyPlace(t, 'directory')
  const words = copyWords(source, target)
  await runArchiver(t, words, { ARCHIVER_FAULT: 'origin.linked' })
  await assert.rejects(workerOf(await target.open()), /is not yet the whole copy/)
  assert.equal((await runArchiver(t, words)).code, 0)
  const { sink, next } = await workerOf(await target.open())
  assert.equal(next, 10)
  await sink.stop()
})
