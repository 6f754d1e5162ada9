import { DamagedData } from './damaged-data.ts'

/** Sixteen magic numbers of frames that readers skip, in LZ4 and zstd alike. */
const skippableMagic = 0x18_4d_2a_50

/**
 * Steps through the frames of a compressed batch. LZ4 and zstd begin a frame with a magic number of
 * 32 bits, little endian, and skip the same frames.
 */
export class FrameCursor {
  readonly #bytes: Buffer
  readonly #codec: string
  readonly #magic: number
  #at = 0

  /** `codec` is for messages, `magic` begins each of its frames. */
  constructor(bytes: Buffer, codec: string, magic: number) {
    this.#bytes = bytes
    this.#codec = codec
    this.#magic = magic
  }

  /**
   * Goes to the next frame, behind its magic number; false at the end.
   *
   * @throws DamagedData for anything else.
   */
  nextFrame(): boolean {
    while (this.#at < this.#bytes.length) {
      const magic = this.uint32()
      if (magic === this.#magic) return true
      if ((magic & 0xff_ff_ff_f0) >>> 0 !== skippableMagic)
        throw new DamagedData(`this is no frame of ${this.#codec}`)
      this.take(this.uint32())
    }
    return false
  }

  /**
   * Goes past a number of bytes; returns where they begin.
   *
   * @throws DamagedData when there are not as many.
   */
  take(length: number): number {
    if (length < 0 || this.#at + length > this.#bytes.length)
      throw new DamagedData(`a frame of ${this.#codec} is cut off`)
    this.#at += length
    return this.#at - length
  }

  byte(): number {
    return this.#bytes[this.take(1)]!
  }

  uint32(): number {
    return this.#bytes.readUInt32LE(this.take(4))
  }
}
