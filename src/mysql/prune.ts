import { count, digits, object } from '../runtime/shape.ts'
import type { Mysql } from './client.ts'
import { guarded, oneRow } from './failure.ts'
import { rejectedTable } from './table-name.ts'

/** Rows of one statement: locks are held for a moment only, and a replica keeps up. */
const rowsAtOnce = 5000

export interface OldRows {
  /** Rows of the archive's topics, which go. */
  readonly own: number
  /** Rows of other topics, which stay. */
  readonly left: number
}

/** What a table has of days before `before`, in ms. */
export async function countOldRows(
  client: Mysql,
  table: string,
  before: number,
  topics: readonly string[],
): Promise<OldRows> {
  const sum = { own: 0, left: 0 }
  for (const name of [table, rejectedTable(table)]) {
    const [row] = await guarded(client, () =>
      client.query<readonly { readonly own: string | number; readonly n: string | number }[]>(
        `SELECT COUNT(*) AS n, COUNT(CASE WHEN ${isOwn(topics)} THEN 1 END) AS own FROM \`${name}\` WHERE ${isOld(before)}`,
        oneRow({ n: digits, own: digits }),
      ),
    )
    sum.own += Number(row!.own)
    sum.left += Number(row!.n) - Number(row!.own)
  }
  return sum
}

/**
 * Deletes them; those without a day stay. `proceed` is asked between the statements, and throws to
 * stop.
 */
export async function deleteOldRows(
  client: Mysql,
  table: string,
  before: number,
  topics: readonly string[],
  proceed: () => void,
): Promise<void> {
  for (const name of [table, rejectedTable(table)]) {
    for (;;) {
      proceed()
      const { affectedRows } = await guarded(client, () =>
        client.query<{ readonly affectedRows: number }>(
          `DELETE FROM \`${name}\` WHERE ${isOld(before)} AND ${isOwn(topics)} LIMIT ${rowsAtOnce}`,
          object({ affectedRows: count }),
        ),
      )
      if (affectedRows === 0) break
    }
  }
}

function isOld(before: number): string {
  return `\`time\` < '${new Date(before).toISOString().slice(0, 23).replace('T', ' ')}'`
}

/** Topics have no character that a literal would need escaped; in hexadecimal none matters. */
function isOwn(topics: readonly string[]): string {
  if (topics.length === 0) return 'FALSE'
  const literals = topics.map(
    (topic) => `CONVERT(X'${Buffer.from(topic).toString('hex')}' USING utf8mb4)`,
  )
  return `topic IN (${literals.join(', ')})`
}
