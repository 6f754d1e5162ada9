import { decodeLine, rangeOfValue } from '../../record/line/decoder.ts'
import { partitionKey } from '../../record/record.ts'
import {
  isNote,
  isRefused,
  kindsOf,
  scanForStrictReaders,
  strictKinds,
} from '../../record/strict-readers.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { plural } from '../../runtime/format.ts'
import { standardError } from '../../runtime/standard-streams.ts'

/** Filters out what strict readers refuse, and names each such record on standard error. */
export class StrictFilter {
  readonly #valueOnly: boolean
  leftOut = 0

  /**
   * `valueOnly`: values that are not JSON are refused as well, because only their bytes are
   * printed.
   */
  constructor(valueOnly: boolean) {
    this.#valueOnly = valueOnly
  }

  /** Whether strict readers accept a line. */
  takes(line: Buffer): boolean {
    const value = rangeOfValue(line)
    if (value === undefined) {
      if (!this.#valueOnly) return true
      this.#leaveOut(line, 'not JSON')
      return false
    }
    const found = scanForStrictReaders(line, value.start, value.end, line.length)
    if (!isRefused(found)) return true
    const reasons = kindsOf(found).filter((kind) => !isNote(kind))
    this.#leaveOut(line, reasons.map((kind) => strictKinds[kind]).join(', '))
    return false
  }

  #leaveOut(line: Buffer, reason: string): void {
    this.leftOut++
    const decoded = decodeLine(line)
    standardError.print(
      `left out: ${partitionKey(decoded)} offset ${decoded.record.offset}: ${reason}`,
    )
  }

  /** @throws ArchiverError `REFUSED` if a record was left out */
  throwIfAny(): void {
    if (this.leftOut === 0) return
    throw new ArchiverError(
      'REFUSED',
      `${plural(this.leftOut, 'record')} left out that strict readers refuse; all others are printed`,
    )
  }
}
