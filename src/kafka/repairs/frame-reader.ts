import { allocateAnswer } from '../batch/answer-memory.ts'

/** A frame is its length, of four bytes, and as many bytes (Kafka protocol guide, "Network"). */
const lengthBytes = 4

/**
 * Bytes of a frame that is not known yet are read to here. All connections share it: a reader takes
 * its bytes before anything else is read.
 */
const shared = Buffer.allocUnsafeSlow(64 * 1024)

/**
 * Cuts what one broker sends into frames. An answer to a fetch has megabytes, and comes in many
 * reads. Each is read or copied to its final place. Pieces that wait to be joined would take the
 * same memory a second time, and the garbage collector would have to find it.
 */
export class FrameReader {
  readonly #length = Buffer.alloc(lengthBytes)
  #frame: Buffer | undefined
  /** Bytes of the frame, or of its length, that are there. */
  #filled = 0

  /**
   * The best place to read the next bytes to. The caller gives what it read to `take` immediately.
   */
  get room(): Buffer {
    return this.#frame?.subarray(this.#filled) ?? shared
  }

  /**
   * Takes the next bytes of the stream, and returns the frames that they complete, each with its
   * length before it. It keeps only the bytes that are in `room`.
   *
   * @param isFrame whether a frame may have this many bytes
   * @returns the rejected length, four bytes; the stream ends there
   */
  take(
    bytes: Buffer,
    isFrame: (size: number) => boolean,
    give: (frame: Buffer) => void,
  ): Buffer | undefined {
    for (let at = 0; at < bytes.length; ) {
      const target = this.#frame ?? this.#length
      const count = Math.min(target.length - this.#filled, bytes.length - at)
      const isInPlace =
        bytes.buffer === target.buffer && bytes.byteOffset + at === target.byteOffset + this.#filled
      if (!isInPlace) bytes.copy(target, this.#filled, at, at + count)
      this.#filled += count
      at += count
      if (this.#filled < target.length) return undefined
      this.#frame ??= this.#begin(isFrame)
      if (this.#frame === undefined) return this.#length
      if (this.#filled === this.#frame.length) give(this.#end(this.#frame))
    }
    return undefined
  }

  /** A frame of the length that was read; undefined if no frame may have that length. */
  #begin(isFrame: (size: number) => boolean): Buffer | undefined {
    const size = this.#length.readInt32BE(0)
    if (!isFrame(size)) return undefined
    const frame = allocateAnswer(lengthBytes + size)
    this.#length.copy(frame)
    return frame
  }

  #end(frame: Buffer): Buffer {
    this.#frame = undefined
    this.#filled = 0
    return frame
  }
}

const readers = new WeakMap<object, FrameReader>()

/** Has `reader` read a connection from its beginning. */
export function readFrames(socket: object, reader: FrameReader): void {
  readers.set(socket, reader)
}

/** The reader of a connection, made unless it has one. */
export function frameReaderOf(socket: object): FrameReader {
  const reader = readers.get(socket) ?? new FrameReader()
  readers.set(socket, reader)
  return reader
}
