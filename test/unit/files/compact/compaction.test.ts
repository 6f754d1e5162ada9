import assert from 'node:assert/strict'
import { dirname } from 'node:path/posix'
import { test } from 'node:test'
import { manifestsOf } from '../../../helpers/archive.ts'
import {
  assertWhole,
  begin,
  flush,
  isCompactionLink,
  isCompactionRename,
  manifestNames,
  newSink,
  pass,
  tp,
  verify,
  write,
  writeForOutcome,
} from '../../../helpers/compaction.ts'
import type { Gates } from '../../../helpers/gates.ts'
import { stagedAt } from '../../../helpers/home.ts'
import {
  dataFilesIn,
  inDirectory,
  inMemory,
  recordsIn,
  type TestArchive,
} from '../../../helpers/test-archive.ts'

/** What a pass does, and each guard of P13, in every kind of home. */

/** A test in every kind of home, with an archive of nothing yet. */
function testInHomes(
  name: string,
  run: (archive: TestArchive, gates: Gates) => Promise<void>,
): void {
  for (const kind of [inDirectory, inMemory]) {
    test(`${kind.name}: ${name}`, async (t) => {
      const { gates, create } = await kind.begin(t)
      await run(await begin(create()), gates)
    })
  }
}

testInHomes(
  'the files of an hour become one, manifests become one, and late records are taken in by the next pass',
  async (archive) => {
    const home = archive.home()
    const linesIn = async () => (await recordsIn(home)).map(({ line }) => line).sort()
    const hoursIn = async () => (await dataFilesIn(home)).map((path) => dirname(path))
    await flush(archive, 0, 60)
    const before = await linesIn()
    const planned = await pass(archive, { dryRun: true })
    assert.equal((await manifestNames(archive)).length, 13)
    const done = await pass(archive)
    assert.deepEqual(done, planned)
    assert.equal(done.folded, 12)
    assert.deepEqual(await manifestNames(archive), [
      'compacted-00000000000000000000-1.json',
      'origin.json',
    ])
    assert.deepEqual(await linesIn(), before)
    const hours = await hoursIn()
    assert.deepEqual(hours, [...new Set(hours)], 'one file for each type and hour')
    await assertWhole(archive, 60)
    assert.deepEqual(await pass(archive), {
      merged: 0,
      replaced: 0,
      bytes: 0,
      folded: 0,
      isMore: false,
    })
    // Late ones of the same hours.
    await flush(archive, 60, 63, 1)
    assert.equal((await pass(archive)).folded, 3)
    assert.deepEqual(await manifestNames(archive), [
      'compacted-00000000000000000000-2.json',
      'origin.json',
    ])
    const merged = await hoursIn()
    assert.deepEqual(merged, [...new Set(merged)])
    assert.deepEqual(await home.list('_staging/events/3'), [])
    await assertWhole(archive, 63)
  },
)

testInHomes(
  'what is young is left alone: hours that have not closed, flushes of late, hours that they have a part in',
  async (archive) => {
    await flush(archive, 0, 40)
    const hour = 3_600_000
    assert.equal(
      (await pass(archive, { now: Date.now(), compactAfterMs: hour })).folded,
      0,
      'nothing was written an hour ago',
    )
    const early = await pass(archive, { now: Date.now() + hour - 1000, compactAfterMs: hour })
    assert.equal(early.folded, 0, 'written less than an hour ago')
    // The manifests are old enough, but only hours that are over are merged; the others wait for
    // the rest of theirs.
    const now = Date.now() + 2000
    const { merged } = await pass(archive, { now, compactAfterMs: 1000 })
    assert.ok(merged > 0)
    const [manifest] = await manifestsOf(archive.home(), tp)
    assert.equal(manifest!.unmerged, 0)
    await assertWhole(archive, 40)
  },
)

testInHomes('a full manifest is closed, and the next one begins behind it', async (archive) => {
  await flush(archive, 0, 200)
  const limits = { minFolded: 1, maxFiles: 8, maxTaken: 20 }
  let passes = 0
  while ((await pass(archive, { limits })).isMore) passes++
  assert.ok(passes > 2)
  const manifests = await manifestsOf(archive.home(), tp)
  assert.ok(manifests.length > 2)
  assert.ok(
    manifests.slice(0, -1).every(({ closed, generation }) => closed === true && generation! >= 1),
  )
  await assertWhole(archive, 200)
})

