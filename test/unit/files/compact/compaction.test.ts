import assert from 'node:assert/strict'
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { lineOf } from '../../../../src/cmd/cat.ts'
import {
  type CompactionOptions,
  compactPartition,
} from '../../../../src/files/compact/compaction.ts'
import { completeCompaction } from '../../../../src/files/compact/completion.ts'
import { planPrune, pruneFiles } from '../../../../src/files/compact/prune.ts'
import { CommitLog } from '../../../../src/files/log/commit-log.ts'
import { manifestDirectory } from '../../../../src/files/log/path.ts'
import { isPruned, readPruned } from '../../../../src/files/log/pruned.ts'
import { linesByOffset, selectedFiles } from '../../../../src/files/read/batches.ts'
import { type Order, readLines } from '../../../../src/files/read/lines.ts'
import type { FilesSink } from '../../../../src/files/sink.ts'
import { decodeLine } from '../../../../src/record/line/decoder.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'
import { createLogger } from '../../../../src/runtime/log.ts'
import { checkPartition, type PartitionCheckOptions } from '../../../../src/verify/partition.ts'
import { strayFiles } from '../../../../src/verify/strays.ts'
import { makeBatch } from '../../../chaos/records.ts'
import { manifestsOf } from '../../../helpers/archive.ts'
import { createFilesSink } from '../../../helpers/files-sink.ts'
import { GatedFiles } from '../../../helpers/gated-files.ts'
import { homeAt, stagedAt } from '../../../helpers/home.ts'
import { temporaryDirectory } from '../../../helpers/servers.ts'
import { dataFiles, readFiles } from '../../../helpers/stores.ts'

const tp = { topic: 'events', partition: 3 }
const log = createLogger({ level: 'silent', stream: process.stderr })
const msPerHour = 3_600_000
const start = (Math.floor(Date.now() / msPerHour) - 16) * msPerHour

/** Two types, and an hour every nine records, some of them late. */
const typeOf = (offset: number) => (offset % 3 === 0 ? 'b' : 'a')
const timestampOf = (offset: number) =>
  start + Math.floor((offset % 7 === 0 ? offset / 2 : offset) / 9) * msPerHour

/** A generator of numbers from 0 to 1 (mulberry32), so that a seed names a history. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

interface History {
  readonly root: string
  readonly random: () => number
  /** The end of what a writer was told is committed. */
  acknowledged: number
  readonly unexpected: unknown[]
}

function isExpected(error: unknown): boolean {
  return error instanceof ArchiverError && error.code === 'FENCED'
}

/**
 * A worker that believes it owns the partition: opens it, flushes some ranges, opens it again where
 * it was fenced.
 */
async function write(history: History, worker: string, rounds: number): Promise<void> {
  const { root, random } = history
  const sink = newSink(root, worker)
  for (let round = 0; round < rounds; round++) {
    let { next: from } = (await sink.open(tp, 0)) as { next: number }
    try {
      for (let flushes = 1 + Math.floor(random() * 4); flushes > 0; flushes--) {
        const next = from + 1 + Math.floor(random() * 12)
        const written = sink.write(makeBatch(tp, from, next, typeOf, timestampOf)).then(() => {
          history.acknowledged = Math.max(history.acknowledged, next)
        })
        await Promise.all([sink.flush([tp]), written])
        from = next
      }
    } catch (error) {
      if (!isExpected(error)) history.unexpected.push(error)
    }
  }
  await sink.close(tp)
}

function compactionOptions(random: () => number): CompactionOptions {
  return {
    compactAfterMs: 0,
    // Hours that have not closed yet for one pass have for the next.
    now: Date.now() + Math.floor(random() * 2) * 20 * msPerHour,
    // Files have some hundred bytes: tiers and the cap come into play.
    maxBytes: random() < 0.5 ? 2000 : 2 ** 30,
    limits: {
      maxFiles: 12,
      maxTaken: 10 + Math.floor(random() * 40),
      maxCopied: random() < 0.3 ? 1000 : 2 ** 30,
      minFolded: 1 + Math.floor(random() * 3),
      freeBytes: random() < 0.5 ? 0 : 1000,
    },
  }
}

