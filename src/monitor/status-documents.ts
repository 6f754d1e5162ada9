import { hostname } from 'node:os'
import { elasticsearchClient } from '../cmd/lib/elasticsearch-client.ts'
import type { RunOptions } from '../config/config.ts'
import { type StatusDocument, StatusWriter } from '../elasticsearch/status.ts'
import type { Observations } from '../pipeline/observer.ts'
import type { Sink } from '../pipeline/sink.ts'
import type { Worker } from '../pipeline/worker.ts'
import type { PartitionStatus } from '../pipeline/worker-status.ts'
import { partitionKey } from '../record/record.ts'
import type { Logger } from '../runtime/log.ts'
import { LoopStalls } from '../runtime/loop-stalls.ts'
import { UnacknowledgedAges } from './ages.ts'

const sampleMs = 1000
/**
 * Of more partitions than this only those with the most lag or the oldest records have documents.
 */
const mostPartitions = 100

/**
 * Begins to write status documents; undefined where there is no Elasticsearch, or they are not
 * wanted.
 */
export function startStatusDocuments(
  options: RunOptions,
  parts: Omit<StatusParts, 'memoryBudget'> & { readonly name: string },
  log: Logger,
): { stop(): Promise<void> } | undefined {
  if (options.elasticsearch === undefined || !options.statusDocuments) return undefined
  const documents = new StatusDocuments({ ...parts, memoryBudget: options.memoryBudget })
  const writer = new StatusWriter({
    client: elasticsearchClient(options.elasticsearch, options),
    origin: {
      worker: parts.name,
      host: hostname(),
      group: options.group,
      index_prefix: options.indexPrefix,
    },
    documents: (intervalS) => documents.take(intervalS),
    intervalMs: options.statusInterval * 1000,
    log,
  })
  return {
    stop: async () => {
      await writer.stop()
      documents.stop()
    },
  }
}

/** What status documents are made of. */
export interface StatusParts {
  readonly worker: Pick<Worker, 'counts' | 'status'>
  readonly sinks: readonly Pick<Sink, 'name' | 'heldBytes' | 'waiting'>[]
  readonly observations: Observations
  readonly memoryBudget: number
}

/** Looks at a worker every second, and says every half-minute what it saw. */
export class StatusDocuments {
  readonly #parts: StatusParts
  readonly #ages = new UnacknowledgedAges()
  readonly #timer: NodeJS.Timeout
  readonly #stalls = new LoopStalls()
  readonly #startedAt = performance.now()
  #cpu = process.cpuUsage()
  #before: Totals

  constructor(parts: StatusParts) {
    this.#parts = parts
    this.#before = totalsOf(parts.worker.counts)
    this.#timer = setInterval(() => this.#sample(), sampleMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#stalls.stop()
  }

  #sample(): readonly PartitionStatus[] {
    const partitions = this.#parts.worker.status()
    this.#ages.sample(partitions, performance.now())
    return partitions
  }

  /** What to say now; counts are those since the last call, which was `intervalS` seconds ago. */
  take(intervalS: number): StatusDocument[] {
    const { worker, sinks, observations, memoryBudget } = this.#parts
    const partitions = this.#sample()
    const { latencies, events } = observations.take()
    const totals = totalsOf(worker.counts)
    const before = this.#before
    this.#before = totals
    const ages = new Map(
      partitions.map((tp) => [partitionKey(tp), this.#ages.of(tp, performance.now())]),
    )
    const told = mostToTell(partitions, ages)
    const cpu = process.cpuUsage(this.#cpu)
    this.#cpu = process.cpuUsage()
    const memory = process.memoryUsage()

    const documents: StatusDocument[] = [
      {
        kind: 'worker',
        records: totals.records - before.records,
        bytes: totals.bytes - before.bytes,
        lag: partitions.reduce((sum, { lag }) => sum + (lag ?? 0), 0),
        oldest_unacknowledged_s: Math.max(0, ...ages.values()),
        partitions: partitions.length,
        partitions_omitted: partitions.length - told.length,
        paused: partitions.filter(({ state, waiting }) => state === 'open' && waiting !== undefined)
          .length,
        rebalances: totals.rebalances - before.rebalances,
        fenced: totals.fenced - before.fenced,
        uptime_s: (performance.now() - this.#startedAt) / 1000,
        cpu_share: (cpu.user + cpu.system) / 1e6 / Math.max(intervalS, 0.001),
        event_loop_delay_ms: this.#stalls.takeMs(),
        memory: {
          rss_bytes: memory.rss,
          heap_bytes: memory.heapUsed,
          held_bytes: sinks.reduce((sum, { heldBytes }) => sum + heldBytes, 0),
          budget_bytes: memoryBudget,
        },
      },
    ]
    for (const { name, heldBytes, waiting } of sinks) {
      const latency = latencies.get(name)
      documents.push({
        kind: 'sink',
        sink: name,
        records: totals.acknowledged(name) - before.acknowledged(name),
        bytes: totals.acknowledgedBytes(name) - before.acknowledgedBytes(name),
        held_bytes: heldBytes,
        operations: latency?.operations ?? 0,
        ...(latency === undefined ? {} : { latency_ms: { mean: latency.mean, max: latency.max } }),
        ...(waiting === undefined ? {} : { waiting }),
      })
    }
    for (const { topic, partition, state, position, committed, lag, waiting } of told) {
      const key = partitionKey({ topic, partition })
      documents.push({
        kind: 'partition',
        topic,
        partition,
        topic_partition: key,
        state,
        oldest_unacknowledged_s: ages.get(key)!,
        ...(position === undefined ? {} : { position }),
        ...(committed === undefined ? {} : { committed }),
        ...(lag === undefined ? {} : { lag }),
        ...(waiting === undefined ? {} : { waiting }),
      })
    }
    for (const event of events) documents.push({ kind: 'event', ...event })
    const lost = totals.lostOffsets - before.lostOffsets
    if (lost > 0) {
      documents.push({
        kind: 'event',
        event: 'gap',
        reason: 'offsets were gone from Kafka before they were read',
        count: lost,
      })
    }
    const pauses = totals.pauses - before.pauses
    if (pauses > 0) {
      documents.push({
        kind: 'event',
        event: 'pause',
        reason: 'a partition waited for the sinks',
        count: pauses,
      })
    }
    return documents
  }
}

interface Totals {
  readonly records: number
  readonly bytes: number
  readonly lostOffsets: number
  readonly rebalances: number
  readonly fenced: number
  readonly pauses: number
  readonly acknowledged: (sink: string) => number
  readonly acknowledgedBytes: (sink: string) => number
}

function totalsOf(counts: Worker['counts']): Totals {
  const { records, bytes, lostOffsets, rebalances, fenced, pauses } = counts
  const acknowledged = new Map(counts.acknowledged)
  const acknowledgedBytes = new Map(counts.acknowledgedBytes)
  return {
    records,
    bytes,
    lostOffsets,
    rebalances,
    fenced,
    pauses,
    acknowledged: (sink) => acknowledged.get(sink) ?? 0,
    acknowledgedBytes: (sink) => acknowledgedBytes.get(sink) ?? 0,
  }
}

function mostToTell(
  partitions: readonly PartitionStatus[],
  ages: ReadonlyMap<string, number>,
): readonly PartitionStatus[] {
  if (partitions.length <= mostPartitions) return partitions
  const weight = (tp: PartitionStatus) =>
    (tp.waiting === undefined ? 0 : 1e15) + (tp.lag ?? 0) + ages.get(partitionKey(tp))!
  return [...partitions].sort((a, b) => weight(b) - weight(a)).slice(0, mostPartitions)
}
