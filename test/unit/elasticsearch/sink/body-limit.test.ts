import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BodyLimit } from '../../../../src/elasticsearch/sink/body-limit.ts'

test('a size that was refused is a limit once something smaller is taken', () => {
  const limit = new BodyLimit(5_000_000)
  limit.refused(4_000_000)
  limit.refused(3_000_000)
  assert.equal(limit.maxBytes, 5_000_000)
  assert.equal(limit.taken(1_000_000), 3_000_000)
  assert.equal(limit.maxBytes, 1_500_000)
  // A smaller one teaches more, a larger one nothing.
  limit.refused(2_000_000)
  assert.equal(limit.taken(3_000_000), undefined)
  limit.refused(1_000_000)
  limit.forget()
  assert.equal(limit.taken(10), undefined)
  assert.equal(limit.maxBytes, 1_500_000)
})

test('bodies that fail and pass in pieces are a limit when they are three in a row', () => {
  const limit = new BodyLimit(5_000_000)
  for (const bytes of [2_000_000, 1_500_000]) assert.equal(limit.passedInPieces(bytes), undefined)
  assert.equal(limit.taken(1_500_000), undefined, 'one of that size is taken: it was chance')
  for (const bytes of [2_000_000, 1_500_000]) assert.equal(limit.passedInPieces(bytes), undefined)
  assert.equal(limit.taken(700_000), undefined)
  assert.equal(limit.passedInPieces(1_800_000), 1_500_000)
  assert.equal(limit.maxBytes, 750_000)
})

test('no limit is so small that nothing fits', () => {
  const limit = new BodyLimit(5_000_000)
  limit.refused(100)
  limit.taken(1)
  assert.equal(limit.maxBytes, 1024)
})