async function compact(
  { root, random, unexpected }: History,
  worker: string,
  rounds: number,
): Promise<void> {
  const context = { home: homeAt(root), worker, log }
  for (let round = 0; round < rounds; round++) {
    try {
      await compactPartition(context, tp, compactionOptions(random))
    } catch (error) {
      unexpected.push(error)
    }
  }
}

function verifyOptions(root: string): PartitionCheckOptions {
  return {
    home: homeAt(root),
    tp,
    thoroughness: 'full',
    elasticsearch: undefined,
    kafka: undefined,
    onProgress: () => {},
  }
}

function verify(root: string) {
  return checkPartition(verifyOptions(root))
}

async function assertWhole({ root, acknowledged, unexpected }: History): Promise<void> {
  assert.deepEqual(unexpected, [])
  const next = (await (await CommitLog.open(homeAt(root), tp)).next()) ?? 0
  assert.ok(next >= acknowledged, `acknowledged up to ${acknowledged}, the log ends at ${next}`)
  const held = (await readFiles(root)).map(({ offset }) => offset).sort((a, b) => a - b)
  assert.deepEqual(
    held,
    Array.from({ length: next }, (_, i) => i),
  )
  assert.deepEqual((await verify(root)).problems, [])
  for await (const path of strayFiles(homeAt(root), [tp], undefined))
    assert.fail(`${path} is a stray file`)
}

function newSink(root: string, worker: string, logger = log): FilesSink {
  return createFilesSink(root, { worker }, logger)
}

async function newArchive(base: string, name: string): Promise<string> {
  const root = join(base, name)
  const sink = newSink(root, 'first')
  await sink.start(() => {})
  await sink.stop()
  return root
}

/**
 * Flushes `[from, next)` as a worker of its own that takes the partition over; `step` records a
 * flush.
 */
async function flush(root: string, from: number, next: number, step = 5): Promise<void> {
  const sink = newSink(root, `flushes-${from}`)
  await sink.open(tp, 0)
  for (let at = from; at < next; at += step) {
    const written = sink.write(makeBatch(tp, at, Math.min(next, at + step), typeOf, timestampOf))
    await sink.flush([tp])
    await written
  }
  await sink.close(tp)
}

const everythingIsOld = { compactAfterMs: 0, now: Date.now() + 1e9, limits: { minFolded: 1 } }

function pass(root: string, options: Partial<CompactionOptions> = {}, worker = 'compacts') {
  const context = { home: homeAt(root), worker, log }
  return compactPartition(context, tp, { ...everythingIsOld, ...options })
}

const isCompactionRename = (call: string, [from]: readonly string[]) =>
  call === 'rename' && from!.includes('/compaction-')

async function wholeAfter(root: string, acknowledged: number): Promise<void> {
  await assertWhole({ root, random: Math.random, acknowledged, unexpected: [] })
}

/** True for the directory that has the commit log of the partition. */
function isLog(path: string): boolean {
  return path.endsWith(manifestDirectory(tp))
}

async function namesOf(root: string): Promise<string[]> {
  return (await readdir(join(root, manifestDirectory(tp)))).sort()
}

