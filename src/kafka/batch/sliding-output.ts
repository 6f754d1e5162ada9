import { DamagedData } from './damaged-data.ts'

/**
 * How far back a copy may reach. LZ4 cannot reach further. No compressor of snappy does: all of
 * them cut their input into 64 KiB.
 */
const historyBytes = 64 * 1024
const chunkBytes = 256 * 1024

/**
 * The output of an LZ77 decoder: keeps the last 64 KiB, which copies refer to, and gives away the
 * rest as it comes. So a decoder needs the same memory whatever its input inflates to.
 */
export class SlidingOutput {
  readonly #buffer = Buffer.allocUnsafeSlow(historyBytes + chunkBytes)
  #taken = 0
  #end = 0
  /** Bytes written since the beginning, or since `reset`. */
  written = 0

  get isFull(): boolean {
    return this.#end === this.#buffer.length
  }

  /** Begins an independent block: no copy may refer to what is before it. */
  reset(): void {
    this.written = 0
  }

  /** Writes as much of `[from, to)` as there is room for; returns the number of bytes. */
  literal(source: Buffer, from: number, to: number): number {
    const bytes = Math.min(to - from, this.#buffer.length - this.#end)
    source.copy(this.#buffer, this.#end, from, from + bytes)
    this.#end += bytes
    this.written += bytes
    return bytes
  }

  /**
   * Repeats what was written `offset` bytes ago, as much of `length` as there is room for; returns
   * the number of bytes.
   *
   * @throws DamagedData for an offset that reaches before the beginning; Error for one that reaches
   *   further than is kept.
   */
  copy(offset: number, length: number): number {
    if (offset === 0 || offset > this.written) {
      throw new DamagedData(`a copy reaches ${offset} bytes back of ${this.written}`)
    }
    if (offset > historyBytes)
      throw new Error(`a copy reaches ${offset} bytes back; the limit is ${historyBytes}`)
    const buffer = this.#buffer
    const start = this.#end
    const end = Math.min(start + length, buffer.length)
    if (offset >= end - start) buffer.copyWithin(start, start - offset, end - offset)
    else if (offset === 1) buffer.fill(buffer[start - 1]!, start, end)
    else for (let at = start; at < end; at++) buffer[at] = buffer[at - offset]!
    this.#end = end
    this.written += end - start
    return end - start
  }

  /** A copy of what was written since the last call. Makes room for more. */
  take(): Buffer {
    const part = Buffer.from(this.#buffer.subarray(this.#taken, this.#end))
    const from = Math.max(0, this.#end - historyBytes)
    this.#buffer.copyWithin(0, from, this.#end)
    this.#end -= from
    this.#taken = this.#end
    return part
  }
}
