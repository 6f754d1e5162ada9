import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { newNonce } from '../../src/files/log/chain.ts'
import { type ManifestFile, printManifest } from '../../src/files/log/manifest.ts'
import {
  archiveMarker,
  dataFileName,
  hourDirectory,
  manifestDirectory,
  manifestName,
  originOf,
} from '../../src/files/log/path.ts'
import type { BucketSettings } from '../../src/home/s3/settings.ts'
import { Store } from '../../src/home/s3/store.ts'
import type { TopicPartition } from '../../src/record/record.ts'
import { hourOf, msPerHour } from '../../src/record/time.ts'
import { inLanes } from '../../src/runtime/lanes.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { august } from '../helpers/archive.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { FaultyStore } from '../helpers/faulty-store.ts'
import { bucketSettings, s3Url } from '../helpers/object-stores.ts'

/** How many requests the commands send: they cost money, and some ten milliseconds each. */

const partitions = 4
const manifests = 75
const filesOfManifest = 10
const log = createLogger({ level: 'silent', stream: process.stderr })
const line = (tp: TopicPartition, type: string, offset: number, timestamp: number, text = '') =>
  `{"@timestamp":"${new Date(timestamp).toISOString()}","type":"${type}","kafka":{"topic":"${tp.topic}","partition":${tp.partition},"offset":${offset},"timestamp":${timestamp}},"value":{"type":"${type}"${text === '' ? '' : `,"text":"${text}"`}}}\n`

interface MadeFile {
  readonly type: string
  readonly timestamp: number
  readonly first: number
  readonly last: number
  readonly content: Buffer
  readonly lineBytes: number
}

/** A bucket with an archive, made by puts alone, and the words that name it. */
class MadeArchive {
  readonly settings: BucketSettings
  readonly #objects = new Map<string, Buffer>()

  constructor() {
    this.settings = bucketSettings(s3Url)
    const identity = { format: 2, cluster_id: 'cluster', group: 'group', created: '2019' }
    this.#objects.set(archiveMarker, Buffer.from(JSON.stringify(identity)))
  }

  addLog(tp: TopicPartition, flushes: readonly (readonly MadeFile[])[]): void {
    const common = { ...tp, format: 2, worker: 'w', written: new Date(august).toISOString() }
    const put = (name: string, text: string) => {
      this.#objects.set(name, Buffer.from(text))
      return createHash('sha256').update(text).digest('hex')
    }
    let prev = put(originOf(tp), printManifest({ ...common, offset: 0, nonce: newNonce() }))
    let from = 0
    for (const files of flushes) {
      const next = Math.max(...files.map(({ last }) => last)) + 1
      const manifest = {
        ...common,
        from,
        next,
        nonce: newNonce(),
        prev,
        records: files.reduce((sum, { first, last }) => sum + last - first + 1, 0),
        files: files.map((file) => this.#addFile(tp, file)),
        gaps: [],
      }
      prev = put(`${manifestDirectory(tp)}/${manifestName(from)}`, printManifest(manifest))
      from = next
    }
  }

  #addFile(
    tp: TopicPartition,
    { type, timestamp, first, last, content, lineBytes }: MadeFile,
  ): ManifestFile {
    const directory = hourDirectory({ name: type, reserved: false }, hourOf(timestamp))
    const path = `${directory}/${dataFileName(tp, first, last)}`
    this.#objects.set(path, content)
    return {
      path,
      upload: { id: 'completed', parts: ['completed'] },
      type,
      records: last - first + 1,
      first,
      last,
      bytes: content.length,
      line_bytes: lineBytes,
      sha256: createHash('sha256').update(content).digest('hex'),
      min_timestamp: timestamp,
      max_timestamp: timestamp,
    }
  }

  async put(): Promise<void> {
    const store = await Store.open(this.settings, log, 30_000)
    await inLanes(this.#objects, ([name, content]) =>
      store.objects.put(`${this.settings.prefix}/${name}`, content),
    )
    store.close()
  }
}

