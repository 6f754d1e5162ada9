import { ArchiverError } from '../../runtime/errors.ts'
import type { HomeFile } from '../home.ts'
import type { ObjectPiece, Objects } from './objects.ts'

/** One request brings the whole of most files of a flush. */
const firstBytes = 2 ** 20
/** Who reads on gets more at once: a request costs some ten milliseconds, whatever it brings. */
const nextBytes = 8 * 2 ** 20

/** An object that is read by ranges; the piece that was read last is kept. */
export class ObjectFile implements HomeFile {
  readonly bytes: number
  readonly #objects: Objects
  readonly #key: string
  #piece: Buffer
  #at: number
  /** Who begins in the middle reads on elsewhere. */
  readonly #isInOrder: boolean

  private constructor(objects: Objects, key: string, at: number, { body, bytes }: ObjectPiece) {
    this.#objects = objects
    this.#key = key
    this.#at = at
    this.#isInOrder = at === 0
    this.#piece = body
    this.bytes = bytes
  }

  /** One request, which brings bytes from `from` on. @returns undefined if there is no object. */
  static async open(objects: Objects, key: string, from = 0): Promise<ObjectFile | undefined> {
    const piece = await objects.get(key, from, from + firstBytes)
    if (piece === undefined) return undefined
    // It ends before: how large it is, only an answer with bytes says.
    if (from > 0 && piece.body.length === 0) return ObjectFile.open(objects, key)
    return new ObjectFile(objects, key, from, piece)
  }

  async read(target: Buffer, at: number): Promise<number> {
    let read = 0
    while (read < target.length && at + read < this.bytes) {
      const from = at + read
      if (from < this.#at || from >= this.#at + this.#piece.length)
        await this.#fetch(from, target.length - read)
      read += this.#piece.copy(target, read, from - this.#at)
    }
    return read
  }

  async #fetch(from: number, wanted: number): Promise<void> {
    // Who goes on where the last piece ended reads the file in order; others want what they name.
    const isNext = this.#isInOrder && from === this.#at + this.#piece.length
    const length = isNext ? Math.max(wanted, nextBytes) : wanted
    const piece = await this.#objects.get(this.#key, from, Math.min(from + length, this.bytes))
    if (piece === undefined || piece.body.length === 0) {
      throw new ArchiverError('DAMAGED', `${this.#key} was removed while it was read; run verify`, {
        path: this.#key,
        isGone: true,
      })
    }
    this.#piece = piece.body
    this.#at = from
  }

  async close(): Promise<void> {
    this.#piece = Buffer.alloc(0)
  }
}
