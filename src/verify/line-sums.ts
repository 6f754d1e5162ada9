import { hash } from 'node:crypto'
import type { OffsetRange } from '../record/record.ts'

/** Offsets of one sum. */
const chunkOffsets = 8192

interface Sum {
  count: number
  /** The first eight bytes of each hash, added up without carry between the halves. */
  high: number
  low: number
}

/**
 * Lines of one partition, added up by chunks of offsets. Equal sums mean the same lines, in any
 * order. So two stores are compared byte for byte, and neither is held in memory.
 */
export class LineSums {
  readonly #chunks = new Map<number, Sum>()

  /** Adds a line, without its LF. */
  add(offset: number, line: Buffer): void {
    const key = Math.floor(offset / chunkOffsets)
    let sum = this.#chunks.get(key)
    if (sum === undefined) {
      sum = { count: 0, high: 0, low: 0 }
      this.#chunks.set(key, sum)
    }
    const digest = hash('sha1', line, 'buffer')
    sum.count++
    sum.high = (sum.high + digest.readUInt32LE(0)) >>> 0
    sum.low = (sum.low + digest.readUInt32LE(4)) >>> 0
  }

  /** The chunks that the other does not have, or has with other lines. */
  *differing(other: LineSums): Iterable<OffsetRange> {
    for (const [key, sum] of this.#chunks) {
      const theirs = other.#chunks.get(key)
      if (theirs?.count === sum.count && theirs.high === sum.high && theirs.low === sum.low)
        continue
      yield { from: key * chunkOffsets, next: (key + 1) * chunkOffsets }
    }
  }
}
