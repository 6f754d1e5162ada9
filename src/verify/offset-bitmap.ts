import type { OffsetRange } from '../record/record.ts'

/** Offsets of one chunk; a chunk is a kilobyte. */
const chunkOffsets = 8192

/**
 * Which offsets were seen, one bit each, in chunks that exist only where something was seen: a
 * billion absent offsets cost nothing. Pure.
 */
export class OffsetBitmap {
  readonly #chunks = new Map<number, Uint8Array>()
  #added = 0

  /** How many different offsets were added, including those that were dropped since. */
  get added(): number {
    return this.#added
  }

  /** Adds an offset; false if it was there already. */
  add(offset: number): boolean {
    const key = Math.floor(offset / chunkOffsets)
    let chunk = this.#chunks.get(key)
    if (chunk === undefined) {
      chunk = new Uint8Array(chunkOffsets / 8)
      this.#chunks.set(key, chunk)
    }
    const bit = offset - key * chunkOffsets
    const mask = 1 << (bit & 7)
    if ((chunk[bit >> 3]! & mask) !== 0) return false
    chunk[bit >> 3]! |= mask
    this.#added++
    return true
  }

  has(offset: number): boolean {
    const key = Math.floor(offset / chunkOffsets)
    const chunk = this.#chunks.get(key)
    if (chunk === undefined) return false
    const bit = offset - key * chunkOffsets
    return (chunk[bit >> 3]! & (1 << (bit & 7))) !== 0
  }

  /** How many offsets of a range are in it. */
  countIn({ from, next }: OffsetRange): number {
    let count = 0
    for (const [key, chunk] of this.#chunks) {
      const start = key * chunkOffsets
      if (start >= next || start + chunkOffsets <= from) continue
      if (start >= from && start + chunkOffsets <= next)
        for (const byte of chunk) count += bitsOf(byte)
      else
        for (
          let offset = Math.max(start, from);
          offset < next && offset < start + chunkOffsets;
          offset++
        )
          count += this.has(offset) ? 1 : 0
    }
    return count
  }

  /** The offsets of a range that are not in it, as ranges in ascending order. */
  *absentIn({ from, next }: OffsetRange): Iterable<OffsetRange> {
    let begin = from
    for (const key of [...this.#chunks.keys()].sort((a, b) => a - b)) {
      const start = Math.max(from, key * chunkOffsets)
      const end = Math.min(next, (key + 1) * chunkOffsets)
      for (let offset = start; offset < end; offset++) {
        if (!this.has(offset)) continue
        if (offset > begin) yield { from: begin, next: offset }
        begin = offset + 1
      }
    }
    if (begin < next) yield { from: begin, next }
  }

  /** The offsets of a range that are in it and not in `found`, neighbours together. */
  *missingIn(
    { from, next }: OffsetRange,
    found: { has(offset: number): boolean },
  ): Iterable<OffsetRange> {
    let begin: number | undefined
    for (let offset = from; offset < next; offset++) {
      const isMissing = this.has(offset) && !found.has(offset)
      if (isMissing) begin ??= offset
      else if (begin !== undefined) {
        yield { from: begin, next: offset }
        begin = undefined
      }
    }
    if (begin !== undefined) yield { from: begin, next }
  }

  /**
   * Cuts a range into parts that hold something and parts that hold nothing. The former have at
   * most `max` offsets (a multiple of a chunk is best), the latter any number.
   */
  *partsOf(
    { from, next }: OffsetRange,
    max: number,
  ): Iterable<OffsetRange & { readonly isEmpty: boolean }> {
    let position = from
    for (const key of [...this.#chunks.keys()].sort((a, b) => a - b)) {
      const start = Math.max(key * chunkOffsets, position)
      if (start >= next) break
      if ((key + 1) * chunkOffsets <= position) continue
      if (start > position) yield { from: position, next: start, isEmpty: true }
      position = Math.min(next, start + max)
      yield { from: start, next: position, isEmpty: false }
    }
    if (position < next) yield { from: position, next, isEmpty: true }
  }

  /** Forgets everything below an offset, in whole chunks: what shares a chunk with it may stay. */
  dropBelow(offset: number): void {
    for (const key of this.#chunks.keys()) {
      if ((key + 1) * chunkOffsets <= offset) this.#chunks.delete(key)
    }
  }
}

function bitsOf(byte: number): number {
  let count = 0
  for (let rest = byte; rest !== 0; rest &= rest - 1) count++
  return count
}
