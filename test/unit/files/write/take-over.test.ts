import assert from 'node:assert/strict'
import { assertWhole, flush, newSink, tp, writeForOutcome } from '../../../helpers/compaction.ts'
import { testStops } from '../../../helpers/stops.ts'

/** The position of a partition that is opened. */
async function open(sink: ReturnType<typeof newSink>): Promise<number> {
  return ((await sink.open(tp, 0)) as { next: number }).next
}

for (const [what, begun] of [
  ['a new partition', 0],
  ['a partition', 20],
] as const) {
  testStops(
    `a worker that stops anywhere while it opens ${what} is fenced or goes on, and is never told of a broken disk`,
    () => {
      const outcomes = new Set<string>()
      return {
        prepare: async (archive) => {
          if (begun > 0) await flush(archive, 0, begun)
        },
        async run(archive, gates, stop) {
          const slow = newSink(archive.home(), 'slow')
          let next = -1
          const opener = gates.start('slow', async () => {
            next = await open(slow)
          })
          let left = stop
          const isStopped = await gates.runTo(opener, () => --left === 0)
          // It takes note of whose staging is there, and removes that with its first own manifest.
          const owner = newSink(archive.home(), 'owner')
          const position = await open(owner)
          assert.equal(await writeForOutcome(owner, position, position + 5), 'acknowledged')
          if (isStopped) await gates.thaw(opener)
          assert.equal(opener.failure, undefined, `stopped before call ${stop}`)
          const outcome = await writeForOutcome(slow, next, next + 7)
          outcomes.add(outcome)
          await slow.close(tp)
          const end = outcome === 'FENCED' ? position + 5 : next + 7
          assert.equal(await open(slow), end)
          await assertWhole(archive, end)
          return isStopped
        },
        end: () => assert.deepEqual([...outcomes].sort(), ['FENCED', 'acknowledged']),
      }
    },
  )
}
