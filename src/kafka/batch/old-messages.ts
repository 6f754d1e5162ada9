import { RecordInPlace } from '../../record/record.ts'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { DamagedData } from './damaged-data.ts'
import { type Piece, UnpackError, type UnpackLimits } from './piece.ts'
import { exact } from './record-reader.ts'

/**
 * A message of format 0 or 1, from before Kafka 0.11, as kafkajs reads it. Brokers before 4.0 may
 * still hold such messages (KIP-724).
 */
export interface OldMessage {
  readonly offset: string
  /** In ms; format 0 has none. */
  readonly timestamp?: string
  readonly key: Buffer | null
  readonly value: Buffer | null
}

/** A set of such messages, as the broker sent it. */
export interface OldMessages {
  readonly bytes: Buffer
  /** The offset behind the last one. */
  readonly next: number
  /** kafkajs's reader. It inflates the set whole, within the limit of `registerCodecs`. */
  readonly decode: (bytes: Buffer) => Promise<readonly OldMessage[]>
}

const headBytes = 12
const magicAt = 16

/**
 * The offset behind the last whole message of a set; undefined when there is none. A compressed
 * message has the offset of the last one inside it.
 */
export function endOfOldMessages(bytes: Buffer): number | undefined {
  let next: number | undefined
  for (let at = 0; at + magicAt < bytes.length && bytes[at + magicAt]! < 2; ) {
    const end = at + headBytes + bytes.readInt32BE(at + 8)
    const offset = Number(bytes.readBigInt64BE(at))
    if (end <= at + headBytes || end > bytes.length || !Number.isSafeInteger(offset) || offset < 0)
      break
    next = offset + 1
    at = end
  }
  return next
}

function recordOf({ offset, timestamp = '-1', key, value }: OldMessage): RecordInPlace {
  const number = Number(offset)
  if (!Number.isSafeInteger(number)) throw new DamagedData(`a message has the offset ${offset}`)
  return RecordInPlace.of({
    offset: number,
    timestamp: exact(BigInt(timestamp)),
    key,
    value,
    headers: [],
  })
}

/** The messages from an offset on, in pieces. @throws UnpackError */
export async function* unpackOld(
  old: OldMessages,
  from: number,
  limits: UnpackLimits,
): AsyncGenerator<Piece> {
  let position = from
  let records: RecordInPlace[] = []
  let cost = 0
  const take = (next: number, oversized?: Piece['oversized']): Piece => {
    const piece = { from: position, next, records, oversized, streamBytes: 0 }
    position = next
    records = []
    cost = 0
    return piece
  }
  try {
    for (const message of await old.decode(old.bytes)) {
      const record = recordOf(message)
      if (record.offset < position) continue
      const bytes = record.bytes.length
      const oversized = bytes > limits.maxRecordBytes ? { offset: record.offset, bytes } : undefined
      if (oversized === undefined) {
        records.push(record)
        cost += bytes
      }
      if (oversized !== undefined || cost >= limits.pieceBytes)
        yield take(record.offset + 1, oversized)
    }
    if (old.next > position) yield take(old.next)
  } catch (error) {
    const message = `the messages from offset ${position} on cannot be read: ${messageOf(error)}`
    const next = Math.max(old.next, position + 1)
    throw new UnpackError({ offset: position, next, isDamage: isDamage(error) }, message, error)
  }
}

/**
 * kafkajs reads without checks, so wrong lengths end in many kinds of errors of Node. Apart from a
 * missing codec (an error of this program) and a lack of memory, bytes are the only cause here.
 */
function isDamage(error: unknown): boolean {
  if (error instanceof DamagedData) return true
  return (
    error instanceof Error &&
    !(error instanceof ArchiverError) &&
    !/memory|alloc/i.test(error.message)
  )
}
