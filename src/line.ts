import { isUtf8 } from 'node:buffer'
import { ArchiverError, messageOf } from './errors.ts'
import { type JsonScan, JsonScanner } from './json-scan.ts'
import {
  type Gap,
  type Header,
  malformedType,
  partitionKey,
  type RecordBatch,
  type RecordType,
  type SourceBatch,
  type SourceRecord,
  unknownHour,
  untypedType,
} from './record.ts'

/**
 * The one encoding that all sinks share: a record becomes one line of JSON, the same bytes in a file and in
 * Elasticsearch's `_source`. The producer's value is spliced in, never parsed into objects and never written anew, so that
 * big integers, `1.0`, duplicate keys, key order and escapes survive.
 */

/** Where the type of a message is found. */
export type TypeSource =
  | { readonly from: 'value'; readonly path: readonly string[] }
  | { readonly from: 'header'; readonly header: string }
  | { readonly from: 'topic' }

/** `meta.type` → `['meta', 'type']`; a dot inside a key is written `\.`. */
export function parseTypePath(path: string): readonly string[] {
  const keys = path.split(/(?<!\\)\./).map((key) => key.replaceAll('\\.', '.'))
  if (keys.some((key) => key === '')) throw new Error('keys separated by dots, such as type or meta.type')
  return keys
}

/** The first ms of the year 10000: timestamps from here on, and negative ones, have no day and no hour. */
const endOfTime = 253_402_300_800_000
const msPerHour = 3_600_000
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20

/** A type as the encoder meets it: with its JSON text, so that it is quoted once and not per record. */
interface KnownType {
  readonly type: RecordType
  readonly json: string
  readonly isAscii: boolean
}

/** More different texts than this are not remembered all at once: a producer may put anything there. */
const rememberedTexts = 10_000

/** Encodes batches. Holds only caches; one encoder serves a worker. */
export class LineEncoder {
  readonly #source: TypeSource
  readonly #scanner: JsonScanner
  readonly #knownTypes = new Map<string, KnownType>()
  readonly #clock = new TimestampText()
  /** Names of headers as JSON text: a topic has few of them. */
  readonly #headerNames = new Map<string, string>()
  #headersAreAscii = true
  #buffer = Buffer.alloc(0)
  #position = 0
  /** Lines grow to about this many bytes a record; the next batch's buffer is sized by it. */
  #bytesPerRecord = 512

  constructor(source: TypeSource) {
    this.#source = source
    this.#scanner = new JsonScanner(source.from === 'value' ? source.path : [])
  }

  /** Encodes all records of a batch. `gaps` are those that the caller knows of; offsets not delivered are added here. */
  encode(batch: SourceBatch, gaps: readonly Gap[] = []): RecordBatch {
    const { topic, partition, records } = batch
    const count = records.length
    const ends = new Uint32Array(count)
    const offsets = new Float64Array(count)
    const timestamps = new Float64Array(count)
    const hours = new Int32Array(count)
    const typeIndexes = new Uint32Array(count)
    const types: RecordType[] = []
    const indexOfType = new Map<RecordType, number>()
    const allGaps: Gap[] = [...gaps]
    // The size of the lines is guessed from the values; the guess grows where it was too small, and is cut off at the end.
    let valueBytes = 0
    for (const record of records) valueBytes += record.value === null ? 4 : record.value.length
    this.#buffer = Buffer.allocUnsafeSlow(valueBytes + Math.ceil(count * this.#bytesPerRecord))
    this.#position = 0

    const afterTopic = `"kafka":{"topic":"${topic}","partition":${partition},"offset":`
    let expected = gaps.length === 0 ? batch.from : gaps[gaps.length - 1]!.next
    for (let i = 0; i < count; i++) {
      const record = records[i]!
      if (record.offset < expected) throw outOfOrder(batch, record.offset, expected)
      if (record.offset > expected) allGaps.push({ from: expected, next: record.offset, reason: 'not-delivered' })
      expected = record.offset + 1

      const type = this.#append(record, topic, afterTopic)
      const timestamp = Number(record.timestamp)
      let typeIndex = indexOfType.get(type)
      if (typeIndex === undefined) {
        typeIndex = types.push(type) - 1
        indexOfType.set(type, typeIndex)
      }
      ends[i] = this.#position
      offsets[i] = record.offset
      timestamps[i] = timestamp
      hours[i] = hourOf(timestamp)
      typeIndexes[i] = typeIndex
    }
    if (expected < batch.next) allGaps.push({ from: expected, next: batch.next, reason: 'not-delivered' })

    const lines = this.#takeLines(count === 0 ? 0 : (this.#position - valueBytes) / count)
    return {
      topic,
      partition,
      from: batch.from,
      next: batch.next,
      count,
      lines,
      ends,
      offsets,
      timestamps,
      hours,
      typeIndexes,
      types,
      gaps: allGaps,
    }
  }

