import { isUtf8 } from 'node:buffer'
import { ArchiverError } from '../../runtime/errors.ts'
import { CLOSE_BRACE, CLOSE_BRACKET, COMMA } from '../ascii.ts'
import { putDigits } from '../decimal.ts'
import { type JsonScan, JsonScanner } from '../json-scan.ts'
import { explainMalformed } from '../malformed-value.ts'
import {
  type Gap,
  partitionKey,
  type RecordBatch,
  RecordInPlace,
  type RecordType,
  type SourceBatch,
} from '../record.ts'
import { hasHour, hourOf, isoDay, msPerDay } from '../time.ts'
import type { TypeSource } from '../type-source.ts'
import { frameBytes, mayBeFramed, schemaIdAt } from '../wire-format.ts'
import { type BytesField, fixedBytes, LineBytes, maxGrowthBytes } from './bytes.ts'
import { fields, marks, partitionField, timeOpen } from './layout.ts'
import { type KnownType, TypeLookup } from './type-lookup.ts'

/** Where the parts of a time are in a line. */
const dayAt = timeOpen.length
const clockAt = dayAt + '2019-08-01T'.length

/** The max number of days that are remembered at once. */
const maxDays = 10_000
/** Beyond this, the lines of one batch say nothing about the next. */
const maxBytesPerRecord = 64 * 1024

const nothing = Buffer.alloc(0)
const headersOpen = Buffer.from(`${fields.headers}[`)
const headerOpen = Buffer.from('{"key":"')
const keyField = bytesField(fields.key, fields.keyBase64)
/** Behind the key of a header. */
const headerField = bytesField(`"${fields.value}`, `"${fields.valueBase64}`)

function bytesField(text: string, base64: string): BytesField {
  return { text: Buffer.from(`${text}"`), base64: Buffer.from(`${base64}"`) }
}

/**
 * Encodes batches: a record becomes one line of JSON, the same bytes in a file and in
 * Elasticsearch's `_source`. The producer's value is spliced in, never parsed into objects and
 * never serialised again. So big integers, `1.0`, duplicate keys, key order and escapes survive.
 *
 * An encoder holds only caches, and one serves a worker. It writes bytes and builds no strings:
 * that is most of what a record costs in this program, measured by `npm run bench -- files`.
 */
export class LineEncoder {
  readonly #framedJson: boolean
  readonly #scanner: JsonScanner
  readonly #lookup: TypeLookup
  readonly #out = new LineBytes()
  readonly #days = new Map<number, string>()
  #batch = 0
  #types: RecordType[] = []
  #begun: KnownType[] = []
  #afterType = ''
  /** For the value of the last appended record. */
  #hasLongNumbers = false
  /** Lines grow by about this many bytes a record; the next batch's buffer is sized by it. */
  #bytesPerRecord = 512

  /**
   * `framedJson`: a value behind a Schema Registry frame is the JSON text in it, with its id in
   * `kafka.schema_id`.
   */
  constructor(source: TypeSource, { framedJson = true }: { readonly framedJson?: boolean } = {}) {
    this.#framedJson = framedJson
    this.#scanner = new JsonScanner(source.from === 'value' ? source.path : [])
    this.#lookup = new TypeLookup(source)
  }

  /**
   * Encodes all records of a batch. `gaps` are those that the caller knows of; offsets not
   * delivered are added here.
   *
   * @throws ArchiverError `INTERNAL` when offsets do not increase, or for more than 4 GiB of lines.
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
    let valueBytes = 0
    for (let i = 0; i < count; i++) {
      const record = RecordInPlace.of(batch.records[i]!)
      records[i] = record
      valueBytes += record.valueStart === -1 ? 4 : record.valueEnd - record.valueStart
    }
    this.#begin(batch, valueBytes)

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
      ends[i] = this.#out.position
      offsets[i] = record.offset
      timestamps[i] = timestamp
      hours[i] = hourOf(timestamp)
    }
    if (expected < batch.next)
      allGaps.push({ from: expected, next: batch.next, reason: 'not-delivered' })

    const lines = this.#end(count === 0 ? 0 : (this.#out.position - valueBytes) / count)
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
      free: freeing(lines),
    }
  }

  /**
   * The size of the lines is a guess. If it is too small, the buffer grows; if it is too large, its
   * end is cut off.
   */
  #begin(batch: SourceBatch, valueBytes: number): void {
    const growth = Math.ceil(batch.records.length * this.#bytesPerRecord)
    this.#out.begin(valueBytes + Math.min(growth, maxGrowthBytes))
    this.#batch++
    this.#types = []
    this.#afterType = `${partitionField(batch)}${fields.offset}`
  }

