import { ArchiverError, messageOf } from '../errors.ts'
import { RecordInPlace, type UnreadableRange } from '../record.ts'

/**
 * Reads the records of a fetch response: record batches of format 2 (KIP-98; Kafka documentation, "Record Batch"). In place of
 * kafkajs's reader, which loses the order of headers, corrupts headers named like members of Object, breaks at some hundred
 * thousand records in a batch, and stands still at a batch that compaction left empty.
 */

/** What kafkajs's consumer needs of a batch to drop aborted transactions. */
export interface BatchContext {
  readonly producerId: string
  readonly inTransaction: boolean
}

/** A record, or a marker that is no record, as kafkajs's consumer takes it. */
export class FetchedMessage extends RecordInPlace {
  /** Transaction markers, and the end of a batch whose last records compaction removed: never a record of a user. */
  readonly isControlRecord: boolean
  readonly batchContext: BatchContext

  constructor(
    offset: number,
    timestamp: number | bigint,
    bytes: Buffer,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
    headerPositions: readonly number[],
    isControlRecord: boolean,
    batchContext: BatchContext,
  ) {
    super(offset, timestamp, bytes, keyStart, keyEnd, valueStart, valueEnd, headerPositions)
    this.isControlRecord = isControlRecord
    this.batchContext = batchContext
  }
}

/** Stands for a record batch that cannot be read, behind the records before it: it was damaged in the log. */
export class UnreadableMessage extends FetchedMessage {
  readonly range: UnreadableRange

  constructor(range: UnreadableRange) {
    super(range.next - 1, -1, noBytes, -1, -1, -1, -1, noHeaders, true, noTransaction)
    this.range = range
  }
}

/** Decompresses the records of a batch with the codec of its attributes; undefined for no compression. */
export type CodecLookup = (attributes: number) => { decompress(bytes: Buffer): Promise<Buffer> } | null

const headerBytes = 61
const at = {
  baseOffset: 0,
  length: 8,
  magic: 16,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  count: 57,
} as const
const logAppendTime = 0x08
const transactional = 0x10
const control = 0x20
const codecMask = 0x07
const noHeaders: readonly number[] = []
const noBytes = Buffer.alloc(0)
const noTransaction: BatchContext = { producerId: '-1', inTransaction: false }

/** True where the bytes begin with a batch of format 2; older formats are kafkajs's business. */
export function isRecordBatch(bytes: Buffer): boolean {
  return bytes.length > at.magic && bytes[at.magic] === 2
}

/**
 * All records of a record set, in order, up to the first batch that cannot be read. A batch that is cut off at the end, as fetches may do,
 * is left out.
 * @throws ArchiverError `INTERNAL` for a codec that is not here, an offset beyond 2^53, or a batch whose header makes no sense.
 */
export async function readRecordSet(bytes: Buffer, codecOf: CodecLookup): Promise<FetchedMessage[]> {
  const messages: FetchedMessage[] = []
  let start = 0
  while (start + headerBytes <= bytes.length) {
    const end = start + 12 + bytes.readInt32BE(start + at.length)
    if (end > bytes.length) break
    const batch = bytes.subarray(start, end)
    const baseOffset = safeOffset(batch.readBigInt64BE(at.baseOffset))
    const attributes = batch.readInt16BE(at.attributes)
    const before = messages.length
    try {
      const body = batch.subarray(headerBytes)
      const codec = (attributes & codecMask) === 0 ? null : codecOf(attributes)
      readRecords(batch, baseOffset, attributes, codec === null ? body : await codec.decompress(body), messages)
    } catch (error) {
      const what = `the record batch at offset ${baseOffset} cannot be read: ${messageOf(error)}`
      const lastOffsetDelta = batch.readInt32BE(at.lastOffsetDelta)
      // Not the batch but this program is wrong, where it lacks a codec; and where the header is damaged, nothing says what to pass over.
      if (isMissingCodec(error) || lastOffsetDelta < 0) throw new ArchiverError('INTERNAL', what, {}, error)
      messages.length = before
      messages.push(new UnreadableMessage({ from: baseOffset, next: baseOffset + lastOffsetDelta + 1, trouble: what }))
      break
    }
    start = end
  }
  return messages
}

function isMissingCodec(error: unknown): boolean {
  return error instanceof ArchiverError || (error instanceof Error && error.name === 'KafkaJSNotImplemented')
}

function safeOffset(offset: bigint): number {
  const number = Number(offset)
  if (!Number.isSafeInteger(number)) throw new ArchiverError('INTERNAL', `offset ${offset} is beyond 2^53`)
  return number
}

