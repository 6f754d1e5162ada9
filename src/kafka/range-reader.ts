import type { SourceBatch, TopicPartition } from '../record/record.ts'
import { type OffsetRange, partitionKey } from '../record/record.ts'
import { ArchiverError } from '../runtime/errors.ts'
import { sleep } from '../runtime/retry.ts'
import type { FetchedPartitionBatch } from './batch/fetched-batch.ts'
import { UnpackError } from './batch/piece.ts'
import { unpack } from './batch/unpack.ts'

/** What a reader of ranges asks Kafka. */
export interface RangeQuestions {
  /** One fetch; undefined if the log does not have the offset. */
  fetch(tp: TopicPartition, offset: number): Promise<FetchedPartitionBatch | undefined>
  /** The first offset that the log has. */
  startOf(tp: TopicPartition): Promise<number>
}

const pieceBytes = 2 ** 20
/** Fetches in a row that bring nothing, although the log goes on. */
const maxStalls = 10
const stallMs = 200

/**
 * Reads a range of offsets without the group, for the rare case that a sink has lost it. What
 * retention has removed, what is damaged in two fetches and what is too large is left out.
 *
 * @throws ArchiverError `UNREACHABLE`; UnpackError; the signal's reason once it is aborted
 */
export async function* readRange(
  questions: RangeQuestions,
  tp: TopicPartition,
  { from, next }: OffsetRange,
  { maxRecordBytes, signal }: { readonly maxRecordBytes: number; readonly signal: AbortSignal },
): AsyncGenerator<SourceBatch> {
  let suspect: number | undefined
  let stalls = 0
  for (let offset = from; offset < next; ) {
    signal.throwIfAborted()
    const fetched = await questions.fetch(tp, offset)
    if (fetched === undefined) {
      const start = await questions.startOf(tp)
      // The log ends before the offset.
      if (start <= offset) return
      offset = start
      continue
    }
    if (fetched.failure !== undefined) throw fetched.failure
    const limits = {
      pieceBytes,
      maxRecordBytes,
      isWanted: () => !signal.aborted,
      room: async () => {},
    }
    try {
      for await (const piece of unpack(fetched, limits)) {
        const records = piece.records.filter((record) => record.offset < next)
        if (piece.next > piece.from)
          yield { ...tp, from: piece.from, next: Math.min(piece.next, next), records }
        offset = Math.max(offset, piece.next)
      }
      signal.throwIfAborted()
      const { damaged } = fetched
      if (damaged !== undefined && damaged.from < next)
        throw new UnpackError(
          { offset: damaged.from, next: damaged.next, isDamage: true },
          damaged.detail,
        )
    } catch (error) {
      if (!(error instanceof UnpackError) || !error.isDamage) throw error
      // What is damaged in the second fetch, too, is damaged in Kafka's log.
      offset = suspect === error.offset ? error.next : error.offset
      suspect = error.offset
      continue
    } finally {
      fetched.letGo()
    }
    if (fetched.next > fetched.fetchedOffset) {
      offset = Math.max(offset, fetched.next)
      stalls = 0
      continue
    }
    if (Number(fetched.highWatermark) <= offset) return
    if (++stalls === maxStalls)
      throw new ArchiverError(
        'UNREACHABLE',
        `${partitionKey(tp)}: ${stalls} fetches at offset ${offset} brought nothing`,
      )
    await sleep(stallMs, signal)
  }
}
