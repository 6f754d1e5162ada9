import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { Tracker } from './tracker.ts'

/** An offset for the group: the next record to read. */
export interface CommittableOffset extends TopicPartition {
  readonly offset: number
}

interface Assigned {
  readonly tp: TopicPartition
  readonly tracker: Tracker
  committed: number | undefined
}

/**
 * The offset coordinator of a worker: one tracker for each partition that it owns now, and what the
 * group has committed. Pure: no clock, no network, no disk.
 *
 * **Invariant**: it never offers an offset below a committed one, nor one that a sink does not
 * hold.
 */
export class Coordinator {
  readonly #sinks: readonly string[]
  readonly #assigned = new Map<string, Assigned>()

  /**
   * `sinks`: the names of all enabled sinks. An offset is committable when each of them holds what
   * is below it.
   */
  constructor(sinks: readonly string[]) {
    this.#sinks = sinks
  }

  /**
   * Begins a new life of a partition. What is known of an earlier one is closed and forgotten.
   * @param committed what the group has committed; undefined if it has no offset
   */
  open(tp: TopicPartition, start: number, committed: number | undefined): Tracker {
    this.close(tp)
    const tracker = new Tracker(start, this.#sinks)
    this.#assigned.set(partitionKey(tp), { tp, tracker, committed })
    return tracker
  }

  close(tp: TopicPartition): void {
    this.#assigned.get(partitionKey(tp))?.tracker.close()
    this.#assigned.delete(partitionKey(tp))
  }

  /** The offsets to commit: higher than what the group has. */
  committable(): CommittableOffset[] {
    const offsets: CommittableOffset[] = []
    for (const { tp, tracker, committed } of this.#assigned.values()) {
      // The start is worth a commit by itself: a group with an offset does not depend on the
      // default of a client.
      if (committed === undefined || tracker.committable > committed) {
        offsets.push({ topic: tp.topic, partition: tp.partition, offset: tracker.committable })
      }
    }
    return offsets
  }

  /** The group has committed these. Those of partitions that were closed meanwhile are ignored. */
  confirm(offsets: readonly CommittableOffset[]): void {
    for (const { topic, partition, offset } of offsets) {
      const assigned = this.#assigned.get(partitionKey({ topic, partition }))
      if (assigned !== undefined)
        assigned.committed = Math.max(assigned.committed ?? offset, offset)
    }
  }

  /** The group has another offset than this worker committed. The next commit repeats it. */
  forgetCommitted(tp: TopicPartition): void {
    const assigned = this.#assigned.get(partitionKey(tp))
    if (assigned !== undefined) assigned.committed = undefined
  }

  /** What the group has committed for a partition; undefined before the first commit. */
  committedOffset(tp: TopicPartition): number | undefined {
    return this.#assigned.get(partitionKey(tp))?.committed
  }
}
