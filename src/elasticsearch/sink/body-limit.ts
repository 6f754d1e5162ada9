/** This many bodies that fail, and pass in pieces, are a limit of size. */
const neededInPieces = 3
const minLimitBytes = 1024

/** Learns how large a request may be from what becomes of requests. Pure. */
export class BodyLimit {
  #maxBytes: number
  /** The smallest body that was refused for its size since a smaller one was taken. */
  #refusedBytes = Number.POSITIVE_INFINITY
  /**
   * Bodies that failed, and whose documents passed in smaller ones, since one of their size was
   * taken.
   */
  #inPieces = { times: 0, bytes: Number.POSITIVE_INFINITY }

  /** @param maxBytes of a body, until a limit is learnt */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The largest body to send, except for a document that is larger alone. */
  get maxBytes(): number {
    return this.#maxBytes
  }

  /**
   * A body was refused for its size (413). That alone teaches nothing: the server may take no body
   * at all.
   */
  refused(bytes: number): void {
    this.#refusedBytes = Math.min(this.#refusedBytes, bytes)
  }

  /** What was refused was not refused for its size. */
  forget(): void {
    this.#refusedBytes = Number.POSITIVE_INFINITY
  }

  /** A body was taken. @returns the size that is too large, if that is learnt now */
  taken(bytes: number): number | undefined {
    if (bytes >= this.#inPieces.bytes)
      this.#inPieces = { times: 0, bytes: Number.POSITIVE_INFINITY }
    const refused = this.#refusedBytes
    this.forget()
    if (refused === Number.POSITIVE_INFINITY || bytes >= refused) return undefined
    return this.#learn(refused)
  }

  /**
   * A body failed without a reason, and all that was in it passed in smaller ones. Once is chance;
   * several times is a limit, although no answer names one. @returns as `taken`
   */
  passedInPieces(bytes: number): number | undefined {
    this.#inPieces = {
      times: this.#inPieces.times + 1,
      bytes: Math.min(bytes, this.#inPieces.bytes),
    }
    return this.#inPieces.times < neededInPieces ? undefined : this.#learn(this.#inPieces.bytes)
  }

  #learn(tooLarge: number): number | undefined {
    const limit = Math.max(minLimitBytes, tooLarge >> 1)
    if (limit >= this.#maxBytes) return undefined
    this.#maxBytes = limit
    return tooLarge
  }
}
