import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Questions } from '../../../src/pipeline/questions.ts'
import { judge, type Standing, Standings } from '../../../src/pipeline/standing.ts'
import { partitionKey } from '../../../src/record/record.ts'
import { FakeSource } from '../../helpers/fake-source.ts'
import { MemorySink } from '../../helpers/memory-sink.ts'

const tp = { topic: 'events', partition: 0 }
const nowhere = { next: undefined, origin: undefined, committed: undefined }
const standing = (more: Partial<Standing>): Standing => ({
  committed: undefined,
  positions: [nowhere],
  fallback: 0,
  bounds: { start: 0, end: 100 },
  ...more,
})

test('a partition begins at the lowest position, and what is lost before it has a name', () => {
  const at = (next: number) => ({ ...nowhere, next, origin: 0 })
  const cases: readonly (readonly [Standing, number, string | undefined])[] = [
    [standing({}), 0, undefined],
    [standing({ fallback: 70 }), 70, undefined],
    [standing({ committed: 40, positions: [at(60), nowhere] }), 40, undefined],
    [standing({ committed: 80, positions: [at(60), nowhere] }), 60, undefined],
    [standing({ positions: [{ ...at(60), committed: 50 }, nowhere] }), 50, undefined],
    [standing({ positions: [at(60), nowhere] }), 0, undefined],
    [standing({ positions: [at(60)], bounds: { start: 70, end: 100 } }), 60, 'retention 60-70'],
    [standing({ positions: [at(120)] }), 120, 'truncated 100-120'],
    // One sink is within the log; the other would take new records for those that it holds.
    [standing({ committed: 90, positions: [at(120), nowhere] }), 90, 'truncated 100-120'],
    [standing({ committed: 120, positions: [at(90)] }), 90, 'truncated 100-120'],
  ]
  for (const [given, start, loss] of cases) {
    const judgement = judge(given)
    const { reason, from, next } = judgement.loss ?? {}
    assert.deepEqual([judgement.start, reason && `${reason} ${from}-${next}`], [start, loss])
  }
})

test('the end of the log is asked for after the positions of the sinks', async () => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  source.group.set(partitionKey(tp), 100)
  const sink = new MemorySink(new Map(), 1)
  // While the sink opens, who had the partition before reads on and archives what comes.
  sink.open = async () => {
    source.setLog(tp, { start: 0, end: 150 })
    return { next: 150, origin: 0, committed: undefined }
  }
  const known: object[] = []
  const standings = new Standings(new Questions(source), [sink])
  const found = await standings.of(tp, undefined, (one) => known.push(one))
  assert.deepEqual(judge(found), { start: 100, loss: undefined })
  assert.deepEqual(known, [{ committed: 100 }, { resumesAt: 100 }, { highWatermark: 150 }])
})
