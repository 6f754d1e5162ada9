import type { Admin, Kafka } from 'kafkajs'
import type { Answers, LogBounds } from '../pipeline/source.ts'
import { partitionKey } from '../record/record.ts'
import { PositionLookup } from './position-lookup.ts'

/** What Kafka knows of a topic-partition: its log, and what the group has committed. */
export interface KafkaPosition extends LogBounds {
  readonly committed: number | undefined
}

/** By `partitionKey`. Topics that Kafka does not have are absent. */
export async function readPositions(
  kafka: Kafka,
  admin: Admin,
  group: string,
  topics: readonly string[],
): Promise<Map<string, KafkaPosition>> {
  const existing = new Set(await admin.listTopics())
  const present = topics.filter((topic) => existing.has(topic))
  if (present.length === 0) return new Map()
  const lookup = new PositionLookup(kafka, group, () => {})
  try {
    const tps = await lookup.partitionsOf(present)
    // Before the log's ends: what is committed then is never behind them.
    const committed = complete(await lookup.committedOffsets(tps))
    const bounds = complete(await lookup.bounds(tps))
    return new Map(
      tps.flatMap((tp) => {
        const key = partitionKey(tp)
        const ofLog = bounds.get(key)
        return ofLog === undefined ? [] : [[key, { ...ofLog, committed: committed.get(key) }]]
      }),
    )
  } finally {
    await lookup.disconnect()
  }
}

/** @throws why a topic could not be asked about, if there is one */
export function complete<T>({ found, refused }: Answers<T>): ReadonlyMap<string, T> {
  for (const error of refused.values()) throw error
  return found
}
