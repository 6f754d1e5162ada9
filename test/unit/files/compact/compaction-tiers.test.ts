import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  type CompactionOptions,
  compactPartition,
} from '../../../../src/files/compact/compaction.ts'
import { shortageOf } from '../../../../src/files/compact/free-space.ts'
import { DamagedFiles } from '../../../../src/files/log/damaged-files.ts'
import { manifestDirectory } from '../../../../src/files/log/path.ts'
import { createLogger } from '../../../../src/runtime/log.ts'
import { checkPartition } from '../../../../src/verify/partition.ts'
import { makeBatch } from '../../../chaos/records.ts'
import { createFilesSink } from '../../../helpers/files-sink.ts'
import { homeAt } from '../../../helpers/home.ts'
import { temporaryDirectory } from '../../../helpers/servers.ts'
import { dataFiles, readFiles } from '../../../helpers/stores.ts'

const tp = { topic: 'events', partition: 0 }
const quiet = createLogger({ level: 'silent', stream: process.stderr })
const msPerHour = 3_600_000
const august = Date.UTC(2019, 7, 1, 3)

/** An archive that grows by a flush, and is compacted, an hour at a time. */
async function createArchive(t: TestContext, log = quiet) {
  const root = join(await temporaryDirectory(t), 'archive')
  const sink = createFilesSink(root, { worker: 'writes' }, log)
  await sink.start(() => {})
  t.after(() => sink.stop())
  await sink.open(tp, 0)
  const damaged = new DamagedFiles()
  let next = 0
  let now = Date.now() + 2 * msPerHour
  const context = {
    home: homeAt(root),
    worker: 'compacts',
    log,
    damaged,
  }
  return {
    root,
    context,
    /** One flush of `count` records whose lines do not compress below `padding` bytes each. */
    async flush(timestampOf: (offset: number) => number, count: number, padding = 0) {
      const from = next
      next += count
      const paddingOf = () => Buffer.from(randomBytes(padding).toString('hex'))
      const written = sink.write(makeBatch(tp, from, next, () => 'a', timestampOf, paddingOf))
      await sink.flush([tp])
      await written
    },
    pass(options: Partial<CompactionOptions> = {}) {
      now += msPerHour
      return compactPartition(context, tp, { compactAfterMs: msPerHour, now, ...options })
    },
    async assertWhole() {
      const offsets = (await readFiles(root)).map(({ offset }) => offset)
      assert.deepEqual(
        offsets.sort((a, b) => a - b),
        Array.from({ length: next }, (_, i) => i),
      )
      const options = {
        home: homeAt(root),
        tp,
        elasticsearch: undefined,
        kafka: undefined,
        onProgress: () => {},
      }
      assert.deepEqual((await checkPartition({ ...options, thoroughness: 'full' })).problems, [])
    },
  }
}

async function bytesIn(root: string): Promise<number> {
  let bytes = 0
  for (const path of await dataFiles(root)) bytes += (await readFile(join(root, path))).length
  return bytes
}

const slowStreams: Readonly<Record<string, (offset: number) => number>> = {
  'of late records of one old hour': () => august,
  'with timestamps in µs, which have no hour': (offset) => (Date.now() + offset) * 1000,
  'with timestamps in s, which lie in 1970': (offset) => Math.floor(Date.now() / 1000) + offset,
}

for (const [name, timestampOf] of Object.entries(slowStreams)) {
  test(`forty hourly flushes ${name}: each byte is copied about three times, not twenty`, async (t) => {
    const { root, flush, pass, assertWhole } = await createArchive(t)
    let copied = 0
    for (let hour = 0; hour < 40; hour++) {
      await flush(timestampOf, 20, 2000)
      copied += (await pass()).bytes
    }
    const written = await bytesIn(root)
    assert.ok(written > 1_500_000)
    assert.ok(copied <= 4 * written, `${copied} copied of ${written}`)
    assert.ok((await dataFiles(root)).length <= 7)
    await assertWhole()
  })
}

test('ordinary hours of flushes of any size become one file each, copied once', async (t) => {
  const { root, flush, pass, assertWhole } = await createArchive(t)
  const sizes = [2000, 3, 40, 500, 1, 9000, 20, 20]
  let from = 0
  const startOf = new Map<number, number>()
  for (let hour = 0; hour < 3; hour++) {
    for (const size of sizes) {
      await flush(() => august + hour * msPerHour, 2, size)
      startOf.set(from++, hour)
    }
  }
  const written = await bytesIn(root)
  const { merged, bytes } = await pass()
  assert.deepEqual({ merged, bytes }, { merged: 3, bytes: written })
  assert.equal((await dataFiles(root)).length, 3)
  assert.equal((await pass()).bytes, 0)
  await assertWhole()
})

