import type { OffsetRange } from '../../record/record.ts'

/**
 * A set of offsets, kept as the fewest disjoint ranges in ascending order.
 *
 * **Invariant**: ranges neither overlap nor touch: `ranges[i].next < ranges[i + 1].from`.
 */
export class RangeSet {
  readonly #ranges: OffsetRange[] = []

  get ranges(): readonly OffsetRange[] {
    return this.#ranges
  }

  /** Adds `[from, next)`; what is already there stays. */
  add({ from, next }: OffsetRange): void {
    if (next <= from) return
    // Acknowledgements come almost in order, so the search begins at the end.
    let end = this.#ranges.length
    while (end > 0 && this.#ranges[end - 1]!.from > next) end--
    let begin = end
    while (begin > 0 && this.#ranges[begin - 1]!.next >= from) begin--
    const touched = this.#ranges.slice(begin, end)
    const merged = {
      from: Math.min(from, touched[0]?.from ?? from),
      next: Math.max(next, touched[touched.length - 1]?.next ?? next),
    }
    this.#ranges.splice(begin, end - begin, merged)
  }

  /**
   * The end of the contiguous prefix that begins at `from`; `from` itself if that offset is absent.
   */
  endOfPrefix(from: number): number {
    for (const range of this.#ranges) {
      if (range.from > from) break
      if (range.next > from) return range.next
    }
    return from
  }

  /** Forgets everything below `offset`. */
  dropBelow(offset: number): void {
    let whole = 0
    while (whole < this.#ranges.length && this.#ranges[whole]!.next <= offset) whole++
    this.#ranges.splice(0, whole)
    const first = this.#ranges[0]
    if (first !== undefined && first.from < offset)
      this.#ranges[0] = { from: offset, next: first.next }
  }
}
