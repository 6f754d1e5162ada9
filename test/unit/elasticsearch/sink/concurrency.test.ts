import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AdaptiveConcurrency } from '../../../../src/elasticsearch/sink/concurrency.ts'

/**
 * An engine that works on `lanes` requests at once: more in flight bring nothing. Answers
 * `requests` requests of 1 MB.
 */
function work(
  concurrency: AdaptiveConcurrency,
  clock: { now: number },
  lanes: number,
  requests: number,
): number[] {
  const limits: number[] = []
  for (let i = 0; i < requests; i++) {
    clock.now += 100 / Math.min(concurrency.limit, lanes)
    concurrency.succeeded(1_000_000, true, clock.now)
    limits.push(concurrency.limit)
  }
  return limits
}

test('it goes up while that is worthwhile, and stays about there', () => {
  for (const lanes of [1, 3, 6]) {
    const concurrency = new AdaptiveConcurrency({ first: 1, max: 16 })
    const limits = work(concurrency, { now: 0 }, lanes, 3000)
    const settled = limits.slice(1000)
    assert.ok(Math.min(...settled) >= lanes, `${lanes} lanes: ${Math.min(...settled)}`)
    assert.ok(Math.max(...settled) <= lanes + 1, `${lanes} lanes: ${Math.max(...settled)}`)
    const above = settled.filter((limit) => limit > lanes).length
    assert.ok(
      above < settled.length / 4,
      `${above} of ${settled.length} requests tried more than helps`,
    )
  }
})

test('it never goes above the max, whatever helps', () => {
  const concurrency = new AdaptiveConcurrency({ first: 9, max: 4 })
  assert.equal(concurrency.limit, 4)
  assert.equal(Math.max(...work(concurrency, { now: 0 }, 100, 500)), 4)
})

test('it halves at once when the engine refuses, and rests before it tries again', () => {
  const concurrency = new AdaptiveConcurrency({ first: 1, max: 16 })
  const clock = { now: 0 }
  work(concurrency, clock, 8, 1000)
  const before = concurrency.limit
  assert.ok(before >= 8)
  concurrency.overloaded()
  assert.equal(concurrency.limit, before >> 1)
  const rested = work(concurrency, clock, 8, 4 * concurrency.limit)
  assert.equal(Math.max(...rested), before >> 1)
  for (let i = 0; i < 10; i++) concurrency.overloaded()
  assert.equal(concurrency.limit, 1)
  work(concurrency, clock, 8, 3000)
  assert.ok(concurrency.limit >= 8, 'it comes back')
})

test('without enough to do nothing is learnt', () => {
  const concurrency = new AdaptiveConcurrency({ first: 2, max: 16 })
  for (let now = 1; now < 500; now++) concurrency.succeeded(1_000_000, false, now)
  assert.equal(concurrency.limit, 2)
})

test('the limit stays within 1 and the max, whatever happens', () => {
  const step = fc.record({
    what: fc.constantFrom('succeeded', 'succeeded', 'succeeded', 'overloaded'),
    bytes: fc.nat(),
    saturated: fc.boolean(),
    passed: fc.nat({ max: 100 }),
  })
  const bounded = fc.property(
    fc.integer({ min: 1, max: 8 }),
    fc.array(step, { maxLength: 200 }),
    (max, steps) => {
      const concurrency = new AdaptiveConcurrency({ first: 2, max })
      let now = 0
      for (const { what, bytes, saturated, passed } of steps) {
        now += passed
        if (what === 'overloaded') concurrency.overloaded()
        else concurrency.succeeded(bytes, saturated, now)
        assert.ok(concurrency.limit >= 1 && concurrency.limit <= max)
      }
    },
  )
  fc.assert(bounded, { numRuns: 200 })
})