test('no merged file is larger than the cap, and what lies beside a full file is merged on its own', async (t) => {
  const { root, flush, pass, assertWhole } = await createArchive(t)
  const maxBytes = 50_000
  for (let i = 0; i < 20; i++) await flush(() => august, 4, 2000)
  let copied = 0
  for (let passes = 0; passes < 5; passes++) copied += (await pass({ maxBytes })).bytes
  const files = await Promise.all((await dataFiles(root)).map((path) => readFile(join(root, path))))
  assert.ok(files.every(({ length }) => length <= maxBytes))
  assert.ok(files.filter(({ length }) => length > maxBytes / 2).length >= files.length - 1)
  assert.ok(copied <= (await bytesIn(root)), 'once')
  await assertWhole()
})

test('a pass copies a bounded number of bytes, and the next one continues at once', async (t) => {
  const { root, flush, pass, assertWhole } = await createArchive(t)
  for (let hour = 0; hour < 6; hour++) {
    for (let i = 0; i < 3; i++) await flush(() => august + hour * msPerHour, 4, 2000)
  }
  let passes = 1
  for (; (await pass({ limits: { maxCopied: 60_000 } })).isMore; passes++) assert.ok(passes < 20)
  assert.ok(passes >= 3, `${passes} passes`)
  assert.equal((await dataFiles(root)).length, 6)
  await assertWhole()
})

test('an hour that lies across two passes over a backlog is one file in the end, copied once', async (t) => {
  const { root, flush, pass, assertWhole } = await createArchive(t)
  for (let i = 0; i < 40; i++) await flush(() => august + Math.floor(i / 10) * msPerHour, 1, 20_000)
  const written = await bytesIn(root)
  let copied = 0
  for (let isMore = true; isMore; ) {
    const done = await pass({ limits: { maxTaken: 13, minFolded: 1 } })
    copied += done.bytes
    isMore = done.isMore
  }
  assert.deepEqual([(await dataFiles(root)).length, copied], [4, written])
  await assertWhole()
})

test('an hour that gets late records for ever is merged a day after it closed', async (t) => {
  const { root, flush, context } = await createArchive(t)
  const hour = Math.floor(Date.now() / msPerHour) * msPerHour
  for (let i = 0; i < 4; i++) await flush(() => hour, 1)
  await rewriteDates(root, 4, () => new Date(hour).toISOString())
  // A manifest that is younger than the others has a part in the hour.
  const compactAfterMs = msPerHour
  const at = (now: number) =>
    compactPartition(context, tp, { compactAfterMs, now, limits: { minFolded: 100 } })
  await flush(() => hour, 1)
  await rewriteDates(root, 1, () => new Date(hour + 25.5 * msPerHour).toISOString())
  assert.equal((await at(hour + 25.9 * msPerHour)).merged, 0)
  assert.equal((await at(hour + 26.1 * msPerHour)).replaced, 4)
})

/** Changes when the last `count` manifests say that they were written. */
async function rewriteDates(
  root: string,
  count: number,
  date: (i: number) => string,
): Promise<void> {
  const directory = join(root, manifestDirectory(tp))
  const names = (await readdir(directory)).filter((name) => /^\d+\.json$/.test(name)).sort()
  for (const [i, name] of names.slice(-count).entries()) {
    const manifest = JSON.parse(await readFile(join(directory, name), 'utf8')) as Record<
      string,
      unknown
    >
    await writeFile(
      join(directory, name),
      JSON.stringify({ ...manifest, written: date(i) }, undefined, 1),
    )
  }
}

const wrongDates: Readonly<Record<string, () => string>> = {
  'next month': () => new Date(Date.now() + 30 * 24 * msPerHour).toISOString(),
  'next year': () => new Date(Date.now() + 365 * 24 * msPerHour).toISOString(),
  'the year 9999': () => '9999-12-31T23:59:59.999Z',
  'no date at all': () => 'soon',
}

