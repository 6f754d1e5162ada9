import type { LoggedManifest } from '../files/log/log-cursor.ts'
import type { ManifestFile } from '../files/log/manifest.ts'
import { type Gap, type OffsetRange, rangeOf } from '../record/record.ts'
import type { OffsetBitmap } from './offset-bitmap.ts'
import { describeOffsets, type Problems } from './problems.ts'

/** Of one loss, at most this many offsets are noted as reported. */
const maxReported = 10_000_000

/**
 * Offsets that were found: all, and those that other stores must hold (the same set when nothing
 * was pruned).
 */
export interface FoundOffsets {
  readonly seen: OffsetBitmap
  readonly compared: OffsetBitmap
}

/**
 * Compares the offsets that files hold with what a manifest says of its range: every offset is in a
 * file, or a gap says why not.
 */
export class Coverage {
  readonly #manifest: LoggedManifest
  readonly #found: FoundOffsets
  readonly #problems: Problems
  /** Stretches whose offsets may have gone with files that retention took, in order. */
  readonly #pruned: Gap[] = []
  #reportsAll = true
  /** Offsets below this are checked. */
  checked: number

  constructor(manifest: LoggedManifest, found: FoundOffsets, problems: Problems) {
    this.#manifest = manifest
    this.#found = found
    this.#problems = problems
    this.checked = manifest.from
  }

  /** Retention took this file. Must be called in the order of the files. */
  pruned({ first, last }: ManifestFile): void {
    const range = rangeOf(first, last)
    const before = this.#pruned.at(-1)
    if (before !== undefined && first <= before.next) {
      this.#pruned[this.#pruned.length - 1] = { ...before, next: Math.max(before.next, range.next) }
    } else this.#pruned.push({ ...range, reason: 'retention' })
  }

  /** Checks offsets below `next`: all files that may hold some are read. */
  check(next: number): void {
    const range = { from: this.checked, next }
    this.checked = next
    // Omitted gaps are known by their number alone: `count` compares that.
    if (this.#manifest.omitted_gaps !== undefined || next <= range.from) return
    const absent = withoutGaps(this.#found.seen.absentIn(range), this.#manifest.gaps)
    for (const offsets of withoutGaps(absent, this.#pruned)) {
      this.#reportsAll = false
      this.#problems.add({
        kind: 'line-missing',
        message: `${describeOffsets(offsets)}: no file holds ${offsets.next - offsets.from === 1 ? 'it' : 'them'} and no gap explains it`,
        offsets,
      })
      const reported = Math.min(offsets.next, offsets.from + maxReported)
      for (let offset = offsets.from; offset < reported; offset++) {
        this.#found.seen.add(offset)
        this.#found.compared.add(offset)
      }
    }
  }

  /**
   * When gaps are not listed, or files were pruned, only the number of records shows that some are
   * missing.
   */
  count(prunedRecords: number, added: number): void {
    const { omitted_gaps, isPart, records } = this.#manifest
    if ((omitted_gaps === undefined && prunedRecords === 0) || isPart === true || !this.#reportsAll)
      return
    const missing = records - prunedRecords - added
    if (missing === 0) return
    this.#problems.add({
      kind: 'line-missing',
      message: `${missing} records of ${describeOffsets(this.#manifest)} are in no file`,
      offsets: { from: this.#manifest.from, next: this.#manifest.next },
    })
  }
}

/** What is left of ranges in ascending order without the gaps, which are in ascending order too. */
function* withoutGaps(ranges: Iterable<OffsetRange>, gaps: readonly Gap[]): Iterable<OffsetRange> {
  let gap = 0
  for (const range of ranges) {
    let from = range.from
    while (gap < gaps.length && gaps[gap]!.next <= from) gap++
    for (let i = gap; i < gaps.length && gaps[i]!.from < range.next; i++) {
      if (gaps[i]!.from > from) yield { from, next: gaps[i]!.from }
      from = Math.max(from, gaps[i]!.next)
    }
    if (from < range.next) yield { from, next: range.next }
  }
}