  #takeLines(overheadPerRecord: number): Buffer {
    const lines = this.#buffer.subarray(0, this.#position)
    // 5 % above what the last batch needed keeps growth rare and waste small.
    this.#bytesPerRecord = Math.max(128, overheadPerRecord * 1.05 + 16)
    this.#buffer = Buffer.alloc(0)
    return lines
  }

  /** Writes one line and returns the record's type. */
  #append(record: SourceRecord, topic: string, afterTopic: string): RecordType {
    const { value } = record
    const valid = value !== null && isUtf8(value)
    const scan = valid ? this.#scanner.scan(value) : undefined
    const malformed = value !== null && (scan === undefined || scan.error !== undefined)
    const known = malformed ? knownMalformed : this.#typeOf(record, topic, scan)

    const time = this.#clock.of(Number(record.timestamp))
    let head = time === undefined ? '{' : `{"@timestamp":"${time}",`
    let ascii = true
    if (!known.type.reserved) {
      head += `"type":${known.json},`
      ascii = known.isAscii
    }
    head += `${afterTopic}${record.offset},"timestamp":${record.timestamp}`

    if (record.key !== null) {
      head += bytesField(',"key', record.key)
      ascii &&= isPlainAscii(record.key)
    }
    if (record.headers.length > 0) {
      head += `,"headers":${this.#headers(record.headers)}`
      ascii &&= this.#headersAreAscii
    }

    if (malformed) {
      const reason = scan === undefined ? 'the value is not valid UTF-8' : scan.error
      const error = JSON.stringify({ type: scan === undefined ? 'invalid_utf8' : 'invalid_json', reason })
      this.#write(`${head}},"value_base64":"${value.toString('base64')}","error":${error}}\n`, false)
    } else if (value === null) {
      this.#write(`${head}},"value":null}\n`, ascii)
    } else {
      this.#writeWithValue(`${head}},"value":`, ascii, value, scan!.lineBreaks)
    }
    return known.type
  }

  #typeOf(record: SourceRecord, topic: string, scan: JsonScan | undefined): KnownType {
    if (record.value === null || scan === undefined) return knownUntyped
    switch (this.#source.from) {
      case 'topic':
        return this.#known(topic, () => topic)
      case 'header': {
        const wanted = this.#source.header
        const value = record.headers.findLast(({ key }) => key === wanted)?.value ?? null
        if (value === null || value.length === 0 || !isUtf8(value)) return knownUntyped
        const name = value.toString('utf8')
        return this.#known(name, () => name)
      }
      case 'value': {
        const { foundStart, foundEnd, foundEscaped } = scan
        if (foundStart === -1 || foundStart === foundEnd) return knownUntyped
        const { value } = record
        // Raw bytes as the key of the cache: escapes stay in it, so `"a"` and `"\u0061"` are two keys of one type.
        return this.#known(value.toString('latin1', foundStart - 1, foundEnd + 1), () =>
          foundEscaped
            ? (JSON.parse(value.toString('utf8', foundStart - 1, foundEnd + 1)) as string)
            : value.toString('utf8', foundStart, foundEnd),
        )
      }
    }
  }

  #known(raw: string, nameOf: () => string): KnownType {
    const found = this.#knownTypes.get(raw)
    if (found !== undefined) return found
    if (this.#knownTypes.size >= rememberedTexts) this.#knownTypes.clear()
    const known = knownType({ name: nameOf(), reserved: false })
    this.#knownTypes.set(raw, known)
    return known
  }

  #headers(headers: readonly Header[]): string {
    let json = '['
    this.#headersAreAscii = true
    for (const { key, value } of headers) {
      let name = this.#headerNames.get(key)
      if (name === undefined) {
        name = JSON.stringify(key)
        if (this.#headerNames.size >= rememberedTexts) this.#headerNames.clear()
        this.#headerNames.set(key, name)
      }
      if (!isAsciiText(name) || (value !== null && !isPlainAscii(value))) this.#headersAreAscii = false
      const field = value === null ? ',"value":null' : bytesField(',"value', value)
      json += `${json === '[' ? '' : ','}{"key":${name}${field}}`
    }
    return `${json}]`
  }

  #write(text: string, ascii: boolean): void {
    this.#reserve(ascii ? text.length : text.length * 3)
    this.#position += ascii
      ? this.#buffer.write(text, this.#position, 'latin1')
      : this.#buffer.write(text, this.#position, 'utf8')
  }

  #writeWithValue(head: string, ascii: boolean, value: Buffer, lineBreaks: boolean): void {
    this.#reserve((ascii ? head.length : head.length * 3) + value.length + 2)
    const buffer = this.#buffer
    let position = this.#position
    position += ascii ? buffer.write(head, position, 'latin1') : buffer.write(head, position, 'utf8')
    buffer.set(value, position)
    const end = position + value.length
    if (lineBreaks) {
      // Valid JSON has raw line breaks only between tokens, where any white space means the same (RFC 8259, section 2).
      for (let i = position; i < end; i++) if (buffer[i] === LF || buffer[i] === CR) buffer[i] = SPACE
    }
    buffer[end] = 0x7d
    buffer[end + 1] = LF
    this.#position = end + 2
  }

  #reserve(bytes: number): void {
    if (this.#position + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#position + bytes, Math.ceil(this.#buffer.length * 1.5)))
    larger.set(this.#buffer.subarray(0, this.#position))
    this.#buffer = larger
  }
}

