import type { OffsetRange, TopicPartition } from '../record/record.ts'
import { digits, list, object, type Shape } from '../runtime/shape.ts'
import type { Mysql } from './client.ts'
import { guarded, oneRow } from './failure.ts'
import { errorTypes, quoteText, type StoredRow, selectedColumns, storedRowShape } from './row.ts'
import { rejectedTable } from './table-name.ts'

interface CountRow {
  readonly n: string | number
}

interface OffsetRow {
  readonly o: string | number
}

const countShape = oneRow({ n: digits })
const offsetsShape = list(object({ o: digits }))

/** What a table holds, by topic, partition and offset. The primary key holds each position once. */
export class RowReader {
  readonly #client: Mysql
  readonly #table: string
  readonly #rejectedTable: string

  constructor(client: Mysql, table: string) {
    this.#client = client
    this.#table = `\`${table}\``
    this.#rejectedTable = `\`${rejectedTable(table)}\``
  }

  /**
   * How many rows a range has. `since`: only rows whose Kafka timestamp is this or later (or that
   * have none that means a day), in ms.
   * @throws ArchiverError `UNREACHABLE`
   */
  async count(tp: TopicPartition, range: Partial<OffsetRange>, since?: number): Promise<number> {
    return this.#count(this.#table, whereOf(tp, range, since))
  }

  /** Those of some offsets that have a row. @throws ArchiverError `UNREACHABLE` */
  async held(tp: TopicPartition, offsets: readonly number[]): Promise<ReadonlySet<number>> {
    if (offsets.length === 0) return new Set()
    const rows = await this.#ask<OffsetRow>(
      `SELECT \`offset\` AS o FROM ${this.#table} WHERE ${whereOf(tp, {})} AND \`offset\` IN (${offsets.join(', ')})`,
    )
    return new Set(rows.map(({ o }) => Number(o)))
  }

  /** The very offsets of a range, in order, at most `limit`. */
  async offsets(
    tp: TopicPartition,
    range: Partial<OffsetRange>,
    since?: number,
    limit?: number,
  ): Promise<number[]> {
    const rows = await this.#ask<OffsetRow>(
      `SELECT \`offset\` AS o FROM ${this.#table} WHERE ${whereOf(tp, range, since)} ORDER BY \`offset\`${limit === undefined ? '' : ` LIMIT ${limit}`}`,
    )
    return rows.map(({ o }) => Number(o))
  }

  /** How many rows of a range do not hold the whole record, or not as JSON. */
  async rejected(tp: TopicPartition, range: Partial<OffsetRange>, since?: number): Promise<number> {
    const kinds = [errorTypes.text, errorTypes.envelope, errorTypes.position]
      .map(quoteText)
      .join(', ')
    return this.#count(this.#table, `${whereOf(tp, range, since)} AND error_type IN (${kinds})`)
  }

  /**
   * The offsets of a range whose row another record has. The records themselves are in the table of
   * rejects.
   */
  async collisions(
    tp: TopicPartition,
    range: Partial<OffsetRange>,
    since?: number,
  ): Promise<number[]> {
    const rows = await this.#ask<OffsetRow>(
      `SELECT \`offset\` AS o FROM ${this.#rejectedTable} WHERE ${whereOf(tp, range, since)} ORDER BY \`offset\``,
    )
    return rows.map(({ o }) => Number(o))
  }

  /** Whole rows of a range in the order of offsets, as they are taken. */
  async *rows(
    tp: TopicPartition,
    range: Partial<OffsetRange>,
    since?: number,
  ): AsyncGenerator<StoredRow> {
    const sql = `SELECT ${selectedColumns} FROM ${this.#table} WHERE ${whereOf(tp, range, since)} ORDER BY \`offset\``
    const rows = this.#client.rows<StoredRow>(sql, storedRowShape)
    for (;;) {
      const { value, done } = await guarded(this.#client, () => rows.next())
      if (done === true) return
      yield value
    }
  }

  async #count(table: string, where: string): Promise<number> {
    const [row] = await this.#ask<CountRow>(
      `SELECT COUNT(*) AS n FROM ${table} WHERE ${where}`,
      countShape,
    )
    return Number(row!.n)
  }

  #ask<T>(sql: string, shape: Shape = offsetsShape): Promise<readonly T[]> {
    return guarded(this.#client, () => this.#client.query<readonly T[]>(sql, shape))
  }
}

function whereOf(
  { topic, partition }: TopicPartition,
  { from, next }: Partial<OffsetRange>,
  since?: number,
): string {
  return [
    `topic = ${quoteText(topic)}`,
    `\`partition\` = ${partition}`,
    ...(from === undefined ? [] : [`\`offset\` >= ${from}`]),
    ...(next === undefined ? [] : [`\`offset\` < ${next}`]),
    ...(since === undefined ? [] : [`NOT (\`timestamp\` >= 0 AND \`timestamp\` < ${since})`]),
  ].join(' AND ')
}
