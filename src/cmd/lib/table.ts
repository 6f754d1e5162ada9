import { readableText } from '../../runtime/readable-text.ts'

export interface Column {
  readonly head: string
  /** Aligned to the right, for numbers. */
  readonly right?: boolean
}

/**
 * Rows under their heads, columns as wide as their widest cell, two spaces between them. A cell
 * takes one line, whatever it contains. One with blanks at its ends is in quotes: nobody sees them.
 */
export function table(columns: readonly Column[], cells: readonly (readonly string[])[]): string {
  const shown = (cell: string) => readableText(cell === cell.trim() ? cell : `"${cell}"`)
  const rows = cells.map((row) => row.map(shown))
  const widths = columns.map(({ head }, i) =>
    Math.max(head.length, ...rows.map((row) => row[i]!.length)),
  )
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) =>
        columns[i]!.right === true ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!),
      )
      .join('  ')
      .trimEnd()
  return [line(columns.map(({ head }) => head)), ...rows.map(line)].join('\n')
}
