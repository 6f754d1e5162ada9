import type { FileHandle } from 'node:fs/promises'
import { messageOf, systemCode } from '../../runtime/errors.ts'
import { NotRegular, openRegular } from '../fs/no-links.ts'
import { JsonObjectReader } from './json-object-reader.ts'

/** One chunk is scanned and parsed in one turn of the event loop: some milliseconds. */
const chunkBytes = 2 ** 18

export interface JsonFileOptions {
  /** What to throw for a file that is none of JSON, or no file. */
  readonly refuse: (why: string) => Error
  /** A file that is larger is refused. Absent: any size, for files with lists. */
  readonly maxBytes?: number
}

/**
 * Reads one JSON object, in chunks: the event loop is never held for a list of a million elements.
 * @returns undefined if nothing has this name.
 * @throws what `refuse` makes, or the file system's error.
 */
export async function readJsonFile(
  path: string,
  { refuse, maxBytes = Number.POSITIVE_INFINITY }: JsonFileOptions,
): Promise<Record<string, unknown> | undefined> {
  const handle = await openIfThere(path, refuse)
  if (handle === undefined) return undefined
  try {
    const stats = await handle.stat()
    if (stats.size > maxBytes) throw refuse(`it has ${stats.size} bytes, more than ${maxBytes}`)
    const reader = new JsonObjectReader()
    for (let position = 0; position < stats.size; ) {
      const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, stats.size - position))
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, position)
      if (bytesRead === 0) break
      position += bytesRead
      parsed(refuse, () => reader.push(chunk.subarray(0, bytesRead)))
    }
    return parsed(refuse, () => reader.end())
  } finally {
    await handle.close()
  }
}

/** Does not wait for whoever would write into a FIFO in the place of a file. */
async function openIfThere(
  path: string,
  refuse: (why: string) => Error,
): Promise<FileHandle | undefined> {
  try {
    return await openRegular(path)
  } catch (error) {
    if (error instanceof NotRegular) throw refuse(error.message)
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function parsed<T>(refuse: (why: string) => Error, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw refuse(`it is not JSON: ${messageOf(error)}`)
  }
}
