import type { AbortedTransaction } from '../../src/kafka/batch/aborted-transactions.ts'
import { type FetchedBytes, FetchedPartitionBatch } from '../../src/kafka/batch/fetched-batch.ts'
import { UnpackError } from '../../src/kafka/batch/piece.ts'
import { unpack } from '../../src/kafka/batch/unpack.ts'
import type { SourceRecord } from '../../src/record/record.ts'

export interface UnpackOptions {
  readonly fetchedOffset?: number
  readonly highWatermark?: number
  readonly aborted?: readonly AbortedTransaction[]
  readonly pieceBytes?: number
  readonly maxRecordBytes?: number
  /** For messages of the old formats; without it there are none. */
  readonly decodeOld?: FetchedBytes['decodeOld']
}

export interface UnpackedPiece {
  readonly from: number
  readonly next: number
  /** Copies: what a piece holds is valid only until the next one. */
  readonly records: readonly SourceRecord[]
  readonly oversized: { readonly offset: number; readonly bytes: number } | undefined
}

const noOld = () => Promise.reject(new Error('there are no old messages here'))

export function fetchOf(bytes: Buffer, options: UnpackOptions = {}): FetchedPartitionBatch {
  const { fetchedOffset = 0, highWatermark = 2 ** 50, aborted = [], decodeOld = noOld } = options
  return new FetchedPartitionBatch('events', fetchedOffset, {
    partition: 2,
    highWatermark: String(highWatermark),
    messages: { bytes, decodeOld },
    abortedTransactions: aborted,
  })
}

/**
 * All pieces of a record set, and what ended them if that is detail. Throws what is not about the
 * batch.
 */
export async function unpacked(bytes: Buffer, options: UnpackOptions = {}) {
  const { pieceBytes = 4 * 2 ** 20, maxRecordBytes = 128 * 2 ** 20 } = options
  const fetched = fetchOf(bytes, options)
  const pieces: UnpackedPiece[] = []
  let error: UnpackError | undefined
  const limits = { pieceBytes, maxRecordBytes, isWanted: () => true, room: async () => {} }
  try {
    for await (const { from, next, records, oversized } of unpack(fetched, limits)) {
      if (next === from) continue
      const copies = records.map(({ offset, timestamp, key, value, headers }) => ({
        offset,
        timestamp,
        key: copyOf(key),
        value: copyOf(value),
        headers: headers.map((header) => ({ key: header.key, value: copyOf(header.value) })),
      }))
      pieces.push({ from, next, records: copies, oversized })
    }
    if (fetched.damaged !== undefined) {
      const { from, next, detail } = fetched.damaged
      error = new UnpackError({ offset: from, next, isDamage: true }, detail)
    }
  } catch (thrown) {
    if (!(thrown instanceof UnpackError)) throw thrown
    error = thrown
  }
  return { fetched, pieces, error, records: pieces.flatMap(({ records }) => records) }
}

function copyOf(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes)
}
