import { judge, type Verdict } from './answer.ts'
import type { Mysql } from './client.ts'
import { MysqlFailure } from './failure.ts'
import { groupByPartition, type PresentRows } from './present-rows.ts'
import { errorTypes, insertSql, type Reduction } from './row.ts'
import { isMalformed, type Row, rowOf } from './statement.ts'
import { UnrecognizedErrors } from './unrecognized-errors.ts'

/** What becomes of rows. */
export interface RowEffects {
  /** Rows are durable, or were there already. */
  stored(rows: readonly Row[]): void
  /** Rows were there already. */
  present(rows: number): void
  /** The server refuses the row for its own content: the same with less of it is sent later. */
  refused(row: Row, failure: MysqlFailure): void
  /** The row is durable as text only, because the server refuses it as JSON. */
  storedAsText(row: Row, reduction: Reduction, failure: MysqlFailure): void
  /** Another record has the position of the row: it goes to the rejects. */
  collided(row: Row, timestamp: string): void
  /** A statement was answered after this time, in ms. */
  done(ms: number): void
}

/**
 * Inserts rows. Every statement is a transaction, so an answer says of all its rows that they are
 * durable, or of none. A row that the server refuses for its own content is found by halving.
 */
export class Inserter {
  readonly #client: Mysql
  readonly #table: string
  readonly #rejectedTable: string
  readonly #present: PresentRows
  readonly #effects: RowEffects
  readonly #unrecognized: UnrecognizedErrors

  constructor(parts: {
    readonly client: Mysql
    /** Quoted, as the next. */
    readonly table: string
    readonly rejectedTable: string
    readonly present: PresentRows
    readonly effects: RowEffects
    /** How long an unrecognized error is waited out before it may be the row's own, in ms. */
    readonly unrecognizedMs: number
  }) {
    this.#client = parts.client
    this.#table = parts.table
    this.#rejectedTable = parts.rejectedTable
    this.#present = parts.present
    this.#effects = parts.effects
    this.#unrecognized = new UnrecognizedErrors(parts.unrecognizedMs)
  }

  /**
   * Sees to each of some rows. @returns what keeps those that are not settled from the server for
   * now; undefined if all are settled. @throws Error for what must not happen
   */
  async insert(rows: readonly Row[]): Promise<MysqlFailure | undefined> {
    try {
      const uncertain = rows.filter(({ pending }) => this.#present.isUncertain(pending.batch))
      await this.#store(await this.#withoutPresent(uncertain, rows))
      return undefined
    } catch (error) {
      if (error instanceof MysqlFailure) return error
      throw error
    }
  }

  /** @throws MysqlFailure for what is to be tried again */
  async #store(rows: readonly Row[]): Promise<void> {
    const [first] = rows
    if (first === undefined) return
    const failure = await this.#attempt(rows)
    if (failure === undefined) {
      this.#effects.stored(rows)
      return
    }
    const verdict = this.#judge(failure)
    if (verdict === 'again') throw failure
    if (rows.length === 1 && verdict === 'row') {
      this.#effects.refused(first, failure)
      return
    }
    if (rows.length === 1 && verdict === 'unknown') return this.#storeAsText(first, failure)
    if (verdict === 'exists') {
      const rest = await this.#withoutPresent(rows, rows)
      if (rest.length < rows.length) return this.#store(rest)
      // No row is there that could be in the way, or not any more.
      if (rows.length === 1) throw failure
    }
    const half = rows.length >> 1
    await this.#store(rows.slice(0, half))
    await this.#store(rows.slice(half))
  }

  async #attempt(rows: readonly Row[]): Promise<MysqlFailure | undefined> {
    const table = rows[0]?.form.is === 'collision' ? this.#rejectedTable : this.#table
    const sql = rows.map((row) => row.sql)
    const startedAt = performance.now()
    try {
      await this.#client.query(insertSql(table, sql))
    } catch (error) {
      if (error instanceof MysqlFailure) return error
      throw error
    }
    this.#effects.done(performance.now() - startedAt)
    return undefined
  }

  /**
   * An unrecognized error persists. The row is to blame only if the server accepts it as text: a
   * server that refuses both accepts nothing now, and the row waits unchanged.
   * @throws MysqlFailure
   */
  async #storeAsText(row: Row, failure: MysqlFailure): Promise<void> {
    const { pending, i, form } = row
    if ((form.is !== 'record' && form.reduction.kept !== undefined) || isMalformed(row))
      throw failure
    const isCollision = form.is === 'collision'
    const reduction: Reduction = {
      kept: 'text',
      errorType: isCollision ? errorTypes.taken : errorTypes.text,
      reason: failure.text,
    }
    const reduced = { is: isCollision ? 'collision' : 'reduced', reduction } as const
    await this.#store([rowOf({ pending, form: reduced }, i)])
    this.#effects.storedAsText(row, reduction, failure)
  }

  /** `unknown` once the error has come for long; `again` before that. */
  #judge({ errno }: MysqlFailure): Exclude<Verdict, 'refused'> {
    const verdict = judge(errno)
    if (verdict === 'refused') return 'again'
    if (verdict !== 'unknown' || errno === undefined) return verdict
    return this.#unrecognized.isLasting(errno, performance.now()) ? 'unknown' : 'again'
  }

  /**
   * Looks `asked` up, and settles those that are there. @returns those of `rows` that are not
   * settled. @throws MysqlFailure
   */
  async #withoutPresent(asked: readonly Row[], rows: readonly Row[]): Promise<readonly Row[]> {
    for (const group of groupByPartition(asked)) {
      const { same, other } = await this.#present.find(group)
      this.#effects.present(same.length + other.length)
      this.#effects.stored(same)
      for (const { row, timestamp } of other) this.#effects.collided(row, timestamp)
    }
    return rows.filter(({ settled, pending }) => !settled && !pending.closed)
  }
}
