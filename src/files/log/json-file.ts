import { type HomeFile, NotRegular, type ReadableHome } from '../../home/home.ts'
import { messageOf } from '../../runtime/errors.ts'
import { JsonObjectReader } from './json-object-reader.ts'

/** One chunk is scanned and parsed in one turn of the event loop: some milliseconds. */
const chunkBytes = 2 ** 18

export interface JsonFileOptions {
  /** What to throw for a file that is not JSON, or for something that is not a file. */
  readonly refuse: (why: string) => Error
  /** A larger file is rejected. Absent: any size, for files with lists. */
  readonly maxBytes?: number
  /** Gets every byte of the file in order. */
  readonly observe?: (bytes: Buffer) => void
}

/**
 * Reads one JSON object, in chunks: the event loop is never held for a list of a million elements.
 * @returns undefined if nothing has this name.
 * @throws what `refuse` makes, or the home's error.
 */
export async function readJsonFile(
  home: ReadableHome,
  name: string,
  { refuse, maxBytes = Number.POSITIVE_INFINITY, observe }: JsonFileOptions,
): Promise<Record<string, unknown> | undefined> {
  const file = await openIfThere(home, name, refuse)
  if (file === undefined) return undefined
  const { bytes } = file
  try {
    if (bytes > maxBytes) throw refuse(`it has ${bytes} bytes, more than ${maxBytes}`)
    const reader = new JsonObjectReader()
    for (let position = 0; position < bytes; ) {
      const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, bytes - position))
      const read = await file.read(chunk, position)
      if (read === 0) break
      position += read
      observe?.(chunk.subarray(0, read))
      parsed(refuse, () => reader.push(chunk.subarray(0, read)))
    }
    return parsed(refuse, () => reader.end())
  } finally {
    await file.close()
  }
}

async function openIfThere(
  home: ReadableHome,
  name: string,
  refuse: (why: string) => Error,
): Promise<HomeFile | undefined> {
  try {
    return await home.open(name)
  } catch (error) {
    throw error instanceof NotRegular ? refuse(error.message) : error
  }
}

function parsed<T>(refuse: (why: string) => Error, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw refuse(`it is not JSON: ${messageOf(error)}`)
  }
}
