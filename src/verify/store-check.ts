import type { OffsetRange } from '../record/record.ts'
import type { CheckedLines } from './files.ts'
import type { OffsetBitmap } from './offset-bitmap.ts'

/** Holds what a store has of one topic-partition to what its files hold. */
export interface StoreCheck {
  /** Compares the offsets of a range. Returns how many records the store has of it. */
  compare(range: OffsetRange, held: OffsetBitmap): Promise<number>
  /** The same where only the number of records is known. */
  compareNumber(range: OffsetRange, records: number): Promise<number>
  /** Tells what lies outside `[origin, end)`; of the end undefined it is not known. */
  compareOutside(origin: number, end: number | undefined): Promise<void>
  /**
   * Compares records with their lines, byte for byte; those of offsets from `end` on may not be
   * there yet.
   */
  compareContent(lines: CheckedLines, end: number): Promise<void>
}
