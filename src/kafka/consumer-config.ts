import type { ConsumerConfig, Kafka, PartitionAssigner } from 'kafkajs'
import { rebalanceTimeoutMs } from './silence.ts'
import type { TopicChoice } from './topic-watch.ts'

export interface GroupConsumerOptions {
  readonly kafka: Kafka
  readonly group: string
  readonly topics: TopicChoice
  readonly sessionTimeoutMs: number
  /** How often the worker tells the group that it is there, at least. */
  readonly heartbeatIntervalMs: number
  /** The id of a static member (KIP-345). */
  readonly groupInstanceId?: string | undefined
  /** The rack of this worker (KIP-392). */
  readonly rackId?: string | undefined
}

/**
 * How long the broker may hold a fetch for which there is nothing. After that it is noticed that
 * another partition was resumed, and stopping has to wait no longer.
 */
const maxWaitMs = 500
const maxBytesPerPartition = 2 ** 20
const metadataMaxAgeMs = 30_000

/** What kafkajs needs to know of a member of the group. */
export function consumerConfig(
  { group, sessionTimeoutMs, heartbeatIntervalMs, rackId }: GroupConsumerOptions,
  assigner: PartitionAssigner,
): ConsumerConfig {
  return {
    groupId: group,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: rebalanceTimeoutMs(sessionTimeoutMs),
    // At least three in a session (KIP-62).
    heartbeatInterval: Math.min(heartbeatIntervalMs, Math.floor(sessionTimeoutMs / 3)),
    maxWaitTimeInMs: maxWaitMs,
    maxBytesPerPartition,
    metadataMaxAge: metadataMaxAgeMs,
    // Or consuming a topic that was deleted would make it again.
    allowAutoTopicCreation: false,
    partitionAssigners: [assigner],
    retry: { restartOnFailure: async () => false },
    ...(rackId === undefined ? {} : { rackId }),
  }
}
