import type { Latency, SinkEvent } from '../pipeline/observer.ts'

/**
 * One fact about one worker at one moment. Counts (`records`, `bytes`, `count`, `rebalances` …)
 * begin at the previous document, so that sums over time and over workers are right. Everything
 * else is the current state. Fields: `index-templates/index-archiver-status.json`.
 */
export type StatusDocument =
  | {
      readonly kind: 'worker'
      readonly records: number
      readonly bytes: number
      readonly lag: number
      readonly oldest_unacknowledged_s: number
      readonly partitions: number
      /** Partitions without a document of their own. */
      readonly partitions_omitted: number
      readonly paused: number
      readonly rebalances: number
      readonly fenced: number
      readonly uptime_s: number
      /** Of one core. */
      readonly cpu_share: number
      readonly event_loop_delay_ms: number
      readonly memory: Readonly<
        Record<'rss_bytes' | 'heap_bytes' | 'held_bytes' | 'budget_bytes', number>
      >
    }
  | {
      readonly kind: 'sink'
      readonly sink: string
      readonly records: number
      readonly bytes: number
      readonly held_bytes: number
      /** Bulk requests or flushes, and how long they took. */
      readonly operations: number
      readonly latency_ms?: Omit<Latency, 'operations'>
      readonly waiting?: string
    }
  | {
      readonly kind: 'partition'
      readonly topic: string
      readonly partition: number
      readonly topic_partition: string
      readonly state: string
      readonly oldest_unacknowledged_s: number
      readonly position?: number
      readonly committed?: number
      readonly lag?: number
      readonly waiting?: string
    }
  | {
      readonly kind: 'event'
      readonly event: SinkEvent | 'gap' | 'pause' | 'proposal'
      readonly reason: string
      readonly count: number
      readonly sink?: string
      /** Of messages. */
      readonly type?: string
    }
