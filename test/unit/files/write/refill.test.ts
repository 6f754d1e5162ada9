import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CommitLog } from '../../../../src/files/log/commit-log.ts'
import type { ManifestFile } from '../../../../src/files/log/manifest.ts'
import type { Home } from '../../../../src/home/home.ts'
import type { OffsetRange } from '../../../../src/record/record.ts'
import {
  assertWhole,
  batch,
  begin,
  flush,
  fromKafka,
  isCompactionLink,
  isCompactionRename,
  manifestNames,
  newSink,
  openWhole,
  pass,
  tp,
  verify,
  write,
  writeForOutcome,
} from '../../../helpers/compaction.ts'
import type { Gates } from '../../../helpers/gates.ts'
import { testStops } from '../../../helpers/stops.ts'
import { inMemory, type TestArchive } from '../../../helpers/test-archive.ts'

/** What is staged for a commit is lost between the manifest and the publication. */

/** The files of the last manifest. */
async function lastFiles(home: Home): Promise<readonly ManifestFile[]> {
  const log = await CommitLog.open(home, tp)
  return (await log.read(log.entries.at(-1)!))!.files
}

/** As a store that ends open uploads. Returns the files that nobody can publish any more. */
async function expire(archive: TestArchive, which: (i: number) => boolean = () => true) {
  const expired: ManifestFile[] = []
  for (const [i, file] of (await lastFiles(archive.home())).entries()) {
    if (!which(i) || !(await archive.home().isStaged(file))) continue
    assert.ok('staged' in file)
    await archive.remove(file.staged)
    expired.push(file)
  }
  assert.ok(expired.length > 0)
  return expired
}

/** A worker that has committed `[from, next)` and published nothing of it. */
async function freezeBeforePublication(
  archive: TestArchive,
  gates: Gates,
  { from, next }: OffsetRange,
) {
  const zombie = newSink(archive.home(), 'zombie')
  await openWhole(zombie)
  let outcome = ''
  const actor = gates.start('zombie', async () => {
    outcome = await writeForOutcome(zombie, from, next)
  })
  const isPublication = (call: string, names: readonly string[]) =>
    call === 'rename' && names.at(-1)!.includes('type=')
  assert.ok(await gates.runTo(actor, isPublication))
  return { actor, outcome: () => outcome }
}

testStops(
  'whoever reads lost records again stops anywhere, another does it, and then all of them and the zombie thaw',
  () => {
    const outcomes = new Set<string>()
    return {
      prepare: async (archive) => {
        await flush(archive, 0, 20)
      },
      async run(archive, gates, stop) {
        const zombie = await freezeBeforePublication(archive, gates, { from: 20, next: 33 })
        await expire(archive, (i) => i % 2 === 0)
        let left = stop
        const first = gates.start('first', async () => {
          const sink = newSink(archive.home(), 'first')
          await openWhole(sink)
          await sink.close(tp)
        })
        const isStopped = await gates.runTo(first, () => --left === 0)
        const second = newSink(archive.home(), 'second')
        assert.equal(await openWhole(second), 33)
        await assertWhole(archive, 33)
        await gates.thaw(zombie.actor)
        // It is a good range by now: a directory knows its files by their names.
        outcomes.add(zombie.outcome())
        await assertWhole(archive, 33)
        await write(second, 33, 40)
        await pass(archive)
        await second.close(tp)
        await assertWhole(archive, 40)
        if (!isStopped) return false
        await gates.thaw(first)
        const { code } = (first.failure ?? { code: 'FENCED' }) as { code?: string }
        assert.equal(code, 'FENCED', `stopped before call ${stop}: ${String(first.failure)}`)
        await assertWhole(archive, 40)
        for (let i = 0; i < 3; i++) await pass(archive)
        await assertWhole(archive, 40)
        return true
      },
      end(stop) {
        assert.ok(stop > 10)
        for (const one of outcomes) assert.match(one, /^(acknowledged|FENCED)$/)
      },
    }
  },
  4,
)

for (const [what, isThere] of [
  ['the manifest of a flush', false],
  ['the files of a range that was read again', true],
] as const) {
  test(`memory: what is lost of ${what} is read again`, async (t) => {
    const { gates, create } = await inMemory.begin(t)
    const archive = await begin(create())
    await flush(archive, 0, 20)
    await freezeBeforePublication(archive, gates, { from: 20, next: 33 })
    const lost = await expire(archive)
    if (isThere) {
      const killed = gates.start('killed', async () => {
        await openWhole(newSink(archive.home(), 'killed'))
      })
      assert.ok(await gates.runTo(killed, isCompactionRename))
      assert.equal((await expire(archive)).length, lost.length)
    }
    const sink = newSink(archive.home(), 'next')
    assert.equal(await openWhole(sink), 33)
    await assertWhole(archive, 33)
    const generation = isThere ? 2 : 1
    assert.ok(
      (await manifestNames(archive)).includes(`compacted-00000000000000000020-${generation}.json`),
    )
    // The same names, because they have the same records.
    const paths = (await lastFiles(archive.home())).map(({ path }) => path)
    for (const { path } of lost) assert.ok(paths.includes(path))
  })
}

