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
import {
  afterEscape,
  afterLiteral,
  afterNumber,
  describeByte,
  hasLongExponent,
} from './json-tokens.ts'

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

/**
 * The first byte from `start` on that needs a look inside a string, or `end`. Four bytes at once:
 * `found` is 0 when all of them are `inString`. Otherwise, the lowest bit that is set is the
 * highest bit of the first byte that is not. Bits above it mean nothing, as subtraction carries
 * upwards.
 *
 * It is small, so V8 compiles it into both places of `scan` that call it. Measured against two
 * loops written out: 3 % less CPU time for the generator's messages, up to 5 % more for lists of
 * fractions.
 */
function plainEnd(bytes: Buffer, words: DataView, start: number, end: number): number {
  let i = start
  for (; i + 4 <= end; i += 4) {
    const word = words.getInt32(i, true)
    const quote = word ^ 0x22222222
    const backslash = word ^ 0x5c5c5c5c
    const found =
      (word |
        (word - 0x20202020) |
        ((quote - 0x01010101) & ~quote) |
        ((backslash - 0x01010101) & ~backslash)) &
      // The high bit of each byte, 0x80808080, as an int32: written that way it would be a double.
      -0x7f7f7f80
    if (found !== 0) return i + ((31 - Math.clz32(found & -found)) >> 3)
  }
  while (i < end && inString[bytes[i]!] === 1) i++
  return i
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
  /** The string that `#unusual` read last has escapes. */
  #escaped = false
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
        const first = ++i
        let escaped = false
        i = plainEnd(bytes, words, first, end)
        if (i >= end || bytes[i] !== QUOTE) {
          i = this.#unusual(bytes, first, i, end)
          if (i === -1) return result
          escaped = this.#escaped
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
        i = afterLiteral(words, i, end)
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
        i = plainEnd(bytes, words, first, end)
        if (i >= end || bytes[i] !== QUOTE) {
          i = this.#unusual(bytes, first, i, end)
          if (i === -1) return result
          escaped = this.#escaped
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

  /**
   * Where the string from `first` on ends; its bytes before `start` are plain. Returns -1 after
   * `#fail`. Sets `#escaped`.
   */
  #unusual(bytes: Buffer, first: number, start: number, end: number): number {
    const words = this.#words
    let escaped = false
    let i = start
    for (;;) {
      if (i >= end) return this.#noEnd('unterminated string', i)
      const byte = bytes[i]!
      if (byte === QUOTE) break
      if (byte >= 0x80) {
        this.#result.ascii = false
        do i++
        while (i < end && bytes[i]! >= 0x80)
      } else {
        if (byte !== BACKSLASH) return this.#noEnd('raw control character in a string', i)
        escaped = true
        i = afterEscape(bytes, i, end)
        if (i === -1) return this.#noEnd('bad escape in a string', first)
      }
      i = plainEnd(bytes, words, i, end)
    }
    this.#escaped = escaped
    return i
  }

  #noEnd(what: string, position: number): -1 {
    this.#fail(what, position)
    return -1
  }

  #fail(what: string, position: number): JsonScan {
    const result = this.#result
    result.error = `${what} at byte ${position - this.#start}`
    result.foundStart = -1
    result.foundEnd = -1
    return result
  }
}

function isKey(bytes: Buffer, start: number, end: number, escaped: boolean, key: PathKey): boolean {
  if (escaped) return JSON.parse(bytes.toString('utf8', start - 1, end + 1)) === key.text
  if (end - start !== key.bytes.length) return false
  for (let k = 0; k < key.bytes.length; k++) if (bytes[start + k] !== key.bytes[k]) return false
  return true
}
