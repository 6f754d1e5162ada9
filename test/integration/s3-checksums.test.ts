import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it, type TestContext } from 'node:test'
import type { ReadableHome } from '../../src/home/home.ts'
import type { S3Home } from '../../src/home/s3/home.ts'
import { Store } from '../../src/home/s3/store.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { ListedFiles } from '../../src/verify/listed-files.ts'
import { checkPartition } from '../../src/verify/partition.ts'
import { contentOf, dataFiles, flush, tp } from '../helpers/bucket-archive.ts'
import { FaultyStore } from '../helpers/faulty-store.ts'
import { createFilesSink } from '../helpers/files-sink.ts'
import { bucketSettings, openS3Home, s3Url, startVersitygw } from '../helpers/object-stores.ts'

/** What `verify --fast` makes of the checksums that stores keep. */

async function verify(home: ReadableHome) {
  const verdict = await checkPartition({
    home,
    tp,
    thoroughness: 'fast',
    listed: await ListedFiles.of(home),
    elasticsearch: undefined,
    kafka: undefined,
    onProgress: () => {},
  })
  const { files, files_by_checksum: byChecksum, problems, proven } = verdict
  return { files, byChecksum, proven, kinds: problems.map(({ kind }) => kind) }
}

/** Puts another content in the place of a file, as an upload of one part. */
async function overwrite(home: S3Home, path: string, content: Buffer): Promise<void> {
  const sha256 = createHash('sha256').update(content).digest('hex')
  const facts = { path, bytes: content.length, sha256 }
  const staging = await home.stage('_staging/events/3/other')
  const staged = await staging.file('0.part').complete(facts, content)
  assert.deepEqual(await home.publish([{ ...facts, ...staged }], 'files'), [])
}

/** A home whose store computes its checksums from something else, as with SSE-KMS. */
function withOtherChecksums(home: S3Home): ReadableHome {
  return new Proxy<ReadableHome>(home, {
    get: (_, name) => {
      if (name === 'storedChecksum') return () => `${'0'.repeat(32)}-1`
      const value: unknown = Reflect.get(home, name)
      return typeof value === 'function' ? (value.bind(home) as unknown) : value
    },
  })
}

const quiet = createLogger({ level: 'silent', stream: process.stderr })

const stores: readonly [string, (t: TestContext) => Promise<string | undefined>][] = [
  ['S3Proxy', async () => s3Url],
  ['versitygw', startVersitygw],
]

for (const [name, startStore] of stores) {
  describe(`the checksums of ${name}`, () => {
    it('are compared, and a file of the same size and another content is found', async (t) => {
      const url = await startStore(t)
      if (url === undefined) return t.diagnostic(`${name} is not to be had here`)
      const proxy = await FaultyStore.start(url)
      t.after(() => proxy[Symbol.asyncDispose]())
      const settings = bucketSettings(proxy.url)
      const home = await openS3Home(t, settings)
      const sink = createFilesSink('', { home })
      t.after(() => sink.stop())
      await sink.start(() => {})
      await sink.open(tp, 0)
      await flush(sink, 0, 20)
      await flush(sink, 20, 40)

      const before = proxy.requests.length
      const files = { files: 4, byChecksum: 4, proven: true, kinds: [] }
      assert.deepEqual(await verify(home), files)
      const looks = () => proxy.requests.slice(before).filter(({ key }) => key.includes('/type='))
      assert.deepEqual(looks(), [])
      const others = await verify(withOtherChecksums(home))
      assert.deepEqual(others, { ...files, byChecksum: 0 })
      assert.equal(looks().length, 1, 'one file is read, and the others are not')

      const [changed, moved] = (await dataFiles(home)).sort()
      const store = await Store.open(settings, quiet, 30_000)
      await store.objects.put(`${settings.prefix}/${moved}`, (await contentOf(home, moved!))!)
      assert.deepEqual(await verify(home), { ...files, byChecksum: 3 })

      const content = (await contentOf(home, changed!))!
      content[content.length >> 1]! ^= 1
      const found = { ...files, byChecksum: 2, proven: false, kinds: ['file-changed'] }
      await store.objects.put(`${settings.prefix}/${changed}`, content)
      store.close()
      assert.deepEqual(await verify(home), found, 'put in one request')
      await overwrite(home, changed!, content)
      assert.deepEqual(await verify(home), found, 'uploaded in parts')
    })
  })
}
