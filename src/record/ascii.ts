/** Bytes of ASCII that lines and JSON texts are made of. */

export const LF = 0x0a
const CR = 0x0d
const TAB = 0x09
const SPACE = 0x20
export const QUOTE = 0x22
export const COMMA = 0x2c
export const MINUS = 0x2d
export const ZERO = 0x30
export const COLON = 0x3a
export const BACKSLASH = 0x5c
export const OPEN_BRACKET = 0x5b
export const CLOSE_BRACKET = 0x5d
export const OPEN_BRACE = 0x7b
export const CLOSE_BRACE = 0x7d

/** White space of a JSON text (RFC 8259, section 2). */
export function isWhiteSpace(byte: number): boolean {
  return byte === SPACE || byte === LF || byte === CR || byte === TAB
}

/** Every byte as itself, but a line break as a space. */
const withoutBreaks = Uint8Array.from({ length: 256 }, (_, byte) => byte)
withoutBreaks[LF] = SPACE
withoutBreaks[CR] = SPACE

/**
 * Writes spaces over the line breaks of a JSON text. Valid JSON has raw line breaks only between
 * tokens, where any white space means the same (RFC 8259, section 2).
 */
export function onOneLine(bytes: Buffer, start = 0, end = bytes.length): void {
  for (let i = start; i < end; i++) bytes[i] = withoutBreaks[bytes[i]!]!
}
