import { makeDirectory } from './durable.ts'

/** Beyond this many all are forgotten: what a worker needs again soon is asked for again soon. */
const most = 20_000

/**
 * The directories of hours that this worker made or found, durable: every partition and every flush puts files into the same ones. One that a prune
 * removes meanwhile is made anew where a file finds it gone; see `publish`.
 */
export class KnownDirectories {
  readonly #root: string
  readonly #known = new Map<string, Promise<void>>()

  constructor(root: string) {
    this.#root = root
  }

  /** Makes a directory, relative to the root, unless it is known; throws the file system's error. */
  async make(relative: string, onFile: (task: () => Promise<void>) => Promise<void>): Promise<void> {
    const known = this.#known.get(relative)
    if (known !== undefined) return await known
    if (this.#known.size >= most) this.#known.clear()
    const making = onFile(() => makeDirectory(this.#root, relative))
    this.#known.set(relative, making)
    try {
      await making
    } catch (error) {
      this.#known.delete(relative)
      throw error
    }
  }
}
