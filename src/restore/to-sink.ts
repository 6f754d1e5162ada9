import type { Elasticsearch } from '../elasticsearch/client/client.ts'
import { FindableIndices } from '../elasticsearch/read/findable.ts'
import { DocumentReader } from '../elasticsearch/read/reader.ts'
import type { ElasticsearchSinkOptions } from '../elasticsearch/sink/options.ts'
import { ElasticsearchSink } from '../elasticsearch/sink/sink.ts'
import { damageOf } from '../files/log/damage.ts'
import type { ManifestFile } from '../files/log/manifest.ts'
import { batchesOf, type SelectedFiles, selectedFiles } from '../files/read/batches.ts'
import { expecting, type FileOpener, ReadAhead } from '../files/read/read-ahead.ts'
import { isWhollySelected } from '../files/read/selection.ts'
import type { Mysql } from '../mysql/client.ts'
import { RowReader } from '../mysql/reader.ts'
import { MysqlSink, type MysqlSinkOptions } from '../mysql/sink.ts'
import type { Observer, SinkEvent } from '../pipeline/observer.ts'
import type { Sink } from '../pipeline/sink.ts'
import { withoutOffsets } from '../record/batch-subset.ts'
import type { RecordBatch, TopicPartition } from '../record/record.ts'
import { untilAborted } from '../runtime/deadline.ts'
import { mapStreamAhead } from '../runtime/lanes.ts'
import type { Restore } from './job.ts'
import { type Coverage, DocumentPresence, type Presence, RowPresence } from './presence.ts'

/** To Elasticsearch: the same documents under the same ids, by the sink that workers use. */
export async function restoreToElasticsearch(
  job: Restore,
  client: Elasticsearch,
  options: ElasticsearchSinkOptions,
): Promise<void> {
  const { log, partitions, damaged } = job
  const rejects = new RejectCount()
  const sink = new ElasticsearchSink(client, { ...options, observer: rejects }, log)
  const reader = new DocumentReader(client, options.indexPrefix)
  const findable = new FindableIndices(client)
  const room = new Room()
  try {
    await untilAborted(
      sink.start(() => room.relieved()),
      job.signal,
    )
    await reader.refresh()
    for (const tp of partitions) {
      const presence = new DocumentPresence(reader, findable, options.indexPrefix, tp)
      await damaged.attempt(tp, () => feed(job, sink, tp, presence, room))
    }
    await reader.refresh()
  } finally {
    job.account.refused = rejects.records
    job.account.records -= rejects.records
    await sink.stop()
  }
}

/** To MySQL: the same rows under the same primary key. */
export async function restoreToMysql(
  job: Restore,
  client: Mysql,
  options: MysqlSinkOptions,
): Promise<void> {
  const { log, partitions, damaged } = job
  const sink = new MysqlSink(client, options, log)
  const reader = new RowReader(client, options.table)
  const room = new Room()
  try {
    await untilAborted(
      sink.start(() => room.relieved()),
      job.signal,
    )
    for (const tp of partitions) {
      await damaged.attempt(tp, () => feed(job, sink, tp, new RowPresence(reader, tp), room))
    }
  } finally {
    await sink.stop()
  }
}

async function feed(
  job: Restore,
  sink: Sink,
  tp: TopicPartition,
  presence: Presence,
  room: Room,
): Promise<void> {
  const { signal, account, progress } = job
  await sink.open(tp, 0)
  const writes = new Set<Promise<void>>()
  let failure: unknown
  const damage = await untilDamaged(tp, missingOf(job, tp, presence), async (batch) => {
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
    progress(tp, sink.waiting)
  })
  const done = (async () => {
    await sink.flush([tp])
    await Promise.all(writes)
  })()
  await untilAborted(done, signal)
  if (failure !== undefined) throw failure
  await sink.close(tp)
  if (damage !== undefined) throw damage
}

/** Takes what was read before the damage. @returns the error of files that cannot be read */
async function untilDamaged<T>(
  tp: TopicPartition,
  items: AsyncIterable<T>,
  take: (item: T) => Promise<void>,
): Promise<unknown> {
  const iterator = items[Symbol.asyncIterator]()
  for (;;) {
    let next: IteratorResult<T>
    try {
      next = await iterator.next()
    } catch (error) {
      if (damageOf(tp, error) === undefined) throw error
      return error
    }
    if (next.done === true) return undefined
    await take(next.value)
  }
}

/** The selected records that the store does not hold, in batches; counts the others. */
async function* missingOf(
  job: Restore,
  tp: TopicPartition,
  presence: Presence,
): AsyncGenerator<RecordBatch> {
  await using ahead = new ReadAhead(job.home)
  const files = expecting(ahead, comparedFiles(job, tp, presence), namesToRead)
  // Of small files, a store is asked about several at once.
  const missing = mapStreamAhead(
    selectedBatches(job, files, ahead),
    batchesAhead,
    async ({ batch, asksFor }) => {
      if (asksFor === undefined) return batch
      const left = withoutOffsets(batch, await presence.held(asksFor, [...batch.offsets]))
      job.account.present += batch.count - left.count
      return left
    },
  )
  for await (const batch of missing) if (batch.count > 0) yield batch
}

/** A file, and how much of it the store holds. */
interface ComparedFile {
  readonly log: SelectedFiles['log']
  readonly file: ManifestFile
  readonly coverage: Coverage
  /** Nothing of it is read: the store holds all. */
  readonly isPresent: boolean
}

function comparedFiles(
  { home, selection }: Restore,
  tp: TopicPartition,
  presence: Presence,
): AsyncGenerator<ComparedFile> {
  const files = eachFile(selectedFiles(home, tp, selection))
  return mapStreamAhead(files, filesComparedAhead, async ({ log, file }) => {
    const coverage = await presence.coverageOf(file)
    const isPresent = coverage === 'all' && isWhollySelected(selection, file)
    return { log, file, coverage, isPresent }
  })
}

async function* eachFile(
  manifests: AsyncIterable<SelectedFiles>,
): AsyncGenerator<Pick<ComparedFile, 'log' | 'file'>> {
  for await (const { log, files } of manifests) for (const file of files) yield { log, file }
}

function namesToRead({ file, isPresent }: ComparedFile): string[] {
  return isPresent ? [] : [file.path]
}

/** Further files that a store is asked about meanwhile. */
const filesComparedAhead = 7

/**
 * Further batches that a store is asked about meanwhile. A batch is at most the lines of one member
 * of a file.
 */
const batchesAhead = 7

/** Selected records of a file. */
interface SelectedBatch {
  readonly batch: RecordBatch
  /** The file, if the store may hold some of these records. */
  readonly asksFor: ManifestFile | undefined
}

async function* selectedBatches(
  { selection, account }: Restore,
  compared: AsyncIterable<ComparedFile>,
  opener: FileOpener,
): AsyncGenerator<SelectedBatch> {
  for await (const { log, file, coverage, isPresent } of compared) {
    if (isPresent) {
      account.present += file.records
      continue
    }
    const asksFor = coverage === 'none' ? undefined : file
    for await (const batch of batchesOf(opener, log, file, selection)) yield { batch, asksFor }
  }
}

/** Counts the records that a sink keeps as rejects. */
class RejectCount implements Observer {
  records = 0

  done(): void {}

  happened(_sink: string, event: SinkEvent, _reason: string, count: number): void {
    if (event === 'reject') this.records += count
  }
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
