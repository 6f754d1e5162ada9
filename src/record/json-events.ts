import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COMMA,
  MINUS,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from './ascii.ts'

/** Gets the parts of one JSON text, in the order of the text. */
export interface JsonHandler {
  /** `[start, end)` is between the quotes; `escaped`: there is a backslash in it. */
  key(start: number, end: number, escaped: boolean): void
  text(start: number, end: number, escaped: boolean): void
  number(start: number, end: number): void
  /** The first byte of `true`, `false` or `null`. */
  literal(byte: number): void
  open(isObject: boolean): void
  close(isObject: boolean): void
}

const LETTER_T = 0x74
const LETTER_F = 0x66
const LETTER_N = 0x6e

/**
 * Reads the JSON text in `[start, end)`, which must be valid, as `JsonScanner` accepts it. It
 * builds nothing, so no number loses a digit. Depth costs memory, never stack.
 */
export function readJson(bytes: Buffer, start: number, end: number, handler: JsonHandler): void {
  const isObject: boolean[] = []
  let expectsKey = false
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === QUOTE) {
      const first = ++i
      let escaped = false
      while (i < end && bytes[i] !== QUOTE) {
        if (bytes[i] === BACKSLASH) {
          escaped = true
          i++
        }
        i++
      }
      if (expectsKey) handler.key(first, i, escaped)
      else handler.text(first, i, escaped)
      expectsKey = false
    } else if (byte === MINUS || (byte >= 0x30 && byte <= 0x39)) {
      const first = i
      while (i + 1 < end && isInNumber(bytes[i + 1]!)) i++
      handler.number(first, i + 1)
    } else if (byte === LETTER_T || byte === LETTER_N) {
      handler.literal(byte)
      i += 3
    } else if (byte === LETTER_F) {
      handler.literal(byte)
      i += 4
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      expectsKey = byte === OPEN_BRACE
      isObject.push(expectsKey)
      handler.open(expectsKey)
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      isObject.pop()
      expectsKey = false
      handler.close(byte === CLOSE_BRACE)
    } else if (byte === COMMA) expectsKey = isObject[isObject.length - 1] === true
  }
}

function isInNumber(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x2e ||
    byte === 0x2b ||
    byte === MINUS ||
    (byte | 0x20) === 0x65
  )
}
