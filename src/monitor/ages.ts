import type { PartitionStatus } from '../pipeline/worker-status.ts'
import { partitionKey } from '../record/record.ts'

/**
 * How long the oldest record of a partition has waited to be committed, from samples of where it
 * stood: what was read between two samples counts as read at the earlier one. Pure: time is an
 * argument, in ms.
 */
export class UnacknowledgedAges {
  /**
   * By partition, ascending: a position, and when it was last seen there. The first is at or below
   * what is committed.
   */
  readonly #positions = new Map<string, { readonly position: number; at: number }[]>()

  sample(partitions: readonly PartitionStatus[], now: number): void {
    const sampled = new Set<string>()
    for (const { topic, partition, position, committed } of partitions) {
      const key = partitionKey({ topic, partition })
      sampled.add(key)
      // A partition that is being opened: what was read of it before is still not committed.
      if (position === undefined) continue
      const before = this.#positions.get(key) ?? []
      // A group that was set back reads what it had committed; a partition that was opened anew
      // reads again what waits still.
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

  /** In seconds; 0 where everything that was read is committed. */
  of({ topic, partition, position, committed }: PartitionStatus, now: number): number {
    const seen = this.#positions.get(partitionKey({ topic, partition })) ?? []
    const readUpTo = Math.max(position ?? 0, seen.at(-1)?.position ?? 0)
    if (seen[0] === undefined || (committed !== undefined && readUpTo <= committed)) return 0
    return Math.max(0, now - seen[0].at) / 1000
  }
}
