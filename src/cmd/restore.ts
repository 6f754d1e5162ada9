import { resolve } from 'node:path'
import { checkElasticsearchOptions, checkMysqlOptions } from '../config.ts'
import { IndexNames } from '../elasticsearch/index-name.ts'
import { DocumentReader } from '../elasticsearch/reader.ts'
import { ElasticsearchSink } from '../elasticsearch/sink.ts'
import { ArchiverError, messageOf } from '../errors.ts'
import { batchesOf, linesByOffset, selectedFiles } from '../files/batches.ts'
import { listPartitions, requireArchive, typeOf } from '../files/catalog.ts'
import type { ManifestFile } from '../files/manifest.ts'
import { isSelected, type Selection } from '../files/selection.ts'
import { KafkaRestorer, prepareTopic } from '../kafka/restore.ts'
import { withAdmin } from '../kafka/topics.ts'
import { decodeLine, hourOf } from '../line.ts'
import { createLogger, type Logger } from '../log.ts'
import { RowReader } from '../mysql/reader.ts'
import { MysqlSink } from '../mysql/sink.ts'
import { partitionKey, type TopicPartition } from '../record.ts'
import type { Sink } from '../sink.ts'
import type { RestoreOptions } from './archive-options.ts'
import { elasticsearchClient, elasticsearchSinkOptions } from './elasticsearch-client.ts'
import { kafkaClient } from './kafka-client.ts'
import { mysqlClient, mysqlSinkOptions } from './mysql-client.ts'
import { signalled } from './program.ts'
import { count, plural } from './table.ts'
import { createTerminal } from './terminal.ts'

/** What a restore did. */
interface Account {
  records: number
  /** Records of files that were passed over because all of them are there. */
  present: number
}

/** What all directions need. */
interface Restore {
  readonly root: string
  readonly options: RestoreOptions
  readonly selection: Selection
  readonly partitions: readonly TopicPartition[]
  readonly signal: AbortSignal
  readonly log: Logger
  readonly account: Account
  /** Shows how far it is. */
  readonly progress: (tp: TopicPartition, waiting?: string) => void
}

/**
 * Gives records of the archive back to Elasticsearch, to MySQL or to Kafka.
 * @throws ArchiverError for what makes it impossible, `DAMAGED` where a file cannot be read.
 */
export async function restore(options: RestoreOptions): Promise<void> {
  const { type, topic, partition, from, until } = options
  const selection: Selection = {
    types: type,
    topics: topic,
    partitions: partition === undefined ? undefined : [partition],
    from,
    to: until,
  }
  const root = resolve(options.archiveDir)
  const signal = signalled()
  await requireArchive(root)
  const partitions = (await listPartitions(root)).filter((tp) => isSelected(selection, tp))
  if (partitions.length === 0) throw new ArchiverError('NOT_FOUND', 'the archive holds no such topic and partition')
  const terminal = createTerminal(process.stderr)
  const log = createLogger({
    level: options.logLevel,
    stream: { isTTY: terminal.isTTY, write: (line) => terminal.write(line) },
  })
  const account: Account = { records: 0, present: 0 }
  const startedAt = performance.now()
  const job: Restore = {
    root,
    options,
    selection,
    partitions,
    signal,
    log,
    account,
    progress: (tp, waiting) => {
      const rate = Math.round((account.records * 1000) / Math.max(1, performance.now() - startedAt))
      terminal.setStatus(
        `${partitionKey(tp)}: ${plural(account.records, 'record')} restored, ${count(rate)}/s${waiting === undefined ? '' : `, waiting: ${waiting}`}`,
      )
    },
  }
  try {
    if (options.to === 'kafka') await restoreToKafka(job)
    else if (options.to === 'mysql') await restoreToMysql(job)
    else await restoreToElasticsearch(job)
  } finally {
    terminal.close()
  }
  tell(account, options.to, (performance.now() - startedAt) / 1000)
}

