import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from './ascii.ts'

/**
 * A strict RFC 8259 check over bytes that builds nothing. It says whether the bytes are one JSON
 * text and whether its white space has line breaks. It also finds the string at one path of object
 * keys. It agrees with `JSON.parse` on what is valid. Both also take the last of several equal keys
 * (`test/unit/record/json-scan.test.ts`).
 */
export interface JsonScan {
  /**
   * Undefined when the bytes are one JSON text, else what is wrong, with the position in bytes.
   */
  error: string | undefined
  /** There is a LF or CR between tokens. Inside strings RFC 8259 forbids them raw. */
  lineBreaks: boolean
  /** The string at the path, without its quotes; -1 when there is none or it is not a string. */
  foundStart: number
  foundEnd: number
  /** The found string has escapes and must be read by JSON.parse. */
  foundEscaped: boolean
  /** All bytes are ASCII. If not, the caller must check that they are UTF-8. */
  ascii: boolean
  /**
   * There is a number of 16 characters and more, or with an exponent of three digits and more: a
   * double may not hold it. A double holds every shorter one.
   */
  longNumbers: boolean
}

const PLAIN = 0
const SPACE = 1
const BREAK = 2
/** The kind of a byte outside strings; everything that is not white space is PLAIN. */
const spaceKind = new Uint8Array(256)
spaceKind[0x20] = SPACE
spaceKind[0x09] = SPACE
spaceKind[0x0a] = BREAK
spaceKind[0x0d] = BREAK

/** 1 for each byte of ASCII that needs no look inside a string. */
const inString = new Uint8Array(256)
inString.fill(1, 0x20, 0x80)
inString[QUOTE] = 0
inString[BACKSLASH] = 0

const isHex = new Uint8Array(256)
for (const digit of '0123456789abcdefABCDEF') isHex[digit.charCodeAt(0)] = 1
const isSimpleEscape = new Uint8Array(256)
for (const letter of '"\\/bfnrt') isSimpleEscape[letter.charCodeAt(0)] = 1

/**
 * Four bytes at once: 0 when all of them are `inString`. Otherwise, the lowest bit that is set is
 * the highest bit of the first byte that is not. Bits above it mean nothing, as subtraction carries
 * upwards.
 */
function endsInString(word: number): number {
  const quote = word ^ 0x22222222
  const backslash = word ^ 0x5c5c5c5c
  const found =
    word |
    (word - 0x20202020) |
    ((quote - 0x01010101) & ~quote) |
    ((backslash - 0x01010101) & ~backslash)
  // The high bit of each byte, 0x80808080, as an int32: written that way it would be a double.
  return found & -0x7f7f7f80
}

/** A key of the path: as bytes, for keys without escapes, and as a text, for keys with escapes. */
interface PathKey {
  readonly bytes: Buffer
  readonly text: string
}

