import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { describe, it, type TestContext } from 'node:test'
import type { Publishable, StagedAsUpload } from '../../src/home/home.ts'
import type { S3Home } from '../../src/home/s3/home.ts'
import { partBytes } from '../../src/home/s3/multipart.ts'
import type { BucketSettings } from '../../src/home/s3/settings.ts'
import { contentOf } from '../helpers/bucket-archive.ts'
import {
  conflict,
  errorInside,
  type Fault,
  FaultyStore,
  slowDown,
} from '../helpers/faulty-store.ts'
import {
  bucketSettings,
  openS3Home,
  s3Title,
  s3Url,
  startVersitygw,
} from '../helpers/object-stores.ts'

/**
 * The home in a bucket on real stores: what each refuses and repeats, and what a network between
 * does to requests. The promises that it shares with a directory are in `home-contract.ts`.
 */

interface Fixture {
  readonly home: S3Home
  readonly store: FaultyStore
  readonly settings: BucketSettings
}

async function open(
  t: TestContext,
  url: string,
  more: Partial<BucketSettings> = {},
): Promise<Fixture> {
  const store = await FaultyStore.start(url)
  t.after(() => store[Symbol.asyncDispose]())
  const settings = bucketSettings(store.url, more)
  return { home: await openS3Home(t, settings), store, settings }
}

const manifest = '_manifests/t/0/00000000000000000000.json'