/** Counts what a command sends. */
async function counting(t: TestContext, settings: BucketSettings) {
  const store = await FaultyStore.start(s3Url)
  t.after(() => store[Symbol.asyncDispose]())
  const place = ['--archive-dir', `s3://${settings.bucket}/${settings.prefix}`]
  return async (command: string, ...more: readonly string[]) => {
    store.requests.length = 0
    const words = [command, ...place, '--s3-endpoint', store.url, '--s3-path-style', ...more]
    const { code, output } = await runArchiver(t, words, { ARCHIVER_ELASTICSEARCH: '' })
    assert.equal(code, 0, output)
    const counts: Record<string, number> = {}
    for (const { operation } of store.requests) counts[operation] = (counts[operation] ?? 0) + 1
    return { output, counts, requests: [...store.requests] }
  }
}

test('with 3,000 files, listings come in pages of a thousand, and no file costs a request', async (t) => {
  const archive = new MadeArchive()
  for (let partition = 0; partition < partitions; partition++) {
    const tp = { topic: 'events', partition }
    const flushes = Array.from({ length: manifests }, (_, i) =>
      Array.from({ length: filesOfManifest }, (__, j): MadeFile => {
        const offset = i * filesOfManifest + j
        const timestamp = august + (i % 25) * msPerHour
        const text = line(tp, `t${j}`, offset, timestamp)
        return {
          type: `t${j}`,
          timestamp,
          first: offset,
          last: offset,
          content: gzipSync(text),
          lineBytes: text.length,
        }
      }),
    )
    archive.addLog(tp, flushes)
  }
  await archive.put()
  const run = await counting(t, archive.settings)
  const files = partitions * manifests * filesOfManifest
  assert.equal(files, 3000)

  const ls = await run('ls')
  assert.match(ls.output, /^total +3,000 +3,000 /m)
  const status = await run('status', '--no-kafka')
  assert.match(status.output, /events\/3 +750/)
  const verify = await run('verify', '--fast', '--no-kafka', '--no-elasticsearch')
  assert.match(verify.output, /proven: 4 partitions, 3,000 records in 3,000 files/)
  const compact = await run('compact', '--compact-after', '0s', '--partition', '0')
  assert.match(compact.output, /events\/0/)

  // Each manifest is read once. For each partition: the log, and what was pruned.
  const pages = Math.ceil(files / 1000) + 2
  for (const [{ counts }, gets, lists] of [
    [ls, partitions * (manifests + 4), partitions * 2 + 2],
    [status, partitions * 4, partitions * 2],
    [verify, partitions * (manifests + 6), partitions * 4 + 2 * pages],
    // Each file once; what it merges is uploaded.
    [compact, (files / partitions) * 1.4, 20],
  ] as const) {
    assert.ok(counts.GetObject! <= gets, `${JSON.stringify(counts)}, at most ${gets} GETs`)
    assert.ok(counts.ListObjectsV2! <= lists, `${JSON.stringify(counts)}, at most ${lists} LISTs`)
  }
  for (const { counts } of [ls, status, verify]) assert.equal(counts.HeadObject, undefined)
})

test('cat of an offset reads one window of a large file', async (t) => {
  const archive = new MadeArchive()
  const tp = { topic: 'events', partition: 0 }
  const members = Array.from({ length: 100 }, (_, i) =>
    Array.from({ length: 10 }, (__, j) =>
      line(tp, 'a', i * 10 + j, august, randomBytes(9000).toString('base64')),
    ).join(''),
  )
  const content = Buffer.concat(members.map((text) => gzipSync(text, { level: 1 })))
  assert.ok(content.length > 8 * 2 ** 20, `${content.length} bytes`)
  const lineBytes = members.reduce((sum, { length }) => sum + length, 0)
  archive.addLog(tp, [[{ type: 'a', timestamp: august, first: 0, last: 999, content, lineBytes }]])
  await archive.put()
  const run = await counting(t, archive.settings)
  for (const offset of [0, 457, 999]) {
    const { output, requests } = await run('cat', '--topic', 'events', '--offset', String(offset))
    assert.match(output, new RegExp(`"offset":${offset},`))
    const ranges = requests
      .filter(({ operation, key }) => operation === 'GetObject' && key.endsWith('.jsonl.gz'))
      .map(({ headers }) => /^bytes=(\d+)-(\d+)$/.exec(headers.range!)!)
    assert.equal(ranges.length, 1, `${offset}: ${ranges.map(String).join(' ')}`)
    for (const [, first, last] of ranges) assert.ok(Number(last) - Number(first) < 2 ** 20)
  }
})
