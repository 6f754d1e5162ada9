import type { PartitionStatus } from '../pipeline/worker-status.ts'
import { partitionKey } from '../record/record.ts'

/**
 * How long the oldest record of a partition has waited to be committed, from samples of its
 * position. Records read between two samples count as read at the earlier one. Pure: time is an
 * argument, in ms.
 */
export class UnacknowledgedAges {
  /**
   * By partition: positions in ascending order, and when each was last seen. The first is at or
   * below the committed offset.
   */
  readonly #positions = new Map<string, { readonly position: number; at: number }[]>()

  sample(partitions: readonly PartitionStatus[], now: number): void {
    const sampled = new Set<string>()
    for (const { topic, partition, position, committed } of partitions) {
      const key = partitionKey({ topic, partition })
      sampled.add(key)
      // A partition that is opening: its earlier records are still not committed.
      if (position === undefined) continue
      const before = this.#positions.get(key) ?? []
      // After a reset, the group reads again what it had committed. A reopened partition reads
      // again what still waits.
      const isSetBack =
        committed !== undefined && before[0] !== undefined && committed < before[0].position
      const seen = isSetBack ? before.filter((earlier) => earlier.position <= position) : before
      const last = seen.at(-1)
      if (last?.position === position) last.at = now
      else if (last === undefined || last.position < position) seen.push({ position, at: now })
      const held = seen.findLastIndex(
        (earlier) => earlier.position <= (committed ?? Number.NEGATIVE_INFINITY),
      )
      this.#positions.set(key, seen.slice(Math.max(0, held)))
    }
    for (const key of this.#positions.keys()) if (!sampled.has(key)) this.#positions.delete(key)
  }

  /** In seconds; 0 if everything that was read is committed. */
  of({ topic, partition, position, committed }: PartitionStatus, now: number): number {
    const seen = this.#positions.get(partitionKey({ topic, partition })) ?? []
    const readUpTo = Math.max(position ?? 0, seen.at(-1)?.position ?? 0)
    if (seen[0] === undefined || (committed !== undefined && readUpTo <= committed)) return 0
    return Math.max(0, now - seen[0].at) / 1000
  }
}