const knownMalformed = knownType(malformedType)
const knownUntyped = knownType(untypedType)

function knownType(type: RecordType): KnownType {
  const json = JSON.stringify(type.name)
  return { type, json, isAscii: isAsciiText(json) }
}

function isAsciiText(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

/** True where the bytes stand in a JSON string as they are. */
function isPlainAscii(bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c) return false
  }
  return true
}

/** `,"key":"text"` where the bytes are UTF-8, else `,"key_base64":"…"`; `open` is `,"key`. */
function bytesField(open: string, bytes: Buffer): string {
  if (isPlainAscii(bytes)) return `${open}":"${bytes.toString('latin1')}"`
  return isUtf8(bytes)
    ? `${open}":${JSON.stringify(bytes.toString('utf8'))}`
    : `${open}_base64":"${bytes.toString('base64')}"`
}

/** Hours since 1970 of a timestamp in ms, or `unknownHour` outside the years 1970 to 9999. */
export function hourOf(timestamp: number): number {
  return timestamp >= 0 && timestamp < endOfTime ? Math.floor(timestamp / msPerHour) : unknownHour
}

/** Writes timestamps as ISO 8601 in UTC with ms; remembers the last second, as records come in order of time mostly. */
class TimestampText {
  #second = -1
  #text = ''

  /** Undefined for a timestamp that has no day (see `hourOf`). */
  of(timestamp: number): string | undefined {
    if (!(timestamp >= 0 && timestamp < endOfTime)) return undefined
    const second = Math.floor(timestamp / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#text = new Date(second * 1000).toISOString().slice(0, 20)
    }
    const ms = timestamp - second * 1000
    return `${this.#text}${ms < 10 ? '00' : ms < 100 ? '0' : ''}${ms}Z`
  }
}

function outOfOrder(batch: SourceBatch, offset: number, expected: number): ArchiverError {
  return new ArchiverError(
    'INTERNAL',
    `${partitionKey(batch)}: offset ${offset} came where ${expected} or later was expected`,
    { topic: batch.topic, partition: batch.partition, offset, expected },
  )
}

/** A line read back: what `restore`, `verify` and `cat` need of it. */
export interface DecodedLine {
  readonly topic: string
  readonly partition: number
  readonly type: RecordType
  readonly record: SourceRecord
  /** Why the value is kept as base64; undefined for valid JSON. */
  readonly error: { readonly type: string; readonly reason: string } | undefined
}

interface Envelope {
  readonly type?: string
  readonly kafka: {
    readonly topic: string
    readonly partition: number
    readonly offset: number
    readonly key?: string
    readonly key_base64?: string
    readonly headers?: readonly {
      readonly key: string
      readonly value?: string | null
      readonly value_base64?: string
    }[]
  }
  readonly value_base64?: string
  readonly error?: { readonly type: string; readonly reason: string }
}

// Quotes inside strings are escaped, so these bytes stand in a line only where the envelope ends and the value begins.
const valueMark = Buffer.from('},"value":')
const base64Mark = Buffer.from('},"value_base64":')
const timestampMark = Buffer.from(',"timestamp":')

