/** Sizes of which many come and go: what buckets grow through. */
const largestKept = 2 ** 20
/** Bytes kept for the next bucket; beyond that the garbage collector may have them. */
const mostKept = 16 * 2 ** 20
/**
 * Of small ones there are many only where there are thousands of buckets, and a spill gives back
 * those of all of them at once.
 */
const largestSmall = 2 ** 14
const mostKeptSmall = 64 * 2 ** 20

/**
 * Buffers that buckets are done with, for those that need one. Ten thousand buckets grow through
 * buffers faster than the garbage collector frees them: without this, a process takes twice the
 * memory that it holds.
 */
export class BufferPool {
  readonly #kept = new Map<number, Buffer[]>()
  #bytes = 0

  /** A buffer of exactly this many bytes, with anything in it. */
  take(bytes: number): Buffer {
    const buffer = this.#kept.get(bytes)?.pop()
    if (buffer === undefined) return Buffer.allocUnsafeSlow(bytes)
    this.#bytes -= bytes
    return buffer
  }

  /** The buffer is not used any more by who gives it. */
  give(buffer: Buffer): void {
    const most = buffer.length > largestSmall ? mostKept : mostKeptSmall
    if (buffer.length > largestKept || this.#bytes + buffer.length > most) return
    this.#bytes += buffer.length
    const same = this.#kept.get(buffer.length)
    if (same === undefined) this.#kept.set(buffer.length, [buffer])
    else same.push(buffer)
  }
}
