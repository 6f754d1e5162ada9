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
  #at = 0

  private constructor(objects: Objects, key: string, { body, bytes }: ObjectPiece) {
    this.#objects = objects
    this.#key = key
    this.#piece = body
    this.bytes = bytes
  }

  /** One request. @returns undefined if there is no such object. */
  static async open(objects: Objects, key: string): Promise<ObjectFile | undefined> {
    const piece = await objects.get(key, 0, firstBytes)
    return piece === undefined ? undefined : new ObjectFile(objects, key, piece)
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
    const isNext = from === this.#at + this.#piece.length
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