  #end(overheadPerRecord: number): Buffer {
    // 5 % above what the last batch needed keeps growth rare and waste small. One large value in
    // base64 says nothing about the records that follow.
    this.#bytesPerRecord = Math.min(maxBytesPerRecord, Math.max(128, overheadPerRecord * 1.05 + 16))
    // With ten thousand types, the beginnings of lines are megabytes that hardly any batch needs.
    for (const known of this.#begun) known.timed = nothing
    this.#begun = []
    return this.#out.take()
  }

  /** Writes one line and returns the index of the record's type. */
  #append(record: RecordInPlace, topic: string): number {
    const out = this.#out
    const { bytes, offset, timestamp, keyStart, keyEnd, valueStart, valueEnd, headerPositions } =
      record
    const isFramed = this.#framedJson && mayBeFramed(bytes, valueStart, valueEnd)
    const textStart = isFramed ? valueStart + frameBytes : valueStart
    const scan = valueStart === -1 ? undefined : this.#scanner.scan(bytes, textStart, valueEnd)
    const isMalformed = scan !== undefined && !isJsonText(scan, bytes, textStart, valueEnd)
    this.#hasLongNumbers = scan !== undefined && !isMalformed && scan.longNumbers
    const known = isMalformed ? this.#lookup.malformed : this.#lookup.of(record, topic, scan)
    if (known.batch !== this.#batch) this.#beginType(known)

    out.reserve(known.timed.length + fixedBytes)
    const time = Number(timestamp)
    if (hasHour(time)) {
      this.#setTime(known, time)
      out.put(known.timed)
    } else out.putText(`{${known.field}${this.#afterType}`)
    out.putNumber(offset)
    out.put(marks.timestamp)
    out.putNumber(timestamp)
    if (keyStart !== -1) out.putBytesField(keyField, bytes, keyStart, keyEnd)
    if (headerPositions.length > 0) this.#putHeaders(bytes, headerPositions)

    if (isMalformed) {
      const error = JSON.stringify(explainMalformed(bytes, valueStart, valueEnd))
      out.putText(`}${fields.valueBase64}"`)
      out.putBase64(bytes, valueStart, valueEnd)
      out.putText(`"${fields.error}${error}}\n`)
    } else if (scan === undefined) {
      out.putText(`}${fields.value}null}\n`)
    } else {
      if (isFramed) out.putText(`${fields.schemaId}${schemaIdAt(bytes, valueStart)}`)
      out.putValue(marks.value, bytes, textStart, valueEnd, scan.lineBreaks)
    }
    return known.index
  }

  /** The beginning of a type's lines in this batch. */
  #beginType(known: KnownType): void {
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
      text = isoDay(day)
      if (this.#days.size >= maxDays) this.#days.clear()
      this.#days.set(day, text)
    }
    return text
  }

  #putHeaders(bytes: Buffer, positions: readonly number[]): void {
    const out = this.#out
    out.reserve(headersOpen.length + fixedBytes)
    out.put(headersOpen)
    for (let i = 0; i < positions.length; i += 4) {
      out.reserve(fixedBytes)
      if (i > 0) out.putByte(COMMA)
      out.put(headerOpen)
      out.putString(bytes, positions[i]!, positions[i + 1]!)
      const valueStart = positions[i + 2]!
      if (valueStart === -1) out.putText(`"${fields.value}null`)
      else out.putBytesField(headerField, bytes, valueStart, positions[i + 3]!)
      out.reserve(fixedBytes)
      out.putByte(CLOSE_BRACE)
    }
    out.putByte(CLOSE_BRACKET)
  }
}

/** For lines that share their memory with no others. */
function freeing({ buffer }: Buffer): () => void {
  return () => void (buffer as ArrayBuffer).transfer(0)
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

function outOfOrder(batch: SourceBatch, offset: number, expected: number): ArchiverError {
  return new ArchiverError(
    'INTERNAL',
    `${partitionKey(batch)}: offset ${offset} came where ${expected} or later was expected`,
    { topic: batch.topic, partition: batch.partition, offset, expected },
  )
}
