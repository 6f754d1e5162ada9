import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import fsPromises, { cp, mkdir, readdir, rm, rmdir, stat, truncate } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { FilesSink, FilesSinkOptions } from '../../src/files/sink.ts'
import { memberBytes } from '../../src/files/write/bucket.ts'
import { bucketBytes } from '../../src/files/write/line-memory.ts'
import { faultPoints } from '../../src/runtime/fault.ts'
import { checkPartition } from '../../src/verify/partition.ts'
import { makeArchive, records } from '../helpers/archive.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { createFilesSink } from '../helpers/files-sink.ts'
import { homeAt } from '../helpers/home.ts'
import { temporaryDirectory } from '../helpers/servers.ts'
import { dataFiles, readFiles } from '../helpers/stores.ts'
import { makeBatch } from './records.ts'

/**
 * Workers that believe they own the same partition, and flushes that fail at the worst moment: one
 * archive, several sinks.
 */

const tp = { topic: 'events', partition: 3 }

async function startSink(
  t: TestContext,
  root: string,
  worker: string,
  options: Partial<FilesSinkOptions> = {},
): Promise<FilesSink> {
  const sink = createFilesSink(root, { worker, ...options })
  await sink.start(() => {})
  t.after(() => sink.stop())
  return sink
}

/** The outcome of a write as a value: unhandled rejections end a test run. */
function outcomeOf(write: Promise<void>): Promise<string> {
  return write.then(
    () => 'acknowledged',
    (error: { code?: string }) => error.code ?? String(error),
  )
}

async function offsetsIn(root: string): Promise<number[]> {
  return (await readFiles(root)).map(({ offset }) => offset)
}

const staging = (root: string) => join(root, '_staging', 'events', '3')

function range(from: number, next: number): number[] {
  return Array.from({ length: next - from }, (_, i) => from + i)
}

test('of two workers at the same position one commits, the other is fenced and nobody sees what it staged', async (t) => {
  const root = join(await temporaryDirectory(t), 'archive')
  const one = await startSink(t, root, 'one')
  const other = await startSink(t, root, 'other')
  await one.open(tp, 0)
  await other.open(tp, 0)
  const ofOne = outcomeOf(one.write(makeBatch(tp, 0, 10)))
  const ofOther = outcomeOf(other.write(makeBatch(tp, 0, 7)))
  await one.flush([tp])
  await other.flush([tp])
  assert.equal(await ofOne, 'acknowledged')
  assert.equal(await ofOther, 'FENCED')
  assert.deepEqual(await offsetsIn(root), range(0, 10))
  await other.close(tp)
  assert.equal((await other.open(tp, 0)).next, 10, 'the loser takes up the position of the winner')
  const goesOn = outcomeOf(other.write(makeBatch(tp, 5, 20)))
  await other.flush([tp])
  assert.equal(await goesOn, 'acknowledged')
  assert.deepEqual(await offsetsIn(root), range(0, 20))
})

test('flushes at the same moment: each range has one winner, whatever the timing', async (t) => {
  const root = join(await temporaryDirectory(t), 'archive')
  const sinks = await Promise.all(['a', 'b', 'c'].map((worker) => startSink(t, root, worker)))
  let position = 0
  for (let round = 0; round < 12; round++) {
    await Promise.all(sinks.map((sink) => sink.open(tp, 0)))
    const outcomes = sinks.map((sink, i) =>
      outcomeOf(sink.write(makeBatch(tp, position, position + 5 + i))),
    )
    await Promise.all(sinks.map((sink) => sink.flush([tp])))
    const settled = await Promise.all(outcomes)
    assert.equal(settled.filter((outcome) => outcome === 'acknowledged').length, 1, String(settled))
    assert.equal(settled.filter((outcome) => outcome === 'FENCED').length, 2, String(settled))
    position += 5 + settled.indexOf('acknowledged')
    assert.deepEqual(await offsetsIn(root), range(0, position))
  }
})

test('ranges that a fenced worker staged after the one that it lost are dropped too', async (t) => {
  const root = join(await temporaryDirectory(t), 'archive')
  const zombie = await startSink(t, root, 'zombie')
  const owner = await startSink(t, root, 'owner')
  await zombie.open(tp, 0)
  const first = outcomeOf(zombie.write(makeBatch(tp, 0, 10)))
  await owner.open(tp, 0)
  const ofOwner = outcomeOf(owner.write(makeBatch(tp, 0, 10)))
  await owner.flush([tp])
  assert.equal(await ofOwner, 'acknowledged')
  // The second range begins exactly at the owner's position: only the chain shows that it is not
  // to be committed.
  const flushing = zombie.flush([tp])
  const second = outcomeOf(zombie.write(makeBatch(tp, 10, 20)))
  await flushing
  await zombie.flush([tp])
  assert.deepEqual(await Promise.all([first, second]), ['FENCED', 'FENCED'])
  assert.deepEqual(await offsetsIn(root), range(0, 10))
})

