import type { Admin } from 'kafkajs'
import type { LogBounds } from '../pipeline/source.ts'
import { partitionKey } from '../record/record.ts'

/** What Kafka knows of a topic-partition: its log, and what the group has committed. */
export interface KafkaPosition extends LogBounds {
  readonly committed: number | undefined
}

/** By `partitionKey`. Topics that Kafka does not have are absent. */
export async function readPositions(
  admin: Admin,
  group: string,
  topics: readonly string[],
): Promise<Map<string, KafkaPosition>> {
  const existing = new Set(await admin.listTopics())
  const present = topics.filter((topic) => existing.has(topic))
  const positions = new Map<string, KafkaPosition>()
  if (present.length === 0) return positions
  // Before the log's ends: what is committed then is never behind them.
  const committed = new Map<string, number>()
  for (const { topic, partitions } of await admin.fetchOffsets({
    groupId: group,
    topics: present,
  })) {
    for (const { partition, offset } of partitions) {
      // -1 is none; kafkajs itself commits -2 where it reset an offset.
      if (Number(offset) >= 0) committed.set(partitionKey({ topic, partition }), Number(offset))
    }
  }
  for (const topic of present) {
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
      const key = partitionKey({ topic, partition })
      positions.set(key, { start: Number(low), end: Number(high), committed: committed.get(key) })
    }
  }
  return positions
}
