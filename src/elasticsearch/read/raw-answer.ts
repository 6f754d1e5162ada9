import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { list, object, text } from '../../runtime/shape.ts'

/** Answers of Elasticsearch as bytes: what is stored is compared unparsed. */

const quote = 0x22
const backslash = 0x5c

/** A document: its source as the bytes that were stored. */
export interface Hit {
  readonly id: string
  readonly source: Buffer
}

/** One document of a multi-get. */
export interface StoredDocument {
  readonly _index: string
  readonly _id: string
  readonly found?: boolean
  readonly _source?: unknown
}

/** The scroll id is at the beginning of an answer, before anything that a document says. */
export function scrollIdIn(answer: Buffer): string | undefined {
  return /^\{"_scroll_id":"([^"]+)"/.exec(answer.toString('latin1', 0, 65_536))?.[1]
}

const hitsMark = Buffer.from('"hits":[')
const hitIdMark = Buffer.from('"_id":')
const hitSourceMark = Buffer.from('"_source":')

/**
 * The documents in the answer to a search. Sources are cut out of it unparsed.
 * @throws ArchiverError `UNREACHABLE` for what is no such answer, or only the beginning of one
 */
export function* hitsIn(answer: Buffer): Iterable<Hit> {
  let position = answer.indexOf(hitsMark)
  if (position === -1) return
  for (;;) {
    // Between two sources are ids and names, in which quotes are escaped.
    const mark = answer.indexOf(hitSourceMark, position)
    if (mark === -1) return
    const id = answer.indexOf(hitIdMark, position)
    if (id === -1 || id > mark) throw unlikeSearch('a document has no _id')
    const start = mark + hitSourceMark.length
    position = endOfObject(answer, start)
    yield { id: idAt(answer, id + hitIdMark.length), source: answer.subarray(start, position) }
  }
}

/**
 * The JSON string that begins at `start`. Ids of this program have nothing to escape; others may
 * have.
 */
function idAt(bytes: Buffer, start: number): string {
  let end = start + 1
  while (end < bytes.length && bytes[end] !== quote) end += bytes[end] === backslash ? 2 : 1
  if (bytes[start] !== quote || end >= bytes.length) throw unlikeSearch('an _id has no end')
  const id = bytes.toString('utf8', start + 1, end)
  return id.includes('\\') ? (parsed(`"${id}"`) as string) : id
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json) as unknown
  } catch (error) {
    throw unlikeSearch(messageOf(error))
  }
}

function unlikeSearch(why: string): ArchiverError {
  return new ArchiverError(
    'UNREACHABLE',
    `what answers is not Elasticsearch, or its answer was cut off: ${why}`,
  )
}

/** The end of the JSON object that begins at `start`. @throws ArchiverError `UNREACHABLE` */
function endOfObject(bytes: Buffer, start: number): number {
  let depth = 0
  for (let i = start; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte === quote) {
      for (i++; i < bytes.length && bytes[i] !== quote; i++) if (bytes[i] === backslash) i++
    } else if (byte === 0x7b || byte === 0x5b) depth++
    else if ((byte === 0x7d || byte === 0x5d) && --depth <= 0) {
      if (depth < 0) break
      return i + 1
    }
  }
  throw unlikeSearch('a _source is no object, or has no end')
}

const sourceMark = Buffer.from('"found":true,"_source":')

/**
 * How many documents at the beginning of the answer to a multi-get are, byte for byte, the expected
 * ones. After one that is not, nothing is known: what a value says may look like the frame around
 * documents.
 */
export function sameUntil(answer: Buffer, expected: readonly Buffer[]): number {
  let position = 0
  for (const [i, source] of expected.entries()) {
    const mark = answer.indexOf(sourceMark, position)
    const start = mark + sourceMark.length
    const end = start + source.length
    if (mark === -1 || end >= answer.length || answer[end] !== 0x7d) return i
    if (answer.compare(source, 0, source.length, start, end) !== 0) return i
    position = end
  }
  return expected.length
}

const documentsShape = object({ docs: list(object({ _index: text, _id: text })) })

/** The documents of the answer to a multi-get, parsed. @throws ArchiverError `UNREACHABLE` */
export function parseDocuments(answer: Buffer): readonly StoredDocument[] {
  const body = parsed(answer.toString('utf8'))
  try {
    documentsShape(body, 'the answer')
  } catch (error) {
    throw unlikeSearch(messageOf(error))
  }
  return (body as { docs: readonly StoredDocument[] }).docs
}
