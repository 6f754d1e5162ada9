import type { TopicPartition } from '../record/record.ts'
import type { Partition } from './partition.ts'
import type { StateName } from './partition-events.ts'

/** What a worker did since its start. */
export interface WorkerCounts {
  records: number
  bytes: number
  /** Records that each sink acknowledged. */
  readonly acknowledged: Map<string, number>
  /** Bytes of their lines. */
  readonly acknowledgedBytes: Map<string, number>
  lostOffsets: number
  /** Of these: records that are larger than may be kept. */
  oversizedRecords: number
  /** How often a partition was paused because a sink was full. */
  pauses: number
  rebalances: number
  fenced: number
  /** Commits that the group refused or could not be asked for. */
  commitFailures: number
  /**
   * Partitions whose group lost its offset, and whose archived records Kafka does not have any more
   * to compare.
   */
  missingGroupOffsets: number
}

/** All at zero. */
export function createCounts(sinks: readonly { readonly name: string }[]): WorkerCounts {
  return {
    records: 0,
    bytes: 0,
    acknowledged: new Map(sinks.map(({ name }) => [name, 0])),
    acknowledgedBytes: new Map(sinks.map(({ name }) => [name, 0])),
    lostOffsets: 0,
    oversizedRecords: 0,
    pauses: 0,
    rebalances: 0,
    fenced: 0,
    commitFailures: 0,
    missingGroupOffsets: 0,
  }
}

/** The state of one partition, for status lines. */
export interface PartitionStatus extends TopicPartition {
  readonly state: 'opening' | 'open' | 'stopped'
  /** The next offset to read; undefined while nothing is read. */
  readonly position: number | undefined
  readonly committed: number | undefined
  /** Records that Kafka has and this worker has not read. */
  readonly lag: number | undefined
  /** Why it makes no progress, for people; undefined while it does. */
  readonly waiting: string | undefined
  /** An operator paused it. */
  readonly paused?: true
}

const phases: Readonly<Record<StateName, PartitionStatus['state']>> = {
  opening: 'opening',
  flowing: 'open',
  paused: 'open',
  locating: 'open',
  settling: 'open',
  draining: 'open',
  stopped: 'stopped',
  // The worker ends, and it was not open, or failed at the last flush.
  closed: 'opening',
}

/**
 * @param committed what this worker has committed for it
 * @param stalled what holds all partitions up, for people
 * @param isHeld an operator paused it
 */
export function statusOf(
  partition: Partition,
  committed: number | undefined,
  stalled: string | undefined,
  isHeld: boolean,
): PartitionStatus {
  const { tp, state, tracker, highWatermark, waiting } = partition
  const readUpTo = tracker?.position ?? partition.resumesAt
  return {
    ...tp,
    state: phases[state.name],
    position: tracker?.position,
    committed: committed ?? partition.committed,
    lag:
      highWatermark === undefined || readUpTo === undefined
        ? undefined
        : Math.max(0, highWatermark - readUpTo),
    waiting: isHeld && state.name === 'paused' ? 'paused by an operator' : (waiting ?? stalled),
    ...(isHeld ? { paused: true } : {}),
  }
}

/**
 * A heartbeat is answered every few seconds, and a rebalance takes no longer than this while all
 * members are well.
 */
const longSilenceMs = 30_000

/** What keeps the worker as a whole from making progress, for people. */
export function problemsOf(worker: {
  readonly hasJoined: boolean
  readonly silentMs: number
  readonly commitsStalled: string | undefined
}): string[] {
  const { hasJoined, silentMs, commitsStalled } = worker
  return [
    ...(hasJoined ? [] : ['the worker has not joined the group yet']),
    ...(silentMs < longSilenceMs
      ? []
      : [`Kafka has not answered for ${Math.round(silentMs / 1000)} s`]),
    ...(commitsStalled === undefined ? [] : [commitsStalled]),
  ]
}
