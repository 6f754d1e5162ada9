import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Backoff, sleep } from '../../../src/runtime/retry.ts'

test('delays double up to the max, with at least half of each kept', () => {
  const grows = fc.property(
    fc.integer({ min: 1, max: 1000 }),
    fc.integer({ min: 1, max: 100_000 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.integer({ min: 1, max: 100 }),
    (firstMs, maxMs, random, failures) => {
      const backoff = new Backoff({ firstMs, maxMs, random: () => random })
      for (let i = 0; i < failures; i++) {
        const full = Math.min(maxMs, firstMs * 2 ** i)
        const delay = backoff.next()
        assert.ok(delay >= Math.floor(full / 2) && delay <= Math.ceil(full), `${delay} of ${full}`)
        assert.equal(backoff.failures, i + 1)
      }
      backoff.reset()
      assert.equal(backoff.failures, 0)
      assert.ok(backoff.next() <= Math.ceil(Math.min(maxMs, firstMs)))
    },
  )
  fc.assert(grows, { numRuns: 300 })
})

test('without a random of its own it still jitters within the bounds', () => {
  const delays = Array.from({ length: 50 }, () =>
    new Backoff({ firstMs: 1000, maxMs: 5000 }).next(),
  )
  assert.ok(delays.every((delay) => delay >= 500 && delay <= 1000))
  assert.ok(new Set(delays).size > 5)
})

test('a sleep ends at once when its signal is aborted, and says so', async () => {
  assert.equal(await sleep(1), true)
  assert.equal(await sleep(1, new AbortController().signal), true)
  const controller = new AbortController()
  const startedAt = performance.now()
  const sleeping = sleep(60_000, controller.signal)
  controller.abort()
  assert.equal(await sleeping, false)
  assert.equal(await sleep(60_000, AbortSignal.abort()), false)
  assert.ok(performance.now() - startedAt < 5000)
})
