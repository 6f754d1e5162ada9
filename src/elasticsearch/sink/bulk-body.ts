import { longestNumber, putNumber } from '../../record/decimal.ts'
import { lineStart } from '../../record/record.ts'
import { type Part, rejectIn } from './part.ts'

/** A body in the making. */
export class BulkBody {
  #buffer: Buffer
  #used = 0
  #full = false

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  /** A document had no room. */
  get full(): boolean {
    return this.#full
  }

  /**
   * Appends record `i` of a part after its action line: `head`, the offset, `tail`. A document that
   * is larger than the buffer gets one of its own.
   * @returns false if it has no room and must wait for the next body
   */
  append(head: Buffer, tail: Buffer, part: Part, i: number): boolean {
    const { batch } = part.pending
    const reject = rejectIn(part)
    const start = reject === undefined ? lineStart(batch, i) : 0
    const source = reject?.source ?? batch.lines
    const end = reject === undefined ? batch.ends[i]! : source.length
    const needed = head.length + longestNumber + tail.length + end - start
    if (this.#used + needed > this.#buffer.length) {
      this.#full = true
      if (this.#used > 0) return false
      this.#buffer = Buffer.allocUnsafeSlow(needed)
    }
    const buffer = this.#buffer
    buffer.set(head, this.#used)
    const used = putNumber(buffer, this.#used + head.length, batch.offsets[i]!)
    buffer.set(tail, used)
    source.copy(buffer, used + tail.length, start, end)
    this.#used = used + tail.length + end - start
    return true
  }

  /** The bytes, and the memory that holds them. */
  take(): { readonly bytes: Buffer; readonly buffer: Buffer } {
    return { bytes: this.#buffer.subarray(0, this.#used), buffer: this.#buffer }
  }
}
