import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HashedNames } from '../../../src/verify/hashed-names.ts'

test('names are members once they were added, in any order, and no others are', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.array(fc.string()), (some, more) => {
      const names = new HashedNames()
      for (const name of some) names.add(name)
      for (const name of [...some, ...more]) assert.equal(names.has(name), some.includes(name))
      for (const name of more) names.add(name)
      for (const name of [...some, ...more]) assert.ok(names.has(name))
    }),
  )
})

test('no two of a hundred thousand names are taken for one', () => {
  const names = new HashedNames()
  for (let i = 0; i < 100_000; i += 2) names.add(`type=a/${i}`)
  for (let i = 0; i < 100_000; i++) assert.equal(names.has(`type=a/${i}`), i % 2 === 0, `${i}`)
})
