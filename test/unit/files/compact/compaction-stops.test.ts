import assert from 'node:assert/strict'
import { dirname } from 'node:path/posix'
import { planPrune, pruneFiles } from '../../../../src/files/compact/prune.ts'
import { isPruned, readPruned } from '../../../../src/files/log/pruned.ts'
import { createLogger } from '../../../../src/runtime/log.ts'
import { strayFiles } from '../../../../src/verify/strays.ts'
import { manifestsOf } from '../../../helpers/archive.ts'
import {
  assertWhole,
  flush,
  isLog,
  msPerHour,
  newSink,
  pass,
  start,
  timestampOf,
  tp,
  verify,
  writeForOutcome,
} from '../../../helpers/compaction.ts'
import { testStops } from '../../../helpers/stops.ts'
import { dataFilesIn, recordsIn, type TestArchive } from '../../../helpers/test-archive.ts'

/** A flush and a compaction that stop before each of their steps; then they thaw. */

testStops(
  'a worker frozen at any call of a flush is fenced or done when it thaws, without a word of missing files',
  () => {
    const errors: string[] = []
    const loud = createLogger({
      level: 'error',
      stream: { isTTY: false, write: (line: string) => void errors.push(line) },
    })
    const outcomes = new Set<string>()
    return {
      prepare: (archive) => flush(archive, 0, 20),
      async run(archive, gates, stop) {
        const zombie = newSink(archive.home(), 'zombie', loud)
        await zombie.open(tp, 0)
        const frozen = gates.start('zombie', async () => {
          outcomes.add(await writeForOutcome(zombie, 20, 27))
        })
        let left = stop
        const isStopped = await gates.runTo(frozen, () => --left === 0)
        const { next } = (await newSink(archive.home(), 'looks').open(tp, 0)) as { next: number }
        await flush(archive, next, 40)
        await pass(archive)
        await flush(archive, 40, 50)
        await pass(archive)
        if (isStopped) await gates.thaw(frozen)
        await assertWhole(archive, 50)
        await zombie.close(tp)
        await assertWhole(archive, 50)
        return isStopped
      },
      end() {
        assert.deepEqual([...outcomes].sort(), ['FENCED', 'acknowledged'])
        assert.deepEqual(errors, [])
      },
    }
  },
)

testStops(
  'a compaction that stops at any of its calls is completed by others, and finds nothing to do when it thaws',
  () => ({
    async prepare(archive) {
      await flush(archive, 0, 14)
      await pass(archive)
      await flush(archive, 14, 24)
    },
    async run(archive, gates, stop) {
      const compactor = gates.start('stops', async () => void (await pass(archive, {}, 'stops')))
      let left = stop
      const isStopped = await gates.runTo(compactor, () => --left === 0)
      await flush(archive, 24, 27)
      await pass(archive)
      await assertWhole(archive, 27)
      await flush(archive, 27, 30)
      await pass(archive)
      if (isStopped) await gates.thaw(compactor)
      assert.equal(compactor.failure, undefined)
      await pass(archive)
      await assertWhole(archive, 30)
      const hours = (await dataFilesIn(archive.home())).map((path) => dirname(path))
      assert.deepEqual(hours, [...new Set(hours)])
      return isStopped
    },
    end: (stop) => assert.ok(stop > 40, 'every step was one'),
  }),
)

testStops(
  'a flush that is linked while a compaction looks, and stands before its files are in place, is not folded',
  () => {
    let folded = 0
    return {
      prepare: (archive) => flush(archive, 0, 20),
      // Before any of its listings of the log.
      async run(archive, gates, stop) {
        const compactor = gates.start('compacts', async () => {
          const { folded: more } = await pass(archive)
          folded += more
        })
        let left = stop
        const isStopped = await gates.runTo(
          compactor,
          (call, [path]) => call === 'readdir' && isLog(path!) && --left === 0,
        )
        const owner = newSink(archive.home(), 'owner')
        await owner.open(tp, 0)
        let outcome = ''
        const slow = gates.start('owner', async () => {
          outcome = await writeForOutcome(owner, 20, 27)
        })
        let isLinked = false
        // Linked, and about to look whether a compacted manifest has its offset.
        await gates.runTo(slow, (call) => {
          if (call === 'readdir' && isLinked) return true
          isLinked ||= call === 'link'
          return false
        })
        assert.ok(isLinked)
        if (isStopped) await gates.thaw(compactor)
        assert.equal(compactor.failure, undefined)
        await gates.thaw(slow)
        // Fenced if its flush was completed, and folded, by the compaction.
        assert.ok(['acknowledged', 'FENCED'].includes(outcome), outcome)
        await owner.close(tp)
        await assertWhole(archive, 27)
        return isStopped
      },
      end: () => assert.ok(folded > 0),
    }
  },
)

testStops(
  'a prune at any moment of a compaction: what it takes is gone, what it leaves is whole, and verify knows',
  () => ({
    async prepare(archive) {
      await flush(archive, 0, 20)
      await pass(archive)
      await flush(archive, 20, 48)
    },
    async run(archive, gates, stop) {
      const before = start + 3 * msPerHour
      const home = archive.home()
      const compactor = gates.start('stops', async () => void (await pass(archive, {}, 'stops')))
      let left = stop
      const isStopped = await gates.runTo(compactor, () => --left === 0)
      const plan = await planPrune(home, tp, before)
      await pruneFiles(home, plan!)
      if (isStopped) await gates.thaw(compactor)
      assert.equal(compactor.failure, undefined)
      for (let passes = 0; passes < 2; passes++) {
        await assertPruned(archive, `at call ${stop}`)
        await pass(archive)
      }
      const held = new Set((await recordsIn(home)).map(({ offset }) => offset))
      for (let offset = 0; offset < 48; offset++) {
        if (timestampOf(offset) >= before) assert.ok(held.has(offset), `offset ${offset}`)
      }
      return isStopped
    },
    end: (stop) => assert.ok(stop > 40, 'every step was one'),
  }),
)

/** What the note of a prune says is gone, everything else is there, and `verify` finds no fault. */
async function assertPruned(archive: TestArchive, when: string): Promise<void> {
  const home = archive.home()
  const { problems, pruned_records, proven } = await verify(home)
  assert.deepEqual(problems, [], when)
  assert.ok(proven && pruned_records > 0, when)
  for await (const path of strayFiles(home, [tp], undefined)) assert.fail(`${path} is a stray file`)
  const { files: pruned } = await readPruned(home, tp)
  const there = new Set(await dataFilesIn(home))
  for (const manifest of await manifestsOf(home, tp)) {
    for (const file of manifest.files)
      assert.equal(there.has(file.path), !isPruned(pruned, file), file.path)
  }
}
