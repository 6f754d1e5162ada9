import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { runArchiver, startArchiver } from '../helpers/archiver.ts'
import { offsetsIn } from '../helpers/bucket-archive.ts'
import { FaultyStore } from '../helpers/faulty-store.ts'
import { bucketSettings, openS3Home, s3Url } from '../helpers/object-stores.ts'
import {
  brokers,
  createTopic,
  produce,
  temporaryDirectory,
  uniqueName,
} from '../helpers/servers.ts'

/** An archive in a bucket, as a user types it. */

const start = Date.UTC(2019, 7, 1, 3)

function messages(from: number, next: number) {
  return Array.from({ length: next - from }, (_, i) => ({
    value: JSON.stringify({ type: (from + i) % 2 === 0 ? 'a' : 'b', n: from + i }),
    timestamp: start + (from + i) * 1000,
  }))
}

async function createBucketArchive(t: TestContext, count: number, endpoint = s3Url) {
  const topic = await createTopic(t, { stem: 's3' })
  await produce(t, topic, messages(0, count))
  const settings = bucketSettings(endpoint, { prefix: uniqueName('commands') })
  const archive = [
    ...['--archive-dir', `s3://${settings.bucket}/${settings.prefix}`],
    ...['--s3-endpoint', endpoint, '--s3-path-style'],
  ]
  const group = uniqueName('s3')
  const worker = [
    ...['run', '--brokers', brokers.join(','), '--topics', topic, '--group', group],
    ...[...archive, '--no-elasticsearch', '--until-end'],
  ]
  return { topic, settings, archive, group, worker }
}

const kafka = ['--brokers', brokers.join(',')]

test('every command reads and writes an archive in a bucket', async (t) => {
  const { topic, settings, archive, group, worker } = await createBucketArchive(t, 200)
  const run = await runArchiver(t, worker)
  assert.equal(run.code, 0, run.output)
  await produce(t, topic, messages(200, 300))
  assert.equal((await runArchiver(t, worker)).code, 0)
  const estimate = run.log.find(({ event }) => event === 'bucket_requests_estimated')
  assert.equal(estimate?.flush_interval_s, 300)
  assert.equal(estimate.requests_per_partition_and_day, 288 * 5)

  const home = await openS3Home(t, settings)
  assert.deepEqual([...(await offsetsIn(home)).values()], new Array(300).fill(1))

  const verify = async (proven: RegExp, ...more: string[]) => {
    const argv = ['verify', ...kafka, ...archive, '--group', group, '--no-elasticsearch', ...more]
    const { code, output } = await runArchiver(t, argv)
    assert.equal(code, 0, output)
    assert.match(output, proven)
  }
  await verify(/proven: 1 partition, 300 records/)
  await verify(/300 records in 4 files \(4 by their stored checksum, 0 by size alone\)/, '--fast')
  const ls = await runArchiver(t, ['ls', ...archive])
  assert.match(ls.output, /^total +300 /m)
  const at = ['--topic', topic, '--partition', '0', '--offset', '207']
  const cat = await runArchiver(t, ['cat', ...archive, ...at])
  assert.match(cat.output, /"offset":207,.*"n":207/)
  const status = await runArchiver(t, ['status', ...kafka, ...archive, '--group', group])
  assert.match(status.output, new RegExp(`${topic}/0 +300 +300 `))
  const back = await createTopic(t, { stem: 's3-back' })
  const to = ['--to', 'kafka', '--to-topic', back]
  const restore = await runArchiver(t, ['restore', ...kafka, ...archive, ...to])
  assert.equal(restore.code, 0, restore.output)
  assert.match(restore.output, /300/)

  // The last flush stays: nothing has shown that its files are in place.
  const old = ['--older-than', '1d', '--no-elasticsearch']
  const prune = await runArchiver(t, ['prune', ...kafka, ...archive, '--group', group, ...old])
  assert.equal(prune.code, 0, prune.output)
  assert.deepEqual(
    [...(await offsetsIn(home)).keys()].sort((a, b) => a - b),
    Array.from({ length: 100 }, (_, i) => 200 + i),
  )
  const compact = await runArchiver(t, ['compact', ...archive, '--compact-after', '0s'])
  assert.equal(compact.code, 0, compact.output)
  await verify(/proven: 1 partition/, '--deep')
})

