import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planPrune, pruneFiles } from '../../../../src/files/compact/prune.ts'
import { copyPartition } from '../../../../src/files/copy/partition.ts'
import { beginCopy } from '../../../../src/files/copy/target.ts'
import { claimArchive } from '../../../../src/files/log/archive.ts'
import { requireArchive } from '../../../../src/files/log/commit-log.ts'
import { copyNote } from '../../../../src/files/log/path.ts'
import { createLogger } from '../../../../src/runtime/log.ts'
import { compactNow, dataFiles, flush, manifestsIn, tp } from '../../../helpers/bucket-archive.ts'
import { assertHolds, assertSameFiles, copyArchive, workerOf } from '../../../helpers/copies.ts'
import { MemoryHome, MemoryStore, type PassStep } from '../../../helpers/memory-home.ts'

/** Copies of an archive in memory, whose steps are those of a directory. */

/** An archive with flushes of ten records up to `next`; a compaction after each of `compacted`. */
async function archiveUpTo(next: number, compacted: readonly number[] = []): Promise<MemoryHome> {
  const home = new MemoryHome()
  await write(home, 0, next, compacted)
  return home
}

async function write(
  home: MemoryHome,
  from: number,
  next: number,
  compacted: readonly number[] = [],
): Promise<void> {
  const { sink, next: position } = await workerOf(home)
  assert.equal(position ?? 0, from)
  for (let at = from; at < next; at += 10) {
    await flush(sink, at, at + 10)
    if (compacted.includes(at + 10)) await compactNow(home)
  }
  await sink.stop()
}

const refuses = (message: RegExp) => ({ code: 'ARCHIVE_MISMATCH', message })

test('a copy has the same files and records, and a worker continues it', async () => {
  const source = await archiveUpTo(60, [30])
  const target = new MemoryHome()
  const [copied] = await copyArchive(source, target)
  assert.equal(copied!.next, 60)
  assert.equal(copied!.records, 60)
  await assertHolds(target, 60)
  await assertSameFiles(source, target)
  await write(target, 60, 80)
  await assertHolds(target, 80)
  await compactNow(target)
  await assertHolds(target, 80)
})

test('what stops a copy before any of its steps, the next one completes it', async () => {
  const source = await archiveUpTo(40, [20])
  let stops = 0
  for (let stop = 1; ; stop++) {
    const store = new MemoryStore()
    let left = stop
    const dies: PassStep = async (call, _, act) => {
      if (--left <= 0) throw new Error(`dead before ${call}`)
      return act()
    }
    const published = new Map<string, number>()
    const counts: PassStep = async (call, names, act) => {
      const name = names.at(-1)!
      if (call === 'rename' && name.endsWith('.jsonl.gz') && !store.files.has(name))
        published.set(name, (published.get(name) ?? 0) + 1)
      return act()
    }
    const isDead = await copyArchive(source, new MemoryHome(store, dies)).then(
      () => false,
      (error: Error) => {
        if (left > 0) throw error
        return true
      },
    )
    if (!isDead) break
    stops++
    const before = new Set(await dataFiles(new MemoryHome(store)))
    if (!store.files.has('_archive.json'))
      await assert.rejects(requireArchive(new MemoryHome(store)), { code: 'ARCHIVE_MISMATCH' })
    const target = new MemoryHome(store, counts)
    await copyArchive(source, target)
    for (const name of published.keys()) assert.ok(!before.has(name), `${name} was copied twice`)
    await assertHolds(target, 40)
    assert.equal(store.files.has(copyNote), false)
    await write(target, 40, 50)
    await assertHolds(target, 50)
  }
  assert.ok(stops > 40, `${stops} stops`)
})

test('a copy that is repeated copies only what was archived since', async () => {
  const source = await archiveUpTo(30)
  const target = new MemoryHome()
  await copyArchive(source, target)
  await write(source, 30, 50)
  const files: number[] = []
  const [copied] = await copyArchive(source, target, { copied: (bytes) => files.push(bytes) })
  assert.equal(copied!.records, 20)
  assert.equal(files.length, 4)
  await assertHolds(target, 50)
  const [again] = await copyArchive(source, target)
  assert.deepEqual([again!.records, again!.files], [0, 0])
})

test('what was compacted at the source since becomes a compaction of the copy', async () => {
  for (const before of [[], [20]]) {
    const source = await archiveUpTo(30, before)
    const target = new MemoryHome()
    await copyArchive(source, target)
    await write(source, 30, 60, [50])
    await copyArchive(source, target)
    await assertHolds(target, 60)
    await assertSameFiles(source, target)
    assert.equal((await manifestsIn(target)).length, (await manifestsIn(source)).length)
    await write(target, 60, 70)
    await compactNow(target)
    await assertHolds(target, 70)
  }
})

test('what stops such a copy before any of its steps, the next one completes it', async () => {
  const source = await archiveUpTo(30)
  const copied = new MemoryHome()
  await copyArchive(source, copied)
  await write(source, 30, 50, [50])
  for (let stop = 1; ; stop++) {
    const store = new MemoryStore(copied.store)
    let left = stop
    const dies: PassStep = async (call, _, act) => {
      if (--left <= 0) throw new Error(`dead before ${call}`)
      return act()
    }
    const isDead = await copyArchive(source, new MemoryHome(store, dies)).then(
      () => false,
      (error: Error) => {
        if (left > 0) throw error
        return true
      },
    )
    if (!isDead) {
      assert.ok(stop > 20, `${stop} stops`)
      return
    }
    const target = new MemoryHome(store)
    await copyArchive(source, target)
    await assertHolds(target, 50)
    await assertSameFiles(source, target)
  }
})

