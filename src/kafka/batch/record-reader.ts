import { RecordInPlace } from '../../record/record.ts'
import { DamagedData } from './damaged-data.ts'
import type { RecordBatchBytes } from './record-set.ts'

/** A record too large to be kept; its bytes were skipped. */
export interface OversizedRecord {
  readonly offset: number
  /** As the batch counts: key, value, headers and a few bytes around them. */
  readonly bytes: number
}

/**
 * What was read of a batch at once: records in order, and the one behind them when it is too large.
 */
export interface RecordsRead {
  readonly records: readonly RecordInPlace[]
  readonly oversized: OversizedRecord | undefined
  /** Where reading continues. */
  readonly end: number
  /** What these records cost until they are encoded, in bytes. */
  readonly cost: number
}

export interface RecordLimits {
  /** What the records read at once cost, about, in bytes. A single one may cost more. */
  readonly pieceBytes: number
  /** A larger record is skipped. */
  readonly maxRecordBytes: number
}

/**
 * A record is an object here, and its line has an envelope: for tiny records these are the larger
 * part.
 */
const recordOverheadBytes = 128
/** For tiny headers, their positions and the names of their fields are the larger part. */
const headerOverheadBytes = 64
const noHeaders: readonly number[] = []

/**
 * Reads the records of one batch, in one or several pieces that begin and end between records.
 * Checks them against the batch's header: offsets increase and stay inside the batch, and there are
 * as many records as it counts.
 */
export class BatchReader {
  readonly #batch: RecordBatchBytes
  readonly #limits: RecordLimits
  readonly #timestampOf: TimestampReader
  #lastOffset: number
  #count = 0

  constructor(batch: RecordBatchBytes, limits: RecordLimits) {
    this.#batch = batch
    this.#limits = limits
    this.#timestampOf =
      batch.appendTime === undefined ? addTo(batch.baseTimestamp) : always(batch.appendTime)
    this.#lastOffset = batch.baseOffset - 1
  }

  /**
   * Reads from a position until the limit, an oversized record or the end of the bytes, which hold
   * whole records.
   *
   * @throws DamagedData
   */
  read(bytes: Buffer, from: number): RecordsRead {
    const { pieceBytes, maxRecordBytes } = this.#limits
    const { baseOffset } = this.#batch
    const records: RecordInPlace[] = []
    const reader = new FieldReader(bytes, from)
    const costTo = (end: number) => end - from + records.length * recordOverheadBytes
    while (reader.position < bytes.length && costTo(reader.position) < pieceBytes) {
      const length = reader.varint()
      const end = reader.position + length
      // The attributes of a record have no meaning yet.
      reader.position++
      const timestamp = this.#timestampOf(reader)
      const offset = this.#next(baseOffset + reader.varint())
      if (end > bytes.length) throw new DamagedData('unexpected end of the records')
      if (length > maxRecordBytes) {
        return { records, oversized: { offset, bytes: length }, end, cost: costTo(reader.position) }
      }
      const keyStart = reader.skipBytes()
      const keyEnd = reader.position
      const valueStart = reader.skipBytes()
      const valueEnd = reader.position
      const headerCount = reader.headerCount()
      if (length + headerCount * headerOverheadBytes > maxRecordBytes) {
        return { records, oversized: { offset, bytes: length }, end, cost: costTo(reader.position) }
      }
      const headerPositions = headerCount === 0 ? noHeaders : reader.headerPositions(headerCount)
      if (reader.position !== end) {
        throw new DamagedData(
          `the record at offset ${offset} has ${length} bytes, and its fields ${reader.position - end} more`,
        )
      }
      records.push(
        new RecordInPlace({
          offset,
          timestamp,
          bytes,
          keyStart,
          keyEnd,
          valueStart,
          valueEnd,
          headerPositions,
        }),
      )
    }
    return { records, oversized: undefined, end: reader.position, cost: costTo(reader.position) }
  }

