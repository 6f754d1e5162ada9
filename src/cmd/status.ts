import type { StatusOptions } from '../config/commands/status.ts'
import { kafkaConnection } from '../config/kafka.ts'
import { readIdentity } from '../files/log/archive.ts'
import { CommitLog, listPartitions, requireArchive } from '../files/log/commit-log.ts'
import { DamagedPartitions } from '../files/read/damaged-partitions.ts'
import type { ReadableHome } from '../home/home.ts'
import { kafkaClient } from '../kafka/client.ts'
import { type KafkaPosition, readPositions } from '../kafka/positions.ts'
import { withAdmin } from '../kafka/topics.ts'
import type { WorkerStatus } from '../monitor/endpoint.ts'
import { partitionKey } from '../record/record.ts'
import { ArchiverError } from '../runtime/errors.ts'
import { count } from '../runtime/format.ts'
import { inLanes } from '../runtime/lanes.ts'
import { createLogger } from '../runtime/log.ts'
import { Proxies } from '../runtime/proxies.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { openArchive } from './lib/archive-home.ts'
import { table } from './lib/table.ts'
import { type Asked, askWorker } from './status/ask-worker.ts'

/** One row of the status: what files, Kafka and workers say of a partition. */
interface PartitionRow {
  readonly partition: string
  /** The files hold every offset below. */
  readonly files_next?: number
  readonly committed?: number
  readonly log_end?: number
  /** Records that Kafka has and the group has not committed. */
  readonly lag?: number
  readonly worker?: string
  readonly oldest_unacknowledged_s?: number
  readonly waiting?: string
}

/** Shows for each partition what is archived and committed, how far it lags, and why it waits. */
export async function status(options: StatusOptions): Promise<void> {
  await using home = await openArchive(options)
  await requireArchive(home)
  const archived = await listPartitions(home)
  const kafka = options.kafka
    ? await askKafka(options, home, [...new Set(archived.map(({ topic }) => topic))])
    : undefined
  const workers = await Promise.all((options.workers ?? []).map(askWorker))
  const rows: PartitionRow[] = []
  const damaged = new DamagedPartitions()
  const ends = new Map<string, number | undefined>()
  const sound = damaged.sound(archived)
  await inLanes(sound, async (tp) => {
    const end = damaged.attempt(tp, async () => (await CommitLog.open(home, tp)).next())
    ends.set(partitionKey(tp), await end)
  })
  const keys = new Set([...archived.map(partitionKey), ...(kafka?.keys() ?? [])])
  for (const key of [...keys].sort(byNumbers.compare)) {
    rows.push({
      partition: key,
      ...definedOnly({ files_next: ends.get(key) }),
      ...ofKafka(kafka?.get(key)),
      ...ofWorkers(workers, key),
    })
  }
  const unready = workers.filter((worker) => 'error' in worker || !worker.ready)
  if (options.json) standardOutput.printJson({ partitions: rows, workers })
  else standardOutput.print(print(rows, workers))
  if (unready.length > 0)
    throw new ArchiverError(
      'UNREACHABLE',
      `not ready: ${unready.map((one) => ('error' in one ? one.url : one.worker)).join(', ')}; see above`,
    )
  damaged.throwIfAny()
}

async function askKafka(
  options: StatusOptions,
  home: ReadableHome,
  topics: readonly string[],
): Promise<Map<string, KafkaPosition>> {
  const log = createLogger({ level: options.logLevel, stream: standardError })
  const connection = kafkaConnection(options, new Proxies(process.env))
  const kafka = kafkaClient(connection, { clientId: 'archiver-status', log, retry: { retries: 4 } })
  const identity = await readIdentity(home)
  return withAdmin(kafka, options.brokers, (admin) =>
    readPositions(kafka, admin, identity!.group, topics),
  )
}

function ofKafka(position: KafkaPosition | undefined): Partial<PartitionRow> {
  if (position === undefined) return {}
  const { start, end, committed } = position
  return { ...definedOnly({ committed }), log_end: end, lag: end - (committed ?? start) }
}

/**
 * What the worker that has the partition says; during a rebalance, what the one that says more
 * says.
 */
function ofWorkers(workers: readonly Asked[], key: string): Partial<PartitionRow> {
  for (const one of workers) {
    if ('error' in one) continue
    const found = one.partitions.find((partition) => partitionKey(partition) === key)
    if (found === undefined) continue
    const age = found.oldest_unacknowledged_s
    return {
      worker: one.worker,
      oldest_unacknowledged_s: age,
      ...definedOnly({ waiting: reasonOf(one, found) }),
    }
  }
  return {}
}

function reasonOf(
  worker: WorkerStatus,
  partition: WorkerStatus['partitions'][number],
): string | undefined {
  if (partition.waiting !== undefined) return partition.waiting
  if (partition.oldest_unacknowledged_s === 0) return undefined
  const sink = worker.sinks.find(({ waiting }) => waiting !== undefined)
  if (sink !== undefined) return `${sink.name}: ${sink.waiting}`
  return partition.flush_due_s === undefined
    ? undefined
    : `flush due in ${Math.ceil(partition.flush_due_s)} s`
}

function definedOnly<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as never
}

const byNumbers = new Intl.Collator('en', { numeric: true })

function print(rows: readonly PartitionRow[], workers: readonly Asked[]): string {
  const right = (head: string) => ({ head, right: true })
  const columns = [
    { head: 'partition', min: 16 },
    ...['in files below', 'committed', 'log end', 'lag', 'oldest'].map(right),
    { head: 'worker', spare: 1 },
    { head: 'waits for', wraps: true },
  ]
  const cell = (number: number | undefined) => (number === undefined ? '' : count(number))
  const lines = rows.map((row) => [
    row.partition,
    cell(row.files_next),
    cell(row.committed),
    cell(row.log_end),
    cell(row.lag),
    row.oldest_unacknowledged_s === undefined ? '' : `${Math.round(row.oldest_unacknowledged_s)} s`,
    row.worker ?? '',
    row.waiting ?? '',
  ])
  const states = workers.map((worker) =>
    'error' in worker
      ? worker.error
      : `worker ${worker.worker} is ${worker.ready ? 'ready' : `not ready: ${worker.reasons.join('; ')}`}`,
  )
  return [table(columns, lines, standardOutput.columns), ...states].join('\n')
}
