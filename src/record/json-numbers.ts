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

/**
 * Every number of one valid JSON text with the path of object keys that leads to it. Arrays add
 * nothing to a path, as in Elasticsearch: `{"a":[{"b":1},{"b":2}]}` has two numbers at `a.b`.
 */

/** `start` and `end`: where the number is in the bytes. `path`: its keys, joined by dots. */
export type NumberVisitor = (path: string, start: number, end: number) => void

/**
 * Calls `visit` for each number between `start` and `end`, in the order of the text. The bytes must
 * be valid JSON, as `JsonScanner` accepts it. Depth costs memory, never stack.
 */
export function visitNumbers(
  bytes: Buffer,
  { start, end }: { readonly start: number; readonly end: number },
  visit: NumberVisitor,
  root = '',
): void {
  /** The path of each open container, and which of them are objects. */
  const bases: string[] = []
  const isObject: boolean[] = []
  let path = root
  let expectsKey = false
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === QUOTE) {
      const close = closingQuote(bytes, i + 1, end)
      if (expectsKey) {
        const base = bases[bases.length - 1]!
        const key = keyOf(bytes, i, close)
        path = base === '' ? key : `${base}.${key}`
        expectsKey = false
      }
      i = close
    } else if (byte === MINUS || (byte >= 0x30 && byte <= 0x39)) {
      let after = i + 1
      while (after < end && isInNumber(bytes[after]!)) after++
      visit(path, i, after)
      i = after - 1
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      bases.push(path)
      isObject.push(byte === OPEN_BRACE)
      expectsKey = byte === OPEN_BRACE
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      path = bases.pop() ?? root
      isObject.pop()
      expectsKey = false
    } else if (byte === COMMA) {
      expectsKey = isObject[isObject.length - 1] === true
      if (!expectsKey) path = bases[bases.length - 1] ?? root
    }
  }
}

function closingQuote(bytes: Buffer, start: number, end: number): number {
  let i = start
  while (i < end && bytes[i] !== QUOTE) i += bytes[i] === BACKSLASH ? 2 : 1
  return i
}

/** The key between the quotes at `open` and `close`. */
function keyOf(bytes: Buffer, open: number, close: number): string {
  const text = bytes.toString('utf8', open + 1, close)
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text
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
