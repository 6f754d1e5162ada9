/**
 * The memory of answers of a broker, which is given back as soon as nothing in it is wanted any
 * more. They are megabytes, several times a second: if the garbage collector had to find them, it
 * would mark the whole heap each time that 64 MB of them have gathered (V8's limit for memory
 * outside its heap).
 */

/** Smaller answers share their memory with others. */
const minBytes = 64 * 1024

/** How many hold each answer that may be given back. */
const holders = new WeakMap<ArrayBufferLike, number>()

/** Memory for an answer. Whoever holds it gives it back; if nobody does, the collector finds it. */
export function allocateAnswer(bytes: number): Buffer {
  if (bytes < minBytes) return Buffer.allocUnsafe(bytes)
  const answer = Buffer.allocUnsafeSlow(bytes)
  holders.set(answer.buffer, 0)
  return answer
}

/**
 * Keeps the answer that these bytes are a part of until what this returns is called. With the last
 * of those calls its memory is gone, and every view of it is empty: nothing may still read it, on
 * no thread. Calling twice does no more than once.
 */
export function holdAnswer({ buffer }: Buffer): () => void {
  const others = holders.get(buffer)
  if (others === undefined) return () => {}
  holders.set(buffer, others + 1)
  let isHeld = true
  return () => {
    if (!isHeld) return
    isHeld = false
    const left = holders.get(buffer)! - 1
    if (left > 0) {
      holders.set(buffer, left)
      return
    }
    holders.delete(buffer)
    ;(buffer as ArrayBuffer).transfer(0)
  }
}
