import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UnacknowledgedAges } from '../../../src/monitor/ages.ts'
import { Observations } from '../../../src/pipeline/observer.ts'

test('the age of what is not committed is that of its oldest record', () => {
  const ages = new UnacknowledgedAges()
  const tp = { topic: 'a', partition: 0, state: 'open', lag: 0, waiting: undefined } as const
  const at = (now: number, position: number, committed: number | undefined) => {
    const status = { ...tp, position, committed }
    ages.sample([status], now)
    return ages.of(status, now)
  }
  assert.equal(at(0, 100, 100), 0)
  assert.equal(at(60_000, 100, 100), 0, 'idle is not late')
  assert.equal(at(61_000, 150, 100), 1)
  assert.equal(at(62_000, 200, 100), 2)
  assert.equal(
    at(63_000, 200, 150),
    2,
    'the first fifty are committed, the rest came a second later',
  )
  assert.equal(at(64_000, 200, 200), 0)
  assert.equal(at(65_000, 250, 200), 1)
  assert.equal(at(66_000, 120, 120), 0, 'opened again')
})

test('what waits grows older while its partition is opened again and again', () => {
  const ages = new UnacknowledgedAges()
  const at = (now: number, position: number | undefined, committed: number | undefined) => {
    const state = position === undefined ? 'opening' : 'open'
    const status = {
      topic: 'a',
      partition: 0,
      state,
      lag: 0,
      waiting: undefined,
      position,
      committed,
    } as const
    ages.sample([status], now)
    return ages.of(status, now)
  }
  assert.equal(at(0, 100, 100), 0)
  assert.equal(at(1000, 200, 100), 1)
  assert.equal(at(30_000, undefined, 100), 30)
  assert.equal(at(60_000, 100, 100), 60, 'its records are about to be read again')
  assert.equal(at(70_000, 300, 100), 70)
  assert.equal(at(80_000, undefined, 100), 80)
  assert.equal(at(90_000, 300, 300), 0)
  assert.equal(at(100_000, undefined, 300), 0, 'nothing waits')
})

test('observations are reported once, and have no more reasons than can be read', () => {
  const observations = new Observations()
  observations.done('files', 10)
  observations.done('files', 30)
  for (let i = 0; i < 1000; i++) observations.happened('elasticsearch', 'reject', `reason ${i}`, 2)
  const { latencies, events } = observations.take()
  assert.deepEqual(latencies.get('files'), { operations: 2, mean: 20, max: 30 })
  assert.ok(events.length <= 101)
  assert.equal(
    events.reduce((sum, { count }) => sum + count, 0),
    2000,
  )
  assert.deepEqual(observations.take(), { latencies: new Map(), events: [] })
})