test('the files of an hour become one, manifests become one, and late records are taken in by the next pass', async (t) => {
  const root = await newArchive(await temporaryDirectory(t), 'archive')
  await flush(root, 0, 60)
  const before = (await readFiles(root)).map(({ line }) => line).sort()
  const planned = await pass(root, { dryRun: true })
  assert.equal((await namesOf(root)).length, 13)
  const done = await pass(root)
  assert.deepEqual(done, planned)
  assert.equal(done.folded, 12)
  assert.deepEqual(await namesOf(root), ['compacted-00000000000000000000-1.json', 'origin.json'])
  assert.deepEqual((await readFiles(root)).map(({ line }) => line).sort(), before)
  const hours = (await dataFiles(root)).map((path) => dirname(path))
  assert.deepEqual(hours, [...new Set(hours)], 'one file for each type and hour')
  await wholeAfter(root, 60)
  assert.deepEqual(await pass(root), { merged: 0, replaced: 0, bytes: 0, folded: 0, isMore: false })
  // Late ones of the same hours.
  await flush(root, 60, 63, 1)
  assert.equal((await pass(root)).folded, 3)
  assert.deepEqual(await namesOf(root), ['compacted-00000000000000000000-2.json', 'origin.json'])
  const merged = (await dataFiles(root)).map((path) => dirname(path))
  assert.deepEqual(merged, [...new Set(merged)])
  assert.deepEqual(await readdir(join(root, '_staging', 'events', '3')), [])
  await wholeAfter(root, 63)
})

test('what is young is left alone: hours that have not closed, flushes of late, hours that they have a part in', async (t) => {
  const root = await newArchive(await temporaryDirectory(t), 'archive')
  await flush(root, 0, 40)
  const hour = 3_600_000
  assert.equal(
    (await pass(root, { now: Date.now(), compactAfterMs: hour })).folded,
    0,
    'nothing was written an hour ago',
  )
  const early = await pass(root, { now: Date.now() + hour - 1000, compactAfterMs: hour })
  assert.equal(early.folded, 0, 'written less than an hour ago')
  // The manifests are old enough, but only hours that are over are merged; the others wait for the
  // rest of theirs.
  const now = Date.now() + 2000
  const { merged } = await pass(root, { now, compactAfterMs: 1000 })
  assert.ok(merged > 0)
  const [manifest] = await manifestsOf(root, tp)
  assert.equal(manifest!.unmerged, 0)
  await wholeAfter(root, 40)
})

test('a full manifest is closed, and the next one begins behind it', async (t) => {
  const root = await newArchive(await temporaryDirectory(t), 'archive')
  await flush(root, 0, 200)
  const limits = { minFolded: 1, maxFiles: 8, maxTaken: 20 }
  let passes = 0
  while ((await pass(root, { limits })).isMore) passes++
  assert.ok(passes > 2)
  const manifests = await manifestsOf(root, tp)
  assert.ok(manifests.length > 2)
  assert.ok(
    manifests.slice(0, -1).every(({ closed, generation }) => closed === true && generation! >= 1),
  )
  await wholeAfter(root, 200)
})

test('a file that is damaged is not merged, so that its sha256 goes on telling', async (t) => {
  const root = await newArchive(await temporaryDirectory(t), 'archive')
  await flush(root, 0, 30)
  const [path] = await dataFiles(root)
  const bytes = await readFile(join(root, path!))
  bytes[9]! ^= 0xff
  await writeFile(join(root, path!), bytes)
  await pass(root)
  const verdict = await verify(root)
  assert.deepEqual(
    verdict.problems.map(({ kind, path }) => [kind, path]),
    [['file-changed', path]],
  )
  // Restored from a copy, it is taken in with what comes next.
  bytes[9]! ^= 0xff
  await writeFile(join(root, path!), bytes)
  await flush(root, 30, 31)
  await pass(root)
  const hours = (await dataFiles(root)).map((file) => dirname(file))
  assert.deepEqual(hours, [...new Set(hours)])
  await wholeAfter(root, 31)
})

