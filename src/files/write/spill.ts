import { type FileHandle, open, unlink } from 'node:fs/promises'
import { BlockCache, blockBytes } from './block-cache.ts'
import type { BufferPool } from './buffer-pool.ts'

/** Lines of one bucket in a spill file. */
export interface Extent {
  readonly start: number
  readonly length: number
}

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
  #isInOrder = false
  /** While buckets are read in order: what was read last. */
  #blocks: BlockCache | undefined

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
        const held = buffer.length
        this.#context.buffers.give(buffer)
        this.#context.written(held)
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
    this.#isInOrder = true
  }

  /**
   * Copies extents, one after another, to the beginning of `target`. Throws what writing them met,
   * too.
   */
  async read(extents: readonly Extent[], target: Buffer): Promise<void> {
    await this.#written
    const handle = this.#handle!
    // Of every wave one block is in use, or two.
    if (this.#isInOrder) this.#blocks ??= new BlockCache(handle, 2 * this.#waves + 1)
    let at = 0
    for (const { start, length } of extents) {
      for (const end = at + length, shift = start - at; at < end; ) {
        const position = at + shift
        const copying =
          this.#blocks?.copy(position, target, at, end) ??
          handle.read(target, at, end - at, position).then(({ bytesRead }) => bytesRead)
        const copied = typeof copying === 'number' ? copying : await copying
        if (copied <= 0) throw new Error(`${this.#path} ends before byte ${start + length}`)
        at += copied
      }
    }
  }

  /**
   * The file goes, with all that is in it. Never throws: staging is removed with all that is left
   * in it.
   */
  async drop(): Promise<void> {
    this.#blocks = undefined
    this.#isInOrder = false
    await Promise.allSettled([this.#written])
    if (this.#handle === undefined) return
    await Promise.allSettled([this.#handle.close(), unlink(this.#path)])
  }
}
