import { stat } from 'node:fs/promises'
import { join } from 'node:path'

/** More than these are forgotten: then a pass finds out again. */
const maxRemembered = 1000

/**
 * Files that were found to differ from their manifest, by path. A pass leaves them alone, and does
 * not copy their neighbours in vain again, until somebody changes them.
 */
export class DamagedFiles {
  readonly #stamps = new Map<string, string | undefined>()

  async add(root: string, path: string): Promise<void> {
    if (this.#stamps.size >= maxRemembered) this.#stamps.clear()
    this.#stamps.set(path, await stampOf(join(root, path)))
  }

  /** Those that are as they were; the others are forgotten. */
  async unchanged(root: string): Promise<ReadonlySet<string>> {
    for (const [path, stamp] of this.#stamps) {
      if ((await stampOf(join(root, path))) !== stamp) this.#stamps.delete(path)
    }
    return new Set(this.#stamps.keys())
  }
}

/** Changes with the file; undefined if it cannot be looked at. */
async function stampOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path)
    return [dev, ino, size, mtimeMs, ctimeMs].join()
  } catch {
    // Why it cannot be looked at is what a merge says.
    return undefined
  }
}
