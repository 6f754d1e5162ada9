/**
 * A column of a table: its heading and what it shows of a row; undefined shows as a dash.
 */
export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => string | undefined
}

const none = '–'

function cellsOf<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[][] {
  return rows.map((row) => columns.map(({ cell }) => cell(row) ?? none))
}

/** Leaves out columns in which no row has anything. */
export function usedColumns<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): readonly Column<Row>[] {
  return columns.filter(({ cell }) => rows.some((row) => cell(row) !== undefined))
}

/** Lines for a terminal: the first column to the left, figures to the right. */
export function textTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const lines = [columns.map(({ title }) => title), ...cellsOf(columns, rows)]
  const widths = columns.map((_, column) =>
    Math.max(...lines.map((cells) => cells[column]!.length)),
  )
  const print = (cells: readonly string[]) =>
    cells
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd()
  return lines.map(print).join('\n')
}

/** The same for a Markdown file. */
export function markdownTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const print = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [
    print(columns.map(({ title }) => title)),
    `|${columns.map((_, column) => (column === 0 ? '---' : '---:')).join('|')}|`,
    ...cellsOf(columns, rows).map(print),
  ].join('\n')
}

/** A number for a person: as many digits as a measurement is worth. */
export function figure(value: number | undefined, digits = 2): string | undefined {
  return value?.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}
