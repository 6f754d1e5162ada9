import type { RestoreOptions } from '../config/commands/restore.ts'
import type { DamagedPartitions } from '../files/read/damaged-partitions.ts'
import type { Selection } from '../files/read/selection.ts'
import type { ReadableHome } from '../home/home.ts'
import type { TopicPartition } from '../record/record.ts'
import type { Logger } from '../runtime/log.ts'

/** What a restore did. */
export interface Account {
  /** Records that the target accepted. */
  records: number
  /** Records that the target already held, each found by its offset. */
  present: number
  /** Records that Elasticsearch rejected: they are in its rejected index. */
  refused: number
}

/** What all directions need. */
export interface Restore {
  readonly home: ReadableHome
  readonly options: RestoreOptions
  readonly selection: Selection
  readonly partitions: readonly TopicPartition[]
  readonly damaged: DamagedPartitions
  readonly signal: AbortSignal
  readonly log: Logger
  readonly account: Account
  /** Shows the progress. */
  readonly progress: (tp: TopicPartition, waiting?: string) => void
  /** Shows the current step; undefined for none. */
  readonly status: (line: string | undefined) => void
}
