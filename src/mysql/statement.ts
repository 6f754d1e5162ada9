import type { PartQueue, Part as Slice } from '../delivery/part-queue.ts'
import type { PendingBatch } from '../delivery/pending.ts'
import { lineStart, malformedType } from '../record/record.ts'
import { insertHead, type Reduction, rowSql } from './row.ts'

/**
 * How a record becomes a row.
 *
 * - record: as it is.
 * - reduced: with less of it, because the server refuses it as it is.
 * - collision: in the table of rejects, because another record has its position.
 */
export type Form =
  | { readonly is: 'record' }
  | { readonly is: 'reduced'; readonly reduction: Reduction }
  | { readonly is: 'collision'; readonly reduction: Reduction }

export const asRecord: Form = { is: 'record' }

/** Records that go the same way. A part of another form than `record` has one record. */
export interface Part extends Slice {
  readonly form: Form
}

/** One record of a statement. */
export interface Row {
  readonly pending: PendingBatch
  readonly i: number
  readonly form: Form
  /** The values, as SQL. */
  readonly sql: string
  /** Bytes of `sql`. */
  readonly bytes: number
  /** It is stored, or on its way in another form. */
  settled: boolean
}

/**
 * Rows that go together, and those met on the way that are too large for the server by themselves.
 */
export interface Statement {
  readonly rows: readonly Row[]
  readonly tooLarge: readonly Row[]
}

/** Bytes of a statement beside its rows; generous, as a packet has a head. */
const headBytes = insertHead('').length + 512

/**
 * Takes the next rows of at most `maxBytes` out of the queue, but one at least if it is not larger
 * than `maxPacketBytes`. A collision goes alone.
 */
export function takeStatement(
  queue: PartQueue<Part>,
  maxBytes: number,
  maxPacketBytes: number,
): Statement {
  const max = Math.min(maxBytes, maxPacketBytes) - headBytes
  const rows: Row[] = []
  const tooLarge: Row[] = []
  let used = 0
  for (let part = queue.peek(); part !== undefined; part = queue.peek()) {
    const isAlone = part.form.is === 'collision'
    if (isAlone && rows.length > 0) break
    for (let i = part.start; i < part.end; i++) {
      const row = rowOf(part, i)
      if (row.bytes > maxPacketBytes - headBytes) {
        tooLarge.push(row)
        continue
      }
      if (rows.length > 0 && used + row.bytes > max) {
        queue.shiftUntil(i)
        return { rows, tooLarge }
      }
      rows.push(row)
      used += row.bytes + 1
    }
    queue.shift()
    if (isAlone && rows.length > 0) break
  }
  return { rows, tooLarge }
}

/** Record `i` of a part as a row. */
export function rowOf({ pending, form }: Pick<Part, 'pending' | 'form'>, i: number): Row {
  const sql = rowSql(pending.batch, i, reductionOf(form))
  return { pending, i, form, sql, bytes: Buffer.byteLength(sql), settled: false }
}

/** Undefined for a record as it is. */
export function reductionOf(form: Form): Reduction | undefined {
  return form.is === 'record' ? undefined : form.reduction
}

/** The parts that rows were made of, neighbours together. */
export function partsOf(rows: readonly Row[]): Part[] {
  const parts: Part[] = []
  for (const { pending, i, form } of rows) {
    const last = parts.at(-1)
    const joins =
      last?.pending === pending &&
      last.end === i &&
      last.form.is === 'record' &&
      form.is === 'record'
    if (joins) parts[parts.length - 1] = { ...last, end: i + 1 }
    else parts.push({ pending, start: i, end: i + 1, form })
  }
  return parts
}

/** The bytes of the lines of a part. */
export function bytesOfPart({ pending: { batch }, start, end }: Part): number {
  return end === start ? 0 : batch.ends[end - 1]! - lineStart(batch, start)
}

/** A malformed record has no text to fall back to. */
export function isMalformed({ pending: { batch }, i }: Row): boolean {
  const { name, reserved } = batch.types[batch.typeIndexes[i]!]!
  return reserved && name === malformedType.name
}