test('memory: ranges before the last one are read again, too, if the group has not committed them', async (t) => {
  const { create } = await inMemory.begin(t)
  const archive = await begin(create())
  await flush(archive, 0, 20, 10)
  const [first, second] = await Promise.all([0, 10].map((from) => filesAt(archive, from)))
  for (const { path } of [...first!, ...second!]) await archive.remove(path)
  const committed = await newSink(archive.home(), 'a').open(tp, 0, 10)
  assert.deepEqual(
    committed.incomplete?.map(({ from, next }) => [from, next]),
    [[10, 20]],
  )
  const sink = newSink(archive.home(), 'b')
  const { incomplete } = await sink.open(tp, 0, 0)
  assert.deepEqual(
    incomplete?.map(({ from, lostRecords }) => [from, lostRecords]),
    [
      [0, 10],
      [10, 10],
    ],
  )
  assert.equal(await openWhole(sink, 0), 20)
  await assertWhole(archive, 20)
})

async function filesAt(archive: TestArchive, from: number): Promise<readonly ManifestFile[]> {
  return (await (await CommitLog.open(archive.home(), tp)).read({ from }))!.files
}

test('memory: what Kafka has not any more is a loss, and becomes a gap only if that is accepted', async (t) => {
  const { gates, create } = await inMemory.begin(t)
  const archive = await begin(create())
  await flush(archive, 0, 20)
  await freezeBeforePublication(archive, gates, { from: 20, next: 40 })
  const lost = await expire(archive, (i) => i < 2)
  const kept = (await lastFiles(archive.home())).filter(({ path }) =>
    lost.every((file) => file.path !== path),
  )
  assert.ok(kept.length > 0)
  const before = await manifestNames(archive)
  const sink = newSink(archive.home(), 'next')
  const open = async () => (await sink.open(tp, 0)).incomplete![0]!
  const rest = (range: OffsetRange) => fromKafka({ from: 30, next: range.next })
  const range = await open()
  const gaps = await sink.refill(tp, range, rest(range), false)
  assert.deepEqual(await manifestNames(archive), before, 'nothing changes')
  const lostOffsets = gaps.flatMap(({ from, next }) =>
    Array.from({ length: next - from }, (_, i) => from + i),
  )
  assert.ok(lostOffsets.length > 0 && lostOffsets.every((offset) => offset < 30))

  assert.deepEqual(await sink.refill(tp, await open(), rest(range), true), gaps)
  assert.equal(await openWhole(sink), 40)
  const { problems, gaps: counted } = await verify(archive.home())
  assert.deepEqual(problems, [])
  assert.deepEqual(counted, { 'file-lost': lostOffsets.length })
})

test('memory: other records at the lost offsets are refused', async (t) => {
  const { gates, create } = await inMemory.begin(t)
  const archive = await begin(create())
  await freezeBeforePublication(archive, gates, { from: 0, next: 10 })
  await expire(archive)
  const sink = newSink(archive.home(), 'next')
  const range = (await sink.open(tp, 0)).incomplete![0]!
  const names = await manifestNames(archive)
  async function* others() {
    const { timestamps, ...records } = batch(0, 10)
    yield { ...records, timestamps: timestamps.map((timestamp) => timestamp + 1) }
  }
  await assert.rejects(sink.refill(tp, range, others(), true), { code: 'GAP' })
  assert.deepEqual(await manifestNames(archive), names)
})

test('memory: of two that read the same range again, one gets the name, and nothing is there twice', async (t) => {
  const { gates, create } = await inMemory.begin(t)
  const archive = await begin(create())
  await freezeBeforePublication(archive, gates, { from: 0, next: 10 })
  await expire(archive)
  const slow = gates.start('slow', async () => {
    await openWhole(newSink(archive.home(), 'slow'))
  })
  assert.ok(await gates.runTo(slow, isCompactionLink))
  const fast = newSink(archive.home(), 'fast')
  assert.equal(await openWhole(fast), 10)
  await gates.thaw(slow)
  assert.equal((slow.failure as { code?: string }).code, 'FENCED')
  await write(fast, 10, 20)
  await assertWhole(archive, 20)
})