test('a merged file that is nowhere stops the completion, and nothing that it replaces is removed', async (t) => {
  const files = new GatedFiles(t)
  const root = await newArchive(await temporaryDirectory(t), 'archive')
  await flush(root, 0, 30)
  const compactor = files.start('dies', async () => void (await pass(root)))
  assert.ok(await files.runTo(compactor, isCompactionRename))
  const [manifest] = await manifestsOf(root, tp)
  const merged = manifest!.files.find(({ replaces }) => replaces !== undefined)!
  await rm(join(root, stagedAt(merged)))
  const before = await dataFiles(root)
  await assert.rejects(
    pass(root),
    /was merged and is neither there nor in staging; nothing that it replaces is removed/,
  )
  for (const path of merged.replaces!)
    assert.ok(before.includes(path) && (await dataFiles(root)).includes(path))
  // Archiving goes on all the same.
  await flush(root, 30, 35)
  assert.equal(await (await CommitLog.open(homeAt(root), tp)).next(), 35)
})

test('a worker frozen before it links, whose name a compaction freed, is fenced', async (t) => {
  const files = new GatedFiles(t)
  const root = await newArchive(await temporaryDirectory(t), 'archive')
  const owner = newSink(root, 'owner')
  await owner.open(tp, 0)
  const zombie = newSink(root, 'zombie')
  await zombie.open(tp, 0)
  const outcome: string[] = []
  const frozen = files.start('zombie', async () => {
    const written = zombie.write(makeBatch(tp, 0, 7, typeOf, timestampOf)).then(
      () => outcome.push('acknowledged'),
      (error: ArchiverError) => outcome.push(error.code),
    )
    await zombie.flush([tp])
    await written
  })
  assert.ok(await files.runTo(frozen, (call) => call === 'link'))
  for (const [from, next] of [
    [0, 5],
    [5, 30],
  ] as const) {
    const written = owner.write(makeBatch(tp, from, next, typeOf, timestampOf))
    await owner.flush([tp])
    await written
  }
  assert.ok((await pass(root)).merged > 0)
  assert.deepEqual(await namesOf(root), ['compacted-00000000000000000000-1.json', 'origin.json'])
  await files.thaw(frozen)
  assert.deepEqual(outcome, ['FENCED'])
  assert.deepEqual(await namesOf(root), ['compacted-00000000000000000000-1.json', 'origin.json'])
  await wholeAfter(root, 30)
})

test('a worker frozen at any call of a flush is fenced or done when it thaws, without a word of missing files', async (t) => {
  const files = new GatedFiles(t)
  const base = await temporaryDirectory(t)
  const errors: string[] = []
  const loud = createLogger({
    level: 'error',
    stream: { isTTY: false, write: (line: string) => void errors.push(line) },
  })
  const outcomes = new Set<string>()
  const begun = await newArchive(base, 'begun')
  await flush(begun, 0, 20)
  for (let calls = 1, isOver = false; !isOver; calls++) {
    const root = join(base, `at-${calls}`)
    await cp(begun, root, { recursive: true })
    const zombie = newSink(root, 'zombie', loud)
    await zombie.open(tp, 0)
    const frozen = files.start('zombie', async () => {
      const written = zombie.write(makeBatch(tp, 20, 27, typeOf, timestampOf)).then(
        () => outcomes.add('acknowledged'),
        (error: ArchiverError) => outcomes.add(error.code),
      )
      await zombie.flush([tp])
      await written
    })
    let left = calls
    isOver = !(await files.runTo(frozen, () => --left === 0))
    const { next } = (await newSink(root, 'looks').open(tp, 0)) as { next: number }
    await flush(root, next, 40)
    await pass(root)
    await flush(root, 40, 50)
    await pass(root)
    if (!isOver) await files.thaw(frozen)
    await wholeAfter(root, 50)
    await zombie.close(tp)
    await wholeAfter(root, 50)
  }
  assert.deepEqual([...outcomes].sort(), ['FENCED', 'acknowledged'])
  assert.deepEqual(errors, [])
})

