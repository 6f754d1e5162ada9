import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { JsonScanner } from '../../../src/record/json-scan.ts'
import { Random } from '../../../src/traffic/data/random.ts'
import { jsonText } from '../../helpers/arbitraries.ts'

const paths = [
  ['type'],
  ['meta', 'type'],
  ['__proto__'],
  ['__proto__', 'type'],
  ['constructor'],
  [''],
  ['a.b', 'meta'],
]

/** What JSON.parse says: undefined if it refuses the text. */
function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

function stringAt(value: unknown, path: readonly string[]): string | undefined {
  let at = value
  for (const key of path) {
    if (at === null || typeof at !== 'object' || Array.isArray(at) || !Object.hasOwn(at, key))
      return undefined
    at = (at as Record<string, unknown>)[key]
  }
  return typeof at === 'string' ? at : undefined
}

/** Holds one scan against JSON.parse; returns whether the text is valid. */
function checkAgainstParse(scanner: JsonScanner, path: readonly string[], text: string): boolean {
  const bytes = Buffer.from(text)
  // What cannot be UTF-8 (a lone surrogate cut by a mutation) became U+FFFD: both sides judge the
  // same bytes.
  const expected = parsed(bytes.toString())
  const scan = scanner.scan(bytes)
  assert.equal(
    scan.error === undefined,
    expected !== undefined,
    `${JSON.stringify(text)}: ${scan.error}`,
  )
  if (expected === undefined) {
    assert.equal(scan.foundStart, -1)
    return false
  }
  const found =
    scan.foundStart === -1
      ? undefined
      : (JSON.parse(bytes.toString('utf8', scan.foundStart - 1, scan.foundEnd + 1)) as string)
  assert.equal(
    found,
    stringAt(expected.value, path),
    `${path.join('.')} of ${JSON.stringify(text)}`,
  )
  if (found !== undefined && !scan.foundEscaped) {
    assert.equal(bytes.toString('utf8', scan.foundStart, scan.foundEnd), found)
  }
  assert.equal(scan.lineBreaks, /[\r\n]/.test(text))
  if (scan.lineBreaks) {
    const oneLine = bytes.toString().replace(/[\r\n]/g, ' ')
    assert.deepEqual(JSON.parse(oneLine), expected.value)
  }
  return true
}

const pieces = [
  ...'{}[]:,"\\ \n\r\t0123456789-+.eEtfnul\u0000\u001f\u007f/bu',
  '\\u',
  '\\ud800',
  '\ufeff',
  'NaN',
  'é',
  '\u2028',
  '""',
  ',,',
  '"type":"x"',
  '//',
]

/** A small damage to the text, or none; which one, the generator decides. */
function mutated(text: string, random: Random): string {
  const position = random.below(text.length + 1)
  const removed = random.below(2) * random.below(5)
  const inserted = random.chance(0.4) ? '' : random.pick(pieces)
  return text.slice(0, position) + inserted + text.slice(position + removed)
}

test('what is valid, and the string at a path, are as JSON.parse has them, on 100,000 mutated texts', () => {
  const scanners = paths.map((path) => ({ path, scanner: new JsonScanner(path) }))
  const random = new Random()
  let texts = 0
  let valid = 0
  const agrees = fc.property(
    jsonText,
    fc.nat(),
    fc.nat({ max: paths.length - 1 }),
    (text, seed, which) => {
      const { path, scanner } = scanners[which]!
      assert.ok(checkAgainstParse(scanner, path, text))
      random.reset(seed, 0)
      for (let i = 0; i < 70; i++, texts++)
        if (checkAgainstParse(scanner, path, mutated(text, random))) valid++
    },
  )
  fc.assert(agrees, { numRuns: 1500 })
  assert.ok(texts >= 100_000, `${texts} texts`)
  assert.ok(
    valid > texts / 20,
    `only ${valid} of ${texts} were valid: the damage is too great to test much`,
  )
})

const corners: Readonly<Record<string, string | Buffer>> = {
  'the empty text': '',
  'white space alone': ' \n\t',
  'a byte order mark': '\ufeff{}',
  NaN: 'NaN',
  Infinity: '-Infinity',
  'a plus sign': '+1',
  'a leading zero': '01',
  'a bare dot': '.5',
  'a trailing dot': '1.',
  'a bare exponent': '1e',
  'minus alone': '-',
  'a number beyond doubles': '1e400',
  'minus zero': '-0',
  'a lone surrogate escape': '"\\ud800"',
  'surrogate escapes the wrong way round': '"\\udc00\\ud800"',
  'an incomplete escape': '"\\u12"',
  'an escape at the end': '"\\',
  'an unknown escape': '"\\x41"',
  'a raw tab in a string': '"a\tb"',
  'a raw line feed in a string': '"a\nb"',
  'a NUL in a string': '"a\u0000b"',
  'DEL in a string': '"a\u007fb"',
  'U+2028 in a string': '"a\u2028b"',
  'U+00A0 as white space': '\u00a0{}',
  'form feed as white space': '\f{}',
  'two texts': '{}{}',
  'something behind': '{} x',
  'a trailing comma': '{"a":1,}',
  'a leading comma': '[,1]',
  'a comment': '{/* no */}',
  'single quotes': "{'a':1}",
  'a bare key': '{a:1}',
  'a key that is a number': '{1:1}',
  'no colon': '{"a" 1}',
  'no value': '{"a":}',
  'an open object': '{"a":1',
  'the wrong bracket': '[1}',
  'a cut literal': 'tru',
  'a long literal': 'truex',
  'literals in upper case': 'TRUE',
  'a scalar': '"x"',
  'an array': '[{"type":"x"}]',
  'CR between tokens': '{\r"type"\r:\r"x"\r}\r',
  'a type inside an array is none': '{"type":["x"]}',
  'a later key without the string': '{"type":"x","type":{"type":"y"}}',
}

