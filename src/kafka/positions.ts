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
  if (present.length === 0) return new Map()
  // Before the log's ends: what is committed then is never behind them.
  const committed = await committedOffsets(admin, group, present)
  const positions = new Map<string, KafkaPosition>()
  for (const topic of present) {
    for (const [key, bounds] of await logBounds(admin, topic))
      positions.set(key, { ...bounds, committed: committed.get(key) })
  }
  return positions
}

/** The group's offsets by `partitionKey`; partitions without one are absent. */
export async function committedOffsets(
  admin: Admin,
  group: string,
  topics: readonly string[],
): Promise<Map<string, number>> {
  const committed = new Map<string, number>()
  for (const { topic, partitions } of await admin.fetchOffsets({
    groupId: group,
    topics: [...topics],
  })) {
    for (const { partition, offset } of partitions) {
      // -1 is none; kafkajs itself commits -2 ("earliest") when it resets an offset.
      if (Number(offset) >= 0) committed.set(partitionKey({ topic, partition }), Number(offset))
    }
  }
  return committed
}

/** The bounds of a topic's logs by `partitionKey`. Throws if the topic does not exist. */
export async function logBounds(admin: Admin, topic: string): Promise<Map<string, LogBounds>> {
  const offsets = await admin.fetchTopicOffsets(topic)
  return new Map(
    offsets.map(({ partition, low, high }) => [
      partitionKey({ topic, partition }),
      { start: Number(low), end: Number(high) },
    ]),
  )
}
