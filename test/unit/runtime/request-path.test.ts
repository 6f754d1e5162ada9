import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { pathOf } from '../../../src/runtime/address.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'

test('a server reads the segments of a path as they were given, whatever is in them', () => {
  const segment = fc
    .oneof(
      fc.string({ unit: 'grapheme', minLength: 1 }),
      fc.constantFrom('%2a', '%252f', 'a/b', '../x', 'a?b#c', '<x>', 'a b', '_all', '%'),
    )
    .filter((text) => text !== '.' && text !== '..')
  fc.assert(
    fc.property(fc.array(segment), (segments) => {
      const { pathname, search, hash } = new URL(pathOf(segments), 'http://localhost')
      assert.deepEqual([search, hash], ['', ''])
      assert.deepEqual(
        pathname.slice(1).split('/').map(decodeURIComponent),
        segments.length === 0 ? [''] : segments,
      )
    }),
  )
})

test('wildcards and lists stay what they are to a server', () => {
  assert.equal(pathOf(['archive-*', '_search']), '/archive-*/_search')
  assert.equal(decodeURIComponent(pathOf(['a-1,a-2', '_search'])), '/a-1,a-2/_search')
  assert.equal(pathOf(['archive-%2a-2019.08.01', '_search']), '/archive-%252a-2019.08.01/_search')
})

test('a segment that a URL would leave out, or climb by, is refused', () => {
  for (const segment of ['', '.', '..']) {
    assert.throws(
      () => pathOf([segment, '_search']),
      (error) => error instanceof ArchiverError && error.code === 'INTERNAL',
    )
  }
})
