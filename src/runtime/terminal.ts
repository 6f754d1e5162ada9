import { stripVTControlCharacters } from 'node:util'

/** The stream below a terminal: `process.stderr`, or a fake. */
export interface TerminalStream {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  write(text: string): unknown
}

/**
 * A stream of lines, with one status line below them that is rewritten in place. Log lines go
 * through `write`.
 */
export interface Terminal {
  readonly isTTY: boolean
  /**
   * Replaces the status line, cut to the width; undefined removes it. Does nothing without a
   * terminal.
   */
  setStatus(line: string | undefined): void
  /** Writes above the status line. */
  write(text: string): void
  /** Removes the status line. May be called again. */
  close(): void
}

const eraseLine = '\r\x1b[K'

export function createTerminal(stream: TerminalStream): Terminal {
  const isTTY = stream.isTTY === true
  let status: string | undefined
  let shown = false
  /** A text that does not end its line hides the status until the rest comes. */
  let atLineStart = true

  const draw = (before: string) => {
    const erase = shown ? eraseLine : ''
    shown = status !== undefined && atLineStart
    // The last column stays empty: a full line wraps, and a wrapped line cannot be erased.
    const line = shown ? truncate(status!, (stream.columns ?? 80) - 1) : ''
    if (erase + before + line !== '') stream.write(erase + before + line)
  }
  const setStatus = (line: string | undefined) => {
    if (!isTTY || line === status) return
    status = line
    draw('')
  }
  return {
    isTTY,
    setStatus,
    write: (text) => {
      if (text === '') return
      if (!isTTY) {
        stream.write(text)
        return
      }
      atLineStart = text.endsWith('\n')
      draw(text)
    },
    close: () => setStatus(undefined),
  }
}

/**
 * A line cut to `columns` columns, with an ellipsis if something was cut, without control
 * characters.
 */
export function truncate(line: string, columns: number): string {
  const characters = Array.from(stripVTControlCharacters(line).replace(/\p{Cc}/gu, ' '))
  const widths = characters.map(columnsOf)
  const total = widths.reduce((sum, width) => sum + width, 0)
  if (total <= columns) return characters.join('')
  let used = 1
  let kept = 0
  while (kept < characters.length && used + widths[kept]! <= columns) used += widths[kept++]!
  return columns < 1 ? '' : `${characters.slice(0, kept).join('')}…`
}

/** Characters of East Asia and emoji take two columns, combining marks none. */
function columnsOf(character: string): number {
  if (/\p{M}/u.test(character)) return 0
  const code = character.codePointAt(0)!
  const wide =
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3)
  return wide ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xff60) ||
    code >= 0x1f300
    ? 2
    : 1
}
