/** The tokens of JSON that are no string, and what is wrong with a byte that begins none. */

const isHex = new Uint8Array(256)
for (const digit of '0123456789abcdefABCDEF') isHex[digit.charCodeAt(0)] = 1
const isSimpleEscape = new Uint8Array(256)
for (const letter of '"\\/bfnrt') isSimpleEscape[letter.charCodeAt(0)] = 1

/** The position after the escape that begins at `i`, or -1 if it is none. */
export function afterEscape(bytes: Buffer, i: number, end: number): number {
  const letter = bytes[i + 1]!
  if (i + 1 >= end) return -1
  if (isSimpleEscape[letter] === 1) return i + 2
  if (letter !== 0x75 || i + 5 >= end) return -1
  for (let k = i + 2; k < i + 6; k++) if (isHex[bytes[k]!] !== 1) return -1
  return i + 6
}

/** The position after the number that begins at `i`, or -1 if it is none. */
export function afterNumber(bytes: Buffer, i: number, end: number): number {
  const first = bytes[i] === 0x2d ? i + 1 : i
  const digits = bytes[first] === 0x30 ? first + 1 : afterDigits(bytes, first, end)
  if (first >= end || digits === first) return -1
  const next = bytes[digits]!
  return digits < end && (next === 0x2e || (next | 0x20) === 0x65)
    ? afterFraction(bytes, digits, end)
    : digits
}

/** The position after the fraction or exponent, or both, that begins at `i`, or -1. */
function afterFraction(bytes: Buffer, i: number, end: number): number {
  let at = i
  if (bytes[at] === 0x2e) {
    const digits = afterDigits(bytes, at + 1, end)
    if (digits === at + 1) return -1
    at = digits
  }
  if (at < end && (bytes[at]! | 0x20) === 0x65) {
    at++
    if (at < end && (bytes[at] === 0x2b || bytes[at] === 0x2d)) at++
    const digits = afterDigits(bytes, at, end)
    if (digits === at) return -1
    at = digits
  }
  return at
}

/**
 * Whether the number in `[start, end)`, of five characters and more, has an exponent of three
 * digits and more.
 */
export function hasLongExponent(bytes: Buffer, start: number, end: number): boolean {
  let i = end - 1
  while (i > start && bytes[i]! >= 0x30 && bytes[i]! <= 0x39) i--
  if (end - i < 4) return false
  if (bytes[i] === 0x2b || bytes[i] === 0x2d) i--
  return i > start && (bytes[i]! | 0x20) === 0x65
}

function afterDigits(bytes: Buffer, i: number, end: number): number {
  while (i < end && bytes[i]! >= 0x30 && bytes[i]! <= 0x39) i++
  return i
}

const TRUE = 0x65757274
const NULL = 0x6c6c756e
/** `fals`; the `e` follows. */
const FALSE = 0x736c6166

/** The position after the `true`, `false` or `null` that begins at `i`, or -1 if none does. */
export function afterLiteral(words: DataView, i: number, end: number): number {
  if (i + 4 > end) return -1
  // Four letters at once, the first in the lowest byte.
  const word = words.getInt32(i, true)
  if (word === TRUE || word === NULL) return i + 4
  return word === FALSE && i + 5 <= end && words.getUint8(i + 4) === 0x65 ? i + 5 : -1
}

export function describeByte(bytes: Buffer, i: number, start: number, end: number): string {
  const byte = bytes[i]!
  if (
    i === start &&
    i + 2 < end &&
    byte === 0xef &&
    bytes[i + 1] === 0xbb &&
    bytes[i + 2] === 0xbf
  ) {
    return 'a byte order mark'
  }
  if (byte > 0x20 && byte < 0x7f) return `unexpected ${String.fromCharCode(byte)}`
  return `unexpected byte 0x${byte.toString(16).padStart(2, '0')}`
}
