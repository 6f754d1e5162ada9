import { isUtf8 } from 'node:buffer'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { putDigits, putNumber } from './decimal.ts'
import { type JsonScan, JsonScanner } from './json-scan.ts'
import { explainMalformed } from './malformed-value.ts'
import {
  type Gap,
  malformedType,
  partitionKey,
  type RecordBatch,
  RecordInPlace,
  type RecordType,
  type SourceBatch,
  type SourceRecord,
  unknownHour,
  untypedType,
} from './record.ts'
import { frameBytes, framed, mayBeFramed, schemaIdAt } from './wire-format.ts'

/**
 * The one encoding that all sinks share: a record becomes one line of JSON, the same bytes in a
 * file and in Elasticsearch's `_source`. The producer's value is spliced in, never parsed into
 * objects and never written anew, so that big integers, `1.0`, duplicate keys, key order and
 * escapes survive.
 */

/** Where the type of a message is found. */
export type TypeSource =
  | { readonly from: 'value'; readonly path: readonly string[] }
  | { readonly from: 'header'; readonly header: string }
  | { readonly from: 'topic' }

/** `meta.type` → `['meta', 'type']`; a dot inside a key is written `\.`. */
export function parseTypePath(path: string): readonly string[] {
  const keys = path.split(/(?<!\\)\./).map((key) => key.replaceAll('\\.', '.'))
  if (keys.some((key) => key === ''))
    throw new Error('keys separated by dots, such as type or meta.type')
  return keys
}

/**
 * The first ms of the year 10000: timestamps from here on, and negative ones, have no day and no
 * hour.
 */
const endOfTime = 253_402_300_800_000
const msPerHour = 3_600_000
const msPerDay = 24 * msPerHour
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const CLOSE_BRACE = 0x7d

/**
 * A type as the encoder meets it, with what begins a line of it in the batch that is being encoded.
 */
interface KnownType {
  readonly type: RecordType
  /** `"type":"…",`, or nothing for a reserved type. */
  readonly field: string
  /** The batch that the rest belongs to. */
  batch: number
  /** Index into the types of that batch. */
  index: number
  /** The line up to its offset, with an `@timestamp` of which only the digits change. */
  timed: Buffer
  /** The day, since 1970, that is written in `timed`. */
  day: number
}

/**
 * More different texts than this are not remembered all at once: a producer may put anything there.
 */
const rememberedTexts = 10_000
/** A power of two. */
const quickTypes = 256

/** `{"@timestamp":"` and where the parts of the time behind it are. */
const timeOpen = '{"@timestamp":"'
const dayAt = timeOpen.length
const clockAt = dayAt + '2019-08-01T'.length
/**
 * The longest number, with room to spare, and all names and brackets of a line but those of its
 * headers.
 */
const fixedBytes = 128
/** More than the longest error, and what is around it. */
const endBytes = 4096
/** `{"key":"","value":""},` */
const headerBytes = 24

/** A multiple of three, so that pieces of base64 join without padding. */
const base64PieceBytes = 48 * 1024
const textPieceBytes = 64 * 1024
/** `RecordBatch.ends` holds positions of 32 bits. */
const maxLineBytes = 2 ** 32 - 1
const maxGrowthBytes = 16 * 2 ** 20
const maxBytesPerRecord = 64 * 1024
/**
 * A longer name of a type is read again for each record: ten thousand of them would fill the
 * memory.
 */
const rememberedTextLength = 4096
/** A longer text is no usable type: every line would repeat it, and so would every manifest. */
const maxTypeBytes = 64 * 1024

const nothing = Buffer.alloc(0)
const timestampField = Buffer.from(',"timestamp":')
const keyField = Buffer.from(',"key":"')
const headersField = Buffer.from(',"headers":[')
const headerKeyField = Buffer.from('{"key":"')
const headerValueField = Buffer.from('","value":"')
const valueField = Buffer.from('},"value":')

/**
 * Encodes batches. Holds only caches; one encoder serves a worker. It writes bytes where others
 * would build strings: that is most of what a record costs in this program, measured by
 * `npm run bench -- files`.
 */
