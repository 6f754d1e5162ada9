import { partitionKey, type RecordBatch, type TopicPartition } from '../record/record.ts'
import { anything, digits, list, object } from '../runtime/shape.ts'
import type { Mysql } from './client.ts'
import { quoteText, timestampOf } from './row.ts'
import type { Row } from './statement.ts'

/** Rows, by what the table has at their positions. */
export interface Presence {
  /** The row of the same record is there. */
  readonly same: readonly Row[]
  /** The row of another record is there, with this timestamp. */
  readonly other: readonly { readonly row: Row; readonly timestamp: string }[]
}

/**
 * Finds rows that are in the tables already. After a partition was opened its rows are looked up
 * before they are sent, until a look finds none.
 */
export class PresentRows {
  readonly #client: Mysql
  readonly #table: string
  readonly #rejectedTable: string
  /** Partitions whose rows may be there already. */
  readonly #uncertain = new Set<string>()

  /** Both names are quoted. */
  constructor(client: Mysql, table: string, rejectedTable: string) {
    this.#client = client
    this.#table = table
    this.#rejectedTable = rejectedTable
  }

  opened(tp: TopicPartition): void {
    this.#uncertain.add(partitionKey(tp))
  }

  closed(tp: TopicPartition): void {
    this.#uncertain.delete(partitionKey(tp))
  }

  /** Whether rows of the partition are to be looked up before they are sent. */
  isUncertain(tp: TopicPartition): boolean {
    return this.#uncertain.has(partitionKey(tp))
  }

  /** Looks rows of one partition up. @throws MysqlFailure */
  async find(rows: readonly Row[]): Promise<Presence> {
    const same: Row[] = []
    const other: { row: Row; timestamp: string }[] = []
    const [first] = rows
    if (first === undefined) return { same, other }
    if (first.form.is === 'collision') {
      for (const row of rows) if (await this.#isKeptAsReject(row)) same.push(row)
      return { same, other }
    }
    const timestamps = await this.#timestampsOf(rows)
    if (timestamps.size > 0) this.opened(first.pending.batch)
    else this.closed(first.pending.batch)
    for (const row of rows) {
      const { batch } = row.pending
      const timestamp = timestamps.get(batch.offsets[row.i]!)
      if (timestamp === undefined) continue
      if (timestamp === timestampOf(batch, row.i)) same.push(row)
      else other.push({ row, timestamp })
    }
    return { same, other }
  }

  /** The timestamps of the rows that are there for some positions of one partition, by offset. */
  async #timestampsOf(rows: readonly Row[]): Promise<ReadonlyMap<number, string>> {
    const { batch } = rows[0]!.pending
    const offsets = rows.map(({ pending, i }) => pending.batch.offsets[i]!)
    const found = await this.#client.query<
      readonly { readonly o: string | number; readonly t: string | number }[]
    >(
      `SELECT \`offset\` AS o, \`timestamp\` AS t FROM ${this.#table} WHERE ${isOf(batch)} AND \`offset\` BETWEEN ${Math.min(...offsets)} AND ${Math.max(...offsets)}`,
      list(object({ o: digits, t: digits })),
    )
    return new Map(found.map(({ o, t }) => [Number(o), String(t)]))
  }

  async #isKeptAsReject({ pending: { batch }, i }: Row): Promise<boolean> {
    const found = await this.#client.query<readonly unknown[]>(
      `SELECT 1 FROM ${this.#rejectedTable} WHERE ${isOf(batch)} AND \`offset\` = ${batch.offsets[i]!} AND \`timestamp\` = ${timestampOf(batch, i)}`,
      list(anything),
    )
    return found.length > 0
  }
}

function isOf({ topic, partition }: RecordBatch): string {
  return `topic = ${quoteText(topic)} AND \`partition\` = ${partition}`
}

export function groupByPartition(rows: readonly Row[]): Iterable<readonly Row[]> {
  return Map.groupBy(rows, ({ pending: { batch } }) => partitionKey(batch)).values()
}
