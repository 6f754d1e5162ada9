import type { ManifestFile } from '../files/log/manifest.ts'
import type { ReadableHome } from '../home/home.ts'
import { HashedNames } from './hashed-names.ts'

/**
 * What a listing tells of a file. `checksum`: the store has the checksum of its parts. `size`: it
 * has its size, and no checksum that could be compared. `differs`: it has its size, and another
 * checksum. `absent`: it is not there with this size.
 */
export type Listed = 'checksum' | 'size' | 'differs' | 'absent'

/** In place of a checksum that cannot be compared. */
const none = '-'
/** When this many files with other checksums had the right content, checksums say nothing. */
const maxHarmless = 16

/**
 * The data files of an archive with their sizes and stored checksums, from one listing: a bucket
 * lists a thousand of them in one request. It says only what was there when it was made. A file
 * that it does not have may have come since, so it has to be looked at by itself.
 */
export class ListedFiles {
  readonly #home: ReadableHome
  readonly #names = new HashedNames()
  #equal = 0
  #harmless = 0

  private constructor(home: ReadableHome) {
    this.#home = home
  }

  /** Undefined if the home tells nothing that a look at each file would not. */
  static async of(home: ReadableHome): Promise<ListedFiles | undefined> {
    const listing = home.sizes('', 'type=')
    if (listing === undefined) return undefined
    const files = new ListedFiles(home)
    for await (const { name, bytes, checksum = none } of listing) {
      files.#names.add(`${bytes} ${name}`)
      files.#names.add(`${bytes} ${name} ${checksum}`)
    }
    return files
  }

  look(file: ManifestFile): Listed {
    const key = `${file.bytes} ${file.path}`
    if (!this.#names.has(key)) return 'absent'
    const checksum = this.#home.storedChecksum?.(file)
    if (checksum === undefined) return 'size'
    if (this.#names.has(`${key} ${checksum}`)) {
      this.#equal++
      return 'checksum'
    }
    return this.#isComparable && !this.#names.has(`${key} ${none}`) ? 'differs' : 'size'
  }

  /** A file whose checksum differs was read, and holds what it should. */
  wasHarmless(): void {
    this.#harmless++
  }

  /** Some stores, and encryption by a key, give checksums of the same form that are none. */
  get #isComparable(): boolean {
    return this.#harmless < (this.#equal === 0 ? 1 : maxHarmless)
  }
}