test('a compaction that stops at any of its calls is completed by others, and finds nothing to do when it thaws', async (t) => {
  const files = new GatedFiles(t)
  const base = await temporaryDirectory(t)
  const begun = await newArchive(base, 'begun')
  await flush(begun, 0, 14)
  await pass(begun)
  await flush(begun, 14, 24)
  let calls = 1
  for (let isOver = false; !isOver; calls++) {
    const root = join(base, `at-${calls}`)
    await cp(begun, root, { recursive: true })
    const compactor = files.start('stops', async () => void (await pass(root, {}, 'stops')))
    let left = calls
    isOver = !(await files.runTo(compactor, () => --left === 0))
    await flush(root, 24, 27)
    await pass(root)
    await wholeAfter(root, 27)
    await flush(root, 27, 30)
    await pass(root)
    if (!isOver) await files.thaw(compactor)
    assert.equal(compactor.failure, undefined)
    await pass(root)
    await wholeAfter(root, 30)
    const hours = (await dataFiles(root)).map((path) => dirname(path))
    assert.deepEqual(hours, [...new Set(hours)])
  }
  assert.ok(calls > 40, 'every step was one')
})

test('a worker that opened before a compaction was committed leaves alone what it staged', async (t) => {
  const files = new GatedFiles(t)
  const root = await newArchive(await temporaryDirectory(t), 'archive')
  await flush(root, 0, 30)
  const compactor = files.start('compacts', async () => void (await pass(root)))
  assert.ok(
    await files.runTo(compactor, (call, [, to]) => call === 'link' && to!.includes('compacted-')),
  )
  const owner = newSink(root, 'owner')
  await owner.open(tp, 0)
  assert.ok(await files.runTo(compactor, isCompactionRename))
  const written = owner.write(makeBatch(tp, 30, 35, typeOf, timestampOf))
  await owner.flush([tp])
  await written
  await files.thaw(compactor)
  assert.equal(compactor.failure, undefined)
  await wholeAfter(root, 35)
})

test('what is staged for a compaction that may yet be committed is not removed', async (t) => {
  const files = new GatedFiles(t)
  const root = await newArchive(await temporaryDirectory(t), 'archive')
  await flush(root, 0, 20)
  await pass(root)
  await flush(root, 20, 30)
  const compactor = files.start('compacts', async () => void (await pass(root)))
  assert.ok(
    await files.runTo(compactor, (call, [, to]) => call === 'link' && to!.includes('compacted-')),
  )
  await flush(root, 30, 35)
  await files.thaw(compactor)
  assert.equal(compactor.failure, undefined)
  assert.ok((await namesOf(root)).includes('compacted-00000000000000000000-2.json'))
  await wholeAfter(root, 35)
})

test('a flush that is linked while a compaction looks, and stands before its files are in place, is not folded', async (t) => {
  const files = new GatedFiles(t)
  const base = await temporaryDirectory(t)
  const begun = await newArchive(base, 'begun')
  await flush(begun, 0, 20)
  let folded = 0
  // Whichever of its listings of the log the compaction stands before.
  for (let listings = 1, isOver = false; !isOver; listings++) {
    const root = join(base, `at-${listings}`)
    await cp(begun, root, { recursive: true })
    const compactor = files.start('compacts', async () => {
      const { folded: more } = await pass(root)
      folded += more
    })
    let left = listings
    isOver = !(await files.runTo(
      compactor,
      (call, [path]) => call === 'readdir' && isLog(path!) && --left === 0,
    ))
    const owner = newSink(root, 'owner')
    await owner.open(tp, 0)
    const outcomes: string[] = []
    const slow = files.start('owner', async () => {
      const written = owner.write(makeBatch(tp, 20, 27, typeOf, timestampOf)).then(
        () => outcomes.push('acknowledged'),
        (error: ArchiverError) => outcomes.push(error.code),
      )
      await owner.flush([tp])
      await written
    })
    let isLinked = false
    // Linked, and about to look whether a compacted manifest has its offset.
    await files.runTo(slow, (call) => {
      if (call === 'readdir' && isLinked) return true
      isLinked ||= call === 'link'
      return false
    })
    assert.ok(isLinked)
    if (!isOver) await files.thaw(compactor)
    assert.equal(compactor.failure, undefined)
    await files.thaw(slow)
    // Fenced where its flush was completed, and folded, by the compaction.
    assert.ok(['acknowledged', 'FENCED'].includes(outcomes.join()), outcomes.join())
    await owner.close(tp)
    await wholeAfter(root, 27)
  }
  assert.ok(folded > 0)
})

