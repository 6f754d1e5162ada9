import { messageOf } from '../../runtime/errors.ts'
import { crc32c } from './crc32c.ts'
import { DamagedData } from './damaged-data.ts'

/**
 * Splits the record set of a fetch into its record batches of format 2, without inflating them
 * (KIP-98; Kafka documentation, "Record Batch"). It replaces kafkajs's reader. That one inflates
 * all that a broker sends at once, loses the order of headers, breaks at some hundred thousand
 * records in a batch, and stalls at a batch that compaction left empty.
 */

const headerBytes = 61
/** Bytes before the part that the length counts. */
const overheadBytes = 12
const at = {
  length: 8,
  magic: 16,
  crc: 17,
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

/**
 * A record batch whose checksum is right: everything in it is as its producer or the broker wrote
 * it.
 */
export class RecordBatchBytes {
  readonly baseOffset: number
  /** The offset behind its last record, even when compaction removed that record. */
  readonly next: number
  readonly #bytes: Buffer

  /** @throws DamagedData when its offsets make no sense. */
  constructor(bytes: Buffer) {
    this.#bytes = bytes
    const lastOffsetDelta = bytes.readInt32BE(at.lastOffsetDelta)
    if (lastOffsetDelta < 0)
      throw new DamagedData(`its last offset is ${lastOffsetDelta} behind its first`)
    this.baseOffset = safeOffset(bytes)
    this.next = this.baseOffset + lastOffsetDelta + 1
  }

  get attributes(): number {
    return this.#bytes.readInt16BE(at.attributes)
  }

  /** Holds transaction markers, not records of a user. */
  get isControl(): boolean {
    return (this.attributes & control) !== 0
  }

  get isTransactional(): boolean {
    return (this.attributes & transactional) !== 0
  }

  get producerId(): string {
    return this.#bytes.readBigInt64BE(at.producerId).toString()
  }

  get count(): number {
    return this.#bytes.readInt32BE(at.count)
  }

  get baseTimestamp(): bigint {
    return this.#bytes.readBigInt64BE(at.baseTimestamp)
  }

  /** The timestamp of all records, when the broker set it. */
  get appendTime(): bigint | undefined {
    return (this.attributes & logAppendTime) === 0
      ? undefined
      : this.#bytes.readBigInt64BE(at.maxTimestamp)
  }

  /** The records, perhaps compressed. */
  get body(): Buffer {
    return this.#bytes.subarray(headerBytes)
  }

  get byteLength(): number {
    return this.#bytes.length
  }

  /** The same with bytes of its own. */
  detached(): RecordBatchBytes {
    return new RecordBatchBytes(Buffer.from(this.#bytes))
  }
}

/**
 * A record batch that is not as it was written. Its header cannot be trusted, so `next` is a guess
 * with bounds.
 */
export interface DamagedBatch {
  readonly from: number
  readonly next: number
  /** What is wrong with it, for people. */
  readonly detail: string
}

export interface RecordSet {
  readonly batches: readonly RecordBatchBytes[]
  /** The first damaged batch, behind the others. What follows it is fetched again. */
  readonly damaged: DamagedBatch | undefined
}

export const emptyRecordSet: RecordSet = { batches: [], damaged: undefined }

/** True when the bytes begin with a batch of format 2. kafkajs reads older formats. */
export function isRecordBatch(bytes: Buffer): boolean {
  return bytes.length > at.magic && bytes[at.magic] === 2
}

/** What `readRecordSet` needs to know of the partition. */
export interface SetContext {
  /** The offset of the fetch request. */
  readonly fetchedOffset: number
  /** Behind the last offset that a fetch may return. */
  readonly highWatermark: number
}

/**
 * The batches of a record set in order, up to the first that is damaged or has an older format. A
 * fetch may cut off the last batch; that one is left out. Each checksum is checked (CRC-32C over
 * everything from the attributes on).
 */
export function readRecordSet(bytes: Buffer, context: SetContext): RecordSet {
  const batches: RecordBatchBytes[] = []
  let start = 0
  while (start + headerBytes <= bytes.length) {
    const length = bytes.readInt32BE(start + at.length)
    const end = start + overheadBytes + length
    const isFirst = start === 0
    if (!isFirst && bytes[start + at.magic]! < 2) break
    // A broker may cut off the last batch, never the first (KIP-74): the first has a wrong length.
    if (end > bytes.length && !isFirst) break
    const before = batches.at(-1)?.next ?? 0
    const expected = Math.max(before, context.fetchedOffset)
    try {
      if (length < headerBytes - overheadBytes || end > bytes.length)
        throw new DamagedData(`its length is ${length}`)
      const whole = bytes.subarray(start, end)
      checkBytes(whole)
      if (isElsewhere(bytes, start, end, before, context)) {
        const followed = nextBatchOffset(bytes, start, end, context)
        const detail = `the record batch at offset ${expected} cannot be read: its offset is ${whole.readBigInt64BE(0)}`
        // A broker that looks up an offset finds this batch also for the offsets behind it.
        if (followed === undefined) {
          // An offset that no log can have is damage, whatever follows.
          safeOffset(whole)
          if (batches.length === 0) throw new Misplaced(`${detail}, and nothing follows it yet`)
          break
        }
        if (followed > expected)
          return { batches, damaged: { from: expected, next: followed, detail } }
      } else batches.push(new RecordBatchBytes(whole))
    } catch (error) {
      if (error instanceof Misplaced) throw error
      return { batches, damaged: describeDamage(bytes, start, end, expected, context, error) }
    }
    start = end
  }
  return { batches, damaged: undefined }
}

/**
 * The offset of a batch is wrong, and the right one is unknown: another fetch may tell.
 */
class Misplaced extends Error {}

/**
 * True for a batch whose offset does not fit into the log. No checksum guards the offset, so one
 * flipped bit puts good records under the offsets of others, or under offsets that do not exist.
 * Such an offset is beyond the log's end, before the preceding batch or behind the following one.
 */
function isElsewhere(
  bytes: Buffer,
  start: number,
  end: number,
  before: number,
  context: SetContext,
): boolean {
  const offset = Number(bytes.readBigInt64BE(start))
  const { fetchedOffset, highWatermark } = context
  if (!Number.isSafeInteger(offset) || offset < before) return true
  if (highWatermark > fetchedOffset && offset >= highWatermark) return true
  if (end + headerBytes > bytes.length || Number(bytes.readBigInt64BE(end)) > offset) return false
  const followed = nextBatchOffset(bytes, start, end, context)
  return followed !== undefined && followed >= Math.max(before, fetchedOffset)
}

function checkBytes(bytes: Buffer): void {
  const magic = bytes[at.magic]
  if (magic !== 2) throw new DamagedData(`its format is ${magic}`)
  if (crc32c(bytes, at.attributes, bytes.length) !== bytes.readInt32BE(at.crc)) {
    throw new DamagedData('its checksum is not that of its bytes')
  }
}

/**
 * A damaged batch ends where the next one begins. Without a next one, it ends where its header
 * says, within the log.
 */
function describeDamage(
  bytes: Buffer,
  start: number,
  end: number,
  from: number,
  context: SetContext,
  error: unknown,
): DamagedBatch {
  const { highWatermark } = context
  const claimed =
    Number(bytes.readBigInt64BE(start)) + bytes.readInt32BE(start + at.lastOffsetDelta) + 1
  const ownEnd = Math.min(Math.max(claimed, from + 1), Math.max(highWatermark, from + 1))
  const followed = nextBatchOffset(bytes, start, end, context)
  const next = followed !== undefined && followed > from ? followed : ownEnd
  return {
    from,
    next,
    detail: `the record batch at offset ${from} cannot be read: ${messageOf(error)}`,
  }
}

/**
 * The base offset of the batch that begins at `end`. Undefined unless that batch is whole and its
 * offset is in the log.
 */
function nextBatchOffset(
  bytes: Buffer,
  start: number,
  end: number,
  context: SetContext,
): number | undefined {
  if (end <= start || end + headerBytes > bytes.length) return undefined
  const nextEnd = end + overheadBytes + bytes.readInt32BE(end + at.length)
  if (nextEnd > bytes.length || nextEnd < end + headerBytes) return undefined
  try {
    const following = bytes.subarray(end, nextEnd)
    checkBytes(following)
    const { baseOffset } = new RecordBatchBytes(following)
    const { fetchedOffset, highWatermark } = context
    return highWatermark > fetchedOffset && baseOffset >= highWatermark ? undefined : baseOffset
  } catch {
    // It is damaged as well, and tells nothing.
    return undefined
  }
}

function safeOffset(bytes: Buffer): number {
  const offset = bytes.readBigInt64BE(0)
  const number = Number(offset)
  if (!Number.isSafeInteger(number) || number < 0) throw new DamagedData(`its offset is ${offset}`)
  return number
}