test('a compaction beside a copy: the copy looks the records up where they are now', async () => {
  const store = new MemoryStore()
  await write(new MemoryHome(store), 0, 60)
  let opened = 0
  let isBusy = false
  const source = new MemoryHome(store, async (call, names, act) => {
    const isData = call === 'open' && names[0]!.endsWith('.jsonl.gz')
    if (isData && !isBusy && ++opened === 5) {
      isBusy = true
      await compactNow(new MemoryHome(store))
    }
    return act()
  })
  const target = new MemoryHome()
  await copyArchive(source, target)
  assert.ok(isBusy)
  await assertHolds(target, 60)
})

test('what retention took of the source is not missing in the copy', async () => {
  const source = await archiveUpTo(40, [20])
  const target = new MemoryHome()
  const { sink } = await workerOf(source)
  await sink.stop()
  await copyArchive(source, target)
  const plan = await planPrune(source, tp, Date.now())
  await pruneFiles(source, plan!)
  assert.notEqual((await dataFiles(source)).length, (await dataFiles(target)).length)
  await copyArchive(source, target)
  await assertSameFiles(source, target)
  const fresh = new MemoryHome()
  await copyArchive(source, fresh)
  await assertSameFiles(source, fresh)
  await write(fresh, 40, 50)
})

test('a damaged file stops its partition, and the place is no archive', async () => {
  const source = await archiveUpTo(30)
  const [path] = await dataFiles(source)
  const file = source.store.files.get(path!)!
  const bytes = Buffer.from(file.bytes)
  bytes[bytes.length - 9]! ^= 1
  source.store.put(path!, bytes)
  const target = new MemoryHome()
  await assert.rejects(copyArchive(source, target), { code: 'DAMAGED', message: /sha256/ })
  await assert.rejects(requireArchive(target), refuses(/not yet the whole copy/))
  await assert.rejects(claimArchive(target, 'cluster', 'group'), refuses(/not yet the whole copy/))
  source.store.put(path!, file.bytes)
  await copyArchive(source, target)
  await assertHolds(target, 30)
})

test('a file that was committed and never published is named', async () => {
  const source = await archiveUpTo(20)
  const last = (await manifestsIn(source)).at(-1)!
  source.store.files.delete(last.files[0]!.path)
  const error = { code: 'DAMAGED', message: /it is gone; .* run copy again/ }
  await assert.rejects(copyArchive(source, new MemoryHome()), error)
})

test('a place that holds something else is refused', async () => {
  const source = await archiveUpTo(20)
  await assert.rejects(copyArchive(source, source), refuses(/is the archive memory itself/))
  assert.equal(source.store.files.has(copyNote), false)

  const other = new MemoryHome()
  await claimArchive(other, 'cluster', 'other-group')
  await assert.rejects(copyArchive(source, other), refuses(/another archive: of group other-group/))

  const used = new MemoryHome()
  await used.create('notes.txt', 'mine')
  await assert.rejects(copyArchive(source, used), refuses(/is not empty/))

  const inside = new MemoryHome()
  inside.above = async () => '/srv' as never
  await assert.rejects(copyArchive(source, inside), refuses(/lies inside the archive \/srv/))

  const half = new MemoryHome()
  await beginCopy(source, half)
  const second = await archiveUpTo(10)
  await assert.rejects(copyArchive(second, half), refuses(/copy of another archive/))
  await assert.rejects(copyArchive(half, new MemoryHome()), () => true)
})

test('a copy that a worker has continued is refused', async () => {
  const source = await archiveUpTo(20)
  const target = new MemoryHome()
  await copyArchive(source, target)
  await write(target, 20, 40)
  await assert.rejects(copyArchive(source, target), refuses(/reaches offset 40, and the source 20/))
  const { sink } = await workerOf(source)
  await flush(sink, 20, 50)
  await sink.stop()
  await assert.rejects(copyArchive(source, target), refuses(/inside .* of the source/))
  await assertHolds(target, 40)
})

test('no room is said before a file is copied', async () => {
  const source = await archiveUpTo(20)
  const target = new MemoryHome()
  target.space = async () => ({ free: 10, total: 100 })
  await assert.rejects(copyArchive(source, target), {
    code: 'ARCHIVE_UNUSABLE',
    message: /has 10 bytes free, .* make room/,
  })
})

test('two copies to one place at once make one', async () => {
  const source = await archiveUpTo(40)
  const store = new MemoryStore()
  const log = createLogger({ level: 'silent', stream: process.stderr })
  const note = await beginCopy(source, new MemoryHome(store))
  assert.equal(note.group, 'group')
  const one = () =>
    copyPartition(
      { source, target: new MemoryHome(store), log, onFile: (task) => task(), copied: () => {} },
      tp,
    )
  await Promise.allSettled([one(), one()])
  const target = new MemoryHome(store)
  await copyArchive(source, target)
  await assertHolds(target, 40)
})