function tell({ records, present }: Account, to: string, seconds: number): void {
  const rate = count(Math.round(records / seconds))
  const passed = present === 0 ? '' : `; ${plural(present, 'record')} in files of which all were there`
  process.stdout.write(
    `restored ${plural(records, 'record')} to ${to} in ${seconds.toFixed(1)} s (${rate}/s)${passed}\n`,
  )
}

// To Elasticsearch: the same documents under the same ids, by the sink that workers use.

async function restoreToElasticsearch(job: Restore): Promise<void> {
  const { options, log, partitions } = job
  checkElasticsearchOptions(options)
  if (options.elasticsearch === undefined)
    throw new ArchiverError('USAGE', '--no-elasticsearch leaves nowhere to restore to')
  const client = elasticsearchClient(options.elasticsearch, options)
  const sink = new ElasticsearchSink(
    client,
    elasticsearchSinkOptions(options, { memoryLimit: options.memoryBudget, hasFiles: true }),
    log,
  )
  const reader = new DocumentReader(client, options.indexPrefix)
  const room = new Room()
  try {
    await sink.start(() => room.relieved())
    await reader.refresh()
    for (const tp of partitions) {
      await feed(job, sink, tp, new DocumentPresence(reader, options.indexPrefix, tp), room)
    }
    await reader.refresh()
  } finally {
    await sink.stop()
  }
}

// To MySQL: the same rows under the same primary key.

async function restoreToMysql(job: Restore): Promise<void> {
  const { options, log, partitions } = job
  checkMysqlOptions(options)
  if (options.mysql === undefined) throw new ArchiverError('USAGE', '--to mysql needs --mysql')
  const client = mysqlClient(options.mysql, options)
  const sink = new MysqlSink(
    client,
    mysqlSinkOptions(options, { memoryLimit: options.memoryBudget, hasFiles: true }),
    log,
  )
  const reader = new RowReader(client, options.mysqlTable)
  const room = new Room()
  try {
    await sink.start(() => room.relieved())
    for (const tp of partitions) await feed(job, sink, tp, rowPresence(reader, tp), room)
  } finally {
    await sink.stop()
  }
}

function rowPresence(reader: RowReader, tp: TopicPartition): Presence {
  return {
    isWhole: async (file) => {
      const type = typeOf(file)
      const range = { from: file.first, next: file.last + 1 }
      const rows = await reader.countOf(tp, range, type.reserved ? undefined : type.name, hourOf(file.min_timestamp))
      // Without a type there are two kinds of records: then the count may be larger, and the file is sent again.
      return rows === file.records
    },
  }
}

/** Finds files whose records are all there, so that a restore that was killed goes on where it was. */
interface Presence {
  isWhole(file: ManifestFile): Promise<boolean>
}

async function feed(job: Restore, sink: Sink, tp: TopicPartition, presence: Presence, room: Room): Promise<void> {
  const { root, selection, signal, account, progress } = job
  await sink.open(tp, 0)
  const writes = new Set<Promise<void>>()
  let failure: unknown
  for await (const { log, files } of selectedFiles(root, tp, selection)) {
    for (const file of files) {
      if (await presence.isWhole(file)) {
        account.present += file.records
        continue
      }
      for await (const batch of batchesOf(root, log, file, selection)) {
        while (sink.pressure(tp) >= 1) {
          progress(tp, sink.waiting)
          await room.wait(signal)
        }
        signal.throwIfAborted()
        if (failure !== undefined) throw failure
        const write: Promise<void> = sink
          .write(batch)
          .then(() => {
            account.records += batch.count
          })
          .catch((error: unknown) => {
            failure ??= error
          })
          .finally(() => writes.delete(write))
        writes.add(write)
      }
      progress(tp, sink.waiting)
    }
  }
  const done = (async () => {
    await sink.flush([tp])
    await Promise.all(writes)
  })()
  await untilAborted(done, signal)
  if (failure !== undefined) throw failure
  await sink.close(tp)
}

/** Waits for room in the sink's memory. */
class Room {
  #waiting: (() => void) | undefined

  relieved(): void {
    this.#waiting?.()
  }

