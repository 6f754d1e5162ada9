import { guarded, type Mysql } from './client.ts'
import { rejectedTable } from './table-name.ts'

/** Rows of one statement: locks are held for a moment only, and a replica keeps up. */
const rowsAtOnce = 5000

/** What a table has of days before `before`, in ms. */
export async function countOldRows(client: Mysql, table: string, before: number): Promise<number> {
  let rows = 0
  for (const name of [table, rejectedTable(table)]) {
    const [row] = await guarded(client, () =>
      client.query<readonly { readonly n: string | number }[]>(
        `SELECT COUNT(*) AS n FROM \`${name}\` WHERE \`time\` < '${timeSql(before)}'`,
      ),
    )
    rows += Number(row!.n)
  }
  return rows
}

/** Deletes them; those without a day stay. `proceed` is asked between the statements, and throws to stop. */
export async function deleteOldRows(client: Mysql, table: string, before: number, proceed: () => void): Promise<void> {
  for (const name of [table, rejectedTable(table)]) {
    for (;;) {
      proceed()
      const { affectedRows } = await guarded(client, () =>
        client.query<{ readonly affectedRows: number }>(
          `DELETE FROM \`${name}\` WHERE \`time\` < '${timeSql(before)}' LIMIT ${rowsAtOnce}`,
        ),
      )
      if (affectedRows === 0) break
    }
  }
}

function timeSql(ms: number): string {
  return new Date(ms).toISOString().slice(0, 23).replace('T', ' ')
}
