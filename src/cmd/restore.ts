import type { RestoreOptions } from '../config/commands/restore.ts'
import { elasticsearchConnection } from '../config/elasticsearch.ts'
import { kafkaConnection } from '../config/kafka.ts'
import { mysqlConnection } from '../config/mysql.ts'
import { Elasticsearch } from '../elasticsearch/client/client.ts'
import { listPartitions, requireArchive } from '../files/log/commit-log.ts'
import { DamagedPartitions } from '../files/read/damaged-partitions.ts'
import { isSelected } from '../files/read/selection.ts'
import { Mysql } from '../mysql/client.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'
import type { Account, Restore } from '../restore/job.ts'
import { restoreToKafka } from '../restore/to-kafka.ts'
import { restoreToElasticsearch, restoreToMysql } from '../restore/to-sink.ts'
import { count, plural } from '../runtime/format.ts'
import { createLogger, type Logger } from '../runtime/log.ts'
import { Proxies } from '../runtime/proxies.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { createTerminal } from '../runtime/terminal.ts'
import { openArchive } from './lib/archive-home.ts'
import { announceConnections, type Connections } from './lib/connections.ts'
import { explainNothing, refuseUnknownTypes } from './lib/nothing-selected.ts'
import { signalled, unlessStopped } from './lib/program.ts'
import { selectionOf } from './lib/selection-options.ts'
import { elasticsearchSinkOptions, mysqlSinkOptions } from './lib/sink-options.ts'

/**
 * Writes records of the archive back to Elasticsearch, MySQL or Kafka.
 * @throws ArchiverError for what makes it impossible, `DAMAGED` if a file cannot be read
 */
export async function restore(options: RestoreOptions): Promise<void> {
  const { type, partition, from, until } = options
  await using home = await openArchive(options)
  const signal = signalled()
  await unlessStopped(requireArchive(home))
  const all = await unlessStopped(listPartitions(home))
  const topics = topicsOf(options, all)
  const selection = selectionOf({ type, topic: topics, partition, from, to: until }, 'until')
  const selected = all.filter((tp) => isSelected(selection, tp))
  if (selected.length === 0) return await explainNothing(home, selection)
  // Before a target is touched: a start there may install templates or make a topic.
  await refuseUnknownTypes(home, selection)
  const terminal = createTerminal(standardError)
  const log = createLogger({
    level: options.logLevel,
    stream: { isTTY: terminal.isTTY, write: (line) => terminal.write(line) },
  })
  const damaged = new DamagedPartitions((text) => terminal.write(`${text}\n`))
  const partitions = damaged.sound(selected)
  const target = targetOf(options)
  announceConnections(target, log)
  logTopicsLeft(options, all, topics, log)
  const account: Account = { records: 0, present: 0, refused: 0 }
  const startedAt = performance.now()
  const job: Restore = {
    home,
    options,
    selection,
    partitions,
    damaged,
    signal,
    log,
    account,
    status: (line) => terminal.setStatus(line),
    progress: (tp, waiting) => {
      const rate = Math.round((account.records * 1000) / Math.max(1, performance.now() - startedAt))
      terminal.setStatus(
        `${partitionKey(tp)}: ${plural(account.records, 'record')} restored, ${count(rate)}/s${waiting === undefined ? '' : `, waiting: ${waiting}`}`,
      )
    },
  }
  try {
    await restoreTo(target, job)
  } finally {
    terminal.close()
  }
  if (account.records + account.present + account.refused === 0 && !damaged.isAny)
    await explainNothing(home, selection)
  tell(account, options.to, (performance.now() - startedAt) / 1000)
  damaged.throwIfAny()
}

/** A restore without `--topic` takes only the topics that workers archive. */
function logTopicsLeft(
  { topic }: RestoreOptions,
  partitions: readonly TopicPartition[],
  restored: readonly string[] | undefined,
  log: Logger,
): void {
  if (topic !== undefined || restored === undefined) return
  const topics = [...new Set(partitions.map((tp) => tp.topic))]
  const left = topics.filter((name) => !restored.includes(name))
  if (left.length > 0)
    log.warn(
      { event: 'topics_left_out', topics: left },
      'not all topics of the archive are restored',
    )
}

/** The one connection that the restore uses. */
function targetOf(options: RestoreOptions): Connections {
  const proxies = new Proxies(process.env)
  switch (options.to) {
    case 'kafka':
      return { kafka: kafkaConnection(options, proxies) }
    case 'mysql':
      return { mysql: mysqlConnection(options) }
    case 'elasticsearch':
      return { elasticsearch: elasticsearchConnection(options, proxies) }
  }
}

async function restoreTo(
  { kafka, mysql, elasticsearch }: Connections,
  job: Restore,
): Promise<void> {
  const { options } = job
  const share = { memoryLimit: options.memoryBudget, hasFiles: true, logSamples: false }
  if (kafka !== undefined) await restoreToKafka(job, kafka)
  if (mysql !== undefined)
    await restoreToMysql(job, new Mysql(mysql), mysqlSinkOptions(options, share))
  if (elasticsearch !== undefined) {
    const client = new Elasticsearch(elasticsearch)
    await restoreToElasticsearch(job, client, elasticsearchSinkOptions(options, share))
  }
}

/**
 * The topics to restore: the named ones, else the archive's topics that workers archive, else all
 * (undefined).
 */
function topicsOf(
  { topic, topics, topicsRegex, topicsExcludeRegex: excluded }: RestoreOptions,
  partitions: readonly TopicPartition[],
): readonly string[] | undefined {
  if (topic !== undefined || (topics === undefined && topicsRegex === undefined)) return topic
  const archived = [...new Set(partitions.map(({ topic }) => topic))]
  return archived.filter(
    (name) =>
      (topics?.includes(name) === true || topicsRegex?.test(name) === true) &&
      excluded?.test(name) !== true,
  )
}

function tell({ records, present, refused }: Account, to: string, seconds: number): void {
  const rate = count(Math.round(records / seconds))
  const passed =
    present === 0
      ? ''
      : `; ${plural(present, 'record')} ${present === 1 ? 'was' : 'were'} there already`
  const rejected =
    refused === 0
      ? ''
      : `; ${plural(refused, 'record')} ${refused === 1 ? 'was' : 'were'} rejected and ${refused === 1 ? 'is' : 'are'} in the rejected index`
  standardOutput.print(
    `restored ${plural(records, 'record')} to ${to} in ${seconds.toFixed(1)} s (${rate}/s)${passed}${rejected}`,
  )
}