  async wait(signal: AbortSignal): Promise<void> {
    const relieved = new Promise<void>((resolve) => {
      this.#waiting = resolve
    })
    await untilAborted(relieved, signal)
  }
}

async function untilAborted(task: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort)
  try {
    await Promise.race([task, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

class DocumentPresence implements Presence {
  readonly #reader: DocumentReader
  readonly #names: IndexNames
  readonly #tp: TopicPartition
  #hasAny: Promise<boolean> | undefined

  constructor(reader: DocumentReader, indexPrefix: string, tp: TopicPartition) {
    this.#reader = reader
    this.#names = new IndexNames(indexPrefix)
    this.#tp = tp
  }

  async isWhole(file: ManifestFile): Promise<boolean> {
    this.#hasAny ??= this.#reader.total(this.#tp, {}).then((documents) => documents > 0)
    if (!(await this.#hasAny)) return false
    // Types whose names differ by case only share an index: then the count is larger, and the file is sent again.
    const index = this.#names.of(typeOf(file), hourOf(file.min_timestamp))
    const type = typeOf(file)
    return (
      file.records ===
        (await this.#reader.total(this.#tp, { from: file.first, next: file.last + 1 }, undefined, index)) &&
      type.name === type.name.toLowerCase()
    )
  }
}

// To Kafka.

const msPerDay = 86_400_000

async function restoreToKafka(job: Restore): Promise<void> {
  const { options, log, partitions, root } = job
  const sources = [...new Set(partitions.map(({ topic }) => topic))]
  if (options.toTopic !== undefined && sources.length > 1) {
    throw new ArchiverError(
      'USAGE',
      `--to-topic: records of ${sources.length} topics would be mixed; name one with --topic`,
    )
  }
  const targetOf = (topic: string) => options.toTopic ?? topic
  const archived = new Set((await listPartitions(root)).map(({ topic }) => topic))
  const feedback = sources.map(targetOf).filter((topic) => archived.has(topic))
  if (feedback.length > 0 && !options.intoArchived) {
    throw new ArchiverError(
      'USAGE',
      `topic ${feedback.join(', ')} is archived into ${root}: its workers would archive the restored records again; name another with --to-topic, or say --into-archived`,
    )
  }
  const kafka = kafkaClient(options, { clientId: 'archiver-restore', log, retry: { retries: 4 } })
  await withAdmin(kafka, options.brokers, async (admin) => {
    for (const topic of sources) {
      const most = Math.max(...partitions.filter((tp) => tp.topic === topic).map(({ partition }) => partition))
      const target = await prepareTopic(admin, targetOf(topic), most + 1)
      if (target.created)
        log.info(
          `made topic ${target.topic} with ${most + 1} partitions, which keeps its records for ever (retention.ms=-1)`,
        )
      else if (target.retentionMs >= 0) {
        log.warn(
          `topic ${target.topic} keeps records for ${(target.retentionMs / msPerDay).toFixed(1)} days: restored records that are older are removed soon; raise its retention.ms`,
        )
      }
    }
  })
  const restorer = new KafkaRestorer(kafka)
  await restorer.connect().catch((error: unknown) => {
    throw new ArchiverError(
      'UNREACHABLE',
      `Kafka at ${options.brokers.join(', ')} does not answer: ${messageOf(error)}`,
      {},
      error,
    )
  })
  try {
    for (const tp of partitions) await send(job, restorer, tp, targetOf(tp.topic))
  } finally {
    await restorer.disconnect()
  }
}

async function send(job: Restore, restorer: KafkaRestorer, tp: TopicPartition, target: string): Promise<void> {
  const { root, selection, signal, account, progress } = job
  for await (const selected of selectedFiles(root, tp, selection)) {
    for await (const line of linesByOffset(root, selected, selection)) {
      const full = restorer.add(target, decodeLine(line))
      account.records++
      if (full === undefined) continue
      await full
      signal.throwIfAborted()
      progress(tp)
    }
  }
  await restorer.flush()
}