test('a worker that was frozen between its commit and its tidying up leaves alone what the next owner stages', async (t) => {
  const root = join(await temporaryDirectory(t), 'archive')
  const frozen = await startSink(t, root, 'frozen')
  await frozen.open(tp, 0)
  const next = await startSink(t, root, 'next')
  await next.open(tp, 0)
  const ofNext = outcomeOf(next.write(makeBatch(tp, 0, 5)))
  const before = await readdir(staging(root))
  assert.equal(before.length, 2)
  const ofFrozen = outcomeOf(frozen.write(makeBatch(tp, 0, 3)))
  await frozen.flush([tp])
  assert.equal(await ofFrozen, 'acknowledged')
  assert.deepEqual(
    await readdir(staging(root)),
    before,
    'staging that is younger than the writer stays',
  )
  await next.flush([tp])
  assert.equal(await ofNext, 'FENCED')
})

test('what dead workers staged is removed with the first own commit, not before', async (t) => {
  const root = join(await temporaryDirectory(t), 'archive')
  const dead = await startSink(t, root, 'dead')
  await dead.open(tp, 0)
  void dead.write(makeBatch(tp, 0, 5))
  const [left] = await readdir(staging(root))
  const owner = await startSink(t, root, 'owner')
  await owner.open(tp, 0)
  const write = outcomeOf(owner.write(makeBatch(tp, 0, 5)))
  assert.ok((await readdir(staging(root))).includes(left!))
  await owner.flush([tp])
  assert.equal(await write, 'acknowledged')
  assert.ok(!(await readdir(staging(root))).includes(left!))
})

test('a flush that fails after its commit loses nothing: who opens next puts the files in place', async (t) => {
  const root = join(await temporaryDirectory(t), 'archive')
  const sink = await startSink(t, root, 'one')
  await sink.open(tp, 0)
  const write = outcomeOf(sink.write(makeBatch(tp, 0, 10, (offset) => (offset < 5 ? 'a' : 'b'))))
  // A directory where one of the files is to be renamed to: the only step that fails comes after
  // the manifest is linked.
  const target = join(
    root,
    'type=b/dt=2026-01-01/hr=00/events+3+00000000000000000005-00000000000000000009.jsonl.gz',
  )
  await mkdir(target, { recursive: true })
  await sink.flush([tp])
  assert.equal(await write, 'ARCHIVE_UNUSABLE')
  await sink.close(tp)
  await assert.rejects(sink.open(tp, 0), 'while the trouble lasts the partition cannot be opened')
  await rmdir(target)
  assert.equal((await sink.open(tp, 0)).next, 10)
  assert.deepEqual((await offsetsIn(root)).sort(), range(0, 10))
})

for (const [what, damage] of [
  ['removed', (path: string) => rm(path)],
  ['cut', (path: string) => truncate(path, 100)],
] as const) {
  test(`a staged file that somebody ${what} fails the flush; the next one has every record`, async (t) => {
    const root = join(await temporaryDirectory(t), 'archive')
    const sink = await startSink(t, root, 'one')
    await sink.open(tp, 0)
    // More than one member: the first is in the staged file while the second gathers.
    const batch = makeBatch(tp, 0, 400, undefined, undefined, () => Buffer.alloc(2000, 'x'))
    const write = outcomeOf(sink.write(batch))
    const [own] = await readdir(staging(root))
    const staged = join(staging(root), own!, '00000000000000000000.part')
    // Its lines are held until they are in the file; what gathers since is less than a member, in
    // one bucket.
    await waitFor(() => sink.heldBytes <= memberBytes + bucketBytes)
    assert.ok((await stat(staged)).size > 100)
    await damage(staged)
    const more = outcomeOf(sink.write(makeBatch(tp, 400, 410)))
    await sink.flush([tp])
    assert.deepEqual(await Promise.all([write, more]), ['ARCHIVE_UNUSABLE', 'ARCHIVE_UNUSABLE'])
    assert.deepEqual(await offsetsIn(root), [])
    await sink.close(tp)
    assert.equal((await sink.open(tp, 0)).next, 0)
    const again = [outcomeOf(sink.write(batch)), outcomeOf(sink.write(makeBatch(tp, 400, 410)))]
    await sink.flush([tp])
    assert.deepEqual(await Promise.all(again), ['acknowledged', 'acknowledged'])
    assert.deepEqual(await offsetsIn(root), range(0, 410))
  })
}