export class LineEncoder {
  readonly #source: TypeSource
  readonly #framedJson: boolean
  readonly #scanner: JsonScanner
  /** The name of the header that has the type, where one has. */
  readonly #header: Buffer
  readonly #knownTypes = new Map<string, KnownType>()
  /**
   * The types found last, by a hash of their bytes in the message: looked up without making a
   * string.
   */
  readonly #quick: ({ readonly raw: Buffer; readonly known: KnownType } | undefined)[] = new Array(
    quickTypes,
  )
  readonly #malformed = knownType(malformedType)
  readonly #untyped = knownType(untypedType)
  readonly #days = new Map<number, string>()
  #batch = 0
  #types: RecordType[] = []
  #begun: KnownType[] = []
  #afterType = ''
  #buffer = nothing
  #position = 0
  /** Of the value of the record that was appended last. */
  #hasLongNumbers = false
  /** Lines grow by about this many bytes a record; the next batch's buffer is sized by it. */
  #bytesPerRecord = 512

  /**
   * `framedJson`: a value behind a Schema Registry frame is the JSON text in it, with its id in
   * `kafka.schema_id`.
   */
  constructor(source: TypeSource, { framedJson = true }: { readonly framedJson?: boolean } = {}) {
    this.#source = source
    this.#framedJson = framedJson
    this.#scanner = new JsonScanner(source.from === 'value' ? source.path : [])
    this.#header = Buffer.from(source.from === 'header' ? source.header : '')
  }

  /**
   * Encodes all records of a batch. `gaps` are those that the caller knows of; offsets not
   * delivered are added here.
   */
  encode(batch: SourceBatch, gaps: readonly Gap[] = []): RecordBatch {
    const { topic, partition } = batch
    const count = batch.records.length
    const ends = new Uint32Array(count)
    const offsets = new Float64Array(count)
    const timestamps = new Float64Array(count)
    const hours = new Int32Array(count)
    const typeIndexes = new Uint32Array(count)
    const longNumbers = new Uint8Array(count)
    const allGaps: Gap[] = [...gaps]
    const records: RecordInPlace[] = new Array(count)
    // The size of the lines is guessed from the values; the guess grows where it was too small, and
    // is cut off at the end.
    let valueBytes = 0
    for (let i = 0; i < count; i++) {
      const record = RecordInPlace.of(batch.records[i]!)
      records[i] = record
      valueBytes += record.valueStart === -1 ? 4 : record.valueEnd - record.valueStart
    }
    this.#buffer = Buffer.allocUnsafeSlow(
      valueBytes + Math.min(Math.ceil(count * this.#bytesPerRecord), maxGrowthBytes),
    )
    this.#position = 0
    this.#batch++
    this.#types = []
    this.#afterType = `"kafka":{"topic":"${topic}","partition":${partition},"offset":`

    let expected = gaps.length === 0 ? batch.from : gaps[gaps.length - 1]!.next
    for (let i = 0; i < count; i++) {
      const record = records[i]!
      if (record.offset < expected) throw outOfOrder(batch, record.offset, expected)
      if (record.offset > expected)
        allGaps.push({ from: expected, next: record.offset, reason: 'not-delivered' })
      expected = record.offset + 1

      typeIndexes[i] = this.#append(record, topic)
      if (this.#hasLongNumbers) longNumbers[i] = 1
      const timestamp = Number(record.timestamp)
      ends[i] = this.#position
      offsets[i] = record.offset
      timestamps[i] = timestamp
      hours[i] = hourOf(timestamp)
    }
    if (expected < batch.next)
      allGaps.push({ from: expected, next: batch.next, reason: 'not-delivered' })

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
      types: this.#types,
      gaps: allGaps,
      longNumbers,
    }
  }

  #takeLines(overheadPerRecord: number): Buffer {
    const lines = this.#buffer.subarray(0, this.#position)
    // 5 % above what the last batch needed keeps growth rare and waste small.
    // One large value in base64 says nothing of the records that follow.
    this.#bytesPerRecord = Math.min(maxBytesPerRecord, Math.max(128, overheadPerRecord * 1.05 + 16))
    this.#buffer = nothing
    // Of ten thousand types the beginnings of lines are megabytes that hardly any batch needs.
    for (const known of this.#begun) known.timed = nothing
    this.#begun = []
    return lines
  }

  /** Writes one line and returns the index of the record's type. */
  #append(record: RecordInPlace, topic: string): number {
    const { bytes, offset, timestamp, keyStart, keyEnd, valueStart, valueEnd, headerPositions } =
      record
    const isFramed = this.#framedJson && mayBeFramed(bytes, valueStart, valueEnd)
    const textStart = isFramed ? valueStart + frameBytes : valueStart
    const scan = valueStart === -1 ? undefined : this.#scanner.scan(bytes, textStart, valueEnd)
    const isMalformed = scan !== undefined && !isJsonText(scan, bytes, textStart, valueEnd)
    this.#hasLongNumbers = scan !== undefined && !isMalformed && scan.longNumbers
    const known = isMalformed ? this.#malformed : this.#typeOf(record, topic, scan)
    if (known.batch !== this.#batch) this.#begin(known)

    this.#reserve(known.timed.length + fixedBytes)
    const time = Number(timestamp)
    if (hasDay(time)) {
      this.#setTime(known, time)
      this.#put(known.timed)
    } else this.#putText(`{${known.field}${this.#afterType}`)
    this.#putNumber(offset)
    this.#put(timestampField)
    this.#putNumber(timestamp)
    if (keyStart !== -1) this.#putBytesField(keyField, bytes, keyStart, keyEnd)
    if (headerPositions.length > 0) this.#putHeaders(bytes, headerPositions)

    if (isMalformed) {
      this.#putText('},"value_base64":"')
      this.#putBase64(bytes, valueStart, valueEnd)
      this.#putText(`","error":${JSON.stringify(explainMalformed(bytes, valueStart, valueEnd))}}\n`)
    } else if (scan === undefined) {
      this.#putText('},"value":null}\n')
    } else {
      if (isFramed) this.#putText(`,"schema_id":${schemaIdAt(bytes, valueStart)}`)
      this.#putValue(bytes, textStart, valueEnd, scan.lineBreaks)
    }
    return known.index
  }

  /** What begins the lines of a type in this batch. */
  #begin(known: KnownType): void {
    known.batch = this.#batch
    known.index = this.#types.push(known.type) - 1
    known.timed = Buffer.from(
      `${timeOpen}0000-00-00T00:00:00.000Z",${known.field}${this.#afterType}`,
    )
    this.#begun.push(known)
    known.day = -1
  }

  /** Writes ISO 8601 in UTC with ms over the time in `timed`. */
  #setTime(known: KnownType, time: number): void {
    const day = Math.floor(time / msPerDay)
    if (day !== known.day) {
      known.day = day
      known.timed.write(this.#dayText(day), dayAt, 'latin1')
    }
    const ms = time - day * msPerDay
    const seconds = Math.floor(ms / 1000)
    const minutes = Math.floor(seconds / 60)
    const { timed } = known
    putDigits(timed, clockAt, Math.floor(minutes / 60), 2)
    putDigits(timed, clockAt + 3, minutes % 60, 2)
    putDigits(timed, clockAt + 6, seconds % 60, 2)
    putDigits(timed, clockAt + 9, ms % 1000, 3)
  }

  #dayText(day: number): string {
    let text = this.#days.get(day)
    if (text === undefined) {
      text = new Date(day * msPerDay).toISOString().slice(0, 10)
      if (this.#days.size >= rememberedTexts) this.#days.clear()
      this.#days.set(day, text)
    }
    return text
  }

  #typeOf(record: RecordInPlace, topic: string, scan: JsonScan | undefined): KnownType {
    if (scan === undefined) return this.#untyped
    switch (this.#source.from) {
      case 'topic':
        return this.#known(topic, () => topic)
      case 'header': {
        const value = lastHeader(record, this.#header)
        if (value === null || value.length === 0 || value.length > maxTypeBytes || !isUtf8(value))
          return this.#untyped
        const name = value.toString('utf8')
        return this.#known(name, () => name)
      }
      case 'value': {
        const { foundStart, foundEnd, foundEscaped } = scan
        if (foundStart === -1 || foundStart === foundEnd || foundEnd - foundStart > maxTypeBytes)
          return this.#untyped
        return this.#knownInPlace(record.bytes, foundStart, foundEnd, foundEscaped)
      }
    }
  }

  /**
   * The type whose name stands between two quotes, perhaps with escapes: `"a"` and `"\u0061"` are
   * two texts of one type.
   */
  #knownInPlace(bytes: Buffer, start: number, end: number, escaped: boolean): KnownType {
    let hash = end - start
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0
    const slot = (hash ^ (hash >>> 15)) & (quickTypes - 1)
    const quick = this.#quick[slot]
    if (quick !== undefined && isSame(quick.raw, bytes, start, end)) return quick.known
    const known = this.#known(bytes.toString('latin1', start - 1, end + 1), () =>
      escaped
        ? (JSON.parse(bytes.toString('utf8', start - 1, end + 1)) as string)
        : bytes.toString('utf8', start, end),
    )
    if (end - start <= rememberedTextLength)
      this.#quick[slot] = { raw: Buffer.from(bytes.subarray(start, end)), known }
    return known
  }

  #known(raw: string, nameOf: () => string): KnownType {
    const found = this.#knownTypes.get(raw)
    if (found !== undefined) return found
    if (raw.length > rememberedTextLength) return knownType({ name: nameOf(), reserved: false })
    if (this.#knownTypes.size >= rememberedTexts) this.#knownTypes.clear()
    const known = knownType({ name: nameOf(), reserved: false })
    this.#knownTypes.set(raw, known)
    return known
  }

  /** `,"key":"text"` where the bytes are UTF-8, else `,"key_base64":"…"`; `field` is `,"key":"`. */
  #putBytesField(field: Buffer, bytes: Buffer, start: number, end: number): void {
    this.#reserve(field.length + (end - start) + fixedBytes)
    const before = this.#position
    this.#put(field)
    if (this.#putPlain(bytes, start, end)) {
      this.#putByte(QUOTE)
      return
    }
    this.#position = before
    const name = field.toString('latin1', 0, field.length - 3)
    if (isUtf8(bytes.subarray(start, end))) {
      this.#putText(`${name}":"`)
      this.#putQuoted(bytes, start, end)
    } else {
      this.#putText(`${name}_base64":"`)
      this.#putBase64(bytes, start, end)
    }
    this.#putByte(QUOTE)
  }

  #putHeaders(bytes: Buffer, positions: readonly number[]): void {
    this.#reserve(headersField.length + fixedBytes)
    this.#put(headersField)
    for (let i = 0; i < positions.length; i += 4) {
      const keyStart = positions[i]!
      const keyEnd = positions[i + 1]!
      const valueStart = positions[i + 2]!
      this.#reserve(keyEnd - keyStart + headerBytes + fixedBytes)
      if (i > 0) this.#putByte(COMMA)
      const before = this.#position
      this.#put(headerKeyField)
      if (!this.#putPlain(bytes, keyStart, keyEnd)) {
        this.#position = before
        this.#putText('{"key":"')
        this.#putQuoted(bytes, keyStart, keyEnd)
      }
      if (valueStart === -1) this.#putText('","value":null')
      else this.#putBytesField(headerValueField, bytes, valueStart, positions[i + 3]!)
      this.#reserve(fixedBytes)
      this.#putByte(CLOSE_BRACE)
    }
    this.#putByte(CLOSE_BRACKET)
  }

  #putValue(bytes: Buffer, start: number, end: number, lineBreaks: boolean): void {
    this.#reserve(valueField.length + (end - start) + 2)
    this.#put(valueField)
    const buffer = this.#buffer
    const from = this.#position
    bytes.copy(buffer, from, start, end)
    const to = from + (end - start)
    if (lineBreaks) {
      // Valid JSON has raw line breaks only between tokens, where any white space means the same
      // (RFC 8259, section 2).
      for (let i = from; i < to; i++) if (buffer[i] === LF || buffer[i] === CR) buffer[i] = SPACE
    }
    buffer[to] = CLOSE_BRACE
    buffer[to + 1] = LF
    this.#position = to + 2
  }

  /** Base64 in pieces: a string of a whole value may be longer than any string can be. */
  #putBase64(bytes: Buffer, start: number, end: number): void {
    // With room for what ends the line: growing once more would copy all of it.
    this.#reserve(Math.ceil((end - start) / 3) * 4 + endBytes)
    for (let at = start; at < end; at += base64PieceBytes) {
      const text = bytes.toString('base64', at, Math.min(end, at + base64PieceBytes))
      this.#position += this.#buffer.write(text, this.#position, 'latin1')
    }
  }

  /** The inside of a JSON string, in pieces. Bytes that are not UTF-8 become U+FFFD. */
  #putQuoted(bytes: Buffer, start: number, end: number): void {
    // A decoder in stream mode keeps a character that two pieces share.
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
    for (let at = start; at < end; at += textPieceBytes) {
      const next = Math.min(end, at + textPieceBytes)
      const text = decoder.decode(bytes.subarray(at, next), { stream: next < end })
      this.#putText(JSON.stringify(text).slice(1, -1))
    }
  }

  // All below but `#putText` write where there is room already.

  #put(bytes: Buffer): void {
    this.#buffer.set(bytes, this.#position)
    this.#position += bytes.length
  }

  #putByte(byte: number): void {
    this.#buffer[this.#position++] = byte
  }

  /**
   * Copies bytes that stand in a JSON string as they are; false, with nothing said of what was
   * written, where one does not.
   */
  #putPlain(bytes: Buffer, start: number, end: number): boolean {
    const buffer = this.#buffer
    let position = this.#position
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!
      if (byte < 0x20 || byte > 0x7e || byte === QUOTE || byte === BACKSLASH) return false
      buffer[position++] = byte
    }
    this.#position = position
    return true
  }

  #putNumber(number: number | bigint): void {
    if (typeof number === 'bigint' || number < 0) {
      this.#putText(String(number))
      return
    }
    this.#position = putNumber(this.#buffer, this.#position, number)
  }

  #putText(text: string): void {
    this.#reserve(text.length * 3)
    this.#position += this.#buffer.write(text, this.#position, 'utf8')
    this.#reserve(fixedBytes)
  }

  #reserve(bytes: number): void {
    const needed = this.#position + bytes
    if (needed <= this.#buffer.length) return
    if (needed > maxLineBytes) {
      throw new ArchiverError(
        'INTERNAL',
        `the lines of one batch would be ${needed} bytes; the limit is ${maxLineBytes}`,
      )
    }
    // Half as much again makes growth rare; for large buffers that would be memory that nobody
    // counts.
    const grown = Math.min(
      Math.ceil(this.#buffer.length * 1.5),
      this.#buffer.length + maxGrowthBytes,
    )
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, grown))
    larger.set(this.#buffer.subarray(0, this.#position))
    this.#buffer = larger
  }
}

