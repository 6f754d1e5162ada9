import { partitionKey } from '../record.ts'
import type { PartitionStatus } from '../worker.ts'

/**
 * How long the oldest record of a partition has waited to be committed, from samples of where it stood: what was read between two
 * samples counts as read at the earlier one. Pure: time is an argument, in ms.
 */
export class UnacknowledgedAges {
  /** By partition, ascending: a position, and when it was last seen there. The first is at or below what is committed. */
  readonly #positions = new Map<string, { readonly position: number; at: number }[]>()

  sample(partitions: readonly PartitionStatus[], now: number): void {
    const sampled = new Set<string>()
    for (const { topic, partition, position, committed } of partitions) {
      if (position === undefined) continue
      const key = partitionKey({ topic, partition })
      sampled.add(key)
      // A partition whose position went back was opened anew: its records are read again.
      const seen = (this.#positions.get(key) ?? []).filter((earlier) => earlier.position <= position)
      const last = seen.at(-1)
      if (last?.position === position) last.at = now
      else seen.push({ position, at: now })
      const held = seen.findLastIndex((earlier) => earlier.position <= (committed ?? Number.NEGATIVE_INFINITY))
      this.#positions.set(key, seen.slice(Math.max(0, held)))
    }
    for (const key of this.#positions.keys()) if (!sampled.has(key)) this.#positions.delete(key)
  }

  /** In seconds; 0 where everything that was read is committed. */
  of({ topic, partition, position, committed }: PartitionStatus, now: number): number {
    const [first] = this.#positions.get(partitionKey({ topic, partition })) ?? []
    if (first === undefined || position === undefined || (committed !== undefined && position <= committed)) return 0
    return Math.max(0, now - first.at) / 1000
  }
}
