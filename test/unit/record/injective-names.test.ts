import assert from 'node:assert/strict'
import { mkdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { compactPartition } from '../../../src/files/compact/compaction.ts'
import { planPrune, pruneFiles } from '../../../src/files/compact/prune.ts'
import { readLines } from '../../../src/files/read/lines.ts'
import { typeSegment, typeSegments } from '../../../src/record/segment.ts'
import { createLogger } from '../../../src/runtime/log.ts'
import { checkPartition } from '../../../src/verify/partition.ts'
import { strayFiles } from '../../../src/verify/strays.ts'
import type { Verdict } from '../../../src/verify/verdict.ts'
import { august, makeArchive, manifestsOf, putManifest } from '../../helpers/archive.ts'
import { homeAt } from '../../helpers/home.ts'

const tp = { topic: 'events', partition: 0 }
const own = (name: string) => ({ name, reserved: false })
const long = 'x'.repeat(300)
/** Each shared a directory with another one of these in earlier versions. */
const odd = [
  '\ud800',
  '\ud801',
  '\ufffd',
  long,
  typeSegment(own(long)),
  typeSegment(own(typeSegment(own(long)))),
]
const dayMs = 86_400_000

/** One flush with two records of each type. */
function oddArchive(t: TestContext, types = odd): Promise<string> {
  const made = [...types, ...types].map((type, offset) => ({
    offset,
    type,
    timestamp: august + offset,
  }))
  return makeArchive(t, [{ tp, flushes: [made] }])
}

/** Moves every file to where earlier versions put its type. */
async function asBefore(root: string): Promise<void> {
  for (const manifest of await manifestsOf(root, tp)) {
    const files = []
    for (const file of manifest.files) {
      const [segment, former = segment] = typeSegments(own(file.type!))
      const path = file.path.replace(`type=${segment}/`, `type=${former}/`)
      if (path !== file.path) {
        await mkdir(dirname(join(root, path)), { recursive: true })
        await rename(join(root, file.path), join(root, path))
      }
      files.push({ ...file, path })
    }
    await putManifest(root, { ...manifest, files })
  }
}

function verify(root: string): Promise<Verdict> {
  return checkPartition({
    home: homeAt(root),
    tp,
    thoroughness: 'full',
    elasticsearch: undefined,
    kafka: undefined,
    onProgress: () => {},
  })
}

async function linesOf(root: string, type: string): Promise<number> {
  let lines = 0
  for await (const { block, start, end } of readLines(
    homeAt(root),
    { types: [{ name: type, reserved: false }] },
    { order: 'oldest' },
  )) {
    assert.equal((JSON.parse(block.toString('utf8', start, end)) as { type: string }).type, type)
    lines++
  }
  return lines
}

async function straysOf(root: string): Promise<string[]> {
  const found: string[] = []
  for await (const path of strayFiles(homeAt(root), [tp], undefined)) found.push(path)
  return found
}

test('types whose names look like one another have a file each, and are proven', async (t) => {
  const root = await oddArchive(t)
  const [manifest] = await manifestsOf(root, tp)
  assert.deepEqual(
    manifest!.files.map(({ type }) => type),
    odd,
  )
  assert.equal(new Set(manifest!.files.map(({ path }) => dirname(path))).size, odd.length)
  const verdict = await verify(root)
  assert.deepEqual(verdict.problems, [])
  assert.equal(verdict.records, 2 * odd.length)
  for (const type of odd) assert.equal(await linesOf(root, type), 2, type)
})

test('an archive in which an earlier version named them is read, pruned and compacted as it is', async (t) => {
  // In one flush each; two types of one directory in one flush went into one file, which nothing
  // can mend.
  const root = await makeArchive(t, [
    {
      tp,
      flushes: odd.map((type, i) => [
        { offset: 2 * i, type, timestamp: august + i },
        { offset: 2 * i + 1, type, timestamp: august + i },
      ]),
    },
  ])
  await asBefore(root)
  const paths = (await manifestsOf(root, tp)).flatMap(({ files }) => files.map(({ path }) => path))
  assert.ok(paths.some((path) => path.startsWith('type=%EF%BF%BD/')))
  assert.deepEqual((await verify(root)).problems, [])
  assert.deepEqual(await straysOf(root), [])
  for (const type of odd) assert.equal(await linesOf(root, type), 2, type)
  const plan = await planPrune(homeAt(root), tp, august + dayMs)
  assert.equal(plan!.files, odd.length - 1)
  await pruneFiles(homeAt(root), plan!)
  assert.deepEqual((await verify(root)).problems, [])
})

test('types that an earlier version put into one directory are merged each with its own', async (t) => {
  const types = ['\ud800', '\ud801', '\ufffd', '\ud800']
  const flushes = Array.from({ length: 12 }, (_, i) => [
    { offset: i, type: types[Math.floor(i / 3)]!, timestamp: august + i },
  ])
  const root = await makeArchive(t, [{ tp, flushes }])
  await asBefore(root)
  const log = createLogger({ level: 'silent', stream: process.stderr })
  const context = { home: homeAt(root), worker: 'w', log }
  const pass = await compactPartition(context, tp, {
    compactAfterMs: 0,
    now: Date.now() + dayMs,
    limits: { minFolded: 1 },
  })
  assert.deepEqual([pass.merged, pass.replaced], [4, 12])
  const [manifest] = await manifestsOf(root, tp)
  assert.deepEqual(
    manifest!.files.map(({ type, first, last }) => ({ type, first, last })),
    types.map((type, i) => ({ type, first: 3 * i, last: 3 * i + 2 })),
  )
  assert.deepEqual((await verify(root)).problems, [])
  assert.deepEqual(await straysOf(root), [])
  assert.deepEqual(await Promise.all(types.map((type) => linesOf(root, type))), [6, 3, 3, 6])
})

test('what an earlier version wrote is merged with its own kind', async (t) => {
  const root = await makeArchive(t, [
    {
      tp,
      flushes: [0, 1, 2, 3].map((offset) => [
        { offset, type: '\ud800', timestamp: august + offset },
      ]),
    },
  ])
  await asBefore(root)
  const log = createLogger({ level: 'silent', stream: process.stderr })
  const context = { home: homeAt(root), worker: 'w', log }
  const pass = await compactPartition(context, tp, {
    compactAfterMs: 0,
    now: Date.now() + dayMs,
    limits: { minFolded: 1 },
  })
  assert.deepEqual([pass.merged, pass.replaced], [1, 4])
  assert.deepEqual((await verify(root)).problems, [])
  assert.deepEqual(await straysOf(root), [])
  assert.equal(await linesOf(root, '\ud800'), 4)
})
