import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type PrunePlan, planPrune, pruneFiles } from '../../../../src/files/compact/prune.ts'
import { manifestDirectory } from '../../../../src/files/log/path.ts'
import {
  type PrunedStores,
  prunedName,
  readPruned,
  updatePruned,
} from '../../../../src/files/log/pruned.ts'
import { makeArchive } from '../../../helpers/archive.ts'
import { homeAt } from '../../../helpers/home.ts'
import { readFiles } from '../../../helpers/stores.ts'

const tp = { topic: 'orders', partition: 0 }
const dayMs = 86_400_000
const start = Date.UTC(2026, 0, 1)

/** One record on each of `days` days, a flush each, and a last one that no prune takes. */
function daily(t: TestContext, days: number): Promise<string> {
  return makeArchive(t, [
    {
      tp,
      flushes: Array.from({ length: days + 1 }, (_, i) => [
        { offset: i, timestamp: start + i * dayMs },
      ]),
    },
  ])
}

async function plan(root: string, day: number | undefined): Promise<PrunePlan | undefined> {
  return planPrune(homeAt(root), tp, day === undefined ? undefined : start + day * dayMs)
}

const offsets = async (root: string) =>
  (await readFiles(root)).map(({ offset }) => offset).sort((a, b) => a - b)

/** What a prune leaves that ends right after its note. */
async function interrupt(root: string, day: number): Promise<void> {
  const files = { before: start + day * dayMs, committed_until: 10, complete: false }
  await updatePruned(homeAt(root), tp, (noted) => ({ ...noted, files }))
}

test('a prune takes no more than its own date, whatever an interrupted one had asked for', async (t) => {
  const root = await daily(t, 10)
  await interrupt(root, 7)
  const smaller = await plan(root, 4)
  assert.deepEqual(
    [smaller!.files, smaller!.interrupted],
    [4, { before: start + 7 * dayMs, files: 3 }],
  )
  await pruneFiles(homeAt(root), smaller!)
  assert.deepEqual(await offsets(root), [4, 5, 6, 7, 8, 9, 10])
  assert.equal((await readPruned(homeAt(root), tp)).files!.complete, false)
  const again = await plan(root, 4)
  assert.deepEqual([again!.files, again!.interrupted!.files], [0, 3])
  const finish = await plan(root, undefined)
  assert.deepEqual(
    [finish!.files, finish!.taking.before, finish!.interrupted],
    [3, start + 7 * dayMs, undefined],
  )
  await pruneFiles(homeAt(root), finish!)
  assert.deepEqual(await offsets(root), [7, 8, 9, 10])
  assert.deepEqual((await readPruned(homeAt(root), tp)).files, {
    before: start + 7 * dayMs,
    committed_until: 10,
    complete: true,
  })
  assert.equal(await plan(root, undefined), undefined)
})

test('a later prune that goes further completes an interrupted one', async (t) => {
  const root = await daily(t, 10)
  await interrupt(root, 3)
  await pruneFiles(homeAt(root), (await plan(root, 5))!)
  assert.deepEqual(await offsets(root), [5, 6, 7, 8, 9, 10])
  assert.equal((await readPruned(homeAt(root), tp)).files!.complete, true)
})

test('notes that many change at once lose none of them, and stay readable', async (t) => {
  const root = await daily(t, 1)
  const directory = join(root, manifestDirectory(tp))
  const rounds = 60
  const write = async (store: 'files' | 'elasticsearch' | 'mysql') => {
    for (let round = 1; round <= rounds; round++) {
      await updatePruned(homeAt(root), tp, (noted) => {
        assert.ok((noted[store]?.before ?? 0) >= round - 1, `${store} lost round ${round - 1}`)
        return { ...noted, [store]: { before: round, committed_until: 1, complete: true } }
      })
    }
  }
  await Promise.all([write('files'), write('elasticsearch'), write('mysql')])
  const noted = await readPruned(homeAt(root), tp)
  for (const store of ['files', 'elasticsearch', 'mysql'] as const)
    assert.equal(noted[store]!.before, rounds)
  const notes = (await readdir(directory)).filter((name) => name.startsWith('pruned'))
  const [, version] = /^pruned-(\d{10})\.json$/.exec(notes.sort()[0]!)!
  assert.deepEqual(notes.slice(1), [prunedName])
  assert.ok(Number(version) >= 3 * rounds)
  const copy = JSON.parse(await readFile(join(directory, prunedName), 'utf8')) as PrunedStores
  for (const store of ['files', 'elasticsearch', 'mysql'] as const)
    assert.ok(copy[store]!.before > 0)
})

test('prunes of different dates at once take what the further one asks for', async (t) => {
  const root = await daily(t, 10)
  const plans = [(await plan(root, 3))!, (await plan(root, 6))!, (await plan(root, 6))!]
  await Promise.all(plans.map((one) => pruneFiles(homeAt(root), one)))
  assert.deepEqual(await offsets(root), [6, 7, 8, 9, 10])
  const finish = await plan(root, undefined)
  if (finish !== undefined) await pruneFiles(homeAt(root), finish)
  assert.deepEqual(await offsets(root), [6, 7, 8, 9, 10])
  assert.equal((await readPruned(homeAt(root), tp)).files!.complete, true)
})

test('a note of an earlier version counts, and the next one takes its place', async (t) => {
  const root = await daily(t, 4)
  const path = join(root, manifestDirectory(tp), prunedName)
  const files = { before: start + dayMs, committed_until: 4, complete: true }
  await writeFile(path, JSON.stringify({ files }))
  assert.deepEqual(await readPruned(homeAt(root), tp), { files })
  await updatePruned(homeAt(root), tp, (noted) => ({ ...noted, mysql: files }))
  assert.deepEqual(await readPruned(homeAt(root), tp), { files, mysql: files })
})
