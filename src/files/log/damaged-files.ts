import type { ReadableHome } from '../../home/home.ts'

/** The max number that is remembered. A pass detects the others again. */
const maxRemembered = 1000

/**
 * Files that were found to differ from their manifest, by path. Until somebody changes them, a pass
 * leaves them alone and does not copy their neighbours again for nothing.
 */
export class DamagedFiles {
  readonly #stamps = new Map<string, string | undefined>()

  async add(home: ReadableHome, path: string): Promise<void> {
    if (this.#stamps.size >= maxRemembered) this.#stamps.clear()
    this.#stamps.set(path, await stampOf(home, path))
  }

  /** Those that have not changed; the others are forgotten. */
  async unchanged(home: ReadableHome): Promise<ReadonlySet<string>> {
    for (const [path, stamp] of this.#stamps) {
      if ((await stampOf(home, path)) !== stamp) this.#stamps.delete(path)
    }
    return new Set(this.#stamps.keys())
  }
}

/** Changes with the file; undefined if it cannot be looked at. */
async function stampOf(home: ReadableHome, path: string): Promise<string | undefined> {
  try {
    return (await home.stat(path))?.stamp
  } catch {
    // A merge reports why it cannot be looked at.
    return undefined
  }
}
