import type { RunOptions } from '../../config/commands/run.ts'
import type { ElasticsearchSinkOptions } from '../../elasticsearch/sink/options.ts'
import type { MysqlSinkOptions } from '../../mysql/sink.ts'

/** The options of sinks that send to a server, for the commands that make such sinks. */

/** Interval between checks that the templates are still as installed. */
const templateCheckMs = 300_000
/** How long an unrecognized error persists before a row may be to blame. */
const unrecognizedMs = 600_000

/** The part that the command decides; `memoryLimit` is the sink's share in bytes. */
type Share = 'memoryLimit' | 'hasFiles' | 'logSamples' | 'observer'
type ElasticsearchShare = Pick<ElasticsearchSinkOptions, Share>
type MysqlShare = Pick<MysqlSinkOptions, Share>

export function elasticsearchSinkOptions(
  options: Pick<
    RunOptions,
    | 'indexPrefix'
    | 'bulkBytes'
    | 'bulkConcurrency'
    | 'bulkLinger'
    | 'elasticsearchTimeout'
    | 'rejectBreaker'
    | 'rejectHold'
    | 'templates'
    | 'indexProfile'
  >,
  share: ElasticsearchShare,
): ElasticsearchSinkOptions {
  return {
    ...share,
    indexPrefix: options.indexPrefix,
    bulkBytes: options.bulkBytes,
    bulkConcurrency: options.bulkConcurrency,
    bulkLingerMs: options.bulkLinger,
    shardTimeoutMs: Math.min(20_000, options.elasticsearchTimeout * 500),
    rejectBreaker: options.rejectBreaker,
    rejectHoldMs: options.rejectHold * 60_000,
    installTemplates: options.templates,
    templateCheckMs,
    indexProfile: options.indexProfile,
  }
}

export function mysqlSinkOptions(
  options: Pick<RunOptions, 'mysqlTable' | 'mysqlBatchBytes' | 'mysqlConcurrency' | 'mysqlLinger'>,
  share: MysqlShare,
): MysqlSinkOptions {
  return {
    ...share,
    table: options.mysqlTable,
    batchBytes: options.mysqlBatchBytes,
    concurrency: options.mysqlConcurrency,
    lingerMs: options.mysqlLinger,
    unrecognizedMs,
  }
}
