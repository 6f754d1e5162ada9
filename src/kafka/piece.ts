import type { RecordInPlace } from '../record.ts'
import type { OversizedRecord, RecordLimits } from './record-reader.ts'

/** A part of what one fetch brought: `[from, next)` with all its records. */
export interface Piece {
  readonly from: number
  readonly next: number
  readonly records: readonly RecordInPlace[]
  /** The last offset of the piece, if its record is too large to be kept. */
  readonly oversized: OversizedRecord | undefined
  /** What the stream that the rest comes out of keeps in memory meanwhile; 0 without such a stream. */
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
