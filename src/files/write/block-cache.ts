import type { FileHandle } from 'node:fs/promises'

/** What is read at once: larger than most extents, so that one read serves many buckets. */
export const blockBytes = 2 ** 16

interface Block {
  readonly buffer: Buffer
  /** Bytes of the file that it has, once it is read. */
  length: number
  /** Settles when it is read; undefined from then on. */
  reading: Promise<void> | undefined
  /** How many wait for it to be read. */
  waiting: number
}

/**
 * The blocks of a file that were read last. Memory of a block that has to go is read into again:
 * half a gigabyte of blocks, read one after another, would be as much garbage.
 */
export class BlockCache {
  readonly #handle: FileHandle
  readonly #maxBlocks: number
  /** The one that was not used for longest comes first. */
  readonly #blocks = new Map<number, Block>()

  constructor(handle: FileHandle, maxBlocks: number) {
    this.#handle = handle
    this.#maxBlocks = maxBlocks
  }

  /**
   * Copies what the block at `position` has of `[position, position + end - at)` to `target[at]`
   * and on.
   *
   * @returns how many bytes that is; 0 behind the end of the file. At once, not in a promise, if
   *   the block is there: most are, and a promise each would cost more than the copy.
   */
  copy(position: number, target: Buffer, at: number, end: number): number | Promise<number> {
    const index = Math.floor(position / blockBytes)
    const block = this.#block(index)
    const from = position - index * blockBytes
    const copy = () =>
      block.buffer.copy(target, at, from, Math.max(from, Math.min(block.length, from + end - at)))
    return block.reading === undefined ? copy() : this.#copyOnceRead(block, block.reading, copy)
  }

  async #copyOnceRead(block: Block, reading: Promise<void>, copy: () => number): Promise<number> {
    block.waiting++
    try {
      await reading
      return copy()
    } finally {
      block.waiting--
    }
  }

  #block(index: number): Block {
    const present = this.#blocks.get(index)
    if (present !== undefined) {
      this.#blocks.delete(index)
      this.#blocks.set(index, present)
      return present
    }
    const buffer = this.#takeOldest() ?? Buffer.allocUnsafeSlow(blockBytes)
    const block: Block = { buffer, length: 0, reading: undefined, waiting: 0 }
    block.reading = this.#fill(index, block)
    this.#blocks.set(index, block)
    return block
  }

  async #fill(index: number, block: Block): Promise<void> {
    try {
      const { bytesRead } = await this.#handle.read(block.buffer, 0, blockBytes, index * blockBytes)
      block.length = bytesRead
      block.reading = undefined
    } catch (error) {
      // Whoever comes next tries again.
      this.#blocks.delete(index)
      throw error
    }
  }

  /** The memory of the oldest block, if there are enough and nobody waits to copy from it. */
  #takeOldest(): Buffer | undefined {
    if (this.#blocks.size < this.#maxBlocks) return undefined
    for (const [index, { buffer, reading, waiting }] of this.#blocks) {
      if (reading !== undefined || waiting > 0) continue
      this.#blocks.delete(index)
      return buffer
    }
    return undefined
  }
}
