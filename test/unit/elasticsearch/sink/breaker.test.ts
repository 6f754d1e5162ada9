import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Breaker } from '../../../../src/elasticsearch/sink/breaker.ts'

const refused = (count: number, reason = 'why') => new Map([[reason, count]])

test('it trips where more than half of enough documents are refused for one reason', () => {
  const breaker = new Breaker(100)
  assert.equal(breaker.observe('a', 0, refused(99)), undefined)
  assert.equal(breaker.observe('a', 0, refused(1)), 'why')
  assert.equal(breaker.observe('b', 100, refused(100)), undefined)
  assert.equal(breaker.observe('b', 0, refused(1)), 'why')
})

test('different reasons are not added up', () => {
  const breaker = new Breaker(100)
  for (let i = 0; i < 50; i++) {
    const both = new Map([
      ['one', 10],
      ['two', 10],
    ])
    assert.equal(breaker.observe('a', 0, both), undefined)
  }
})

test('what is long past fades, and a mended index is forgotten', () => {
  const breaker = new Breaker(100)
  breaker.observe('a', 0, refused(90))
  for (let i = 0; i < 20; i++) assert.equal(breaker.observe('a', 100, new Map()), undefined)
  assert.equal(breaker.isIdle, true)
  assert.equal(breaker.observe('a', 0, refused(120)), 'why')
  breaker.reset('a')
  assert.equal(breaker.observe('a', 0, refused(99)), undefined)
})

test('stored documents alone are not even counted; 0 switches it off', () => {
  const breaker = new Breaker(100)
  breaker.observe('a', 1_000_000, new Map())
  assert.equal(breaker.isIdle, true)
  assert.equal(new Breaker(0).observe('a', 0, refused(1_000_000)), undefined)
})

test('it never trips while at least as many are stored as refused', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(300), { maxLength: 50 }), (counts) => {
      const breaker = new Breaker(100)
      for (const count of counts)
        assert.equal(breaker.observe('a', count + 1, refused(count)), undefined)
    }),
  )
})
