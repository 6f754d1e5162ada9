import { type FileHandle, open, unlink } from 'node:fs/promises'
import type { BufferPool } from './buffer-pool.ts'

/** Lines of one bucket in a spill file. */
export interface Extent {
  readonly start: number
  readonly length: number
}

/**
 * What is read at once in order: larger than most extents, so that one read serves many buckets.
 */
const blockBytes = 2 ** 16
const writeBytes = 2 ** 20

interface Piece {
  readonly buffer: Buffer
  readonly length: number
}

/**
 * A spill is one wave: the buffers of all buckets, in the order in which the buckets are asked for
 * again.
 */
interface Wave {
  readonly start: number
  readonly pieces: Piece[]
}

export interface SpillContext {
  readonly buffers: BufferPool
  /** Told when bytes of buffers that were given to `add` are written, and not held any more. */
  readonly written: (bytes: number) => void
}

/**
 * Where the lines of a range wait, as they are, while memory is short. Of ten thousand buckets with
 * a few lines each, a gzip member and a file each time would be a hundred thousand of both, and
 * files three times as large; here they are one write, and become whole members at the flush.
 *
 * It is never fsynced, and nobody else reads it: a range that is not committed is read from Kafka
 * again.
 */
export class SpillFile {
  readonly #path: string
  readonly #context: SpillContext
  #handle: FileHandle | undefined
  #end = 0
  #wave: Wave | undefined
  #waves = 0
  /**
   * All waves but the one that is being gathered are in the file when this settles. A failure stays
   * in it.
   */
  #written: Promise<void> = Promise.resolve()
  /** While buckets are read in order: the blocks read last, the oldest first. */
  #blocks: Map<number, Promise<Buffer>> | undefined

  constructor(path: string, context: SpillContext) {
    this.#path = path
    this.#context = context
  }

  /** Takes the first `length` bytes of a buffer over. They are written once the wave ends. */
  add(buffer: Buffer, length: number): Extent {
    this.#wave ??= { start: this.#end, pieces: [] }
    this.#wave.pieces.push({ buffer, length })
    const start = this.#end
    this.#end += length
    return { start, length }
  }

  /** Writes what was added since the last wave ended. A failure comes out of `read`. */
  endWave(): void {
    const wave = this.#wave
    if (wave === undefined) return
    this.#wave = undefined
    this.#waves++
    // A block that was read never grows: what comes later begins in another one.
    this.#end = Math.ceil(this.#end / blockBytes) * blockBytes
    this.#written = this.#write(wave, this.#written)
    this.#written.catch(() => {})
  }

  async #write({ start, pieces }: Wave, before: Promise<void>): Promise<void> {
    const block = Buffer.allocUnsafeSlow(writeBytes)
    let position = start
    let used = 0
    const writeBlock = async () => {
      this.#handle ??= await open(this.#path, 'wx+')
      for (let at = 0; at < used; ) {
        const { bytesWritten } = await this.#handle.write(block, at, used - at, position)
        at += bytesWritten
        position += bytesWritten
      }
      used = 0
    }
    let copied = 0
    try {
      await before
      for (const { buffer, length } of pieces) {
        for (let at = 0; at < length; ) {
          if (used === writeBytes) await writeBlock()
          const part = Math.min(length - at, writeBytes - used)
          buffer.copy(block, used, at, at + part)
          at += part
          used += part
        }
        copied++
        this.#context.buffers.give(buffer)
        this.#context.written(buffer.length)
      }
      await writeBlock()
    } finally {
      for (const { buffer } of pieces.slice(copied)) this.#context.written(buffer.length)
    }
  }

  /**
   * From now on all buckets are read, in the order in which each wave has them: what is read then
   * serves the next ones as well. Takes up to 128 KiB a wave.
   */
  readInOrder(): void {
    this.#blocks = new Map()
  }

  /**
   * Copies extents, one after another, to the beginning of `target`. Throws what writing them met,
   * too.
   */
  async read(extents: readonly Extent[], target: Buffer): Promise<void> {
    await this.#written
    let at = 0
    for (const { start, length } of extents) {
      for (const end = at + length, shift = start - at; at < end; ) {
        const position = at + shift
        const blocks = this.#blocks
        const copied =
          blocks === undefined
            ? (await this.#handle!.read(target, at, end - at, position)).bytesRead
            : await this.#copy(blocks, position, target, at, end)
        if (copied <= 0) throw new Error(`${this.#path} ends before byte ${start + length}`)
        at += copied
      }
    }
  }

  /** Copies what the block of a position has of it. */
  async #copy(
    blocks: Map<number, Promise<Buffer>>,
    position: number,
    target: Buffer,
    at: number,
    end: number,
  ): Promise<number> {
    const index = Math.floor(position / blockBytes)
    const block = await this.#block(blocks, index)
    const from = position - index * blockBytes
    return block.copy(target, at, from, Math.min(block.length, from + end - at))
  }

  #block(blocks: Map<number, Promise<Buffer>>, index: number): Promise<Buffer> {
    const block = blocks.get(index) ?? this.#readBlock(index)
    blocks.delete(index)
    blocks.set(index, block)
    // Of every wave one block is in use, or two.
    if (blocks.size > 2 * this.#waves + 1) blocks.delete(blocks.keys().next().value!)
    return block
  }

  async #readBlock(index: number): Promise<Buffer> {
    const block = Buffer.allocUnsafeSlow(blockBytes)
    const { bytesRead } = await this.#handle!.read(block, 0, blockBytes, index * blockBytes)
    return block.subarray(0, bytesRead)
  }

  /**
   * The file goes, with all that is in it. Never throws: staging is removed with all that is left
   * in it.
   */
  async drop(): Promise<void> {
    this.#blocks = undefined
    await Promise.allSettled([this.#written])
    if (this.#handle === undefined) return
    await Promise.allSettled([this.#handle.close(), unlink(this.#path)])
  }
}
