import { setImmediate } from 'node:timers/promises'
import type { RecordInPlace } from '../../record/record.ts'
import { messageOf } from '../../runtime/errors.ts'
import { type AbortedTransaction, AbortedTransactions } from './aborted-transactions.ts'
import { DamagedData } from './damaged-data.ts'
import { type Inflater, inflaterOf } from './inflate.ts'
import { type OldMessages, unpackOld } from './old-messages.ts'
import { type Piece, UnpackError, type UnpackLimits } from './piece.ts'
import { type Assembled, RecordAssembler } from './record-assembler.ts'
import { BatchReader, type OversizedRecord, type RecordsRead } from './record-reader.ts'
import type { RecordBatchBytes } from './record-set.ts'

export interface UnpackedFetch {
  readonly fetchedOffset: number
  readonly batches: readonly RecordBatchBytes[]
  readonly old: OldMessages | undefined
  readonly abortedTransactions: readonly AbortedTransaction[]
}

/**
 * All records of a fetch from its offset on, in pieces that end between records. A piece costs no
 * more than the limit, whatever a batch inflates to. The pieces tile the offsets: for an offset
 * without a record, Kafka has none.
 *
 * @throws UnpackError after the pieces before the batch that cannot be read.
 */
export async function* unpack(fetch: UnpackedFetch, limits: UnpackLimits): AsyncGenerator<Piece> {
  const aborted = new AbortedTransactions(fetch.abortedTransactions)
  let from = fetch.fetchedOffset
  /** Everything below this offset is in the piece, or has no record. */
  let position = from
  let records: readonly RecordInPlace[] = []
  let cost = 0
  const take = (next: number, streamBytes: number, oversized?: OversizedRecord): Piece => {
    const piece = { from, next, records, oversized, streamBytes }
    from = next
    position = next
    records = []
    cost = 0
    return piece
  }
  if (fetch.old !== undefined) {
    yield* unpackOld(fetch.old, from, limits)
    return
  }
  for (const batch of fetch.batches) {
    if (batch.next <= position) continue
    if (aborted.includes(batch) || batch.isControl) {
      position = batch.next
      continue
    }
    try {
      for await (const read of readBatch(batch, limits)) {
        const { streamBytes, oversized } = read
        const wanted = notBefore(read.records, from)
        records = records.length === 0 ? wanted : records.concat(wanted)
        cost += read.cost
        position = Math.max(position, (read.records.at(-1)?.offset ?? -1) + 1)
        if (oversized !== undefined && oversized.offset >= from)
          yield take(oversized.offset + 1, streamBytes, oversized)
        // What a stream yields is valid only until it continues.
        else if (cost >= limits.pieceBytes || streamBytes > 0) yield take(position, streamBytes)
      }
    } catch (error) {
      const offset = position
      if (position > from) yield take(position, 0)
      const message = `the record batch at offset ${offset} cannot be read: ${messageOf(error)}`
      throw new UnpackError(
        { offset, next: batch.next, isDamage: error instanceof DamagedData },
        message,
        error,
      )
    }
    if (!limits.isWanted()) return
    position = batch.next
  }
  if (position > from) yield take(position, 0)
}

/** A fetch brings whole batches: the first may begin before the offset that was asked for. */
function notBefore(records: readonly RecordInPlace[], offset: number): readonly RecordInPlace[] {
  return (records[0]?.offset ?? offset) >= offset
    ? records
    : records.filter((record) => record.offset >= offset)
}

interface BatchPart extends RecordsRead {
  readonly streamBytes: number
}

/**
 * The records of one batch in parts. A stream begins with an empty part, so that what was read
 * before it goes first.
 */
async function* readBatch(
  batch: RecordBatchBytes,
  limits: UnpackLimits,
): AsyncGenerator<BatchPart> {
  const reader = new BatchReader(batch, limits)
  const inflater = inflaterOf(batch.attributes)
  const whole =
    inflater === undefined ? batch.body : await inflater.whole(batch.body, limits.pieceBytes)
  if (whole !== undefined) {
    for (const part of readWhole(reader, whole, true)) yield { ...part, streamBytes: 0 }
  } else {
    yield* readStream(reader, inflater!, batch.body, limits)
  }
}

/** The last part comes only when the batch has proven whole. */
function* readWhole(reader: BatchReader, bytes: Buffer, isAll: boolean): Generator<RecordsRead> {
  let end = 0
  do {
    const read = reader.read(bytes, end)
    end = read.end
    if (end >= bytes.length && isAll) reader.finish()
    yield read
  } while (end < bytes.length)
}

/** Inflating on this thread yields to the event loop after this much. */
const turnBytes = 2 ** 20

async function* readStream(
  reader: BatchReader,
  inflater: Inflater,
  body: Buffer,
  limits: UnpackLimits,
): AsyncGenerator<BatchPart> {
  const streamBytes = inflater.windowBytes(body) + 2 * limits.pieceBytes
  yield { records: [], oversized: undefined, end: 0, cost: 0, streamBytes }
  const assembler = new RecordAssembler(limits)
  let inflated = 0
  for await (const chunk of inflater.chunks(body)) {
    if (!limits.isWanted()) return
    for (const assembled of assembler.push(chunk))
      yield* readAssembled(reader, assembled, streamBytes, limits)
    inflated += chunk.length
    if (inflated < turnBytes) continue
    inflated = 0
    await setImmediate()
  }
  for (const assembled of assembler.end())
    yield* readAssembled(reader, assembled, streamBytes, limits)
  reader.finish()
}

async function* readAssembled(
  reader: BatchReader,
  assembled: Assembled,
  streamBytes: number,
  { room }: UnpackLimits,
): AsyncGenerator<BatchPart> {
  if (assembled.kind === 'large') await room(assembled.bytes)
  else if (assembled.kind === 'oversized') {
    yield { records: [], oversized: reader.readHead(assembled.head), end: 0, cost: 0, streamBytes }
  } else
    for (const part of readWhole(reader, assembled.bytes, false)) yield { ...part, streamBytes }
}