testInHomes(
  'a file that is damaged is not merged, so that its sha256 goes on telling',
  async (archive) => {
    const home = archive.home()
    await flush(archive, 0, 30)
    const [path] = await dataFilesIn(home)
    const bytes = Buffer.from(await archive.read(path!))
    bytes[9]! ^= 0xff
    await archive.write(path!, Buffer.from(bytes))
    await pass(archive)
    const verdict = await verify(home)
    assert.deepEqual(
      verdict.problems.map(({ kind, path }) => [kind, path]),
      [['file-changed', path]],
    )
    // Restored from a copy, it is taken in with what comes next.
    bytes[9]! ^= 0xff
    await archive.write(path!, Buffer.from(bytes))
    await flush(archive, 30, 31)
    await pass(archive)
    const hours = (await dataFilesIn(home)).map((file) => dirname(file))
    assert.deepEqual(hours, [...new Set(hours)])
    await assertWhole(archive, 31)
  },
)

testInHomes(
  'a merged file that is nowhere is taken back, and what it replaces is merged again',
  async (archive, gates) => {
    const home = archive.home()
    await flush(archive, 0, 30)
    const compactor = gates.start('dies', async () => void (await pass(archive)))
    assert.ok(await gates.runTo(compactor, isCompactionRename))
    const [manifest] = await manifestsOf(home, tp)
    const merged = manifest!.files.find(({ replaces }) => replaces !== undefined)!
    await archive.remove(stagedAt(merged))
    for (const path of merged.replaces!) assert.ok((await dataFilesIn(home)).includes(path))
    await flush(archive, 30, 35)
    await assertWhole(archive, 35)
    await gates.thaw(compactor)
    await assertWhole(archive, 35)
    await pass(archive)
    await assertWhole(archive, 35)
    assert.ok((await dataFilesIn(home)).includes(merged.path))
  },
)

testInHomes(
  'a worker frozen before it links, whose name a compaction freed, is fenced',
  async (archive, gates) => {
    const owner = newSink(archive.home(), 'owner')
    await owner.open(tp, 0)
    const zombie = newSink(archive.home(), 'zombie')
    await zombie.open(tp, 0)
    let outcome = ''
    const frozen = gates.start('zombie', async () => {
      outcome = await writeForOutcome(zombie, 0, 7)
    })
    assert.ok(await gates.runTo(frozen, (call) => call === 'link'))
    await write(owner, 0, 5)
    await write(owner, 5, 30)
    assert.ok((await pass(archive)).merged > 0)
    const names = ['compacted-00000000000000000000-1.json', 'origin.json']
    assert.deepEqual(await manifestNames(archive), names)
    await gates.thaw(frozen)
    assert.equal(outcome, 'FENCED')
    assert.deepEqual(await manifestNames(archive), names)
    await assertWhole(archive, 30)
  },
)

testInHomes(
  'a worker that opened before a compaction was committed leaves alone what it staged',
  async (archive, gates) => {
    await flush(archive, 0, 30)
    const compactor = gates.start('compacts', async () => void (await pass(archive)))
    assert.ok(await gates.runTo(compactor, isCompactionLink))
    const owner = newSink(archive.home(), 'owner')
    await owner.open(tp, 0)
    assert.ok(await gates.runTo(compactor, isCompactionRename))
    await write(owner, 30, 35)
    await gates.thaw(compactor)
    assert.equal(compactor.failure, undefined)
    await assertWhole(archive, 35)
  },
)

testInHomes(
  'what is staged for a compaction that may yet be committed is not removed',
  async (archive, gates) => {
    await flush(archive, 0, 20)
    await pass(archive)
    await flush(archive, 20, 30)
    const compactor = gates.start('compacts', async () => void (await pass(archive)))
    assert.ok(await gates.runTo(compactor, isCompactionLink))
    await flush(archive, 30, 35)
    await gates.thaw(compactor)
    assert.equal(compactor.failure, undefined)
    const names = await manifestNames(archive)
    assert.ok(names.includes('compacted-00000000000000000000-2.json'))
    await assertWhole(archive, 35)
  },
)

testInHomes('no generation follows one that is not completed', async (archive, gates) => {
  await flush(archive, 0, 30)
  const owner = newSink(archive.home(), 'owner')
  await owner.open(tp, 0)
  const late = gates.start('late', async () => void (await pass(archive, {}, 'late')))
  let listings = 0
  // It has found nothing to complete, and has not looked for what to do.
  assert.ok(await gates.runTo(late, (call) => call === 'readdir' && ++listings === 3))
  const early = gates.start('early', async () => void (await pass(archive, {}, 'early')))
  assert.ok(await gates.runTo(early, isCompactionRename))
  await write(owner, 30, 35)
  await gates.thaw(late)
  await pass(archive)
  await gates.thaw(early)
  assert.deepEqual([late.failure, early.failure], [undefined, undefined])
  await assertWhole(archive, 35)
})
