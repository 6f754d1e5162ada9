import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allocateAnswer, holdAnswer } from '../../../../src/kafka/batch/answer-memory.ts'

test('an answer is there until the last of those who hold a part of it lets go', () => {
  const answer = allocateAnswer(100_000)
  const [first, second] = [holdAnswer(answer.subarray(0, 10)), holdAnswer(answer.subarray(10))]
  first()
  first()
  const third = holdAnswer(answer)
  second()
  assert.equal(answer.length, 100_000)
  third()
  assert.equal(answer.length, 0)
  third()
  holdAnswer(answer)()
})

test('what shares its memory with others, or was not allocated for an answer, stays', () => {
  const small = allocateAnswer(1000)
  const foreign = Buffer.alloc(100_000, 7)
  for (const bytes of [small, foreign]) holdAnswer(bytes)()
  assert.deepEqual([small.length, foreign.length], [1000, 100_000])
})
