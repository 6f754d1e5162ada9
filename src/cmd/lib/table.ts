import { readableText } from '../../runtime/readable-text.ts'
import { truncate } from '../../runtime/terminal.ts'

export interface Column {
  readonly head: string
  /** Aligned to the right, for numbers. */
  readonly right?: boolean
  /** A cell in short, if the terminal is too narrow. */
  readonly short?: (cell: string) => string
  /** Left out if the terminal is still too narrow, the lowest number first. */
  readonly spare?: number
  /** Cut to this many columns or more, if the terminal is still too narrow; the first one last. */
  readonly min?: number
  /** The last column: a text that continues below itself or, without room, below its row. */
  readonly wraps?: boolean
}

/** A text in a narrower column goes on lines of its own. */
const minTextColumns = 30
const indent = '    '

interface Table {
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly string[])[]
}

/**
 * Rows under their heads, columns as wide as their widest cell, two spaces between them. A cell
 * takes one line, whatever it contains. One with blanks at its ends is in quotes: nobody sees them.
 *
 * @param width of the terminal in columns; undefined: lines may have any length
 */
export function table(
  columns: readonly Column[],
  cells: readonly (readonly string[])[],
  width?: number,
): string {
  const shown = (cell: string) => readableText(cell === cell.trim() ? cell : `"${cell}"`)
  const whole = { columns, rows: cells.map((row) => row.map(shown)) }
  if (width === undefined) return linesOf(whole).join('\n')
  // A line that fills the last column would be followed by an empty one on some terminals.
  const max = width - 1
  if (columns.at(-1)?.wraps !== true) return linesOf(fitted(whole, max)).join('\n')
  const texts = whole.rows.map((row) => row.at(-1)!)
  const left = { columns: columns.slice(0, -1), rows: whole.rows.map((row) => row.slice(0, -1)) }
  return withTexts(linesOf(fitted(left, max)), columns.at(-1)!.head, texts, max).join('\n')
}

/** Lines of a table, its head first, and the texts of its last column. */
function withTexts(
  [head = '', ...lines]: readonly string[],
  textHead: string,
  texts: readonly string[],
  max: number,
): string[] {
  const at = Math.max(head.length, ...lines.map((line) => line.length)) + 2
  const room = max - at
  if (room < Math.min(minTextColumns, Math.max(textHead.length, ...texts.map(lengthOf)))) {
    const below = (text: string) => wrapped(text, max - indent.length).map((line) => indent + line)
    return [
      head,
      ...lines.flatMap((line, i) => [line, ...(texts[i] === '' ? [] : below(texts[i]!))]),
    ]
  }
  return [
    head.padEnd(at) + textHead,
    ...lines.flatMap((line, i) => {
      const [first = '', ...rest] = wrapped(texts[i]!, room)
      return [(line.padEnd(at) + first).trimEnd(), ...rest.map((part) => ' '.repeat(at) + part)]
    }),
  ]
}

function linesOf({ columns, rows }: Table): string[] {
  const widths = widthsOf({ columns, rows })
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) =>
        columns[i]!.right === true ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!),
      )
      .join('  ')
      .trimEnd()
  return [line(columns.map(({ head }) => head)), ...rows.map(line)]
}

/** The table in at most `max` columns, as far as its columns allow. */
function fitted(whole: Table, max: number): Table {
  let { columns, rows } = whole
  const excess = () => totalOf(widthsOf({ columns, rows })) - max
  if (excess() <= 0) return whole
  rows = rows.map((row) => row.map((cell, i) => columns[i]!.short?.(cell) ?? cell))
  const ranks = new Set(columns.flatMap(({ spare }) => spare ?? []))
  for (const rank of [...ranks].sort((a, b) => a - b)) {
    if (excess() <= 0) break
    rows = rows.map((row) => row.filter((_, i) => columns[i]!.spare !== rank))
    columns = columns.filter(({ spare }) => spare !== rank)
  }
  for (const [i, { min }] of [...columns.entries()].reverse()) {
    if (min === undefined || excess() <= 0) continue
    const kept = Math.max(min, widthsOf({ columns, rows })[i]! - excess())
    rows = rows.map((row) => row.map((cell, at) => (at === i ? truncate(cell, kept) : cell)))
  }
  return { columns, rows }
}

function widthsOf({ columns, rows }: Table): number[] {
  return columns.map(({ head }, i) => Math.max(head.length, ...rows.map((row) => row[i]!.length)))
}

function totalOf(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width + 2, -2)
}

const lengthOf = (text: string) => text.length

/** Lines of at most `columns` characters, between words; a longer word stays whole. */
function wrapped(text: string, columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