function knownType(type: RecordType): KnownType {
  const field = type.reserved ? '' : `"type":${JSON.stringify(type.name)},`
  return { type, field, batch: -1, index: -1, timed: nothing, day: -1 }
}

/** Whether a scanned value is one JSON text in UTF-8. */
function isJsonText(
  { error, ascii }: JsonScan,
  bytes: Buffer,
  start: number,
  end: number,
): boolean {
  return error === undefined && (ascii || isUtf8(bytes.subarray(start, end)))
}

function isSame(raw: Buffer, bytes: Buffer, start: number, end: number): boolean {
  if (raw.length !== end - start) return false
  for (let i = 0; i < raw.length; i++) if (raw[i] !== bytes[start + i]) return false
  return true
}

/** The value of the last header of a name; null where there is none. */
function lastHeader({ bytes, headerPositions: at }: RecordInPlace, name: Buffer): Buffer | null {
  for (let i = at.length - 4; i >= 0; i -= 4) {
    if (!isSame(name, bytes, at[i]!, at[i + 1]!)) continue
    return at[i + 2] === -1 ? null : bytes.subarray(at[i + 2], at[i + 3])
  }
  return null
}

/** Whether a timestamp in ms lies in the years 1970 to 9999. */
function hasDay(timestamp: number): boolean {
  return timestamp >= 0 && timestamp < endOfTime
}

