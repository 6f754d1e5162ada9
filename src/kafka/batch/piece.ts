import type { LostRange, RecordInPlace } from '../../record/record.ts'
import type { OversizedRecord, RecordLimits } from './record-reader.ts'

/** A part of what one fetch brought: `[from, next)` with all its records. */
export interface Piece {
  readonly from: number
  readonly next: number
  readonly records: readonly RecordInPlace[]
  /** The last offset of the piece, if its record is too large to be kept. */
  readonly oversized: OversizedRecord | undefined
  /** What the stream that yields the rest keeps in memory meanwhile; 0 without such a stream. */
  readonly streamBytes: number
}

export interface UnpackLimits extends RecordLimits {
  /** False once the rest is not wanted. */
  readonly isWanted: () => boolean
  /** Settles when there is room for a record that is larger than a piece. */
  readonly room: (bytes: number) => Promise<void>
}

/** A batch that cannot be read: where, and what is wrong. The pieces before it were yielded. */
export class UnpackError extends Error {
  override readonly name = 'UnpackError'
  readonly offset: number
  /** Where the batch ends: the next one may be good. */
  readonly next: number
  /** The bytes are to blame, not this process. */
  readonly isDamage: boolean

  constructor(
    range: { readonly offset: number; readonly next: number; readonly isDamage: boolean },
    message: string,
    cause?: unknown,
  ) {
    super(message, { cause })
    this.offset = range.offset
    this.next = range.next
    this.isDamage = range.isDamage
  }
}

/** The range that is lost when a record is too large to be kept. */
export function oversizedRange(
  { offset, bytes }: OversizedRecord,
  { maxRecordBytes }: RecordLimits,
): LostRange {
  return {
    from: offset,
    next: offset + 1,
    reason: 'oversized',
    detail: `the record at offset ${offset} has ${bytes} bytes, more than --max-record-bytes (${maxRecordBytes})`,
    bytes,
  }
}

/**
 * Frees the buffer of one large record at once. The garbage collector would free it later, when the
 * record's line, and what sinks make of the line, take as much memory again.
 */
export function releaseLarge(records: readonly RecordInPlace[], pieceBytes: number): void {
  const [record] = records
  // Only a record that was assembled from a stream has a buffer of its own. Others share the
  // broker's answer.
  if (records.length !== 1 || record!.bytes.length <= pieceBytes) return
  const { buffer, byteLength } = record!.bytes
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}