for (const [name, date] of Object.entries(wrongDates)) {
  test(`manifests whose writer's clock said ${name} stop no compaction`, async (t) => {
    const { root, flush, pass, assertWhole } = await createArchive(t)
    for (let i = 0; i < 20; i++) {
      await flush(() => august, 1)
      if (i === 3 || i === 11) await rewriteDates(root, 1, date)
    }
    const { merged, folded } = await pass({ limits: { minFolded: 1 } })
    assert.deepEqual({ merged, folded }, { merged: 1, folded: 20 })
    await assertWhole()
  })
}

test('records whose timestamps lie in the future are merged like others', async (t) => {
  const { root, flush, pass, assertWhole } = await createArchive(t)
  const nextYear = Math.floor(Date.now() / msPerHour) * msPerHour + 365 * 24 * msPerHour
  for (let i = 0; i < 6; i++)
    await flush((offset) => (offset % 2 === 0 ? nextYear : nextYear + 2 * msPerHour), 2)
  assert.equal((await pass()).merged, 2)
  assert.equal((await dataFiles(root)).length, 2)
  await assertWhole()
})

test('a merge that leaves archiving too little room is not begun; manifests are folded; it is made up for later', async (t) => {
  const { root, flush, pass, context, assertWhole } = await createArchive(t)
  for (let i = 0; i < 6; i++) await flush(() => august, 4, 2000)
  const before = await dataFiles(root)
  let free = 2 ** 20
  t.mock.method(context.home, 'space', async () => ({ free, total: 10 * 2 ** 20 }))
  const short = await pass()
  assert.deepEqual(short, {
    merged: 0,
    replaced: 0,
    bytes: 0,
    folded: 0,
    isMore: false,
    shortage: { needed: await bytesIn(root), free, reserve: 2 ** 20 },
  })
  const staged = await readdir(join(root, '_staging', 'events', '0'))
  assert.ok(staged.every((name) => !name.startsWith('compaction-')))
  const folded = await pass({ limits: { minFolded: 1, maxFiles: 2 } })
  assert.deepEqual([folded.merged, folded.folded, folded.isMore], [0, 6, false])
  assert.deepEqual(await dataFiles(root), before)
  await assertWhole()
  free = 5 * 2 ** 20
  const done = await pass({ limits: { maxFiles: 2 } })
  assert.deepEqual([done.merged, done.replaced, done.shortage], [1, 6, undefined])
  await assertWhole()
})

test('what stays free for archiving: a tenth of a small file system, 4 GiB of a large one', () => {
  const gib = 2 ** 30
  assert.equal(shortageOf(undefined, gib), undefined)
  assert.equal(shortageOf({ free: 5 * gib, total: 1000 * gib }, gib), undefined)
  assert.deepEqual(shortageOf({ free: 5 * gib, total: 1000 * gib }, gib + 1), {
    needed: gib + 1,
    free: 5 * gib,
    reserve: 4 * gib,
  })
  assert.equal(shortageOf({ free: 2 * gib, total: 10 * gib }, gib), undefined)
  assert.equal(shortageOf({ free: 2 * gib, total: 10 * gib }, gib + 1)?.reserve, gib)
})

test('a damaged file is logged and copied once; its neighbours are merged without it until it is mended', async (t) => {
  interface Warning {
    readonly event: string
    readonly path: string
    readonly err: string
  }
  const warnings: Warning[] = []
  const stream = { write: (line: string) => void warnings.push(JSON.parse(line) as Warning) }
  const { root, flush, pass, assertWhole } = await createArchive(
    t,
    createLogger({ level: 'warn', stream }),
  )
  for (let i = 0; i < 7; i++) await flush(() => august, 1)
  const paths = await dataFiles(root)
  const damagedPath = join(root, paths[3]!)
  const bytes = await readFile(damagedPath)
  await writeFile(damagedPath, Buffer.concat([bytes.subarray(0, -1), Buffer.of(bytes.at(-1)! ^ 1)]))
  assert.equal((await pass()).merged, 0)
  assert.equal((await pass()).merged, 2)
  assert.equal((await pass()).merged, 0)
  assert.deepEqual(
    warnings.map(({ event, path }) => ({ event, path })),
    [{ event: 'file_not_merged', path: paths[3]! }],
  )
  assert.match(warnings[0]!.err, /sha256 is not that of its manifest/)
  assert.equal((await dataFiles(root)).length, 3)
  await writeFile(damagedPath, bytes)
  await flush(() => august, 1)
  assert.equal((await pass()).replaced, 4)
  await assertWhole()
})
