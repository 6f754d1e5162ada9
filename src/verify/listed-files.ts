import type { ReadableHome } from '../home/home.ts'
import { HashedNames } from './hashed-names.ts'

/**
 * The data files of an archive with their sizes, from one listing: a bucket lists a thousand of
 * them in one request. It says only what was there when it was made. A file that it does not have
 * may have come since, so it has to be looked at by itself.
 */
export class ListedFiles {
  readonly #names = new HashedNames()

  /** Undefined if the home tells nothing that a look at each file would not. */
  static async of(home: ReadableHome): Promise<ListedFiles | undefined> {
    const listing = home.sizes('', 'type=')
    if (listing === undefined) return undefined
    const files = new ListedFiles()
    for await (const { name, bytes } of listing) files.#names.add(`${bytes} ${name}`)
    return files
  }

  /** True if a file was listed with this size. */
  has(path: string, bytes: number): boolean {
    return this.#names.has(`${bytes} ${path}`)
  }
}
