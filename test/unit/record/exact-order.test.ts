import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseCondition } from '../../../src/cmd/cat/where.ts'
import { compareDecimals, compareText, decimalOf } from '../../../src/record/exact-order.ts'

const digits = (minLength: number) =>
  fc.array(fc.nat({ max: 9 }), { minLength, maxLength: 35 }).map((all) => all.join(''))
/** JSON's numbers (RFC 8259, section 6); some of them spell the same number. */
const number = fc
  .record({
    sign: fc.constantFrom('', '-'),
    whole: fc.oneof(
      fc.constant('0'),
      digits(1).map((text) => text.replace(/^0+(?=\d)/, '')),
    ),
    fraction: fc.option(digits(1)),
    exponent: fc.option(
      fc.tuple(fc.constantFrom('e', 'E', 'e+', 'E-', 'e-'), fc.nat({ max: 420 })),
    ),
  })
  .map(
    ({ sign, whole, fraction, exponent }) =>
      `${sign}${whole}${fraction === null ? '' : `.${fraction}`}${exponent === null ? '' : exponent.join('')}`,
  )

/** The number times 10^1000, as an integer. */
function scaled(text: string): bigint {
  const [, sign, whole, fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]\+?(-?\d+))?$/.exec(text)!
  const shift = 1000 + Number(exponent) - fraction.length
  const value = BigInt(whole! + fraction) * 10n ** BigInt(shift)
  return sign === '-' ? -value : value
}

/** A number, and one that is often the same, or the next one. */
const pair = fc.oneof(
  fc.tuple(number, number),
  number.chain((one) =>
    fc
      .constantFrom(
        one,
        one.includes('.') || /e/i.test(one) ? one : `${one}.0`,
        one.replace(/(\d)([eE]|$)/, '1$2'),
      )
      .map((other): [string, string] => [one, other]),
  ),
)
const operators: Record<string, (a: bigint, b: bigint) => boolean> = {
  '=': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
}

test('numbers compare as whole numbers of any size do, with every operator', () => {
  fc.assert(
    fc.property(pair, ([a, b]) => {
      const [x, y] = [scaled(a), scaled(b)]
      const order = compareDecimals(decimalOf(a)!, decimalOf(b)!)
      assert.equal(Math.sign(order), x < y ? -1 : x > y ? 1 : 0)
      const line = Buffer.from(`{"value":{"n":${a}}}`)
      for (const [operator, expected] of Object.entries(operators)) {
        assert.equal(
          parseCondition(`value.n${operator}${b}`)(line),
          expected(x, y),
          `${a} ${operator} ${b}`,
        )
      }
    }),
    { numRuns: 2000 },
  )
})

test('numbers that doubles do not have', () => {
  const is = (number: string, condition: string) =>
    parseCondition(`value.n${condition}`)(Buffer.from(`{"value":{"n":${number}}}`))
  assert.ok(
    is('9007199254740993', '=9007199254740993') && !is('9007199254740993', '=9007199254740992'),
  )
  assert.ok(
    is('9007199254740993', '>9007199254740992') && is('9007199254740992', '<9007199254740993'),
  )
  assert.ok(
    is('1e400', '>1e399') &&
      is('1e400', '<1e401') &&
      is('1e400', '=10E399') &&
      !is('1e400', '=1e401'),
  )
  assert.ok(is('-1e400', '<-1e399') && is('1e-400', '>0') && is('1e-400', '!=0'))
  assert.ok(
    is('1.0', '=1') &&
      is('1E2', '=100') &&
      is('-0', '=0') &&
      is('0e5', '=-0.00') &&
      is('7', '=007'),
  )
  assert.ok(is('123456789012345678901234567890', '>123456789012345678901234567889'))
  assert.ok(is('0.1000000000000000000000000001', '>0.1'))
  assert.ok(is('1e99999999999999999999', '>1e99999999999999999998'))
  assert.ok(is('5', '=+5') && is('0.5', '=.5') && is('5', '=5.'))
})

test('other kinds compare as text: what is written', () => {
  const is = (json: string, condition: string) =>
    parseCondition(`value.f${condition}`)(Buffer.from(`{"value":{"f":${json}}}`))
  assert.ok(is('"10"', '<9') && is('"1.0"', '!=1'))
  assert.ok(is('true', '=true') && is('null', '=null') && is('false', '<true'))
  assert.ok(is('1.50', '=1.5') && is('1.50', '<1.5x') && is('16', '!=0x10') && is('1', '<Infinity'))
  assert.ok(
    is('[1, 9007199254740993, "a"]', '=9007199254740993') &&
      is('{"text":"x"}', '!=[object Object]'),
  )
})

test('text compares by code points', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('a', '\uff5e', '\u{1f600}', '\ud83d', '\ude00') }),
  )
  fc.assert(
    fc.property(text, text, (a, b) => {
      const points = (of: string) => Array.from(of, (one) => one.codePointAt(0)!)
      const [x, y] = [points(a), points(b)]
      const at = x.findIndex((point, i) => point !== y[i])
      const expected =
        at === -1
          ? Math.sign(x.length - y.length)
          : y[at] === undefined
            ? 1
            : Math.sign(x[at]! - y[at]!)
      assert.equal(Math.sign(compareText(a, b)), expected)
    }),
  )
  assert.ok(compareText('\uff5e', '\u{1f600}') < 0 && '\uff5e' > '\u{1f600}')
})
