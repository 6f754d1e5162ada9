import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTypePath } from '../../../src/record/type-source.ts'

test('paths of types are keys separated by dots', () => {
  assert.deepEqual(parseTypePath('type'), ['type'])
  assert.deepEqual(parseTypePath('a.b'), ['a', 'b'])
  assert.deepEqual(parseTypePath('a\\.b'), ['a.b'])
  for (const bad of ['', '.', 'a..b', 'a.', '.a'])
    assert.throws(() => parseTypePath(bad), /keys separated by dots/)
})