export class JsonScanner {
  readonly #path: readonly PathKey[]
  readonly #result: JsonScan = {
    error: undefined,
    lineBreaks: false,
    foundStart: -1,
    foundEnd: -1,
    foundEscaped: false,
    ascii: true,
    longNumbers: false,
  }
  /** 1 for an object, 0 for an array, for each level. It grows: only memory limits the depth. */
  #containers = new Uint8Array(64)
  #start = 0
  /** The bytes scanned last: many values share a buffer. `#words` reads them four at a time. */
  #bytes: Buffer | undefined
  #words: DataView = new DataView(new ArrayBuffer(0))

  /** `path`: the keys that lead to the wanted string; empty when none is wanted. */
  constructor(path: readonly string[]) {
    this.#path = path.map((text) => ({ text, bytes: Buffer.from(text) }))
  }

  /**
   * Scans the bytes from `start` up to `end`, and no others. The result is valid until the next
   * call.
   */
  scan(bytes: Buffer, start = 0, end = bytes.length): JsonScan {
    const result = this.#result
    result.error = undefined
    result.lineBreaks = false
    result.foundStart = -1
    result.foundEnd = -1
    result.foundEscaped = false
    result.ascii = true
    result.longNumbers = false
    this.#start = start

    if (bytes !== this.#bytes) {
      this.#bytes = bytes
      this.#words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    }
    const words = this.#words
    const path = this.#path
    const wanted = path.length
    let containers = this.#containers
    let depth = 0
    /**
     * How many leading keys of the path the keys around this position match; never more than
     * `depth`.
     */
    let matched = 0
    let breaks = false
    let i = start

    for (;;) {
      // One round reads one value, with the key before it when an object is open.
      let byte = bytes[i]!
      while (byte <= 0x20 && i < end && spaceKind[byte] !== PLAIN) {
        if (spaceKind[byte] === BREAK) breaks = true
        byte = bytes[++i]!
      }
      if (i >= end) return this.#fail(end === start ? 'the value is empty' : 'unexpected end', i)

      let completed = true
      if (byte === QUOTE) {
        // The loop over a string is here and below: in a method of its own it makes the whole scan
        // 15 % slower (measured).
        const first = ++i
        let escaped = false
        for (;;) {
          while (i + 4 <= end) {
            const ends = endsInString(words.getInt32(i, true))
            if (ends !== 0) {
              i += (31 - Math.clz32(ends & -ends)) >> 3
              break
            }
            i += 4
          }
          if (i < end && bytes[i] === QUOTE) break
          while (i < end && inString[bytes[i]!] === 1) i++
          if (i >= end) return this.#fail('unterminated string', i)
          byte = bytes[i]!
          if (byte === QUOTE) break
          if (byte >= 0x80) {
            result.ascii = false
            do i++
            while (i < end && bytes[i]! >= 0x80)
            continue
          }
          if (byte !== BACKSLASH) return this.#fail('raw control character in a string', i)
          escaped = true
          i = afterEscape(bytes, i, end)
          if (i === -1) return this.#fail('bad escape in a string', first)
        }
        if (depth === wanted && matched === wanted && depth > 0 && containers[depth - 1] === 1) {
          result.foundStart = first
          result.foundEnd = i
          result.foundEscaped = escaped
        }
        i++
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        if (depth === containers.length) {
          const larger = new Uint8Array(depth * 2)
          larger.set(containers)
          this.#containers = containers = larger
        }
        containers[depth++] = byte === OPEN_BRACE ? 1 : 0
        i++
        byte = bytes[i]!
        while (byte <= 0x20 && i < end && spaceKind[byte] !== PLAIN) {
          if (spaceKind[byte] === BREAK) breaks = true
          byte = bytes[++i]!
        }
        if (i < end && byte === (containers[depth - 1] === 1 ? CLOSE_BRACE : CLOSE_BRACKET)) {
          i++
          depth--
          if (matched > depth) matched = depth
        } else completed = false
      } else if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
        const first = i
        i = afterNumber(bytes, i, end)
        if (i === -1) return this.#fail('bad number', first)
        if (i - first >= 5 && (i - first >= 16 || hasLongExponent(bytes, first, i)))
          result.longNumbers = true
      } else {
        const first = i
        i = afterLiteral(bytes, i, end)
        if (i === -1) return this.#fail(describeByte(bytes, first, start, end), first)
      }

      // Close the containers that end here, up to the comma before the next value.
      while (completed) {
        byte = bytes[i]!
        while (byte <= 0x20 && i < end && spaceKind[byte] !== PLAIN) {
          if (spaceKind[byte] === BREAK) breaks = true
          byte = bytes[++i]!
        }
        if (depth === 0) {
          if (i < end) return this.#fail('something follows the value', i)
          result.lineBreaks = breaks
          return result
        }
        if (i >= end) return this.#fail('unexpected end', i)
        if (byte === COMMA) {
          i++
          break
        }
        if (byte !== (containers[depth - 1] === 1 ? CLOSE_BRACE : CLOSE_BRACKET)) {
          return this.#fail(`expected a comma or a closing bracket`, i)
        }
        i++
        depth--
        if (matched > depth) matched = depth
      }

      // The key, when the open container is an object.
      if (containers[depth - 1] === 1) {
        byte = bytes[i]!
        while (byte <= 0x20 && i < end && spaceKind[byte] !== PLAIN) {
          if (spaceKind[byte] === BREAK) breaks = true
          byte = bytes[++i]!
        }
        if (i >= end) return this.#fail('unexpected end', i)
        if (byte !== QUOTE) return this.#fail('expected a key', i)
        const first = ++i
        let escaped = false
        for (;;) {
          while (i + 4 <= end) {
            const ends = endsInString(words.getInt32(i, true))
            if (ends !== 0) {
              i += (31 - Math.clz32(ends & -ends)) >> 3
              break
            }
            i += 4
          }
          if (i < end && bytes[i] === QUOTE) break
          while (i < end && inString[bytes[i]!] === 1) i++
          if (i >= end) return this.#fail('unterminated string', i)
          byte = bytes[i]!
          if (byte === QUOTE) break
          if (byte >= 0x80) {
            result.ascii = false
            do i++
            while (i < end && bytes[i]! >= 0x80)
            continue
          }
          if (byte !== BACKSLASH) return this.#fail('raw control character in a string', i)
          escaped = true
          i = afterEscape(bytes, i, end)
          if (i === -1) return this.#fail('bad escape in a string', first)
        }
        if (depth <= wanted && matched >= depth - 1) {
          if (isKey(bytes, first, i, escaped, path[depth - 1]!)) {
            // The last of duplicate keys counts, whatever its value is.
            matched = depth
            result.foundStart = -1
            result.foundEnd = -1
          } else matched = depth - 1
        }
        i++
        byte = bytes[i]!
        while (byte <= 0x20 && i < end && spaceKind[byte] !== PLAIN) {
          if (spaceKind[byte] === BREAK) breaks = true
          byte = bytes[++i]!
        }
        if (i >= end) return this.#fail('unexpected end', i)
        if (byte !== COLON) return this.#fail('expected a colon', i)
        i++
      }
    }
  }

  #fail(what: string, position: number): JsonScan {
    const result = this.#result
    result.error = `${what} at byte ${position - this.#start}`
    result.foundStart = -1
    result.foundEnd = -1
    return result
  }
}

