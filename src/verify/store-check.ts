import type { OffsetRange } from '../record/record.ts'
import type { CheckedLines } from './file-lines.ts'
import type { LineSums } from './line-sums.ts'
import type { OffsetBitmap } from './offset-bitmap.ts'

/** Compares what a store has of one topic-partition with what its files hold. */
export interface StoreCheck {
  /** Compares the offsets of a range. Returns how many records the store has of it. */
  compare(range: OffsetRange, held: OffsetBitmap): Promise<number>
  /** The same when only the number of records is known. */
  compareNumber(range: OffsetRange, records: number): Promise<number>
  /** Reports what lies outside `[origin, end)`; an undefined end is not known. */
  compareOutside(origin: number, end: number | undefined): Promise<void>
  /**
   * Compares records with their lines, byte for byte. Those of offsets from `end` on may not be
   * there yet.
   */
  compareContent(lines: CheckedLines, end: number): Promise<void>
}

/** A store beside the files, and what was found in it. */
export interface ComparedStore {
  readonly check: StoreCheck
  records: number
  /**
   * The sums of the lines of its records below the end; undefined unless every line is compared.
   */
  readonly sums: (() => Promise<LineSums>) | undefined
}
