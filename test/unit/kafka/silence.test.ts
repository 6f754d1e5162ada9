import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isForgotten, isStill, rebalanceTimeoutMs } from '../../../src/kafka/silence.ts'

const minute = 60_000

test('a consumer is forgotten when the group has not answered for a rebalance and a session, at least two sessions', () => {
  for (const session of [6000, 30_000, 10 * minute]) {
    const limit = rebalanceTimeoutMs(session) + session
    assert.ok(limit >= 2 * session)
    const signs = { began: 0, lastSign: 2 * limit, lastAnswer: 5000 }
    assert.equal(isForgotten(signs, session, 5000 + limit - 1), false)
    assert.equal(isForgotten(signs, session, 5000 + limit), true)
    // One that has just begun gets as much time, however long the one before it was silent.
    assert.equal(isForgotten({ ...signs, began: limit }, session, 5000 + limit), false)
  }
})

test('a consumer that does nothing is still, however lately the group answered the one before it', () => {
  const signs = { began: 1000, lastSign: 2000, lastAnswer: 10 * minute }
  assert.equal(isStill(signs, 30_000, 2000 + 2 * minute - 1), false)
  assert.equal(isStill(signs, 30_000, 2000 + 2 * minute), true)
  assert.equal(isStill(signs, 2 * minute, 2000 + 4 * minute - 1), false)
  assert.equal(isStill({ ...signs, began: 3000 }, 30_000, 2000 + 2 * minute), false)
})
