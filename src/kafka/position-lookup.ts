import type { Kafka } from 'kafkajs'
import type { Answers, LogBounds } from '../pipeline/source.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'
import { rootCause } from '../runtime/errors.ts'
import { type Broker, type Cluster, createCluster, readCommitted } from './cluster.ts'
import { kafkajs } from './kafkajs.ts'
import { RenewedAdmin } from './repairs/renewed-admin.ts'

/** What ListOffsets calls the end and the start of a log. */
const latest = '-1'
const earliest = '-2'

/** Errors of a topic or its partitions. Kafkajs then throws away what it heard of the others. */
const topicErrors = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'TOPIC_AUTHORIZATION_FAILED',
  'INVALID_TOPIC_EXCEPTION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'KAFKA_STORAGE_ERROR',
  'LISTENER_NOT_FOUND',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
])
/** After this many failures the cluster as a whole is in trouble, and halving finds nothing. */
const maxFailures = 50

/**
 * Asks for positions of many partitions with few requests: one to each broker, whatever the number
 * of topics. kafkajs's admin client asks topic by topic, and each time about all of its partitions.
 */
export class PositionLookup {
  readonly #group: string
  readonly #cluster: RenewedAdmin<Cluster>

  constructor(kafka: Kafka, group: string, disconnectFailed: (error: unknown) => void) {
    this.#group = group
    this.#cluster = new RenewedAdmin(() => createCluster(kafka), disconnectFailed)
  }

  committedOffsets(tps: readonly TopicPartition[]): Promise<Answers<number>> {
    return this.#askApart(tps, (cluster, some) => committedOffsets(cluster, this.#group, some))
  }

  bounds(tps: readonly TopicPartition[]): Promise<Answers<LogBounds>> {
    return this.#askApart(tps, logBounds)
  }

  /** All partitions of the topics. Throws if one of these does not exist. */
  partitionsOf(topics: readonly string[]): Promise<TopicPartition[]> {
    return this.#cluster.ask(async (cluster) => {
      await loadMetadata(cluster, topics)
      return topics.flatMap((topic) =>
        cluster
          .findTopicPartitionMetadata(topic)
          .map(({ partitionId }) => ({ topic, partition: partitionId })),
      )
    })
  }

  /**
   * A topic that cannot be asked about spoils the answers for all. Halving finds it, and the others
   * are answered.
   */
  async #askApart<T>(
    tps: readonly TopicPartition[],
    question: (cluster: Cluster, tps: readonly TopicPartition[]) => Promise<Map<string, T>>,
  ): Promise<Answers<T>> {
    const found = new Map<string, T>()
    const refused = new Map<string, unknown>()
    const byTopic = Map.groupBy(tps, ({ topic }) => topic)
    const parts = [[...byTopic.keys()]]
    let failures = 0
    for (let topics = parts.pop(); topics !== undefined; topics = parts.pop()) {
      const some = topics.flatMap((topic) => byTopic.get(topic)!)
      try {
        const answers = await this.#cluster.ask((cluster) => question(cluster, some))
        for (const [key, answer] of answers) found.set(key, answer)
      } catch (error) {
        if (!isTopicError(error)) throw error
        if (topics.length === 1 || ++failures >= maxFailures)
          for (const topic of topics) refused.set(topic, error)
        else {
          const half = Math.ceil(topics.length / 2)
          parts.push(topics.slice(half), topics.slice(0, half))
        }
      }
    }
    return { found, refused }
  }

  /** Topics are gone. kafkajs would go on asking about them, and get no answer for any. */
  renew(): void {
    this.#cluster.renew()
  }

  disconnect(): Promise<void> {
    return this.#cluster.disconnect()
  }
}

function isTopicError(error: unknown): boolean {
  const cause = rootCause(error)
  return cause instanceof kafkajs.KafkaJSProtocolError && topicErrors.has(cause.type)
}

async function loadMetadata(cluster: Cluster, topics: readonly string[]): Promise<void> {
  await cluster.addMultipleTargetTopics(topics)
  await cluster.refreshMetadataIfNecessary()
}

async function committedOffsets(
  cluster: Cluster,
  groupId: string,
  tps: readonly TopicPartition[],
): Promise<Map<string, number>> {
  const coordinator = await cluster.findGroupCoordinator({ groupId })
  const { responses } = await coordinator.offsetFetch({ groupId, topics: topicsOf(tps) })
  const committed = new Map<string, number>()
  for (const { topic, partitions } of responses) {
    for (const { partition, offset } of partitions) {
      // -1 is none; kafkajs itself commits -2 ("earliest") when it resets an offset.
      if (Number(offset) >= 0) committed.set(partitionKey({ topic, partition }), Number(offset))
    }
  }
  return committed
}

async function logBounds(
  cluster: Cluster,
  tps: readonly TopicPartition[],
): Promise<Map<string, LogBounds>> {
  await loadMetadata(cluster, [...new Set(tps.map(({ topic }) => topic))])
  let leaders = leadersOf(cluster, tps)
  if (leaders.has(undefined)) {
    // Partitions that the topic did not have when its metadata was loaded.
    await cluster.refreshMetadata()
    leaders = leadersOf(cluster, tps)
  }
  const ofBrokers = await Promise.all(
    [...leaders].map(async ([leader, led]) => {
      if (leader === undefined) return []
      const broker = await cluster.findBroker({ nodeId: String(leader) })
      const ends = await offsetsAt(broker, led, latest)
      const starts = await offsetsAt(broker, led, earliest)
      return [...ends].flatMap(([key, end]) => {
        const start = starts.get(key)
        return start === undefined ? [] : [[key, { start, end }] as const]
      })
    }),
  )
  return new Map(ofBrokers.flat())
}

/** The partitions by the broker that leads them; by undefined, if kafkajs does not know one. */
function leadersOf(
  cluster: Cluster,
  tps: readonly TopicPartition[],
): Map<number | undefined, TopicPartition[]> {
  const leaders = new Map<string, number>()
  for (const topic of new Set(tps.map((tp) => tp.topic))) {
    for (const { partitionId, leader } of cluster.findTopicPartitionMetadata(topic))
      leaders.set(partitionKey({ topic, partition: partitionId }), leader)
  }
  return Map.groupBy(tps, (tp) => leaders.get(partitionKey(tp)))
}

async function offsetsAt(
  broker: Broker,
  tps: readonly TopicPartition[],
  timestamp: string,
): Promise<Map<string, number>> {
  const { responses } = await broker.listOffsets({
    isolationLevel: readCommitted,
    topics: topicsOf(tps).map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition }) => ({ partition, timestamp })),
    })),
  })
  return new Map(
    responses.flatMap(({ topic, partitions }) =>
      partitions.map(
        ({ partition, offset }) => [partitionKey({ topic, partition }), Number(offset)] as const,
      ),
    ),
  )
}

function topicsOf(
  tps: readonly TopicPartition[],
): { readonly topic: string; readonly partitions: readonly { readonly partition: number }[] }[] {
  return [...Map.groupBy(tps, ({ topic }) => topic)].map(([topic, partitions]) => ({
    topic,
    partitions: partitions.map(({ partition }) => ({ partition })),
  }))
}