/** The position after the escape that begins at `i`, or -1 if it is none. */
function afterEscape(bytes: Buffer, i: number, end: number): number {
  const letter = bytes[i + 1]!
  if (i + 1 >= end) return -1
  if (isSimpleEscape[letter] === 1) return i + 2
  if (letter !== 0x75 || i + 5 >= end) return -1
  for (let k = i + 2; k < i + 6; k++) if (isHex[bytes[k]!] !== 1) return -1
  return i + 6
}

/** The position after the number that begins at `i`, or -1 if it is none. */
function afterNumber(bytes: Buffer, i: number, end: number): number {
  if (bytes[i] === 0x2d) i++
  if (i >= end) return -1
  if (bytes[i] === 0x30) i++
  else {
    const digits = afterDigits(bytes, i, end)
    if (digits === i) return -1
    i = digits
  }
  if (i < end && bytes[i] === 0x2e) {
    const digits = afterDigits(bytes, i + 1, end)
    if (digits === i + 1) return -1
    i = digits
  }
  if (i < end && (bytes[i]! | 0x20) === 0x65) {
    i++
    if (i < end && (bytes[i] === 0x2b || bytes[i] === 0x2d)) i++
    const digits = afterDigits(bytes, i, end)
    if (digits === i) return -1
    i = digits
  }
  return i
}

/**
 * Whether the number in `[start, end)`, of five characters and more, has an exponent of three
 * digits and more.
 */
function hasLongExponent(bytes: Buffer, start: number, end: number): boolean {
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

/** The position after the `true`, `false` or `null` that begins at `i`, or -1 if none does. */
function afterLiteral(bytes: Buffer, i: number, end: number): number {
  if (i + 4 > end) return -1
  const byte = bytes[i]!
  if (byte === 0x74)
    return bytes[i + 1] === 0x72 && bytes[i + 2] === 0x75 && bytes[i + 3] === 0x65 ? i + 4 : -1
  if (byte === 0x6e)
    return bytes[i + 1] === 0x75 && bytes[i + 2] === 0x6c && bytes[i + 3] === 0x6c ? i + 4 : -1
  if (byte !== 0x66 || i + 5 > end) return -1
  return bytes[i + 1] === 0x61 &&
    bytes[i + 2] === 0x6c &&
    bytes[i + 3] === 0x73 &&
    bytes[i + 4] === 0x65
    ? i + 5
    : -1
}

function isKey(bytes: Buffer, start: number, end: number, escaped: boolean, key: PathKey): boolean {
  if (escaped) return JSON.parse(bytes.toString('utf8', start - 1, end + 1)) === key.text
  if (end - start !== key.bytes.length) return false
  for (let k = 0; k < key.bytes.length; k++) if (bytes[start + k] !== key.bytes[k]) return false
  return true
}

function describeByte(bytes: Buffer, i: number, start: number, end: number): string {
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
