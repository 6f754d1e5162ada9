import { isUtf8 } from 'node:buffer'
import { isWhiteSpace, OPEN_BRACE, OPEN_BRACKET } from './ascii.ts'
import { JsonScanner } from './json-scan.ts'
import { describeFrame, isUtf16BigEndian, looksUtf16 } from './wire-format.ts'

/**
 * Why a value is kept as base64. It quotes nothing of the value, as logs and consoles show it.
 */
export interface ValueError {
  readonly type: 'invalid_utf8' | 'invalid_json'
  /**
   * What is wrong and where, in bytes of the message. Then what the bytes look like, if they look
   * like a known format.
   */
  readonly reason: string
}

const scanner = new JsonScanner([])

/**
 * Formats and their first bytes. A longer beginning comes before one that it contains.
 */
const signatures: readonly (readonly [hex: string, name: string])[] = [
  ['1f8b', 'gzip'],
  ['28b52ffd', 'zstd'],
  ['04224d18', 'an lz4 frame'],
  ['82534e41505059', 'snappy, framed as Java programs do'],
  ['ff060000734e61507059', 'a snappy stream'],
  ['425a68', 'bzip2'],
  ['fd377a585a00', 'xz'],
  ['504b0304', 'a zip archive'],
  ['4f626a01', 'an Avro object container file'],
  ['c301', 'Avro single-object encoding'],
  ['50415231', 'Parquet'],
  ['aced0005', 'Java serialization'],
  ['d9d9f7', 'CBOR'],
  ['e00100ea', 'Amazon Ion'],
  ['3a290a', 'Smile'],
  ['3c3f786d6c', 'XML'],
]
const knownSignatures = signatures.map(([hex, name]) => ({ bytes: Buffer.from(hex, 'hex'), name }))
const bom = Buffer.from([0xef, 0xbb, 0xbf])
/** AWS Glue: version 3, compression 0 or 5, a UUID. */
const glueHeaderBytes = 18
/** Words that other writers of "JSON" use in place of a value. */
const foreignWords: readonly (readonly [word: string, name: string])[] = [
  ['NaN', 'NaN, which JSON does not have'],
  ['Infinity', 'Infinity, which JSON does not have'],
  ['-Infinity', 'Infinity, which JSON does not have'],
  ['None', 'a Python literal'],
  ['True', 'a Python literal'],
  ['False', 'a Python literal'],
  ['undefined', 'undefined, which JSON does not have'],
  ["'", 'a literal with single quotes, as Python prints'],
  ['//', 'JSON with comments'],
  ['/*', 'JSON with comments'],
]

/** Why the bytes of `[start, end)` are no JSON text in UTF-8. */
export function explainMalformed(bytes: Buffer, start: number, end: number): ValueError {
  const { error } = scanner.scan(bytes, start, end)
  const look = lookOf(bytes, start, end, error)
  const suffix = look === undefined ? '' : `; looks like ${look}`
  if (!isUtf8(bytes.subarray(start, end))) {
    return { type: 'invalid_utf8', reason: `the value is not valid UTF-8${suffix}` }
  }
  return { type: 'invalid_json', reason: `${error ?? 'not read as JSON'}${suffix}` }
}

/** What a value that is no JSON looks like; undefined if it looks like no known format. */
function lookOf(
  bytes: Buffer,
  start: number,
  end: number,
  error: string | undefined,
): string | undefined {
  if (start === end) return undefined
  if (isUtf16BigEndian(bytes, start, end)) return 'UTF-16 (big endian)'
  const frame = describeFrame(bytes, start, end, (from) => insideOf(bytes, start, from, end))
  if (frame !== undefined) return frame
  return contentLook(bytes, start, end) ?? textLook(bytes, start, end, error)
}

/** What follows a frame, as the end of a sentence. */
function insideOf(bytes: Buffer, start: number, from: number, end: number): string | undefined {
  const { error } = scanner.scan(bytes, from, end)
  const inside = bytes.subarray(from, end)
  if (error === undefined && isUtf8(inside)) return 'with JSON inside'
  const look = contentLook(bytes, from, end)
  if (look !== undefined) return `not JSON inside: ${look}`
  if (!beginsAsJson(bytes, from, end)) return undefined
  if (error === undefined) return 'not JSON inside: not valid UTF-8'
  // The scanner counts from where it began, but the message begins with the frame.
  const at = /^(.*) at byte (\d+)$/.exec(error)
  return `not JSON inside: ${at === null ? error : `${at[1]} at byte ${Number(at[2]) + from - start}`}`
}

/** The format that the first bytes show. */
function contentLook(bytes: Buffer, start: number, end: number): string | undefined {
  const utf16 = looksUtf16(bytes, start, end)
  if (utf16 !== undefined) return utf16
  if (beginsWith(bytes, start, end, bom)) {
    const isJson = scanner.scan(bytes, start + bom.length, end).error === undefined
    return isJson ? 'JSON behind a byte order mark' : 'UTF-8 behind a byte order mark'
  }
  const found = knownSignatures.find((signature) => beginsWith(bytes, start, end, signature.bytes))
  if (found !== undefined) return found.name
  if (isZlib(bytes, start, end)) return 'zlib'
  if (
    bytes[start] === 3 &&
    (bytes[start + 1] === 0 || bytes[start + 1] === 5) &&
    end - start > glueHeaderBytes
  ) {
    return 'AWS Glue Schema Registry framing'
  }
  return undefined
}

/** What is wrong with a text that is nearly JSON, judged by the bytes at the error. */
function textLook(
  bytes: Buffer,
  start: number,
  end: number,
  error: string | undefined,
): string | undefined {
  const [, what, position] = /^(.*) at byte (\d+)$/.exec(error ?? '') ?? []
  if (position === undefined) return undefined
  const at = start + Number(position)
  if (what === 'something follows the value') {
    if (bytes[at] === 0) return 'JSON with a zero byte behind it'
    // A second text follows, with or without a line break: `{…}{…}`.
    if (beginsAsJson(bytes, at, end)) return 'several JSON texts in one message'
    return undefined
  }
  const word = foreignWords.find(([text]) => beginsWith(bytes, at, end, Buffer.from(text)))
  if (word !== undefined) return word[1]
  return bytes[at] === 0x3c && at === start ? 'XML or HTML' : undefined
}

function beginsAsJson(bytes: Buffer, start: number, end: number): boolean {
  let at = start
  while (at < end && isWhiteSpace(bytes[at]!)) at++
  return at < end && (bytes[at] === OPEN_BRACE || bytes[at] === OPEN_BRACKET)
}

function beginsWith(bytes: Buffer, start: number, end: number, beginning: Buffer): boolean {
  if (end - start < beginning.length) return false
  return bytes.compare(beginning, 0, beginning.length, start, start + beginning.length) === 0
}

/** RFC 1950: method 8, a window of 32 KiB, a header that 31 divides, no preset dictionary. */
function isZlib(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < 6 || bytes[start] !== 0x78) return false
  return bytes.readUInt16BE(start) % 31 === 0 && (bytes[start + 1]! & 0x20) === 0
}
