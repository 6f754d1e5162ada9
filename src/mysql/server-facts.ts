import { digits, text } from '../runtime/shape.ts'
import { oneRow } from './failure.ts'

/** What a server says of itself. */
export interface ServerFacts {
  readonly kind: 'mysql' | 'mariadb'
  readonly version: string
  /** The max bytes of one statement. */
  readonly maxPacketBytes: number
  /**
   * Whether a transaction is on disk when it is acknowledged: `innodb_flush_log_at_trx_commit`, and
   * `sync_binlog` if there is a binary log.
   */
  readonly flushesEveryCommit: boolean
}

export interface FactsRow {
  readonly version: string
  readonly max_packet: string
  readonly flush: string
  readonly has_binlog: string
  readonly sync_binlog: string
}

/** Asks for a `FactsRow`. */
export const factsSql =
  'SELECT VERSION() AS version, @@max_allowed_packet AS max_packet, @@innodb_flush_log_at_trx_commit AS flush, @@log_bin AS has_binlog, @@sync_binlog AS sync_binlog'

/** Numbers of variables may be numbers or texts. */
export const factsShape = oneRow({
  version: text,
  max_packet: digits,
  flush: digits,
  has_binlog: digits,
  sync_binlog: digits,
})

export function factsOf(row: FactsRow): ServerFacts {
  const { version, max_packet, flush, has_binlog, sync_binlog } = row
  return {
    kind: /mariadb/i.test(version) ? 'mariadb' : 'mysql',
    // Some MariaDB put the version of a MySQL before their own, for old clients.
    version: version.replace(/^5\.5\.5-/, ''),
    maxPacketBytes: Number(max_packet),
    // A crash takes back what is missing in the log that replicas read.
    flushesEveryCommit:
      Number(flush) === 1 && (Number(has_binlog) === 0 || Number(sync_binlog) === 1),
  }
}

const minVersions = { mysql: [8, 0, 17], mariadb: [10, 6, 0] } as const

/** False for servers before MySQL 8.0.17 and MariaDB 10.6. */
export function isSupported({ kind, version }: ServerFacts): boolean {
  const parts = version.split(/[.-]/).map(Number)
  for (const [i, part] of minVersions[kind].entries())
    if (parts[i] !== part) return (parts[i] ?? 0) > part
  return true
}