/** The bytes of the value in a line, or undefined where the line has `value_base64` instead. With or without its LF. */
export function valueOfLine(line: Buffer): Buffer | undefined {
  const mark = line.indexOf(valueMark)
  if (mark === -1 || (line.indexOf(base64Mark) !== -1 && line.indexOf(base64Mark) < mark)) return undefined
  const end = line[line.length - 1] === LF ? line.length - 2 : line.length - 1
  return line.subarray(mark + valueMark.length, end)
}

/** The line without its value: `{"@timestamp":…,"type":…,"kafka":{…}` with the closing brace still missing. */
export function envelopeOfLine(line: Buffer): Buffer {
  const mark = Math.min(...[line.indexOf(valueMark), line.indexOf(base64Mark)].filter((at) => at !== -1))
  return line.subarray(0, mark + 1)
}

/**
 * The record that a line was made of. A JSON `null` and a tombstone have the same line; both come back as a tombstone.
 *
 * @throws ArchiverError `INTERNAL` where it is not a line of this encoding.
 */
export function decodeLine(line: Buffer): DecodedLine {
  try {
    const valueBytes = valueOfLine(line)
    const text = valueBytes === undefined ? line.toString('utf8') : `${envelopeOfLine(line).toString('utf8')}}`
    const envelope = JSON.parse(text) as Envelope
    const { kafka } = envelope
    let value: Buffer | null
    if (valueBytes === undefined) value = Buffer.from(envelope.value_base64!, 'base64')
    else value = valueBytes.equals(nullText) ? null : valueBytes
    const reserved = envelope.type === undefined
    const name = envelope.type ?? (valueBytes === undefined ? malformedType.name : untypedType.name)
    return {
      topic: kafka.topic,
      partition: kafka.partition,
      type: { name, reserved },
      record: {
        offset: kafka.offset,
        timestamp: timestampOfLine(line),
        key: decodeBytes(kafka.key, kafka.key_base64),
        value,
        headers: (kafka.headers ?? []).map(({ key, value, value_base64 }) => ({
          key,
          value: decodeBytes(value ?? undefined, value_base64),
        })),
      },
      error: envelope.error,
    }
  } catch (error) {
    const shown = line.toString('utf8', 0, 120)
    throw new ArchiverError('INTERNAL', `not a line of an archive: ${shown}: ${messageOf(error)}`, {}, error)
  }
}

const nullText = Buffer.from('null')

/** `kafka.timestamp`, exact even beyond 2^53. */
export function timestampOfLine(line: Buffer): number | bigint {
  const start = line.indexOf(timestampMark) + timestampMark.length
  let end = start
  while (line[end] === 0x2d || (line[end]! >= 0x30 && line[end]! <= 0x39)) end++
  const digits = line.toString('latin1', start, end)
  const timestamp = Number(digits)
  return Number.isSafeInteger(timestamp) ? timestamp : BigInt(digits)
}

function decodeBytes(text: string | undefined, base64: string | undefined): Buffer | null {
  if (text !== undefined) return Buffer.from(text, 'utf8')
  return base64 === undefined ? null : Buffer.from(base64, 'base64')
}

const offsetMark = Buffer.from(',"offset":')

/**
 * Reads the position and the time of one line after another without making objects of them: for those who look at millions.
 */
export class LineHead {
  offset = -1
  /** In ms; approximate beyond 2^53. */
  timestamp = Number.NaN
  /** Where `,"offset":` begins: what is before it is the same in all lines of a file but for `@timestamp`. */
  offsetAt = -1

  /** Reads the line that begins at `start`; false where it is none of this encoding. */
  read(lines: Buffer, start: number): boolean {
    // The first one is the right one: quotes are escaped in the type, and a topic has none.
    const at = lines.indexOf(offsetMark, start)
    if (at === -1) return false
    this.offsetAt = at
    let position = at + offsetMark.length
    let offset = 0
    for (let digit = lines[position]! - 0x30; digit >= 0 && digit <= 9; digit = lines[++position]! - 0x30) {
      offset = offset * 10 + digit
    }
    this.offset = offset
    if (lines[position] !== 0x2c || lines[position + 2] !== 0x74) return false
    position += timestampMark.length
    const negative = lines[position] === 0x2d
    if (negative) position++
    let timestamp = 0
    const first = position
    for (let digit = lines[position]! - 0x30; digit >= 0 && digit <= 9; digit = lines[++position]! - 0x30) {
      timestamp = timestamp * 10 + digit
    }
    this.timestamp = negative ? -timestamp : timestamp
    return position > first
  }
}