/** Hours since 1970 of a timestamp in ms, or `unknownHour` outside the years 1970 to 9999. */
export function hourOf(timestamp: number): number {
  return hasDay(timestamp) ? Math.floor(timestamp / msPerHour) : unknownHour
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
    readonly schema_id?: number
  }
  readonly value_base64?: string
  readonly error?: { readonly type: string; readonly reason: string }
}

// Quotes inside strings are escaped, so these bytes stand in a line only where the envelope ends
// and the value begins.
const valueMark = Buffer.from('},"value":')
const base64Mark = Buffer.from('},"value_base64":')
const timestampMark = Buffer.from(',"timestamp":')

/**
 * The bytes of the value in a line, or undefined where the line has `value_base64` instead. With or
 * without its LF.
 */
export function valueOfLine(line: Buffer): Buffer | undefined {
  const range = rangeOfValue(line)
  return range && line.subarray(range.start, range.end)
}

/**
 * Where the value of a line begins and ends; undefined when the line has `value_base64` instead.
 * With or without its LF.
 */
export function rangeOfValue(
  line: Buffer,
): { readonly start: number; readonly end: number } | undefined {
  const mark = line.indexOf(valueMark)
  if (mark === -1 || (line.indexOf(base64Mark) !== -1 && line.indexOf(base64Mark) < mark))
    return undefined
  const end = line[line.length - 1] === LF ? line.length - 2 : line.length - 1
  return { start: mark + valueMark.length, end }
}

