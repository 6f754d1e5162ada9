import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Questions } from '../../../src/pipeline/questions.ts'
import type { Answers, LogBounds } from '../../../src/pipeline/source.ts'
import { Standings } from '../../../src/pipeline/standing.ts'
import { partitionKey, type TopicPartition } from '../../../src/record/record.ts'
import { FakeSink } from '../../helpers/fake-sink.ts'
import { FakeSource } from '../../helpers/fake-source.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

function partitions(topic: string, count: number): TopicPartition[] {
  return Array.from({ length: count }, (_, partition) => ({ topic, partition }))
}

test('a thousand partitions that are opened at once cost a few questions', async () => {
  const source = new FakeSource()
  const tps = [...partitions('events', 500), ...partitions('orders', 500)]
  for (const tp of tps) {
    source.setLog(tp, { start: 5, end: 10 + tp.partition })
    source.group.set(partitionKey(tp), 7)
  }
  const sink = new FakeSink('files', true)
  let opening = 0
  let most = 0
  sink.open = async () => {
    most = Math.max(most, ++opening)
    await turn()
    opening--
    return { next: undefined, origin: undefined, committed: undefined }
  }
  const standings = new Standings(new Questions(source), [sink])
  const found = await Promise.all(tps.map((tp) => standings.of(tp, undefined, () => {})))
  assert.deepEqual(
    found.map(({ committed, bounds }) => [committed, bounds.start, bounds.end]),
    tps.map(({ partition }) => [7, 5, 10 + partition]),
  )
  assert.ok(most <= 32, `the sinks opened ${most} at once`)
  assert.ok(source.questions < 50, `${source.questions} questions`)
})

test('an answer is younger than the call that gets it, whoever else asks', async () => {
  const ask = fc.record({
    partition: fc.nat(3),
    /** Turns of the event loop before it. */
    after: fc.nat(3),
  })
  const delays = fc.infiniteStream(fc.nat(4))
  await fc.assert(
    fc.asyncProperty(
      fc.array(ask, { minLength: 1, maxLength: 30 }),
      delays,
      async (asks, delay) => {
        let clock = 0
        let asking = 0
        let most = 0
        const bounds = async (tps: readonly TopicPartition[]): Promise<Answers<LogBounds>> => {
          most = Math.max(most, ++asking)
          for (let turns = delay.next().value; turns > 0; turns--) await turn()
          // What is true at some moment after the question was put.
          const end = ++clock
          for (let turns = delay.next().value; turns > 0; turns--) await turn()
          asking--
          return {
            found: new Map(tps.map((tp) => [partitionKey(tp), { start: 0, end }])),
            refused: new Map(),
          }
        }
        const questions = new Questions({
          bounds,
          committedOffsets: () => assert.fail('not asked'),
        })
        const answers: Promise<void>[] = []
        for (const { partition, after } of asks) {
          for (let turns = after; turns > 0; turns--) await turn()
          const askedAt = ++clock
          answers.push(
            questions.bounds({ topic: 't', partition }).then((answer) => {
              assert.ok(answer!.end > askedAt, `${answer!.end} is older than ${askedAt}`)
            }),
          )
        }
        await Promise.all(answers)
        assert.equal(most, 1)
      },
    ),
    { numRuns: 300 },
  )
})

test('a topic that is gone keeps no other from its answer', async () => {
  const source = new FakeSource()
  const [gone, here] = [partitions('gone', 1)[0]!, partitions('here', 1)[0]!]
  source.setLog(gone, { start: 0, end: 1 })
  source.setLog(here, { start: 0, end: 2 })
  source.unknown.add('gone')
  const questions = new Questions(source)
  const [first, second] = await Promise.allSettled([gone, here].map((tp) => questions.bounds(tp)))
  assert.deepEqual(
    [first!.status, second],
    ['rejected', { status: 'fulfilled', value: { start: 0, end: 2 } }],
  )
  source.refusal.bounds = new Error('the broker is away')
  await assert.rejects(questions.bounds(here), /the broker is away/)
  source.refusal = {}
  assert.deepEqual(await questions.bounds(here), { start: 0, end: 2 })
})
