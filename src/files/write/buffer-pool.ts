/** Buffers up to this size come and go often: buckets grow through them. */
const maxKept = 2 ** 20
/** Bytes kept for the next bucket; beyond that the garbage collector takes them. */
const maxKeptBytes = 16 * 2 ** 20
/**
 * Many small buffers exist only when there are thousands of buckets, and a spill gives all of them
 * back at once.
 */
const maxSmall = 2 ** 14
const maxKeptSmallBytes = 64 * 2 ** 20

/**
 * Buffers to be used again. Ten thousand buckets grow through buffers faster than the garbage
 * collector frees them. Without the pool, a process takes twice the memory that it holds.
 */
export class BufferPool {
  readonly #kept = new Map<number, Buffer[]>()
  #bytes = 0

  /** A buffer of exactly this many bytes, with arbitrary content. */
  take(bytes: number): Buffer {
    const buffer = this.#kept.get(bytes)?.pop()
    if (buffer === undefined) return Buffer.allocUnsafeSlow(bytes)
    this.#bytes -= bytes
    return buffer
  }

  /** Gives a buffer back; the caller does not use it any more. */
  give(buffer: Buffer): void {
    const max = buffer.length > maxSmall ? maxKeptBytes : maxKeptSmallBytes
    if (buffer.length > maxKept || this.#bytes + buffer.length > max) return
    this.#bytes += buffer.length
    const same = this.#kept.get(buffer.length)
    if (same === undefined) this.#kept.set(buffer.length, [buffer])
    else same.push(buffer)
  }
}
