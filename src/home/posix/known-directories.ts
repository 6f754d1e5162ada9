import { makeDirectories } from './durable.ts'

/** Beyond this many, all are forgotten. A worker soon asks again for those that it needs. */
const maxKnown = 20_000

/**
 * The directories of hours that this worker made or found, durable: every partition and every flush
 * puts files into the same ones. If a prune removes one meanwhile, the publication that misses it
 * recreates it; see `publish`.
 */
export class KnownDirectories {
  readonly #root: () => string
  readonly #known = new Map<string, Promise<void>>()

  constructor(root: () => string) {
    this.#root = root
  }

  /**
   * Makes directories, relative to the root, unless they are known; throws the file system's error.
   */
  async make(
    relatives: Iterable<string>,
    onFile: (task: () => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const wanted = new Set(relatives)
    if (this.#known.size >= maxKnown) this.#known.clear()
    const unknown = [...wanted].filter((relative) => !this.#known.has(relative))
    const making = makeDirectories(this.#root(), unknown, onFile)
    for (const relative of unknown) this.#known.set(relative, making)
    try {
      await Promise.all([...wanted].map((relative) => this.#known.get(relative)))
    } catch (error) {
      for (const relative of unknown)
        if (this.#known.get(relative) === making) this.#known.delete(relative)
      throw error
    }
  }

  /** Somebody removed it. */
  forget(relative: string): void {
    this.#known.delete(relative)
  }
}
