import type { Sink } from '../pipeline/sink.ts'
import type { Worker } from '../pipeline/worker.ts'
import type { PartitionStatus } from '../pipeline/worker-status.ts'
import type { TopicPartition } from '../record/record.ts'
import type { Logger } from '../runtime/log.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { UnacknowledgedAges } from './ages.ts'
import {
  cached,
  type HttpEndpoint,
  type HttpOptions,
  type HttpRoutes,
  jsonAnswer,
  serveHttp,
} from './http.ts'
import type { Metrics } from './metrics.ts'
import { operatorCommands } from './operator-commands.ts'

const sampleMs = 1000
/**
 * An answer for thousands of partitions takes tens of ms of the event loop. So one answer serves
 * all requests within this time.
 */
const answerAgeMs = 1000

/** The answer of a worker at `/status`. */
export interface WorkerStatus {
  readonly worker: string
  readonly ready: boolean
  /** Why it is not ready. */
  readonly reasons: readonly string[]
  /** An operator paused the worker as a whole. */
  readonly paused: boolean
  /** Topics that an operator paused, if it is not the whole worker. */
  readonly paused_topics: readonly string[]
  readonly records: number
  readonly sinks: readonly {
    readonly name: string
    readonly held_bytes: number
    readonly waiting?: string
  }[]
  readonly partitions: readonly (PartitionStatus & {
    readonly oldest_unacknowledged_s: number
    /** Max time until the files that are being written are committed. */
    readonly flush_due_s?: number
  })[]
}

/** What only the files sink knows. */
export interface FilesFacts {
  /** Files that are being written: one for each partition, type and hour. */
  readonly openBuckets: number
  /** The number of small files that were merged since the start. */
  readonly compactedFiles: number
  /** Max time until a partition is flushed, in ms; undefined if it holds nothing. */
  flushDueMs(tp: TopicPartition): number | undefined
}

/** What the endpoint reports. */
export interface MonitorParts {
  readonly name: string
  readonly worker: Worker
  readonly sinks: readonly Sink[]
  /** Undefined for a worker without files. */
  readonly files: FilesFacts | undefined
  readonly metrics: Metrics
  readonly group: string
  /** The max number of partitions that have metrics of their own. */
  readonly maxMetricPartitions: number
  /** Who knows it may pause the worker; without one nobody may. */
  readonly token: string | undefined
}

/**
 * Serves metrics, health and status of a worker: `/metrics`, `/healthz`, `/readyz`, `/status`; with
 * a token also `/pause` and `/resume`.
 * @throws ArchiverError `USAGE` if the address is in use.
 */
export async function serveMonitor(
  address: HttpOptions,
  parts: MonitorParts,
  log: Logger,
): Promise<HttpEndpoint> {
  const { worker, sinks, files, metrics, group, maxMetricPartitions } = parts
  const ages = new UnacknowledgedAges()
  const sample = () => ages.sample(worker.status(), performance.now())
  metrics.watch({
    group,
    maxPartitions: maxMetricPartitions,
    counts: () => worker.counts,
    silentMs: () => worker.silentMs,
    partitions: () => worker.status(),
    age: (partition) => ages.of(partition, performance.now()),
    sinks,
    files,
    lostLogLines: () => standardOutput.lostLines + standardError.lostLines,
  })
  const status = () => statusOf(parts, ages)
  const paused = () => [worker.paused.isWhole, ...worker.paused.topics].join()
  const kept = (route: HttpRoutes[string]) => cached(route, answerAgeMs, paused)
  const commands =
    parts.token === undefined ? undefined : operatorCommands(parts.token, worker, log)
  const endpoint = await serveHttp(
    { ...address, commands },
    {
      '/metrics': kept(async () => ({ status: 200, ...(await metrics.print()) })),
      '/healthz': () => jsonAnswer(200, { healthy: true }),
      '/readyz': kept(() => {
        const { ready, reasons, paused, paused_topics } = status()
        return jsonAnswer(ready ? 200 : 503, { ready, reasons, paused, paused_topics })
      }),
      '/status': kept(() => jsonAnswer(200, status())),
    },
  )
  log.info(
    { event: 'endpoint_started', address: endpoint.address },
    'serving metrics, health and status',
  )
  const timer = setInterval(sample, sampleMs)
  return {
    address: endpoint.address,
    close: () => {
      clearInterval(timer)
      return endpoint.close()
    },
  }
}

function statusOf(
  { name, worker, sinks, files }: MonitorParts,
  ages: UnacknowledgedAges,
): WorkerStatus {
  const partitions = worker.status()
  const reasons = reasonsNotReady(worker.problems, partitions, sinks)
  return {
    worker: name,
    ready: reasons.length === 0,
    reasons,
    paused: worker.paused.isWhole,
    paused_topics: worker.paused.topics,
    records: worker.counts.records,
    sinks: sinks.map((sink) => ({
      name: sink.name,
      held_bytes: sink.heldBytes,
      ...(sink.waiting === undefined ? {} : { waiting: sink.waiting }),
    })),
    partitions: partitions.map((partition) => {
      const due = files?.flushDueMs(partition)
      return {
        ...partition,
        oldest_unacknowledged_s: ages.of(partition, performance.now()),
        ...(due === undefined ? {} : { flush_due_s: due / 1000 }),
      }
    }),
  }
}

/** Why a worker is not ready. One that only waits for room (back-pressure) is ready. */
export function reasonsNotReady(
  problems: readonly string[],
  partitions: readonly PartitionStatus[],
  sinks: readonly Pick<Sink, 'name' | 'waiting'>[],
): string[] {
  const stuck = partitions.filter(({ state, waiting }) => state !== 'open' && waiting !== undefined)
  return [
    ...problems,
    ...sinks.flatMap(({ name, waiting }) => (waiting === undefined ? [] : [`${name}: ${waiting}`])),
    ...stuck.map(({ topic, partition, waiting }) => `${topic}/${partition}: ${waiting}`),
  ]
}
