import { partitionKey, type TopicPartition } from '../record/record.ts'
import type { Committer } from './committer.ts'
import type { Opener } from './opening.ts'
import type { Partition } from './partition.ts'
import type { Shutdown } from './shutdown.ts'
import type { AssignmentChange } from './source.ts'
import type { WorkerCounts } from './worker-status.ts'

export interface DrainTimeouts {
  /**
   * How long a flush before a rebalance may hold the group up, in ms: less than half of the session
   * timeout.
   */
  readonly drainTimeoutMs: number
  /** How long the last flush may take after a signal, in ms. */
  readonly shutdownTimeoutMs: number
}

/** What the group gives to this worker and takes from it, partition by partition. */
export class Assignment {
  readonly #partitions: ReadonlyMap<string, Partition>
  readonly #opener: Opener
  readonly #committer: Committer
  readonly #counts: WorkerCounts
  readonly #timeouts: DrainTimeouts
  readonly #shutdown: Shutdown
  #hasJoined = false

  constructor(parts: {
    partitions: ReadonlyMap<string, Partition>
    opener: Opener
    committer: Committer
    counts: WorkerCounts
    timeouts: DrainTimeouts
    shutdown: Shutdown
  }) {
    this.#partitions = parts.partitions
    this.#opener = parts.opener
    this.#committer = parts.committer
    this.#counts = parts.counts
    this.#timeouts = parts.timeouts
    this.#shutdown = parts.shutdown
  }

  /** The worker has been a member of the group. */
  get hasJoined(): boolean {
    return this.#hasJoined
  }

  joined({ gained, lost }: AssignmentChange): void {
    if (this.#hasJoined && gained.length + lost.length > 0) this.#counts.rebalances++
    this.#hasJoined = true
    for (const partition of this.#owned(lost)) this.#opener.close(partition)
    for (const tp of gained) this.#opener.add(tp)
  }

  /** The group may take any partition. The worker stores and commits what it can in time. */
  async beforeJoin(): Promise<void> {
    await this.#committer.drain(this.tracked(), this.#timeouts.drainTimeoutMs)
  }

  /** Stores and commits what it can in time; then others may have the partitions. */
  async revoked(tps: readonly TopicPartition[]): Promise<void> {
    this.#counts.rebalances++
    const partitions = this.#owned(tps)
    await this.#committer.drain(this.#drain(partitions), this.#timeouts.drainTimeoutMs)
    for (const partition of partitions) this.#opener.close(partition)
  }

  /** The worker ends: it takes nothing more, and stores and commits in time what it has read. */
  async shutDown(): Promise<void> {
    const leftMs = this.#shutdown.begin()
    this.#opener.acceptNoMore()
    const held = this.#drain([...this.#partitions.values()])
    if (await this.#committer.drain(held, leftMs)) return
    this.#shutdown.expire()
    await this.#committer.drain([], this.#timeouts.drainTimeoutMs)
  }

  /** Partitions that may have records in the sinks that are not stored yet, also stopped ones. */
  tracked(): TopicPartition[] {
    return [...this.#partitions.values()].flatMap(({ tp, tracker }) =>
      tracker === undefined ? [] : [tp],
    )
  }

  /** @returns those that may have records in the sinks */
  #drain(partitions: readonly Partition[]): TopicPartition[] {
    return partitions.flatMap((partition) => (this.#opener.drain(partition) ? [partition.tp] : []))
  }

  #owned(tps: readonly TopicPartition[]): Partition[] {
    return tps.flatMap((tp) => this.#partitions.get(partitionKey(tp)) ?? [])
  }
}