/** A file that is uploaded, as its manifest would name it. */
async function stage(home: S3Home, path: string, content: Buffer): Promise<Publishable> {
  const staging = await home.stage('_staging/t/0/w-000000')
  const facts = { path, bytes: content.length, sha256: sha256(content) }
  const staged = await staging.file('0.part').complete(facts, content)
  return { ...facts, ...staged }
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

const data = 'type=a/dt=2019-08-01/hr=03/t+0+00000000000000000000-00000000000000000009.jsonl.gz'

const stores: readonly [string, (t: TestContext) => Promise<string | undefined>][] = [
  [s3Title, async () => s3Url],
  ['versitygw', startVersitygw],
]

for (const [name, start] of stores) {
  describe(`a home in a bucket of ${name}`, () => {
    /** Without Go there is no versitygw, and S3Proxy has to do. */
    const on = (title: string, run: (t: TestContext, url: string) => Promise<void>) =>
      it(title, async (t) => {
        const url = await start(t)
        if (url === undefined) t.diagnostic(`${name} is not to be had here`)
        else await run(t, url)
      })

    on('proves the store', async (t, url) => {
      const { home, store } = await open(t, url)
      await home.begin()
      await home.prove()
      const names: string[] = []
      for await (const found of home.walk('', () => true)) names.push(found)
      assert.deepEqual(names, [])
      assert.ok(store.requests.length < 100, `${store.requests.length} requests`)
    })

    on('gives a name to one of a thousand who create it', async (t, url) => {
      const home = await openS3Home(t, bucketSettings(url))
      const won = await Promise.all(
        Array.from({ length: 1000 }, (_, i) => home.create(manifest, `worker ${i}`)),
      )
      const winners = won.flatMap((isOne, i) => (isOne ? [`worker ${i}`] : []))
      assert.equal(winners.length, 1)
      assert.equal((await contentOf(home, manifest))?.toString(), winners[0])
    })

    on(
      'shows an upload only once it is published, whoever does that, and never again',
      async (t, url) => {
        const { home, settings } = await open(t, url)
        const content = randomBytes(5000)
        const file = await stage(home, data, content)
        assert.equal(await home.stat(data), undefined)
        assert.deepEqual(await home.list('type=a/dt=2019-08-01/hr=03'), [])
        assert.equal(await home.isStaged(file), true)

        const successors = await Promise.all(
          Array.from({ length: 3 }, () => openS3Home(t, settings)),
        )
        const missing = await Promise.all(successors.map((other) => other.publish([file], 'files')))
        assert.deepEqual(missing, [[], [], []])
        assert.deepEqual(await contentOf(home, data), content)
        assert.deepEqual(await home.publish([file], 'files'), [])

        await home.remove([data])
        assert.deepEqual(await home.publish([file], 'files'), [file])
        assert.equal(await home.stat(data), undefined)
      },
    )

    on('uploads and reads what is larger than a part', async (t, url) => {
      const { home } = await open(t, url)
      const content = randomBytes(2 * partBytes + 12_345)
      const staging = await home.stage('_staging/t/0/w-000000')
      const staged = staging.file('0.part')
      await staged.append(content.subarray(0, partBytes + 1))
      await staged.append(content.subarray(partBytes + 1, 2 * partBytes))
      const facts = { path: data, bytes: content.length, sha256: sha256(content) }
      const file = { ...facts, ...(await staged.complete(facts, content.subarray(2 * partBytes))) }
      assert.equal((file as StagedAsUpload).upload.parts.length, 3)
      assert.deepEqual(await home.publish([file], 'files'), [])
      assert.ok((await contentOf(home, data))?.equals(content))

      const read = await home.open(data)
      const piece = Buffer.alloc(1000)
      assert.equal(await read?.read(piece, content.length - 400), 400)
      assert.deepEqual(piece.subarray(0, 400), content.subarray(-400))
      assert.equal(await read?.read(piece, content.length), 0)
    })

    on('knows its own lost answer from a name that somebody else has', async (t, url) => {
      const { home, store } = await open(t, url)
      store.next('PutObject', { kind: 'lost-answer' })
      assert.equal(await home.create(manifest, 'mine, nonce 1'), true)
      assert.equal(store.count('PutObject'), 2)
      assert.equal(await home.create(manifest, 'mine, nonce 2'), false)
      store.next('PutObject', { kind: 'lost-answer' })
      assert.equal(await home.create(manifest, 'mine, nonce 3'), false)
    })

    on('sends again what was refused for a while, cut, reset or not answered', async (t, url) => {
      const { home, store } = await open(t, url, { requestTimeoutMs: 500 })
      const faults: readonly Fault[] = [
        slowDown,
        { kind: 'answer', status: 500, code: 'InternalError' },
        { kind: 'answer', status: 403, code: 'RequestTimeTooSkewed' },
        { kind: 'answer', status: 400, code: 'RequestTimeout' },
        { kind: 'reset' },
        { kind: 'hang' },
      ]
      for (const [i, fault] of faults.entries()) {
        store.next('PutObject', fault)
        const created = `_manifests/t/0/${String(i).padStart(20, '0')}.json`
        assert.equal(await home.create(created, 'x'.repeat(1000)), true, JSON.stringify(fault))
        store.next('GetObject', fault, { kind: 'cut-body' })
        assert.equal((await contentOf(home, created))?.length, 1000, JSON.stringify(fault))
        store.next('ListObjectsV2', fault, { kind: 'cut-body' })
        assert.equal((await home.list('_manifests/t/0')).length, i + 1, JSON.stringify(fault))
      }
      store.next('PutObject', conflict)
      assert.equal(await home.create(manifest.replace('0.json', '9.json'), 'x'), true)
    })

    on('takes no page of a proxy for an answer of the store', async (t, url) => {
      const { home, store } = await open(t, url)
      const pages: readonly Fault[] = [
        { kind: 'page', status: 200 },
        { kind: 'page', status: 200, type: 'text/plain', body: 'log in, please' },
        { kind: 'page', status: 404 },
        { kind: 'page', status: 404, type: 'text/plain', body: '404 page not found\n' },
        { kind: 'page', status: 502 },
      ]
      for (const [i, page] of pages.entries()) {
        const what = JSON.stringify(page)
        const name = manifest.replace('0.json', `${i}.json`)
        const path = data.replace('9.jsonl', `${i}.jsonl`)
        const operations = [
          ...['PutObject', 'GetObject', 'HeadObject', 'ListObjectsV2', 'CreateMultipartUpload'],
          ...['UploadPart', 'CompleteMultipartUpload', 'ListParts'],
        ]
        for (const operation of operations) store.next(operation, page)
        assert.equal(await home.create(name, `content ${i}`), true, what)
        assert.equal((await contentOf(home, name))?.toString(), `content ${i}`, what)
        assert.equal((await home.list('_manifests/t/0')).length, i + 1, what)
        const content = Buffer.from(`file ${i}`)
        const file = await stage(home, path, content)
        assert.equal(await home.isStaged(file), true, what)
        assert.deepEqual(await home.publish([file], 'files'), [], what)
        store.next('HeadObject', page)
        assert.equal((await home.stat(path))?.bytes, content.length, what)
        store.next('DeleteObject', { kind: 'page', status: 200 })
        await home.remove([path])
        assert.equal(await home.stat(path), undefined, what)
      }
    })

    on('takes a completion for done only when its own bytes are there', async (t, url) => {
      const { home, store } = await open(t, url)
      store.forgetsCompleted = true
      const answers: readonly Fault[] = [
        { kind: 'lost-answer' },
        errorInside,
        slowDown,
        { kind: 'answer', status: 404, code: 'NoSuchUpload' },
        { kind: 'answer', status: 409, code: 'OperationAborted' },
      ]
      for (const [i, fault] of answers.entries()) {
        store.forgetsCompleted = fault.kind === 'lost-answer'
        const path = data.replace('9.jsonl', `${i}.jsonl`)
        const content = Buffer.from(`content ${i}`)
        const file = await stage(home, path, content)
        store.next('CompleteMultipartUpload', fault)
        assert.deepEqual(await home.publish([file], 'files'), [], JSON.stringify(fault))
        assert.deepEqual(await contentOf(home, path), content, JSON.stringify(fault))
      }
    })

    on('takes nothing foreign for its own', async (t, url) => {
      const { home, store } = await open(t, url)
      const content = Buffer.from('ours, of this very length')
      const file = await stage(home, data, content)
      assert.ok('upload' in file)
      await home.abortUpload({ key: data, id: file.upload.id, initiated: undefined })
      await home.replace(data, 'x'.repeat(content.length))
      const gone: Fault = { kind: 'answer', status: 404, code: 'NoSuchUpload' }
      store.next('CompleteMultipartUpload', gone, gone, gone, gone)
      assert.deepEqual(await home.publish([file], 'files'), [file])
    })

    on('ends the uploads of what lost, and lists those of the dead', async (t, url) => {
      const { home, settings } = await open(t, url)
      const staging = await home.stage('_staging/t/0/w-000000')
      const content = Buffer.from('loses')
      const facts = { path: data, bytes: content.length, sha256: sha256(content) }
      await staging.file('0.part').complete(facts, content)
      const openKeys = async () => {
        const keys: string[] = []
        for await (const { key } of (await openS3Home(t, settings)).openUploads()) keys.push(key)
        return keys
      }
      assert.deepEqual(await openKeys(), [data])
      await staging.remove()
      assert.deepEqual(await openKeys(), [])
    })

    on('walks flat pages, and passes over what is not entered', async (t, url) => {
      const { home, store } = await open(t, url)
      const names = Array.from(
        { length: 1200 },
        (_, i) => `_manifests/t/0/${String(i).padStart(20, '0')}.json`,
      )
      const others = [
        '_archive.json',
        '_manifests/u/1/origin.json',
        'type=a/dt=1/hr=1/x.gz',
        'type=a.b/dt=1/hr=1/y.gz',
      ]
      for (let i = 0; i < names.length; i += 100)
        await Promise.all(names.slice(i, i + 100).map((created) => home.create(created, '{}')))
      await Promise.all(others.map((created) => home.create(created, '{}')))
      const walk = async (directory: string, enters: (path: string) => boolean) => {
        const found: string[] = []
        for await (const path of home.walk(directory, enters)) found.push(path)
        return found
      }
      assert.deepEqual((await walk('', () => true)).sort(), [...names, ...others].sort())
      assert.deepEqual(await walk('_manifests/t', () => true), names)
      const before = store.count('ListObjectsV2')
      assert.deepEqual(
        (await walk('', (path) => !/^_manifests\/.|^type=a$/.test(path))).sort(),
        [
          '_archive.json',
          '_manifests/t',
          '_manifests/u',
          'type=a',
          'type=a.b/dt=1/hr=1/y.gz',
        ].sort(),
      )
      assert.ok(store.count('ListObjectsV2') - before <= 3)
      assert.deepEqual((await home.list('')).sort(), [
        '_archive.json',
        '_manifests',
        'type=a',
        'type=a.b',
      ])
      assert.equal((await home.list('_manifests/t/0')).length, names.length)
      assert.deepEqual(
        await home.list('_manifests/t/0', '0000000000000000001'),
        names.slice(10, 20).map((path) => path.slice(15)),
      )
      await home.remove(names)
      assert.deepEqual(await home.list('_manifests/t/0'), [])
    })

    on('lists names that XML cannot hold, and those with signs of URLs', async (t, url) => {
      const { home } = await open(t, url)
      const names = ['a\u0001b', 'type=%2F%25 +/x+1=.gz', 'größe/x']
      await Promise.all(names.map((created) => home.create(created, '{}')))
      const found: string[] = []
      for await (const path of home.walk('', () => true)) found.push(path)
      // versitygw does not encode, and XML has no such character.
      const expected = name === 'versitygw' ? ['a\ufffdb', ...names.slice(1)] : names
      assert.deepEqual(found.sort(), expected.sort())
    })

    on('names in one line what is wrong with a bucket, a key or a network', async (t, url) => {
      const refusals: readonly [Partial<BucketSettings>, RegExp][] = [
        [{ bucket: 'no-such-bucket' }, /there is no bucket no-such-bucket at http/],
        [
          { endpoint: 'http://127.0.0.1:1' },
          /^no answer from http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/,
        ],
        [
          { endpoint: 'http://store.invalid' },
          /the name store\.invalid of http:\/\/store\.invalid is not known .*check --s3-endpoint/,
        ],
      ]
      for (const [more, message] of refusals) {
        const home = await openS3Home(t, bucketSettings(url, more), { patienceMs: 0 })
        await assert.rejects(
          async () => {
            await home.begin()
            await home.prove()
          },
          { name: 'ArchiverError', message },
        )
      }
    })
  })
}
