import type { HomeFile, ReadableHome } from '../../home/home.ts'
import { awaitedLater } from '../../runtime/lanes.ts'

/** What the readers of data files need of a home. */
export type FileOpener = Pick<ReadableHome, 'open' | 'locate'>

/** Files that are open before they are read. A bucket keeps up to a mebibyte of each. */
export const filesAhead = 16

interface Opening {
  readonly name: string
  readonly file: Promise<HomeFile | undefined>
}

/**
 * Opens files before their reader comes to them: a request to a bucket takes some ten milliseconds,
 * and most files come whole with the one that opens them. The reader says in which order it will
 * open files, and may leave some out.
 */
export class ReadAhead implements FileOpener, AsyncDisposable {
  readonly #home: FileOpener
  readonly #most: number
  readonly #expected: string[] = []
  #opening: Opening[] = []

  /** @param most how many files may be open before their reader comes to them. */
  constructor(home: FileOpener, most = filesAhead) {
    this.#home = home
    this.#most = most
  }

  /** How many expected files the reader has not come to. */
  get waiting(): number {
    return this.#expected.length + this.#opening.length
  }

  /** These files are opened next, in this order, behind those that are expected already. */
  expect(names: Iterable<string>): void {
    for (const name of names) this.#expected.push(name)
    this.#fill()
  }

  locate(name: string): string {
    return this.#home.locate(name)
  }

  async open(name: string, from?: number): Promise<HomeFile | undefined> {
    const passed = from === undefined ? this.#passTo(name) : undefined
    if (passed === undefined) return this.#home.open(name, from)
    const { file } = this.#opening.shift()!
    this.#fill()
    await Promise.all(passed.map(close))
    // It may have been put in place, or a store may answer again, since it was tried.
    return (await file.catch(() => undefined)) ?? this.#home.open(name)
  }

  /** Moves on to a file. Returns what the reader left out; undefined if it is not expected. */
  #passTo(name: string): Opening[] | undefined {
    const at = this.#opening.findIndex((opening) => opening.name === name)
    if (at !== -1) return this.#opening.splice(0, at)
    const next = this.#expected.indexOf(name)
    if (next === -1 || this.#most === 0) return undefined
    const passed = this.#opening
    this.#opening = []
    this.#expected.splice(0, next)
    this.#fill()
    return passed
  }

  #fill(): void {
    while (this.#opening.length < this.#most) {
      const name = this.#expected.shift()
      if (name === undefined) return
      this.#opening.push({ name, file: awaitedLater(this.#home.open(name)) })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#expected.length = 0
    const passed = this.#opening
    this.#opening = []
    await Promise.all(passed.map(close))
  }
}

async function close({ file }: Opening): Promise<void> {
  const opened = await file.catch(() => undefined)
  await opened?.close()
}

/**
 * Gives items one after another, and takes the next ones while their files are few: so the files of
 * several manifests are opened ahead, not only those of one.
 */
export async function* expecting<T>(
  ahead: ReadAhead,
  items: AsyncIterable<T>,
  namesOf: (item: T) => Iterable<string>,
): AsyncGenerator<T, void, undefined> {
  const taken: T[] = []
  for await (const item of items) {
    ahead.expect(namesOf(item))
    taken.push(item)
    while (ahead.waiting >= filesAhead || taken.length > filesAhead) {
      const next = taken.shift()
      if (next === undefined) break
      yield next
    }
  }
  yield* taken
}
