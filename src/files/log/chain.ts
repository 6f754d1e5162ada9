import { createHash, randomBytes } from 'node:crypto'

/**
 * In format 2 each manifest names the previous one by the SHA-256 of its exact bytes. The first
 * manifest names the origin. A manifest contains the sha256 of every file, so one number commits to
 * all content below it.
 */
export interface ChainLink {
  /** Makes this content differ from any other content that is created under the name. */
  readonly nonce: string
  /** SHA-256 of the manifest before this one, else of `origin.json`. */
  readonly prev: string
  /** In a compacted manifest: the hash of the last flush's manifest that it holds. */
  readonly head?: string
}

/** A value that nobody else has. */
export function newNonce(): string {
  return randomBytes(12).toString('hex')
}

/** Text in pieces, hashed as it passes. */
export class HashedPieces implements Iterable<string> {
  readonly #pieces: Iterable<string>
  #sha256: string | undefined

  constructor(pieces: Iterable<string>) {
    this.#pieces = pieces
  }

  *[Symbol.iterator](): Generator<string> {
    const hash = createHash('sha256')
    for (const piece of this.#pieces) {
      hash.update(piece)
      yield piece
    }
    this.#sha256 = hash.digest('hex')
  }

  /** Known once all pieces were taken. */
  get sha256(): string | undefined {
    return this.#sha256
  }
}