  /**
   * Reads the beginning of an oversized record whose rest was skipped.
   *
   * @throws DamagedData
   */
  readHead(head: Buffer): OversizedRecord {
    const reader = new FieldReader(head, 0)
    const bytes = reader.varint()
    reader.position++
    this.#timestampOf(reader)
    return { offset: this.#next(this.#batch.baseOffset + reader.varint()), bytes }
  }

  /**
   * Must be called behind the last record.
   *
   * @throws DamagedData when the batch counts another number.
   */
  finish(): void {
    if (this.#count !== this.#batch.count) {
      throw new DamagedData(`it has ${this.#count} records and counts ${this.#batch.count}`)
    }
  }

  #next(offset: number): number {
    if (offset <= this.#lastOffset || offset >= this.#batch.next) {
      throw new DamagedData(
        `a record has the offset ${offset}, behind ${this.#lastOffset} in a batch up to ${this.#batch.next - 1}`,
      )
    }
    this.#lastOffset = offset
    this.#count++
    return offset
  }
}

type TimestampReader = (reader: FieldReader) => number | bigint

function addTo(base: bigint): TimestampReader {
  const number = Number(base)
  if (!Number.isSafeInteger(number)) return (reader) => exact(base + BigInt(reader.varlong()))
  return (reader) => {
    const delta = reader.varlong()
    const sum = number + Number(delta)
    return Number.isSafeInteger(sum) ? sum : exact(base + BigInt(delta))
  }
}

function always(timestamp: bigint): TimestampReader {
  return (reader) => {
    reader.varlong()
    return exact(timestamp)
  }
}

/** A number when that is exact. */
export function exact(timestamp: bigint): number | bigint {
  const number = Number(timestamp)
  return Number.isSafeInteger(number) ? number : timestamp
}

/**
 * Reads the fields of records: zigzag varints (Protocol Buffers encoding) and bytes with a varint
 * length, -1 for null.
 */
class FieldReader {
  readonly #bytes: Buffer
  position: number

  constructor(bytes: Buffer, position: number) {
    this.#bytes = bytes
    this.position = position
  }

  /** A varint of at most 32 bits. */
  varint(): number {
    let value = 0
    let shift = 0
    for (;;) {
      const byte = this.#byte()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
      shift += 7
      if (shift > 28) return this.#lastOfVarint(value)
    }
  }

  #lastOfVarint(value: number): number {
    const byte = this.#byte()
    if (byte > 0x0f) throw new DamagedData('a varint is longer than 32 bits')
    const whole = value | (byte << 28)
    return (whole >>> 1) ^ -(whole & 1)
  }

  /** A varint of at most 64 bits; a bigint when a number would not be exact. */
  varlong(): number | bigint {
    const start = this.position
    let value = 0
    let factor = 1
    for (let i = 0; i < 7; i++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      factor *= 128
    }
    this.position = start
    return this.#longVarlong()
  }

  #longVarlong(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n))
    }
    throw new DamagedData('a varint is longer than 64 bits')
  }

  /** Skips bytes with their length before them; returns where they begin, or -1 for null. */
  skipBytes(): number {
    const length = this.varint()
    if (length < 0) return -1
    const start = this.position
    this.position += length
    if (this.position > this.#bytes.length) throw new DamagedData('unexpected end of the records')
    return start
  }

  /** How many headers follow. */
  headerCount(): number {
    const count = this.varint()
    // A header has two lengths.
    if (count < 0 || count * 2 > this.#bytes.length - this.position)
      throw new DamagedData(`${count} headers`)
    return count
  }

  /** Skips the headers; see `RecordInPlace.headerPositions`. */
  headerPositions(count: number): readonly number[] {
    const positions: number[] = []
    for (let i = 0; i < count; i++) {
      const keyStart = this.skipBytes()
      // A header's key is never null in Kafka; that of a broken producer counts as empty.
      positions.push(Math.max(0, keyStart), keyStart === -1 ? 0 : this.position)
      positions.push(this.skipBytes(), this.position)
    }
    return positions
  }

  #byte(): number {
    const byte = this.#bytes[this.position++]
    if (byte === undefined) throw new DamagedData('unexpected end of the records')
    return byte
  }
}
