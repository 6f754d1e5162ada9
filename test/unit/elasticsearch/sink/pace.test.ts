import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Pace } from '../../../../src/elasticsearch/sink/pace.ts'

const kib = 1024

function answer(pace: Pace, bytes: number): number | undefined {
  return pace.answered({ bytes, tookMs: 0, isSaturated: false }, 0)
}

test('requests become fewer, then smaller, and large again once they are taken', () => {
  const pace = new Pace({ maxBytes: 1024 * kib, maxConcurrency: 8 })
  assert.deepEqual([pace.concurrency, pace.maxBytes], [2, 1024 * kib])
  const sizes: number[] = []
  for (let i = 0; i < 7; i++) {
    pace.slowDown()
    sizes.push(pace.maxBytes / kib)
  }
  assert.equal(pace.concurrency, 1)
  assert.deepEqual(sizes, [1024, 512, 256, 128, 64, 64, 64], 'not smaller than 64 KiB')
  for (const size of [128, 256, 512, 1024, 1024]) {
    assert.equal(answer(pace, 64 * kib), undefined)
    assert.equal(pace.maxBytes / kib, size)
  }
})

test('a size that is refused while a smaller one is taken is a limit from then on', () => {
  const pace = new Pace({ maxBytes: 1024 * kib, maxConcurrency: 8 })
  pace.refusedForSize(1000 * kib)
  assert.equal(pace.maxBytes, 1024 * kib, 'the server may take nothing at all')
  assert.equal(answer(pace, 400 * kib), 1000 * kib)
  assert.equal(pace.maxBytes, 500 * kib)
  assert.equal(answer(pace, 400 * kib), undefined)
  assert.equal(pace.maxBytes, 500 * kib)
  pace.refusedForSize(450 * kib)
  pace.forgetRefusals()
  assert.equal(answer(pace, 100 * kib), undefined)
  assert.equal(pace.maxBytes, 500 * kib)
})

test('bodies that pass in pieces again and again teach a limit', () => {
  const pace = new Pace({ maxBytes: 1024 * kib, maxConcurrency: 8 })
  const learnt = [900, 800, 1000].map((size) => pace.passedInPieces(size * kib))
  assert.deepEqual(learnt, [undefined, undefined, 800 * kib])
  assert.equal(pace.maxBytes, 400 * kib)
})

test('whatever happens, sizes and numbers stay within their limits', () => {
  const size = fc.integer({ min: 1, max: 2 ** 24 })
  const call = fc.oneof(
    fc.record({ is: fc.constantFrom('answered', 'refused', 'pieces'), bytes: size }),
    fc.record({ is: fc.constantFrom('slow', 'forget'), bytes: fc.constant(0) }),
  )
  const setting = fc.tuple(fc.integer({ min: kib, max: 2 ** 23 }), fc.integer({ min: 1, max: 16 }))
  fc.assert(
    fc.property(fc.array(call, { maxLength: 80 }), setting, (calls, [maxBytes, maxConcurrency]) => {
      const pace = new Pace({ maxBytes, maxConcurrency })
      let smallestLimit = maxBytes
      calls.forEach(({ is, bytes }, now) => {
        const answered = { bytes, tookMs: 1, isSaturated: true }
        const learnt =
          is === 'answered'
            ? pace.answered(answered, now)
            : is === 'pieces'
              ? pace.passedInPieces(bytes)
              : undefined
        if (is === 'refused') pace.refusedForSize(bytes)
        if (is === 'slow') pace.slowDown()
        if (is === 'forget') pace.forgetRefusals()
        if (learnt !== undefined) {
          smallestLimit = Math.min(smallestLimit, Math.max(kib, learnt >> 1))
          assert.equal(pace.maxBytes <= smallestLimit, true)
        }
        assert.ok(pace.maxBytes >= kib && pace.maxBytes <= smallestLimit, `${pace.maxBytes}`)
        assert.ok(pace.concurrency >= 1 && pace.concurrency <= maxConcurrency)
      })
    }),
  )
})