test('no generation follows one that is not completed', async (t) => {
  const files = new GatedFiles(t)
  const root = await newArchive(await temporaryDirectory(t), 'archive')
  await flush(root, 0, 30)
  const owner = newSink(root, 'owner')
  await owner.open(tp, 0)
  const late = files.start('late', async () => void (await pass(root, {}, 'late')))
  let listings = 0
  // It has found nothing to complete, and has not looked for what to do.
  assert.ok(await files.runTo(late, (call) => call === 'readdir' && ++listings === 3))
  const early = files.start('early', async () => void (await pass(root, {}, 'early')))
  assert.ok(await files.runTo(early, isCompactionRename))
  const written = owner.write(makeBatch(tp, 30, 35, typeOf, timestampOf))
  await owner.flush([tp])
  await written
  await files.thaw(late)
  await pass(root)
  await files.thaw(early)
  assert.deepEqual([late.failure, early.failure], [undefined, undefined])
  await wholeAfter(root, 35)
})

test('a prune at any moment of a compaction: what it takes is gone, what it leaves is whole, and verify knows', async (t) => {
  const files = new GatedFiles(t)
  const base = await temporaryDirectory(t)
  const begun = await newArchive(base, 'begun')
  await flush(begun, 0, 20)
  await pass(begun)
  await flush(begun, 20, 48)
  const before = start + 3 * msPerHour
  for (let calls = 1, isOver = false; !isOver; calls += 4) {
    const root = join(base, `at-${calls}`)
    await cp(begun, root, { recursive: true })
    const compactor = files.start('stops', async () => void (await pass(root, {}, 'stops')))
    let left = calls
    isOver = !(await files.runTo(compactor, () => --left === 0))
    const plan = await planPrune(homeAt(root), tp, before)
    await pruneFiles(homeAt(root), plan!)
    if (!isOver) await files.thaw(compactor)
    assert.equal(compactor.failure, undefined)
    for (let passes = 0; passes < 2; passes++) {
      const { problems, pruned_records, proven } = await verify(root)
      assert.deepEqual(problems, [], `at call ${calls}`)
      assert.ok(proven && pruned_records > 0)
      for await (const path of strayFiles(homeAt(root), [tp], undefined))
        assert.fail(`${path} is a stray file`)
      const { files: pruned } = await readPruned(homeAt(root), tp)
      const there = new Set(await dataFiles(root))
      for (const manifest of await manifestsOf(root, tp)) {
        for (const file of manifest.files)
          assert.equal(there.has(file.path), !isPruned(pruned, file), file.path)
      }
      await pass(root)
    }
    const held = new Set((await readFiles(root)).map(({ offset }) => offset))
    for (let offset = 0; offset < 48; offset++) {
      if (timestampOf(offset) >= before) assert.ok(held.has(offset), `offset ${offset}`)
    }
  }
})

