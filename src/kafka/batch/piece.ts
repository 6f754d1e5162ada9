import type { RecordInPlace } from '../../record/record.ts'
import type { OversizedRecord, RecordLimits } from './record-reader.ts'

/** A part of what one fetch brought: `[from, next)` with all its records. */
export interface Piece {
  readonly from: number
  readonly next: number
  readonly records: readonly RecordInPlace[]
  /** The last offset of the piece, if its record is too large to be kept. */
  readonly oversized: OversizedRecord | undefined
  /**
   * What the stream that the rest comes out of keeps in memory meanwhile; 0 without such a stream.
   */
  readonly streamBytes: number
}

export interface UnpackLimits extends RecordLimits {
  /** False once nobody wants the rest. */
  readonly isWanted: () => boolean
  /** Settles when there is room for a record that is larger than a piece. */
  readonly room: (bytes: number) => Promise<void>
}

/** A batch that makes trouble: at `offset`, with what is wrong. Pieces before it were given. */
export class UnpackError extends Error {
  override readonly name = 'UnpackError'
  readonly offset: number
  /** Where the batch ends: the next one may be good. */
  readonly next: number
  /** The bytes are to blame, and not this process. */
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

/**
 * Frees the buffer of one large record at once. The garbage collector would do so when it comes to
 * it: by then the line of the record, and what sinks make of that, take as much again.
 */
export function releaseLarge(records: readonly RecordInPlace[], pieceBytes: number): void {
  const [record] = records
  // Only a record that was put together out of a stream has a buffer to itself; others share the
  // answer of the broker.
  if (records.length !== 1 || record!.bytes.length <= pieceBytes) return
  const { buffer, byteLength } = record!.bytes
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}
