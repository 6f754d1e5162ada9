import type { PendingBatch } from '../delivery/pending.ts'
import { lineStart } from '../record/record.ts'
import { insertHead, type Reduction, rowSql } from './row.ts'

/** Records `[start, end)` of a batch, which go the same way. */
export interface Part {
  readonly pending: PendingBatch
  readonly start: number
  readonly end: number
  /** What is left of a record that was refused; such a part has one record. */
  readonly reduction?: Reduction
  /** Into the table of rejects: another record has its position. */
  readonly isCollision?: boolean
}

/** One record of a statement. */
export interface Row {
  readonly pending: PendingBatch
  readonly i: number
  readonly reduction: Reduction | undefined
  readonly isCollision: boolean
  /** The values, as SQL. */
  readonly sql: string
  /** Bytes of `sql`. */
  readonly bytes: number
  /** It is stored, or on its way in another form. */
  settled: boolean
}

/**
 * Rows that go together, and those met on the way that alone are larger than the server takes a
 * statement.
 */
export interface Statement {
  readonly rows: readonly Row[]
  readonly tooLarge: readonly Row[]
}

/** Bytes of a statement beside its rows; generous, as a packet has a head. */
const headBytes = insertHead('').length + 512

/** The parts that wait, first in, first out, and the statements made of them. */
export class StatementQueue {
  #parts: Part[] = []
  #bytes = 0

  /** Bytes of the lines that wait. */
  get bytes(): number {
    return this.#bytes
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0
  }

  push(part: Part): void {
    this.#parts.push(part)
    this.#bytes += partBytes(part)
  }

  /** Puts parts before all that wait: they were tried and are older. */
  pushFirst(parts: readonly Part[]): void {
    this.#parts = parts.concat(this.#parts)
    for (const part of parts) this.#bytes += partBytes(part)
  }

  /** Forgets what was given up, and the memory of its lines with it. */
  dropClosed(): void {
    this.#parts = this.#parts.filter((part) => {
      if (part.pending.closed) this.#bytes -= partBytes(part)
      return !part.pending.closed
    })
  }

  /**
   * The next rows of at most `mostBytes`, but one at least where it is not larger than
   * `mostPacketBytes`. Collisions go alone.
   */
  take(mostBytes: number, mostPacketBytes: number): Statement {
    const most = Math.min(mostBytes, mostPacketBytes) - headBytes
    const rows: Row[] = []
    const tooLarge: Row[] = []
    let used = 0
    while (this.#parts.length > 0) {
      const part = this.#parts[0]!
      const isAlone = part.isCollision === true
      if (isAlone && rows.length > 0) break
      for (let i = part.start; i < part.end && !part.pending.closed; i++) {
        const row = rowOf(part, i)
        if (row.bytes > mostPacketBytes - headBytes) {
          tooLarge.push(row)
          continue
        }
        if (rows.length > 0 && used + row.bytes > most) {
          this.#replaceFirst({ ...part, start: i })
          return { rows, tooLarge }
        }
        rows.push(row)
        used += row.bytes + 1
      }
      this.#parts.shift()
      this.#bytes -= partBytes(part)
      if (isAlone && rows.length > 0) break
    }
    return { rows, tooLarge }
  }

  #replaceFirst(rest: Part): void {
    this.#bytes += partBytes(rest) - partBytes(this.#parts[0]!)
    this.#parts[0] = rest
  }
}

/** Record `i` of a part as a row. */
export function rowOf({ pending, reduction, isCollision }: Part, i: number): Row {
  const sql = rowSql(pending.batch, i, reduction)
  return {
    pending,
    i,
    reduction,
    isCollision: isCollision === true,
    sql,
    bytes: Buffer.byteLength(sql),
    settled: false,
  }
}

/** The parts that rows were made of, neighbours together. */
export function partsOf(rows: readonly Row[]): Part[] {
  const parts: Part[] = []
  for (const { pending, i, reduction, isCollision } of rows) {
    const last = parts.at(-1)
    if (
      last !== undefined &&
      last.pending === pending &&
      last.end === i &&
      isPlain(last) &&
      reduction === undefined
    ) {
      parts[parts.length - 1] = { ...last, end: i + 1 }
    } else {
      parts.push({
        pending,
        start: i,
        end: i + 1,
        ...(reduction === undefined ? {} : { reduction }),
        ...(isCollision ? { isCollision } : {}),
      })
    }
  }
  return parts
}

function isPlain({ reduction }: Part): boolean {
  return reduction === undefined
}

function partBytes({ pending: { batch }, start, end }: Part): number {
  return end === start ? 0 : batch.ends[end - 1]! - lineStart(batch, start)
}
