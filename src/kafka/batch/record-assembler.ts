import { DamagedData } from './damaged-data.ts'
import type { RecordLimits } from './record-reader.ts'

/**
 * What chunks become: bytes that hold whole records, or the beginning of a record that is too
 * large.
 */
export type Assembled =
  | { readonly kind: 'records'; readonly bytes: Buffer }
  | { readonly kind: 'oversized'; readonly head: Buffer }
  /** A record of this size comes next; memory for it is allocated when the generator continues. */
  | { readonly kind: 'large'; readonly bytes: number }

/**
 * The length of a record and the fields up to its offset: varints of 5, 10 and 5 bytes, and one
 * byte of attributes.
 */
const headBytes = 21

/**
 * Cuts an inflated stream between records. It holds one piece, or one record if that is larger. The
 * bytes of an oversized record are skipped. What it yields is valid until it continues; a record
 * that is larger than a piece has a buffer of its own.
 */
export class RecordAssembler {
  readonly #maxRecordBytes: number
  readonly #piece: Buffer
  #buffer: Buffer
  #filled = 0
  #skipped = 0

  constructor({ pieceBytes, maxRecordBytes }: RecordLimits) {
    this.#maxRecordBytes = maxRecordBytes
    this.#piece = Buffer.allocUnsafeSlow(Math.max(pieceBytes, 2 * headBytes))
    this.#buffer = this.#piece
  }

  /** @throws DamagedData */
  *push(chunk: Buffer): Generator<Assembled> {
    let at = 0
    while (at < chunk.length) {
      if (this.#skipped > 0) {
        const bytes = Math.min(this.#skipped, chunk.length - at)
        this.#skipped -= bytes
        at += bytes
        continue
      }
      const copied = chunk.copy(this.#buffer, this.#filled, at)
      this.#filled += copied
      at += copied
      if (this.#filled === this.#buffer.length) yield* this.#cut()
    }
  }

  /**
   * The last records.
   *
   * @throws DamagedData when the stream ends within a record.
   */
  *end(): Generator<Assembled> {
    yield* this.#cut()
    if (this.#filled > 0 || this.#skipped > 0)
      throw new DamagedData('unexpected end of the records')
  }

  /** Gives away the whole records, and keeps the beginning of the last one. */
  *#cut(): Generator<Assembled> {
    let from = 0
    let at = 0
    let needed = 0
    while (at < this.#filled) {
      const size = recordSize(this.#buffer, at, this.#filled)
      if (size === undefined) break
      const isOversized = size.length > this.#maxRecordBytes
      const head = Math.min(headBytes, size.total)
      if (this.#filled - at < (isOversized ? head : size.total)) {
        needed = isOversized ? 0 : size.total
        break
      }
      if (isOversized) {
        if (at > from) yield { kind: 'records', bytes: this.#buffer.subarray(from, at) }
        yield { kind: 'oversized', head: this.#buffer.subarray(at, at + head) }
        from = at + size.total
        this.#skipped = Math.max(0, from - this.#filled)
      }
      at += size.total
    }
    const end = Math.min(at, this.#filled)
    const whole = end > from ? this.#buffer.subarray(from, end) : undefined
    if (end === this.#filled) {
      // The consumer of a large record may free its buffer, so the assembler forgets it first.
      this.#buffer = this.#piece
      this.#filled = 0
      if (whole !== undefined) yield { kind: 'records', bytes: whole }
      return
    }
    if (whole !== undefined) yield { kind: 'records', bytes: whole }
    if (needed > this.#piece.length) yield { kind: 'large', bytes: needed }
    const rest = this.#buffer.subarray(end, this.#filled)
    const next = needed > this.#piece.length ? Buffer.allocUnsafeSlow(needed) : this.#piece
    rest.copy(next)
    this.#buffer = next
    this.#filled = rest.length
  }
}

/**
 * The length that a record states, without and with that field; undefined when the bytes end within
 * the field.
 *
 * @throws DamagedData
 */
function recordSize(
  bytes: Buffer,
  at: number,
  end: number,
): { readonly length: number; readonly total: number } | undefined {
  let value = 0
  for (let i = 0; i < 5; i++) {
    if (at + i >= end) return undefined
    const byte = bytes[at + i]!
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte >= 0x80) continue
    if (value % 2 === 1 || value > 0xff_ff_ff_ff) break
    return { length: value / 2, total: i + 1 + value / 2 }
  }
  throw new DamagedData('a record has no length')
}