function readRecords(
  batch: Buffer,
  baseOffset: number,
  attributes: number,
  body: Buffer,
  messages: FetchedMessage[],
): void {
  const isControlRecord = (attributes & control) !== 0
  const batchContext: BatchContext = {
    producerId: (attributes & transactional) === 0 ? '-1' : batch.readBigInt64BE(at.producerId).toString(),
    inTransaction: (attributes & transactional) !== 0,
  }
  const timestampOf =
    (attributes & logAppendTime) === 0
      ? addTo(batch.readBigInt64BE(at.baseTimestamp))
      : always(batch.readBigInt64BE(at.maxTimestamp))
  const count = batch.readInt32BE(at.count)
  const reader = new RecordReader(body)
  let last = -1
  for (let i = 0; i < count; i++) {
    // The length of the record and its attributes, which have no meaning yet.
    const length = reader.varint()
    const end = reader.position + length
    reader.position++
    const timestamp = timestampOf(reader)
    last = reader.varint()
    const keyStart = reader.skipBytes()
    const keyEnd = reader.position
    const valueStart = reader.skipBytes()
    const valueEnd = reader.position
    const headers = reader.headerPositions()
    if (reader.position !== end)
      throw new Error(`record ${i} has ${length} bytes and was read to ${reader.position - end} more`)
    messages.push(
      new FetchedMessage(
        baseOffset + last,
        timestamp,
        body,
        keyStart,
        keyEnd,
        valueStart,
        valueEnd,
        headers,
        isControlRecord,
        batchContext,
      ),
    )
  }
  const lastOffsetDelta = batch.readInt32BE(at.lastOffsetDelta)
  if (last < lastOffsetDelta) {
    // Compaction removed the end of this batch. The position must get past it all the same.
    messages.push(
      new FetchedMessage(baseOffset + lastOffsetDelta, -1, noBytes, -1, -1, -1, -1, noHeaders, true, batchContext),
    )
  }
}

type TimestampReader = (reader: RecordReader) => number | bigint

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

function exact(timestamp: bigint): number | bigint {
  const number = Number(timestamp)
  return Number.isSafeInteger(number) ? number : timestamp
}

/** Reads the fields of records: zigzag varints (Protocol Buffers encoding) and bytes with a varint length, -1 for null. */
class RecordReader {
  readonly #bytes: Buffer
  position = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
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
    if (byte > 0x0f) throw new Error('a varint is longer than 32 bits')
    const whole = value | (byte << 28)
    return (whole >>> 1) ^ -(whole & 1)
  }

  /** A varint of at most 64 bits; a bigint where it needs to be. */
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
    throw new Error('a varint is longer than 64 bits')
  }

  /** Goes past bytes with their length before them; where they begin, or -1 for null. */
  skipBytes(): number {
    const length = this.varint()
    if (length < 0) return -1
    const start = this.position
    this.position += length
    if (this.position > this.#bytes.length) throw new Error('unexpected end of the records')
    return start
  }

  /** Goes past the headers; see `RecordInPlace.headerPositions`. */
  headerPositions(): readonly number[] {
    const count = this.varint()
    if (count === 0) return noHeaders
    const positions: number[] = []
    for (let i = 0; i < count; i++) {
      const keyStart = this.skipBytes()
      // Kafka has no null keys of headers; what a broken producer wrote is an empty one.
      positions.push(Math.max(0, keyStart), keyStart === -1 ? 0 : this.position)
      positions.push(this.skipBytes(), this.position)
    }
    return positions
  }

  #byte(): number {
    const byte = this.#bytes[this.position++]
    if (byte === undefined) throw new Error('unexpected end of the records')
    return byte
  }
}

/** A message of format 0 or 1, from before Kafka 0.11, as kafkajs reads it. */
export interface OldMessage {
  readonly offset: string
  /** In ms; format 0 has none. */
  readonly timestamp?: string
  readonly key: Buffer | null
  readonly value: Buffer | null
}

/** Brokers before 4.0 may still have them in their logs (KIP-724). */
export function ofOldFormat({ offset, timestamp = '-1', key, value }: OldMessage): FetchedMessage {
  const time = exact(BigInt(timestamp))
  const at = RecordInPlace.of({ offset: safeOffset(BigInt(offset)), timestamp: time, key, value, headers: [] })
  const { bytes, keyStart, keyEnd, valueStart, valueEnd } = at
  return new FetchedMessage(
    at.offset,
    time,
    bytes,
    keyStart,
    keyEnd,
    valueStart,
    valueEnd,
    noHeaders,
    false,
    noTransaction,
  )
}

/** A transaction that was aborted: records of its producer from this offset on, up to its marker, are none. */
export interface AbortedTransaction {
  readonly producerId: string
  readonly firstOffset: string
}

const abortMarkerType = 0

/**
 * Drops the records of aborted transactions, as Kafka's own consumer does. In place of kafkajs's filter, which begins one
 * transaction a record at most, and takes a user's key of four zero bytes for an abort marker.
 */
export function withoutAborted(options: {
  readonly messages: readonly FetchedMessage[]
  readonly abortedTransactions?: readonly AbortedTransaction[] | null
}): readonly FetchedMessage[] {
  const { messages, abortedTransactions } = options
  if (abortedTransactions === undefined || abortedTransactions === null || abortedTransactions.length === 0)
    return messages
  const begun = new Set<string>()
  const coming = [...abortedTransactions]
    .map(({ producerId, firstOffset }) => ({ producerId, first: Number(firstOffset) }))
    .sort((a, b) => a.first - b.first)
  return messages.filter((message) => {
    while (coming.length > 0 && coming[0]!.first <= message.offset) begun.add(coming.shift()!.producerId)
    const { producerId, inTransaction } = message.batchContext
    if (message.isControlRecord) {
      // Markers have a key of two int16, version and type (KIP-98, "Control Messages").
      if (message.key !== null && message.key.length >= 4 && message.key.readInt16BE(2) === abortMarkerType)
        begun.delete(producerId)
      return true
    }
    return !(inTransaction && begun.has(producerId))
  })
}
