import { COMMA, MINUS, ZERO } from '../ascii.ts'
import { marks } from './layout.ts'

const { offset: offsetMark, timestamp: timestampMark } = marks
const LETTER_T = 0x74

/**
 * Reads the offset and the timestamp of one line after another and makes no objects: for callers
 * that read millions.
 */
export class LineHead {
  offset = -1
  /** In ms; the nearest double beyond 2^53. */
  timestamp = Number.NaN
  /**
   * Where `,"offset":` begins. The text before it is the same in all lines of a file, except for
   * `@timestamp`.
   */
  offsetAt = -1

  /** Reads the line that begins at `start`; false when it does not have this encoding. */
  read(lines: Buffer, start: number): boolean {
    const at = lines.indexOf(offsetMark, start)
    if (at === -1) return false
    this.offsetAt = at
    let position = at + offsetMark.length
    let offset = 0
    for (
      let digit = lines[position]! - ZERO;
      digit >= 0 && digit <= 9;
      digit = lines[++position]! - ZERO
    ) {
      offset = offset * 10 + digit
    }
    this.offset = offset
    if (lines[position] !== COMMA || lines[position + 2] !== LETTER_T) return false
    position += timestampMark.length
    const negative = lines[position] === MINUS
    if (negative) position++
    let timestamp = 0
    const first = position
    for (
      let digit = lines[position]! - ZERO;
      digit >= 0 && digit <= 9;
      digit = lines[++position]! - ZERO
    ) {
      timestamp = timestamp * 10 + digit
    }
    // Beyond 2^53, adding digit by digit rounds more than once. The result would differ from the
    // double in the batch and in the manifest.
    if (timestamp > Number.MAX_SAFE_INTEGER)
      timestamp = Number(lines.toString('latin1', first, position))
    this.timestamp = negative ? -timestamp : timestamp
    return position > first
  }
}
