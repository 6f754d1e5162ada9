import {
  mysqlAddress,
  type mysqlConnectionOptions,
  type mysqlOptions,
} from '../../config/config.ts'
import type { Values } from '../../config/options.ts'
import { Mysql } from '../../mysql/client.ts'
import type { MysqlSinkOptions } from '../../mysql/sink.ts'
import { isLoopback } from '../../runtime/address.ts'
import { secretOf } from './secret.ts'

/** An error that nobody has met is waited out for so long before a row may be to blame. */
const unknownMs = 600_000

/**
 * The client that the options describe; `url` is `--mysql`.
 * @throws ArchiverError `USAGE` where the file with the password cannot be read.
 */
export function mysqlClient(url: string, options: Values<typeof mysqlConnectionOptions>): Mysql {
  const { host, port, user, password, database } = mysqlAddress(url)
  return new Mysql({
    host,
    port,
    user,
    password:
      password ??
      options.mysqlPassword ??
      secretOf('--mysql-password-file', options.mysqlPasswordFile),
    database,
    caFile: options.mysqlCa,
    tls: options.mysqlTls,
    tlsName: options.mysqlTlsName,
    allowsKeyRetrieval: options.mysqlAllowPublicKeyRetrieval || isLoopback(host),
    timeoutMs: options.mysqlTimeout * 1000,
  })
}

/** What the options say of the sink; `memoryLimit` in bytes is the share of whoever runs it. */
export function mysqlSinkOptions(
  options: Values<typeof mysqlOptions>,
  {
    memoryLimit,
    hasFiles,
    logSamples,
    observer,
  }: Pick<MysqlSinkOptions, 'memoryLimit' | 'hasFiles' | 'logSamples' | 'observer'>,
): MysqlSinkOptions {
  return {
    table: options.mysqlTable,
    batchBytes: options.mysqlBatchBytes,
    concurrency: options.mysqlConcurrency,
    lingerMs: options.mysqlLinger,
    unknownMs,
    memoryLimit,
    hasFiles,
    logSamples,
    ...(observer === undefined ? {} : { observer }),
  }
}
