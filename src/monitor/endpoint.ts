import { FilesSink } from '../files/sink.ts'
import type { Sink } from '../pipeline/sink.ts'
import type { Worker } from '../pipeline/worker.ts'
import type { PartitionStatus } from '../pipeline/worker-status.ts'
import type { Logger } from '../runtime/log.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { UnacknowledgedAges } from './ages.ts'
import { cached, type HttpEndpoint, type HttpOptions, jsonAnswer, serveHttp } from './http.ts'
import type { Metrics } from './metrics.ts'

const sampleMs = 1000
/**
 * Computing an answer for thousands of partitions takes tens of ms of the event loop: one serves
 * all who ask meanwhile.
 */
const answerAgeMs = 1000

/** What a worker says of itself at `/status`. */
export interface WorkerStatus {
  readonly worker: string
  readonly ready: boolean
  /** Why it is not. */
  readonly reasons: readonly string[]
  readonly records: number
  readonly sinks: readonly {
    readonly name: string
    readonly held_bytes: number
    readonly waiting?: string
  }[]
  readonly partitions: readonly (PartitionStatus & {
    readonly oldest_unacknowledged_s: number
    /** When the files that are being written are committed at the latest. */
    readonly flush_due_s?: number
  })[]
}

/**
 * Serves metrics, health and status of a worker: `/metrics`, `/healthz`, `/readyz`, `/status`.
 * @throws ArchiverError `USAGE` where the address is taken.
 */
export async function serveMonitor(
  address: HttpOptions,
  parts: { name: string; worker: Worker; sinks: readonly Sink[]; metrics: Metrics },
  log: Logger,
): Promise<HttpEndpoint> {
  const { name, worker, sinks, metrics } = parts
  const ages = new UnacknowledgedAges()
  const sample = () => ages.sample(worker.status(), performance.now())
  const files = sinks.find((sink) => sink instanceof FilesSink)
  metrics.watch({
    counts: () => worker.counts,
    silentMs: () => worker.silentMs,
    partitions: () => worker.status(),
    age: (partition) => ages.of(partition, performance.now()),
    sinks,
    openBuckets: () => files?.openBuckets ?? 0,
    compactedFiles: () => files?.compactedFiles ?? 0,
    lostLogLines: () => standardOutput.lostLines + standardError.lostLines,
  })
  const status = (): WorkerStatus => {
    const partitions = worker.status()
    const reasons = reasonsNotReady(worker.problems, partitions, sinks)
    return {
      worker: name,
      ready: reasons.length === 0,
      reasons,
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
  const endpoint = await serveHttp(address, {
    '/metrics': cached(async () => ({ status: 200, ...(await metrics.print()) }), answerAgeMs),
    '/healthz': () => jsonAnswer(200, { healthy: true }),
    '/readyz': cached(() => {
      const { ready, reasons } = status()
      return jsonAnswer(ready ? 200 : 503, { ready, reasons })
    }, answerAgeMs),
    '/status': cached(() => jsonAnswer(200, status()), answerAgeMs),
  })
  log.info(`metrics, health and status at ${endpoint.address}`)
  const timer = setInterval(sample, sampleMs)
  return {
    address: endpoint.address,
    close: () => {
      clearInterval(timer)
      return endpoint.close()
    },
  }
}

/** A worker that only waits for room (back-pressure) is ready: it does what it can. */
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