for (const [name, text] of Object.entries(corners)) {
  test(`as JSON.parse has it: ${name}`, () => {
    for (const path of paths) checkAgainstParse(new JsonScanner(path), path, text.toString())
  })
}

test('what surrounds the bytes does not matter', () => {
  const scanner = new JsonScanner(['type'])
  const around = fc.constantFrom(
    '',
    'e',
    'ue',
    'll',
    'alse',
    '"',
    '1',
    '5e3',
    '\\',
    ' ',
    ']',
    '}',
    '{"type":"x"}',
    'é',
    '\ufeff',
  )
  const alone = fc.property(
    fc.oneof(jsonText, fc.string()),
    fc.nat(),
    around,
    around,
    (text, cut, before, after) => {
      const bytes = Buffer.from(text).subarray(0, cut % (text.length + 1))
      const expected = { ...scanner.scan(bytes) }
      const start = Buffer.byteLength(before)
      const { foundStart, foundEnd, ...rest } = scanner.scan(
        Buffer.concat([Buffer.from(before), bytes, Buffer.from(after)]),
        start,
        start + bytes.length,
      )
      const moved = (position: number) => (position === -1 ? -1 : position - start)
      assert.deepEqual(
        { ...rest, foundStart: moved(foundStart), foundEnd: moved(foundEnd) },
        expected,
      )
      if (expected.error === undefined)
        assert.equal(
          expected.ascii,
          bytes.every((byte) => byte < 0x80),
        )
    },
  )
  fc.assert(alone, { numRuns: 5000 })
})

test('every byte counts alike at every place of a string, in a value and in a key', () => {
  const scanner = new JsonScanner([])
  for (let byte = 0; byte < 256; byte++) {
    for (let length = 1; length <= 10; length++) {
      for (let place = 0; place < length; place++) {
        const string = Buffer.concat([
          Buffer.from('"'),
          Buffer.alloc(length, 'a'),
          Buffer.from('"'),
        ])
        string[1 + place] = byte
        const plain = parsed(string.toString('latin1')) !== undefined
        for (const text of [
          string,
          Buffer.concat([Buffer.from('{'), string, Buffer.from(':1}')]),
        ]) {
          const { error, ascii } = scanner.scan(text)
          assert.equal(
            error === undefined,
            plain,
            `byte ${byte} at ${place} of ${length}: ${error}`,
          )
          if (plain) assert.equal(ascii, byte < 0x80)
        }
        // Cut off before its end, which comes right after.
        const cut = string.toString('latin1', 0, string.length - 1)
        const isCutValid = scanner.scan(string, 0, string.length - 1).error === undefined
        assert.equal(isCutValid, parsed(cut) !== undefined, JSON.stringify(cut))
      }
    }
  }
})

test('depth has no limit but memory', () => {
  const scanner = new JsonScanner(['type'])
  for (const depth of [60, 3000, 200_000]) {
    const arrays = scanner.scan(Buffer.from(`${'['.repeat(depth)}${']'.repeat(depth)}`))
    assert.equal(arrays.error, undefined)
    assert.notEqual(
      scanner.scan(Buffer.from(`${'['.repeat(depth)}${']'.repeat(depth - 1)}`)).error,
      undefined,
    )
    const text = `{"v":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)},"type":"deep"}`
    const scan = scanner.scan(Buffer.from(text))
    assert.equal(text.slice(scan.foundStart, scan.foundEnd), 'deep')
  }
})

test('errors say what is wrong and where', () => {
  const scanner = new JsonScanner([])
  const errorOf = (text: string) => scanner.scan(Buffer.from(text)).error
  assert.equal(errorOf(''), 'the value is empty at byte 0')
  assert.equal(errorOf('\ufeff{}'), 'a byte order mark at byte 0')
  assert.equal(errorOf('{"a":NaN}'), 'unexpected N at byte 5')
  assert.equal(errorOf('{}x'), 'something follows the value at byte 2')
})
