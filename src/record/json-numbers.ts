import { type JsonHandler, readJson } from './json-events.ts'

/**
 * Every number of one valid JSON text with the path of object keys that leads to it. Arrays add
 * nothing to a path, as in Elasticsearch: `{"a":[{"b":1},{"b":2}]}` has two numbers at `a.b`.
 */

/** `start` and `end`: where the number is in the bytes. `path`: its keys, joined by dots. */
export type NumberVisitor = (path: string, start: number, end: number) => void

/**
 * Calls `visit` for each number between `start` and `end`, in the order of the text, and
 * `visitText` for the inside of each text that is a value. The bytes must be valid JSON, as
 * `JsonScanner` accepts it. Depth costs memory, never stack.
 */
export function visitNumbers(
  bytes: Buffer,
  { start, end }: { readonly start: number; readonly end: number },
  visit: NumberVisitor,
  root = '',
  visitText?: NumberVisitor,
): void {
  readJson(bytes, start, end, new Paths(bytes, root, visit, visitText))
}

class Paths implements JsonHandler {
  readonly #bytes: Buffer
  readonly #root: string
  readonly #visit: NumberVisitor
  readonly #visitText: NumberVisitor | undefined
  /** The path of each open container, and which of them are objects. */
  readonly #bases: string[] = []
  readonly #isObject: boolean[] = []
  /** The path of the last key. */
  #path: string

  constructor(
    bytes: Buffer,
    root: string,
    visit: NumberVisitor,
    visitText: NumberVisitor | undefined,
  ) {
    this.#bytes = bytes
    this.#root = root
    this.#path = root
    this.#visit = visit
    this.#visitText = visitText
  }

  /** The path of a value that begins here. */
  get #here(): string {
    const last = this.#bases.length - 1
    if (last === -1) return this.#root
    return this.#isObject[last] === true ? this.#path : this.#bases[last]!
  }

  key(start: number, end: number, escaped: boolean): void {
    const text = this.#bytes.toString('utf8', start, end)
    const key = escaped ? (JSON.parse(`"${text}"`) as string) : text
    const base = this.#bases[this.#bases.length - 1]!
    this.#path = base === '' ? key : `${base}.${key}`
  }

  number(start: number, end: number): void {
    this.#visit(this.#here, start, end)
  }

  text(start: number, end: number): void {
    this.#visitText?.(this.#here, start, end)
  }

  literal(): void {}

  open(isObject: boolean): void {
    this.#bases.push(this.#here)
    this.#isObject.push(isObject)
  }

  close(): void {
    this.#bases.pop()
    this.#isObject.pop()
  }
}
