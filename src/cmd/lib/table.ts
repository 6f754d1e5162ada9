import { readableText } from '../../runtime/readable-text.ts'

/** How commands print numbers, sizes and tables for people. */

const grouped = new Intl.NumberFormat('en-US')

/** `120,045`. */
export function count(number: number): string {
  return grouped.format(number)
}

/** `3.4 MiB`. */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`
}

/** `1 file`, `2 files`. */
export function plural(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`
}

export interface Column {
  readonly head: string
  /** Numbers stand to the right. */
  readonly right?: boolean
}

/**
 * Rows under their heads, columns as wide as their widest cell, two spaces between. A cell is one
 * line, whatever it holds.
 */
export function table(columns: readonly Column[], cells: readonly (readonly string[])[]): string {
  const rows = cells.map((row) => row.map(readableText))
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
