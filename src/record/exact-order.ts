/**
 * The orders that people expect: numbers by their exact value, of any size and precision, and text
 * by code points. Pure.
 */

/** A decimal number: 0.`digits` × 10^`magnitude`. No digits mean zero, whatever the sign. */
export interface Decimal {
  readonly isNegative: boolean
  /** Without zeros at either end. */
  readonly digits: string
  /** A bigint, because an exponent may have any number of digits. */
  readonly magnitude: bigint
}

/** Numbers of JSON, and those that people write: `+1`, `.5`, `5.`, `007`. */
const decimalText = /^\s*([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d+))?\s*$/

/** The number that a text spells; undefined if it spells none. */
export function decimalOf(text: string): Decimal | undefined {
  const [, sign, mantissa, exponent = '0'] = decimalText.exec(text) ?? []
  if (mantissa === undefined) return undefined
  const [whole = '', fraction = ''] = mantissa.split('.')
  const all = whole + fraction
  const leading = all.search(/[1-9]/)
  if (leading === -1) return { isNegative: false, digits: '', magnitude: 0n }
  return {
    isNegative: sign === '-',
    digits: withoutTrailingZeros(all.slice(leading)),
    magnitude: BigInt(whole.length - leading) + BigInt(exponent.replace('+', '')),
  }
}

/** A loop, because `/0+$/` takes quadratic time for a million zeros before another digit. */
function withoutTrailingZeros(digits: string): string {
  let end = digits.length
  while (digits.charCodeAt(end - 1) === 0x30) end--
  return digits.slice(0, end)
}

/** Below 0 if `a` is less than `b`, above 0 if it is greater. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  if (a.isNegative !== b.isNegative) return a.isNegative ? -1 : 1
  return a.isNegative ? compareMagnitudes(b, a) : compareMagnitudes(a, b)
}

function compareMagnitudes(a: Decimal, b: Decimal): number {
  if (a.digits === '' || b.digits === '') return a.digits.length - b.digits.length
  if (a.magnitude !== b.magnitude) return a.magnitude < b.magnitude ? -1 : 1
  // Digits after the point: a prefix is the smaller number.
  return a.digits < b.digits ? -1 : a.digits > b.digits ? 1 : 0
}

/** By code points. JavaScript's `<` compares UTF-16 units, which puts an emoji before U+FF5E. */
export function compareText(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; ) {
    const left = a.codePointAt(i)!
    const right = b.codePointAt(i)!
    if (left !== right) return left - right
    i += left > 0xffff ? 2 : 1
  }
  return a.length - b.length
}
