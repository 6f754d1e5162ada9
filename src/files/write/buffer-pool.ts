/** Buckets grow through these sizes, so buffers of them come and go all the time. */
const maxKeptLength = 2 ** 20
/**
 * There are many small ones only with thousands of buckets. A spill gives back those of all buckets
 * at once.
 */
const maxSmallLength = 2 ** 14

/** Bytes kept for the next bucket. Neither kind takes the place of the other. */
const maxKept = { small: 64 * 2 ** 20, large: 16 * 2 ** 20 } as const

/**
 * Buffers that buckets are done with, for those that need one. Ten thousand buckets grow through
 * buffers faster than the garbage collector frees them: without this, a process takes twice the
 * memory that it holds. For the same reason those that are not kept are freed at once.
 */
export class BufferPool {
  readonly #kept = new Map<number, Buffer[]>()
  readonly #bytes = { small: 0, large: 0 }

  /** A buffer of exactly this many bytes, with anything in it. */
  take(bytes: number): Buffer {
    const buffer = this.#kept.get(bytes)?.pop()
    if (buffer === undefined) return Buffer.allocUnsafeSlow(bytes)
    this.#bytes[kindOf(buffer)] -= bytes
    return buffer
  }

  /** Nobody uses the buffer, which came from `take`, any more: not even another thread. */
  give(buffer: Buffer): void {
    const kind = kindOf(buffer)
    if (buffer.length > maxKeptLength || this.#bytes[kind] + buffer.length > maxKept[kind]) {
      ;(buffer.buffer as ArrayBuffer).transfer(0)
      return
    }
    this.#bytes[kind] += buffer.length
    const same = this.#kept.get(buffer.length)
    if (same === undefined) this.#kept.set(buffer.length, [buffer])
    else same.push(buffer)
  }
}

function kindOf({ length }: Buffer): keyof typeof maxKept {
  return length > maxSmallLength ? 'large' : 'small'
}
