import type { OffsetRange } from '../record/record.ts'
import type { OffsetBitmap } from './offset-bitmap.ts'

/** Offsets of a range that the files hold and a store does not, neighbours together. */
export function* missingRanges(
  { from, next }: OffsetRange,
  held: OffsetBitmap,
  found: { has(offset: number): boolean },
): Iterable<OffsetRange> {
  let begin: number | undefined
  for (let offset = from; offset < next; offset++) {
    const isMissing = held.has(offset) && !found.has(offset)
    if (isMissing) begin ??= offset
    else if (begin !== undefined) {
      yield { from: begin, next: offset }
      begin = undefined
    }
  }
  if (begin !== undefined) yield { from: begin, next }
}
