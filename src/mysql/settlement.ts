import type { PartQueue } from '../delivery/part-queue.ts'
import type { RejectedRecord, RejectLog } from '../delivery/reject-log.ts'
import type { Observer } from '../pipeline/observer.ts'
import type { Logger } from '../runtime/log.ts'
import { isTooLarge, sayable } from './answer.ts'
import type { MysqlFailure } from './failure.ts'
import type { RowEffects } from './insert.ts'
import { collisionWith, isOmitted, reductionAfter } from './reduction.ts'
import { errorTypes, type Reduction } from './row.ts'
import { type Form, type Part, type Row, reductionOf } from './statement.ts'

export interface SettlementParts {
  readonly sink: string
  /** The names of the tables, as they are. */
  readonly table: string
  readonly rejectedTable: string
  readonly queue: () => PartQueue<Part>
  readonly rejectLog: RejectLog
  readonly log: Logger
  readonly observer: Observer | undefined
  /** Files are kept of the same records: they have a value that is omitted here. */
  readonly hasFiles: boolean
  /** Log lines may hold parts of refused records. */
  readonly logSamples: boolean
}

/** Does what an answer asks for: acknowledges rows, sends less of them, says what is not whole. */
export class Settlement implements RowEffects {
  readonly #parts: SettlementParts

  constructor(parts: SettlementParts) {
    this.#parts = parts
  }

  stored(rows: readonly Row[]): void {
    for (const row of rows) {
      if (row.settled) continue
      row.settled = true
      if (row.pending.closed) continue
      const reduction = reductionOf(row.form)
      if (reduction !== undefined && isOmitted(reduction) && !this.#parts.hasFiles)
        this.#parts.rejectLog.omitted(recordOf(row), sayableOf(reduction))
      row.pending.acknowledge(1)
    }
  }

  present(records: number): void {
    const { log, sink } = this.#parts
    if (records > 0)
      log.debug({ event: 'records_present', sink, records }, 'records were stored before')
  }

  refused(row: Row, failure: MysqlFailure): void {
    const reduction = reductionAfter(row, {
      reason: failure.text,
      sayable: this.words(failure),
      isTooLarge: isTooLarge(failure.errno),
    })
    // Not even its position is accepted: that is the table's own fault, and waited for.
    if (reduction === undefined) throw failure
    this.reduced(row, reduction)
  }

  storedAsText(row: Row, reduction: Reduction, failure: MysqlFailure): void {
    row.settled = true
    this.#rejected(row, { ...reduction, sayable: this.words(failure) })
  }

  collided(row: Row, timestamp: string): void {
    row.settled = true
    const reduction = collisionWith(row, timestamp)
    this.#parts.queue().push(partOf(row, { is: 'collision', reduction }))
    this.#rejected(row, reduction)
  }

  done(ms: number): void {
    this.#parts.observer?.done(this.#parts.sink, ms)
  }

  /** Sends less of the record. */
  reduced(row: Row, reduction: Reduction): void {
    row.settled = true
    const is = row.form.is === 'collision' ? 'collision' : 'reduced'
    this.#parts.queue().pushFirst([partOf(row, { is, reduction })])
    this.#rejected(row, reduction)
  }

  /** What a log may say of a failure. */
  words(failure: MysqlFailure): string {
    return this.#parts.logSamples ? failure.text : sayable(failure)
  }

  /** A record is a reject once, however often what is kept of it shrinks. */
  #rejected(row: Row, reduction: Reduction): void {
    if (row.form.is !== 'record') return
    const { errorType: error } = reduction
    const { sink, table, rejectedTable, observer, rejectLog } = this.#parts
    const isCollision = error === errorTypes.taken
    const keptIn = isCollision ? rejectedTable : table
    observer?.happened(sink, 'reject', error, 1)
    rejectLog.rejected(
      recordOf(row),
      { error, reason: sayableOf(reduction), keptIn },
      error,
      isCollision ? 'error' : 'warn',
    )
  }
}

function partOf({ pending, i }: Row, form: Form): Part {
  return { pending, start: i, end: i + 1, form }
}

function sayableOf({ sayable, reason }: Reduction): string {
  return sayable ?? reason
}

function recordOf({ pending: { batch }, i }: Row): RejectedRecord {
  const { topic, partition } = batch
  const type = batch.types[batch.typeIndexes[i]!]!.name
  return { topic, partition, offset: batch.offsets[i]!, type }
}
