/**
 * Orders as people mean them: numbers as they are written, of any size and precision, and text by
 * code points. Pure.
 */

/** A decimal number: 0.`digits` × 10^`magnitude`; no digits are zero, whatever its sign. */
interface Decimal {
  readonly isNegative: boolean
  /** Without zeros at either end. */
  readonly digits: string
  /** A bigint: an exponent may have as many digits as it likes. */
  readonly magnitude: bigint
}

/** JSON's numbers, and what people write: `+1`, `.5`, `5.`, `007`. */
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

/** By hand: `/0+$/` takes quadratic time in a million zeros before another digit. */
function withoutTrailingZeros(digits: string): string {
  let end = digits.length
  while (digits.charCodeAt(end - 1) === 0x30) end--
  return digits.slice(0, end)
}

/** Below 0 if `a` is less than `b`, above 0 if it is more. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  if (a.isNegative !== b.isNegative) return a.isNegative ? -1 : 1
  return a.isNegative ? compareMagnitudes(b, a) : compareMagnitudes(a, b)
}

function compareMagnitudes(a: Decimal, b: Decimal): number {
  if (a.digits === '' || b.digits === '') return a.digits.length - b.digits.length
  if (a.magnitude !== b.magnitude) return a.magnitude < b.magnitude ? -1 : 1
  // Digits behind the point: a prefix is the smaller number.
  return a.digits < b.digits ? -1 : a.digits > b.digits ? 1 : 0
}

/** By code points; JavaScript's `<` goes by UTF-16 units, and has an emoji before U+FF5E. */
export function compareText(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; ) {
    const left = a.codePointAt(i)!
    const right = b.codePointAt(i)!
    if (left !== right) return left - right
    i += left > 0xffff ? 2 : 1
  }
  return a.length - b.length
}