/** What readers say of offsets 0 to 47, however they get at them. */
const readers: Readonly<Record<string, (root: string) => Promise<unknown>>> = {
  verify: async (root) => {
    const { problems, records, proven } = await verify(root)
    return { problems, records, proven }
  },
  'verify --fast': async (root) =>
    (await checkPartition({ ...verifyOptions(root), thoroughness: 'fast' })).problems,
  stray: async (root) => {
    const found: string[] = []
    for await (const path of strayFiles(homeAt(root), [tp], undefined)) found.push(path)
    return found
  },
  restore: async (root) => {
    const offsets: number[] = []
    for await (const selected of selectedFiles(homeAt(root), tp, {})) {
      for await (const line of linesByOffset(homeAt(root), selected, {}))
        offsets.push(decodeLine(line).record.offset)
    }
    return offsets
  },
  'cat --offset': async (root) => (await lineOf(homeAt(root), 30, {})).toString('utf8'),
  cat: (root) => catAll(root, 'oldest'),
  'cat --order newest': (root) => catAll(root, 'newest'),
}

async function catAll(root: string, order: Order): Promise<number[]> {
  const offsets: number[] = []
  for await (const { block, start, end } of readLines(homeAt(root), {}, { order })) {
    offsets.push(decodeLine(block.subarray(start, end)).record.offset)
  }
  return offsets
}

for (const [name, read] of Object.entries(readers)) {
  test(`${name} finds the same, whatever is compacted while it reads`, async (t) => {
    const files = new GatedFiles(t)
    const base = await temporaryDirectory(t)
    const begun = await newArchive(base, 'begun')
    await flush(begun, 0, 20, 4)
    await pass(begun)
    await flush(begun, 20, 48, 4)
    const expected = await read(begun)
    for (let calls = 1, isOver = false; !isOver; calls += 5) {
      const root = join(base, `at-${calls}`)
      await cp(begun, root, { recursive: true })
      let found: unknown
      const reader = files.start('reads', async () => {
        found = await read(root)
      })
      let left = calls
      isOver = !(await files.runTo(reader, () => --left === 0))
      await pass(root)
      if (!isOver) await files.thaw(reader)
      assert.equal(reader.failure, undefined, `at call ${calls}`)
      assert.deepEqual(found, expected, `at call ${calls}`)
      await rm(root, { recursive: true })
    }
  })
}

test('whoever writes, compacts, freezes, thaws or dies at whatever call: every offset is there exactly once', async (t) => {
  const base = await temporaryDirectory(t)
  const files = new GatedFiles(t)
  let runs = 0
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.constantFrom(0, 0.01, 0.05),
      fc.constantFrom(0, 0.004),
      async (seed, freezes, deaths) => {
        const random = randomFrom(seed)
        const root = await newArchive(base, `run-${runs++}`)
        const history: History = { root, random, acknowledged: 0, unexpected: [] }
        let born = 0
        const begin = (kind: string) => {
          const name = `${kind}${born++}`
          const act = kind === 'writer' ? write : compact
          return files.start(name, () => act(history, name, 3))
        }
        for (const kind of ['writer', 'writer', 'compactor', 'compactor']) begin(kind)
        await files.run((ready) => {
          const actor = ready[Math.floor(random() * ready.length)]!
          if (random() < freezes) {
            actor.frozenFor = 20 + Math.floor(random() * 400)
            return undefined
          }
          if (random() < deaths && born < 12) {
            files.kill(actor)
            begin(actor.name.replace(/\d+/, ''))
            return undefined
          }
          return actor
        })
        // A quiet point: somebody takes the partition over, and nobody else acts.
        await write(history, 'last', 1)
        await completeCompaction({ home: homeAt(root), log }, tp)
        await assertWhole(history)
        for (let i = 0; i < 10; i++) {
          const context = {
            home: homeAt(root),
            worker: 'last',
            log,
          }
          await compactPartition(context, tp, {
            compactAfterMs: 0,
            now: Date.now() + 1e9,
            limits: { minFolded: 1 },
          })
        }
        await assertWhole(history)
        await rm(root, { recursive: true })
      },
    ),
    // Thousands of calls each; a change of the protocol deserves a night of it.
    {
      numRuns: Number(process.env.COMPACTION_RUNS ?? 8),
      endOnFailure: true,
      includeErrorInReport: true,
    },
  )
})
