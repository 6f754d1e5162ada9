/** How the tables are called: pure, as it decides what `--mysql-table` allows. */

/** Letters and digits, so that a name needs no quotes anywhere. */
const tableNames = /^[A-Za-z_][A-Za-z0-9_]{0,54}$/

/** @throws Error whose message says what is allowed. */
export function checkTableName(name: string): void {
  if (!tableNames.test(name))
    throw new Error('up to 55 letters, digits and _, not beginning with a digit')
}

/** The table of records that could not have their position. */
export function rejectedTable(table: string): string {
  return `${table}_rejected`
}