/**
 * From when `arm` is called until the test ends, the next fsync of a path that fits fails as a
 * dying disk lets it fail.
 */
function breakSync(t: TestContext): (fits: (path: string) => boolean) => void {
  let wanted: ((path: string) => boolean) | undefined
  const real = fsPromises.open
  fsPromises.open = async (...args) => {
    const handle = await real(...args)
    const path = String(args[0])
    const sync = handle.sync.bind(handle)
    handle.sync = async () => {
      if (wanted?.(path) !== true) return await sync()
      wanted = undefined
      throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO', syscall: 'fsync' })
    }
    return handle
  }
  syncBuiltinESMExports()
  t.after(() => {
    fsPromises.open = real
    syncBuiltinESMExports()
  })
  return (fits) => {
    wanted = fits
  }
}

for (const [what, fits] of [
  ['a staged file', (path: string) => path.endsWith('.part')],
  ['the directory of staging', (path: string) => path.includes('_staging') && !path.includes('.')],
  ['a manifest', (path: string) => path.includes('_staging') && path.endsWith('.json')],
  ['the directory of the commit log', (path: string) => path.endsWith('_manifests/events/3')],
  ['the directory of an hour', (path: string) => path.includes('hr=')],
] as const) {
  test(`${what} that cannot be fsynced is not acknowledged; read again, every record is there once`, async (t) => {
    const arm = breakSync(t)
    const root = join(await temporaryDirectory(t), 'archive')
    const sink = await startSink(t, root, 'one')
    await sink.open(tp, 0)
    const first = outcomeOf(sink.write(makeBatch(tp, 0, 10)))
    await sink.flush([tp])
    assert.equal(await first, 'acknowledged')
    arm(fits)
    const broken = outcomeOf(sink.write(makeBatch(tp, 10, 20)))
    const behind = outcomeOf(sink.write(makeBatch(tp, 20, 30)))
    await sink.flush([tp])
    assert.deepEqual(await Promise.all([broken, behind]), ['ARCHIVE_UNUSABLE', 'ARCHIVE_UNUSABLE'])
    const { next } = await sink.open(tp, 0)
    const again = outcomeOf(sink.write(makeBatch(tp, 5, 30)))
    await sink.flush([tp])
    assert.equal(await again, 'acknowledged')
    assert.ok(next === 10 || next === 30)
    assert.deepEqual(await offsetsIn(root), range(0, 30))
    for (const path of await dataFiles(root))
      assert.doesNotThrow(() => gunzipSync(readFileSync(join(root, path))))
  })
}

test('an archive whose file system was unmounted is not begun again below it', async (t) => {
  const root = join(await temporaryDirectory(t), 'archive')
  const sink = await startSink(t, root, 'one')
  await sink.open(tp, 0)
  await rm(root, { recursive: true })
  await mkdir(root)
  await assert.rejects(sink.open(tp, 0), /has no _archive\.json any more: is it mounted\?/)
  assert.deepEqual(await readdir(root), [])
})

test('killed at each step of a compaction, the next one completes it: every record exactly once', async (t) => {
  const made = { topic: 'orders', partition: 0 }
  const flushes = Array.from({ length: 6 }, (_, i) => records(i * 20, (i + 1) * 20))
  const whole = await makeArchive(t, [{ tp: made, flushes }])
  const lines = (await readFiles(whole)).map(({ line }) => line).sort()
  const points = faultPoints.filter((point) => point.startsWith('compaction.'))
  assert.ok(points.length > 5)
  for (const point of points) {
    const root = join(await temporaryDirectory(t), 'archive')
    await cp(whole, root, { recursive: true })
    const argv = ['compact', '--archive-dir', root, '--compact-after', '0']
    const doomed = await runArchiver(t, argv, { ARCHIVER_FAULT: point })
    assert.equal(doomed.code, 128 + 9, `${point}: ${doomed.output}`)
    const next = await runArchiver(t, argv)
    assert.equal(next.code, 0, `${point}: ${next.output}`)
    assert.deepEqual((await readFiles(root)).map(({ line }) => line).sort(), lines, point)
    assert.equal((await dataFiles(root)).length, 2, point)
    const verified = await checkPartition({
      home: homeAt(root),
      tp: made,
      thoroughness: 'full',
      elasticsearch: undefined,
      kafka: undefined,
      onProgress: () => {},
    })
    assert.deepEqual(verified.problems, [], point)
    assert.deepEqual(await readdir(join(root, '_staging', 'orders', '0')), [], point)
  }
})

async function waitFor(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; !(await condition()); i++) {
    assert.ok(i < 500, 'waited too long')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
