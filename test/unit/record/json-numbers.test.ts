import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { visitNumbers } from '../../../src/record/json-numbers.ts'

/** Path and text of each number, as a parser of objects sees them. */
function expectedOf(value: unknown, path: string, into: string[]): string[] {
  if (typeof value === 'number') into.push(`${path}=${JSON.stringify(value)}`)
  else if (Array.isArray(value)) for (const element of value) expectedOf(element, path, into)
  else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value))
      expectedOf(inner, path === '' ? key : `${path}.${key}`, into)
  }
  return into
}

function found(text: string, root = ''): string[] {
  const bytes = Buffer.from(`{"value":${text}}`)
  const into: string[] = []
  const range = { start: '{"value":'.length, end: bytes.length - 1 }
  visitNumbers(
    bytes,
    range,
    (path, start, end) => into.push(`${path}=${bytes.toString('utf8', start, end)}`),
    root,
  )
  return into
}

test('every number of any JSON is visited, with the path of its keys', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 2 }), (value, indent) => {
      assert.deepEqual(found(JSON.stringify(value, undefined, indent)), expectedOf(value, '', []))
    }),
  )
})

test('lists add nothing to a path, keys may have dots, escapes and quotes', () => {
  assert.deepEqual(
    found('{"a":[{"b":1},{"b":[2,[3]]},4],"c.d":{"e\\"\\u0041":-5e-7}, "f" : 1.0 }', 'value'),
    [
      'value.a.b=1',
      'value.a.b=2',
      'value.a.b=3',
      'value.a=4',
      'value.c.d.e"A=-5e-7',
      'value.f=1.0',
    ],
  )
  assert.deepEqual(found('12345678901234567890', 'value'), ['value=12345678901234567890'])
  assert.deepEqual(found('{"a":"1","b":["\\\\",2,"3"],"c":{},"d":[]}'), ['b=2'])
})