test('a worker survives a store that goes away for a while, and says so', async (t) => {
  const store = await FaultyStore.start(s3Url)
  t.after(() => store[Symbol.asyncDispose]())
  const { settings, worker } = await createBucketArchive(t, 50, store.url)
  store.rule = ({ operation }) =>
    operation === 'UploadPart' && store.count('UploadPart') <= 5
      ? { kind: 'answer', status: 503, code: 'SlowDown' }
      : undefined
  const run = await runArchiver(t, worker)
  assert.equal(run.code, 0, run.output)
  const said = run.log.find(
    ({ event, level }) => event === 'store_request_retried' && level === 'warn',
  )
  assert.equal(said?.reason, 'SlowDown')
  assert.equal((await offsetsIn(await openS3Home(t, settings))).size, 50)
})

test('what is wrong with a bucket is one line, and no line has the secret', async (t) => {
  const { worker, archive } = await createBucketArchive(t, 1)
  const directory = await temporaryDirectory(t)
  const without = (name: string) => worker.map((word) => (word.startsWith('s3://') ? name : word))
  const refused: readonly [readonly string[], Record<string, string>, RegExp][] = [
    [without('s3://no-such-bucket/a'), {}, /there is no bucket no-such-bucket/],
    [worker, { AWS_ACCESS_KEY_ID: 'nobody' }, /does not know the access key|does not allow/],
    [worker, { AWS_SECRET_ACCESS_KEY: 'hunter2-wrong' }, /does not accept the secret key/],
    [
      ['ls', ...archive],
      { AWS_SECRET_ACCESS_KEY: 'hunter2-wrong' },
      /does not accept the secret key/,
    ],
    [
      ['ls', '--archive-dir', 's3://archive/empty-place', ...archive.slice(2)],
      {},
      /is not an archive/,
    ],
    [
      ['ls', '--archive-dir', directory, ...archive.slice(2)],
      {},
      /--s3-endpoint needs an --archive-dir in a bucket/,
    ],
    [
      ['ls', '--archive-dir', 's3://UP_/x', ...archive.slice(2)],
      {},
      /--archive-dir: .*s3:\/\/bucket\/prefix/,
    ],
  ]
  for (const [argv, env, message] of refused) {
    const { code, output } = await runArchiver(t, argv, env)
    assert.notEqual(code, 0, output)
    assert.match(output, message)
    assert.doesNotMatch(output, /hunter2-wrong|archiver-secret/)
  }
})

test('an archive is refused by another group, and inside another archive', async (t) => {
  const { worker, settings } = await createBucketArchive(t, 1)
  assert.equal((await runArchiver(t, worker)).code, 0)
  const other = await runArchiver(
    t,
    worker.map((word, i) => (worker[i - 1] === '--group' ? 'other' : word)),
  )
  assert.equal(other.code, 1)
  assert.match(other.output, /is the archive of group/)
  const inside = await runArchiver(
    t,
    worker.map((word) => (word.startsWith('s3://') ? `${word}/inner` : word)),
  )
  assert.equal(inside.code, 1, inside.output)
  assert.match(
    inside.output,
    new RegExp(`lies inside the archive s3://${settings.bucket}/${settings.prefix}`),
  )
})

test('who keeps files in a directory loads nothing of the SDK', async (t) => {
  const directory = await temporaryDirectory(t)
  const hook = join(directory, 'hook.mjs')
  await writeFile(
    hook,
    `import { registerHooks } from 'node:module'
     registerHooks({ load(url, context, next) { if (/@aws-sdk|@smithy/.test(url)) process.stderr.write('loaded ' + url + '\\n'); return next(url, context) } })`,
  )
  const ls = async (...archive: string[]) => {
    const running = startArchiver(t, ['ls', ...archive], { NODE_OPTIONS: `--import ${hook}` })
    await running.ended
    return running.output()
  }
  assert.doesNotMatch(await ls('--archive-dir', directory), /loaded /)
  assert.match(
    await ls('--archive-dir', 's3://archive/none', '--s3-endpoint', s3Url, '--s3-path-style'),
    /loaded .*client-s3/,
  )
})
