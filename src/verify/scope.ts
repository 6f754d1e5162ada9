import { CommitLog } from '../files/log/commit-log.ts'
import type { PrunedStores } from '../files/log/pruned.ts'
import type { ReadableHome } from '../home/home.ts'
import type { KafkaPosition } from '../kafka/positions.ts'
import type { TopicPartition } from '../record/record.ts'
import type { Problem } from './problems.ts'
import { readSoundNotes } from './prune-notes.ts'
import type { ComparedPart } from './scan.ts'

/** What is checked of a partition, as its commit log and its notes say before anything is read. */
export interface Scope {
  readonly log: CommitLog
  /** Where the last manifest begins. */
  readonly last: number | undefined
  /** Where the commit log ends. What is committed later is not checked. */
  readonly next: number | undefined
  readonly origin: number | undefined
  /**
   * Other stores are compared up to here. What the group has not committed may be missing there.
   */
  readonly end: number
  /** What prune took from each store. */
  readonly pruned: PrunedStores
  /** Other stores are compared from this time on, in ms: one of them has pruned what is older. */
  readonly since: number | undefined
  /** Notes of prune that cannot be true. */
  readonly problems: readonly Problem[]
}

/** @throws ArchiverError `DAMAGED` when the commit log cannot be listed. */
export async function scopeOf(
  home: ReadableHome,
  tp: TopicPartition,
  position: KafkaPosition | undefined,
): Promise<Scope> {
  const log = await CommitLog.open(home, tp)
  const last = log.entries.at(-1)?.from
  // A last manifest that cannot be read is reported later. What precedes it is proven even so.
  const next = await log.next().catch(() => last)
  const { sound: pruned, problems } = await readSoundNotes(home, tp, next)
  return {
    log,
    last,
    next,
    origin: log.origin ?? log.entries[0]?.from,
    end: Math.min(next ?? 0, position?.committed ?? Number.POSITIVE_INFINITY),
    pruned,
    since: prunedBefore(pruned),
    problems,
  }
}

/**
 * Which documents of a partition are compared with its files. Must be called before documents are
 * read.
 *
 * @throws ArchiverError `DAMAGED` when the commit log cannot be listed.
 */
export async function comparedPart(
  home: ReadableHome,
  tp: TopicPartition,
  kafka: KafkaPosition | 'absent' | undefined,
): Promise<ComparedPart> {
  const { end, since } = await scopeOf(home, tp, knownPosition(kafka))
  return { topic: tp.topic, partition: tp.partition, end, since }
}

/** What Kafka knows of a partition, when it knows it. */
export function knownPosition(
  kafka: KafkaPosition | 'absent' | undefined,
): KafkaPosition | undefined {
  return kafka === 'absent' ? undefined : kafka
}

/** Records of before this time were taken from one of the stores, in ms. */
function prunedBefore({ files, elasticsearch, mysql }: PrunedStores): number | undefined {
  const befores = [files, elasticsearch, mysql].flatMap((pruned) =>
    pruned === undefined ? [] : [pruned.before],
  )
  return befores.length === 0 ? undefined : Math.max(...befores)
}