/**
 * The line without its value: `{"@timestamp":…,"type":…,"kafka":{…}` with the closing brace still
 * missing.
 */
export function envelopeOfLine(line: Buffer): Buffer {
  const mark = Math.min(
    ...[line.indexOf(valueMark), line.indexOf(base64Mark)].filter((at) => at !== -1),
  )
  return line.subarray(0, mark + 1)
}

/**
 * The record that a line was made of, a framed value with its frame. A JSON `null` and a tombstone
 * have the same line; both come back as a tombstone. A framed `null` does not.
 *
 * @throws ArchiverError `INTERNAL` where it is not a line of this encoding.
 */
export function decodeLine(line: Buffer): DecodedLine {
  try {
    const valueBytes = valueOfLine(line)
    const text =
      valueBytes === undefined ? line.toString('utf8') : `${envelopeOfLine(line).toString('utf8')}}`
    const envelope = JSON.parse(text) as Envelope
    requireEnvelope(envelope, valueBytes === undefined)
    const { kafka } = envelope
    let value: Buffer | null
    if (valueBytes === undefined) value = Buffer.from(envelope.value_base64!, 'base64')
    else if (kafka.schema_id !== undefined) value = framed(kafka.schema_id, valueBytes)
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
    throw new ArchiverError(
      'INTERNAL',
      `not a line of an archive: ${shown}: ${messageOf(error)}`,
      {},
      error,
    )
  }
}

