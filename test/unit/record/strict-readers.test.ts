import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  isNote,
  isRefused,
  kindsOf,
  type StrictKind,
  scanForStrictReaders,
  strictKinds,
} from '../../../src/record/strict-readers.ts'
import { jsonText } from '../../helpers/arbitraries.ts'

function kinds(text: string, lineBytes = text.length): readonly StrictKind[] {
  // What is around the value does not matter.
  const bytes = Buffer.from(`"\\ud800",1e999${text}"\\ud800",1e999`)
  const start = Buffer.byteLength('"\\ud800",1e999')
  return kindsOf(scanForStrictReaders(bytes, start, bytes.length - start, lineBytes))
}

const found: Readonly<Record<string, readonly StrictKind[]>> = {
  '{"a":"cut \\ud83d"}': ['lone-surrogate'],
  '{"a":"\\udE00"}': ['lone-surrogate'],
  '{"a":"\\ude00\\ud83d"}': ['lone-surrogate'],
  '{"a":"\\ud83dx\\ude00"}': ['lone-surrogate'],
  '{"a":"\\ud83d\\\\ude00"}': ['lone-surrogate'],
  '{"a":"\\ud83d\\ud83d\\ude00"}': ['lone-surrogate'],
  '{"\\ud83d":1}': ['lone-surrogate'],
  '["\\uDBFF"]': ['lone-surrogate'],
  '"\\ud800"': ['lone-surrogate'],
  '{"a":"\\ud83d\\ude00 \\\\ud83d \\u0000 😀"}': [],
  '{"a":1,"a":2}': ['equal-names'],
  '{"a":1,"\\u0061":2}': ['equal-names'],
  '{"x":[{"é":1,"\\u00e9":2}]}': ['equal-names'],
  '{"":1,"":2}': ['equal-names'],
  '{"ID":1,"id":2}': ['names-equal-but-for-case'],
  '{"x":{"É":1,"é":2}}': ['names-equal-but-for-case'],
  '{"ID":1,"id":2,"id":3}': ['equal-names', 'names-equal-but-for-case'],
  '{"a":{"b":1,"a":{"b":2}},"b":["a","a",{"a":1},{"a":1}]}': [],
  '{"a":"b","b":"a","c":{"a":"c"},"d":["a","b"]}': [],
  '{"a" : [ ] , "b" : { } , "c" : "a" }': [],
  '{"a,{\\"a\\":1":1,"a":2}': [],
  [`${'['.repeat(126)}${']'.repeat(126)}`]: [],
  [`${'['.repeat(127)}${']'.repeat(127)}`]: ['deep'],
  [`${'{"a":'.repeat(127)}1${'}'.repeat(127)}`]: ['deep'],
  [`[${'[],'.repeat(500)}[]]`]: [],
  '1e400': ['number-beyond-double'],
  '[-1e309]': ['number-beyond-double'],
  '{"a":1.8E+308}': ['number-beyond-double'],
  '{"a":0e999}': ['number-beyond-double'],
  [`[${'9'.repeat(400)}]`]: ['number-beyond-double', 'integer-beyond-64-bits'],
  '[1e308,1e-400,-1.5E-3,0.1234567890123456789012345678901234567890]': [],
  '{"a":9007199254740992,"b":-9007199254740992}': [],
  '{"a":9007199254740993}': ['integer-beyond-53-bits'],
  '{"a":-9007199254740993}': ['integer-beyond-53-bits'],
  '{"a":18446744073709551615,"b":-9223372036854775808}': ['integer-beyond-53-bits'],
  '18446744073709551616': ['integer-beyond-64-bits'],
  '[-9223372036854775809]': ['integer-beyond-64-bits'],
  [`[1${'0'.repeat(30)}]`]: ['integer-beyond-64-bits'],
  '{"a":"9007199254740993","9007199254740993":1}': [],
  null: [],
  true: [],
  '""': [],
}

for (const [text, expected] of Object.entries(found)) {
  test(`${text.slice(0, 60)}: ${expected.join(', ') || 'nothing'}`, () => {
    JSON.parse(text)
    assert.deepEqual(kinds(text), expected)
  })
}

test('a line of more than 1 MiB is long, whatever its value', () => {
  assert.deepEqual(kinds('1', 2 ** 20), [])
  assert.deepEqual(kinds('1', 2 ** 20 + 1), ['long-line'])
})

test('equal names are found among many, in an object that is closed and one that continues', () => {
  const many = Array.from({ length: 5000 }, (_, i) => `"n${i}":{"n${i}":1}`).join()
  assert.deepEqual(kinds(`{${many}}`), [])
  assert.deepEqual(kinds(`{${many},"N4999":1}`), ['names-equal-but-for-case'])
  assert.deepEqual(kinds(`{${many},"n0":1}`), ['equal-names'])
  assert.deepEqual(kinds(`{${many},"n13":1,"N12":1}`), ['equal-names', 'names-equal-but-for-case'])
})

test('names are kept up to a limit, in whatever depth', () => {
  const wide = `{${Array.from({ length: 300_000 }, (_, i) => `"${i}":0`).join()},"299999":0,"0":1}`
  assert.deepEqual(kinds(wide, 0), [])
  const after = `[${wide},{"a":1,"a":2}]`
  assert.deepEqual(kinds(after, 0), ['equal-names'], 'what is closed does not count any more')
})

test('agrees with JSON.parse on equal names and lone surrogates', () => {
  const agrees = fc.property(jsonText, (text) => {
    const names: string[][] = []
    let isEqual = false
    let isCase = false
    let isLone = false
    // A reviver does not see names that were overwritten, so a plain reader of tokens does it.
    const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g)!
    const isObject: boolean[] = []
    tokens.forEach((token, i) => {
      if (token === '{' || token === '[') {
        names.push([])
        isObject.push(token === '{')
      } else if (token === '}' || token === ']') {
        names.pop()
        isObject.pop()
      } else if (token.startsWith('"')) {
        const string = JSON.parse(token) as string
        if (!string.isWellFormed()) isLone = true
        if (tokens[i + 1] !== ':') return
        const others = names.at(-1)!
        if (others.includes(string)) isEqual = true
        else {
          if (others.some((other) => other.toLowerCase() === string.toLowerCase())) isCase = true
          others.push(string)
        }
      }
    })
    const said = kinds(text)
    assert.deepEqual(
      [
        said.includes('equal-names'),
        said.includes('names-equal-but-for-case'),
        said.includes('lone-surrogate'),
      ],
      [isEqual, isCase, isLone],
      text,
    )
  })
  fc.assert(agrees, { numRuns: 3000 })
})

test('a note alone is no refusal', () => {
  const scan = (text: string) => scanForStrictReaders(Buffer.from(text), 0, text.length, 0)
  assert.ok(!isRefused(scan('9007199254740993')))
  assert.ok(isRefused(scan('[9007199254740993,1e400]')))
  assert.ok(!isRefused(0))
  assert.deepEqual(
    Object.keys(strictKinds).filter((kind) => isNote(kind as StrictKind)),
    ['integer-beyond-53-bits'],
  )
})
