import type { RunOptions } from '../../config/commands/run.ts'
import { flushIntervalMs } from '../../config/files.ts'
import { everyTopicOptions, optionsOfTopic } from '../../config/topic-settings.ts'
import type { ElasticsearchConnection } from '../../elasticsearch/connection.ts'
import { FilesSink, type FlushSettings, type TopicFlushes } from '../../files/sink.ts'
import type { MysqlConnection } from '../../mysql/connection.ts'
import type { Observer } from '../../pipeline/observer.ts'
import type { Coordinator } from '../../pipeline/offsets/coordinator.ts'
import type { Sink } from '../../pipeline/sink.ts'
import type { Logger } from '../../runtime/log.ts'
import { openArchive } from '../lib/archive-home.ts'
import { elasticsearchSinkOptions, mysqlSinkOptions } from '../lib/sink-options.ts'

/**
 * Shares of the memory budget. The rest is for records that are being fetched, compressed and sent.
 */
const filesShare = 0.5
const elasticsearchShare = 0.15
const mysqlShare = 0.15

/** The sinks of a worker. */
export interface RunSinks {
  readonly all: readonly Sink[]
  /** The files sink, which can tell more; undefined without files. */
  readonly files: FilesSink | undefined
}

export interface SinkConnections {
  readonly elasticsearch: ElasticsearchConnection | undefined
  readonly mysql: MysqlConnection | undefined
}

interface SinkParts {
  /** The name of the worker. */
  readonly worker: string
  readonly clusterId: string
  readonly coordinator: Coordinator
  readonly observer: Observer
  readonly log: Logger
}

/**
 * The sinks that the options ask for; nothing is started. A client takes half a second to load, so
 * only the clients in use are loaded.
 */
export async function createSinks(
  options: RunOptions,
  { elasticsearch, mysql }: SinkConnections,
  parts: SinkParts,
): Promise<RunSinks> {
  const files = options.files ? await filesSink(options, parts) : undefined
  const servers = [
    ...(elasticsearch === undefined ? [] : [elasticsearchSink(options, elasticsearch, parts)]),
    ...(mysql === undefined ? [] : [mysqlSink(options, mysql, parts)]),
  ]
  return { all: [...(files === undefined ? [] : [files]), ...(await Promise.all(servers))], files }
}

/** Undefined if all topics are flushed alike. */
function topicFlushes(options: RunOptions): TopicFlushes | undefined {
  if (options.topicSettings === undefined) return undefined
  const known = new Map<string, FlushSettings>()
  return {
    minIntervalMs: Math.min(...everyTopicOptions(options).map(flushIntervalMs)),
    of: (topic) => {
      let found = known.get(topic)
      if (found === undefined) {
        const own = optionsOfTopic(options, topic)
        found = { intervalMs: flushIntervalMs(own), bytes: own.flushBytes }
        known.set(topic, found)
      }
      return found
    },
  }
}

async function filesSink(options: RunOptions, parts: SinkParts): Promise<FilesSink> {
  const { worker, clusterId, coordinator, observer, log } = parts
  return new FilesSink(
    {
      home: await openArchive(options, log),
      clusterId,
      group: options.group,
      worker,
      gzipLevel: options.gzipLevel,
      flushIntervalMs: flushIntervalMs(options),
      flushBytes: options.flushBytes,
      flushes: topicFlushes(options),
      memoryLimit: options.memoryBudget * filesShare,
      committedOffset: (tp) => coordinator.committedOffset(tp),
      compactAfterMs: options.compactAfter,
      compactMaxBytes: options.compactMaxBytes,
      observer,
    },
    log,
  )
}

async function elasticsearchSink(
  options: RunOptions,
  connection: ElasticsearchConnection,
  { observer, log }: SinkParts,
): Promise<Sink> {
  const { Elasticsearch } = await import('../../elasticsearch/client/client.ts')
  const { ElasticsearchSink } = await import('../../elasticsearch/sink/sink.ts')
  const sinkOptions = elasticsearchSinkOptions(options, {
    memoryLimit: options.memoryBudget * elasticsearchShare,
    hasFiles: options.files,
    logSamples: options.logSamples,
    observer,
  })
  return new ElasticsearchSink(new Elasticsearch(connection), sinkOptions, log)
}

async function mysqlSink(
  options: RunOptions,
  connection: MysqlConnection,
  { observer, log }: SinkParts,
): Promise<Sink> {
  const { Mysql } = await import('../../mysql/client.ts')
  const { MysqlSink } = await import('../../mysql/sink.ts')
  const sinkOptions = mysqlSinkOptions(options, {
    memoryLimit: options.memoryBudget * mysqlShare,
    hasFiles: options.files,
    logSamples: options.logSamples,
    observer,
  })
  return new MysqlSink(new Mysql(connection), sinkOptions, log)
}