/** What lies in an archive may be anybody's. @throws Error */
function requireEnvelope(
  { type, kafka, value_base64, error }: Envelope,
  isMalformed: boolean,
): void {
  const { topic, partition, offset, key, key_base64, headers = [] } = kafka
  const isPlace = isText(topic) && Number.isSafeInteger(partition) && Number.isSafeInteger(offset)
  if (!isPlace || partition < 0 || offset < 0)
    throw new Error('it names no topic, partition and offset')
  const isKey =
    (key === undefined || isText(key)) && (key_base64 === undefined || isText(key_base64))
  if (!isKey || (type !== undefined && !isText(type))) throw new Error('its key or type is no text')
  if (!headers.every(isHeader)) throw new Error('its headers are none')
  if (!isMalformed) return
  if (!isText(value_base64) || !isText(error?.type) || !isText(error.reason))
    throw new Error('it has no value')
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isHeader({
  key,
  value,
  value_base64,
}: NonNullable<Envelope['kafka']['headers']>[number]): boolean {
  return (
    isText(key) &&
    (value === undefined || value === null || isText(value)) &&
    (value_base64 === undefined || isText(value_base64))
  )
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
 * Reads the position and the time of one line after another without making objects of them: for
 * those who look at millions.
 */
export class LineHead {
  offset = -1
  /** In ms; the nearest double beyond 2^53. */
  timestamp = Number.NaN
  /**
   * Where `,"offset":` begins: what is before it is the same in all lines of a file but for
   * `@timestamp`.
   */
  offsetAt = -1

  /** Reads the line that begins at `start`; false where it is none of this encoding. */
  read(lines: Buffer, start: number): boolean {
    // The first one is the right one: quotes are escaped in the type, and a topic has none.
    const at = lines.indexOf(offsetMark, start)
    if (at === -1) return false
    this.offsetAt = at
    let position = at + offsetMark.length
    let offset = 0
    for (
      let digit = lines[position]! - 0x30;
      digit >= 0 && digit <= 9;
      digit = lines[++position]! - 0x30
    ) {
      offset = offset * 10 + digit
    }
    this.offset = offset
    if (lines[position] !== 0x2c || lines[position + 2] !== 0x74) return false
    position += timestampMark.length
    const negative = lines[position] === 0x2d
    if (negative) position++
    let timestamp = 0
    const first = position
    for (
      let digit = lines[position]! - 0x30;
      digit >= 0 && digit <= 9;
      digit = lines[++position]! - 0x30
    ) {
      timestamp = timestamp * 10 + digit
    }
    // Beyond 2^53 adding up digit by digit rounds more than once, and would not be the double of
    // the batch and of the manifest.
    if (timestamp > Number.MAX_SAFE_INTEGER)
      timestamp = Number(lines.toString('latin1', first, position))
    this.timestamp = negative ? -timestamp : timestamp
    return position > first
  }
}
