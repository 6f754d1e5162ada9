import type { CountedEvent, Latency, Observations } from '../pipeline/observer.ts'
import type { Sink } from '../pipeline/sink.ts'
import type { Worker } from '../pipeline/worker.ts'
import type { PartitionStatus } from '../pipeline/worker-status.ts'
import { partitionKey } from '../record/record.ts'
import { LoopStalls } from '../runtime/loop-stalls.ts'
import { UnacknowledgedAges } from './ages.ts'
import type { StatusDocument } from './status-document.ts'

const sampleMs = 1000
/**
 * Max partitions with documents. Beyond it: those that wait come first, then those with the largest
 * lag.
 */
const maxPartitions = 100

/** What status documents are made of. */
export interface StatusParts {
  readonly worker: Pick<Worker, 'counts' | 'status'>
  readonly sinks: readonly Pick<Sink, 'name' | 'heldBytes' | 'waiting'>[]
  readonly observations: Observations
  readonly memoryBudget: number
  /** Mappings that were proposed since the last call; absent without `--learn`. */
  readonly takeProposals?: (() => readonly ProposedMapping[]) | undefined
}

/** A mapping that is proposed for a type of messages. */
export interface ProposedMapping {
  readonly type: string
  /** For people: the fields, and as what they are proposed. */
  readonly reason: string
}

/** What happened since the last documents, and the partitions as they are now. */
interface Interval {
  readonly seconds: number
  readonly partitions: readonly PartitionStatus[]
  /** Of the oldest record that is not committed, in seconds, by partition. */
  readonly ages: ReadonlyMap<string, number>
  readonly totals: Totals
  readonly before: Totals
}

/** Samples a worker every second, and reports at an interval what it saw. */
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

  /** The documents for now. Counts are those since the last call, `seconds` ago. */
  take(seconds: number): StatusDocument[] {
    const { worker, sinks, observations } = this.#parts
    const { latencies, events } = observations.take()
    const partitions = this.#sample()
    const now = performance.now()
    const totals = totalsOf(worker.counts)
    const interval: Interval = {
      seconds,
      partitions,
      ages: new Map(partitions.map((tp) => [partitionKey(tp), this.#ages.of(tp, now)])),
      totals,
      before: this.#before,
    }
    this.#before = totals
    const chosen = partitionsToTell(interval)
    return [
      this.#workerDocument(interval, chosen.length),
      ...sinks.map((sink) => sinkDocument(sink, latencies.get(sink.name), interval)),
      ...chosen.map((tp) => partitionDocument(tp, interval)),
      ...eventDocuments(events, interval),
      ...(this.#parts.takeProposals?.() ?? []).map(proposalDocument),
    ]
  }

  #workerDocument(interval: Interval, documented: number): StatusDocument {
    const { partitions, ages, totals, before, seconds } = interval
    const cpu = process.cpuUsage(this.#cpu)
    this.#cpu = process.cpuUsage()
    const memory = process.memoryUsage()
    return {
      kind: 'worker',
      records: totals.records - before.records,
      bytes: totals.bytes - before.bytes,
      lag: partitions.reduce((sum, { lag }) => sum + (lag ?? 0), 0),
      oldest_unacknowledged_s: Math.max(0, ...ages.values()),
      partitions: partitions.length,
      partitions_omitted: partitions.length - documented,
      paused: partitions.filter(({ state, waiting }) => state === 'open' && waiting !== undefined)
        .length,
      rebalances: totals.rebalances - before.rebalances,
      fenced: totals.fenced - before.fenced,
      uptime_s: (performance.now() - this.#startedAt) / 1000,
      cpu_share: (cpu.user + cpu.system) / 1e6 / Math.max(seconds, 0.001),
      event_loop_delay_ms: this.#stalls.takeMs(),
      memory: {
        rss_bytes: memory.rss,
        heap_bytes: memory.heapUsed,
        held_bytes: this.#parts.sinks.reduce((sum, { heldBytes }) => sum + heldBytes, 0),
        budget_bytes: this.#parts.memoryBudget,
      },
    }
  }
}

function sinkDocument(
  { name, heldBytes, waiting }: StatusParts['sinks'][number],
  latency: Latency | undefined,
  { totals, before }: Interval,
): StatusDocument {
  return {
    kind: 'sink',
    sink: name,
    records: totals.acknowledged(name) - before.acknowledged(name),
    bytes: totals.acknowledgedBytes(name) - before.acknowledgedBytes(name),
    held_bytes: heldBytes,
    operations: latency?.operations ?? 0,
    ...(latency === undefined ? {} : { latency_ms: { mean: latency.mean, max: latency.max } }),
    ...(waiting === undefined ? {} : { waiting }),
  }
}

function partitionDocument(status: PartitionStatus, { ages }: Interval): StatusDocument {
  const { topic, partition, state, position, committed, lag, waiting } = status
  const key = partitionKey({ topic, partition })
  return {
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
  }
}

function eventDocuments(
  events: readonly CountedEvent[],
  { totals, before }: Interval,
): StatusDocument[] {
  const counted = [
    ...events,
    {
      event: 'gap',
      reason: 'offsets were gone from Kafka before they were read',
      count: totals.lostOffsets - before.lostOffsets,
    } as const,
    {
      event: 'pause',
      reason: 'a partition waited for the sinks',
      count: totals.pauses - before.pauses,
    } as const,
  ]
  return counted.filter(({ count }) => count > 0).map((event) => ({ kind: 'event', ...event }))
}

function proposalDocument({ type, reason }: ProposedMapping): StatusDocument {
  return { kind: 'event', event: 'proposal', type, reason, count: 1 }
}

type Totals = Pick<
  Worker['counts'],
  'records' | 'bytes' | 'lostOffsets' | 'rebalances' | 'fenced' | 'pauses'
> & {
  readonly acknowledged: (sink: string) => number
  readonly acknowledgedBytes: (sink: string) => number
}

function totalsOf(counts: Worker['counts']): Totals {
  const acknowledged = new Map(counts.acknowledged)
  const acknowledgedBytes = new Map(counts.acknowledgedBytes)
  return {
    ...counts,
    acknowledged: (sink) => acknowledged.get(sink) ?? 0,
    acknowledgedBytes: (sink) => acknowledgedBytes.get(sink) ?? 0,
  }
}

function partitionsToTell({ partitions, ages }: Interval): readonly PartitionStatus[] {
  if (partitions.length <= maxPartitions) return partitions
  const weight = (tp: PartitionStatus) =>
    (tp.waiting === undefined ? 0 : 1e15) + (tp.lag ?? 0) + ages.get(partitionKey(tp))!
  return [...partitions].sort((a, b) => weight(b) - weight(a)).slice(0, maxPartitions)
}
