import type { RowReader } from '../mysql/reader.ts'
import { lineOfRow, type StoredRow, typeColumns } from '../mysql/row.ts'
import { LF } from '../record/ascii.ts'
import { decodeLine } from '../record/line/decoder.ts'
import { type OffsetRange, partitionKey, rangeOf, type TopicPartition } from '../record/record.ts'
import type { CheckedLines } from './file-lines.ts'
import { LineSums } from './line-sums.ts'
import type { OffsetBitmap } from './offset-bitmap.ts'
import { describeOffsets, type Problems } from './problems.ts'
import type { StoreCheck } from './store-check.ts'

/** Offsets of one query. */
const maxOffsetsAtOnce = 50_000
const maxNamed = 20
/** When this many rows of a partition differ, the rest is not compared. */
const maxChanged = 100

export interface RowsCheckOptions {
  readonly reader: RowReader
  readonly table: string
  readonly tp: TopicPartition
  readonly problems: Problems
  /** Only rows from this time on are compared, in ms: a store has pruned what is older. */
  readonly since: number | undefined
}

/** Compares the rows of a topic-partition with what its files hold. */
export class RowsCheck implements StoreCheck {
  readonly #options: RowsCheckOptions
  #changed = 0

  constructor(options: RowsCheckOptions) {
    this.#options = options
  }

  /**
   * Counts a range. Asks for the very offsets when the count is not that of the files, or says too
   * little. Returns the number of rows.
   */
  async compare(range: OffsetRange, held: OffsetBitmap): Promise<number> {
    const { reader, tp, since } = this.#options
    let rows = 0
    for (const part of held.partsOf(range, maxOffsetsAtOnce)) {
      const count = await reader.count(tp, part, since)
      rows += count
      if (part.isEmpty && count > 0) await this.#reportExtra(part, count)
      const expected = part.isEmpty ? 0 : held.countIn(part)
      // The primary key has an offset once. When every offset of a range has a record, equal
      // numbers are equal sets.
      const isWhole = part.isEmpty || expected === part.next - part.from
      if (part.isEmpty || (isWhole && count === expected)) continue
      await this.#bisect(part, held)
    }
    return rows
  }

  /** The same when only the number of records in the files is known. */
  async compareNumber(range: OffsetRange, records: number): Promise<number> {
    const { reader, tp, problems, since, table } = this.#options
    const rows = await reader.count(tp, range, since)
    if (rows !== records) {
      problems.add({
        kind: rows < records ? 'row-missing' : 'row-extra',
        message: `${describeOffsets(range)}: ${rows} rows in ${table} for ${records} records; without --fast verify names them`,
        offsets: range,
      })
    }
    return rows
  }

  async #bisect(part: OffsetRange, held: OffsetBitmap): Promise<void> {
    const { reader, tp, problems, since, table } = this.#options
    const found = new Set(await reader.offsets(tp, part, since))
    for (const offsets of held.missingIn(part, found)) {
      problems.add({
        kind: 'row-missing',
        message: `${describeOffsets(offsets)}: not in ${table}`,
        offsets,
      })
    }
    for (const offset of found) if (!held.has(offset)) await this.#reportExtra(rangeOf(offset), 1)
  }

  async #reportExtra(range: OffsetRange, count: number): Promise<void> {
    const { reader, tp, problems, since, table } = this.#options
    const named = await reader.offsets(tp, range, since, maxNamed)
    for (const offset of named) {
      problems.add({
        kind: 'row-extra',
        message: `${table} holds ${partitionKey(tp)} offset ${offset}, and no file does`,
        offsets: rangeOf(offset),
      })
    }
    if (count > named.length) {
      problems.add({
        kind: 'row-extra',
        message: `${count - named.length} more rows of ${describeOffsets(range)}`,
        offsets: range,
      })
    }
  }

  /**
   * Reports what lies outside the range that files and rows share, and records whose position was
   * taken. `end`: no record of Kafka has this offset or a later one.
   */
  async compareOutside(origin: number, end: number | undefined): Promise<void> {
    const { reader, tp, since, problems, table } = this.#options
    const before = await reader.count(tp, { next: origin }, since)
    if (before > 0) await this.#reportExtra({ from: 0, next: origin }, before)
    if (end !== undefined) {
      const behind = await reader.count(tp, { from: end }, since)
      if (behind > 0) await this.#reportExtra({ from: end, next: Number.MAX_SAFE_INTEGER }, behind)
    }
    for (const offset of await reader.collisions(
      tp,
      { from: origin, ...(end === undefined ? {} : { next: end }) },
      since,
    )) {
      problems.add({
        kind: 'row-collision',
        message: `offset ${offset}: another record has its row in ${table}; it is in ${table}_rejected`,
        offsets: rangeOf(offset),
      })
    }
  }

  /** The sums of the lines of all rows of a range. */
  async sums(range: OffsetRange): Promise<LineSums> {
    const { reader, tp, since } = this.#options
    const sums = new LineSums()
    for await (const row of reader.rows(tp, range, since)) {
      const line = lineOfRow(row)
      if (line !== undefined) sums.add(Number(row.offset), line)
    }
    return sums
  }

  /**
   * Compares rows with their lines, byte for byte. Those of offsets from `end` on may not be there
   * yet.
   */
  async compareContent({ offsets, starts, text }: CheckedLines, end: number): Promise<void> {
    const { reader, tp, since, problems, table } = this.#options
    const last = offsets.at(-1)
    if (last === undefined || this.#changed >= maxChanged) return
    const lineOf = new Map(offsets.map((offset, i) => [offset, starts[i]!]))
    for await (const row of reader.rows(
      tp,
      { from: offsets[0]!, next: Math.min(end, last + 1) },
      since,
    )) {
      const offset = Number(row.offset)
      const start = lineOf.get(offset)
      if (start === undefined) continue
      const line = text.subarray(start, text.indexOf(LF, start))
      if (isSame(row, line)) continue
      problems.add({
        kind: 'row-changed',
        message: `the row of ${partitionKey(tp)} offset ${offset} in ${table} is not its line in the files`,
        offsets: rangeOf(offset),
      })
      this.#changed++
      if (this.#changed >= maxChanged) return
    }
  }
}

/** True when a row holds a line, or as much of it as a row can hold. */
function isSame(row: StoredRow, line: Buffer): boolean {
  const held = lineOfRow(row)
  if (held !== undefined) return held.equals(line)
  const { record, type } = decodeLine(line)
  return (
    String(row.timestamp) === String(record.timestamp) &&
    row.type === (type.reserved ? null : typeColumns(type.name).name)
  )
}
