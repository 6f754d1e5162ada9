import { prototypeOf } from './modules.ts'

interface PartitionMetadata {
  readonly partitionId: number
  readonly leader: number | null | undefined
}

interface Metadata {
  readonly topicMetadata?: readonly {
    readonly topic: string
    readonly partitionMetadata: readonly PartitionMetadata[]
  }[]
}

interface BrokerPool {
  readonly metadata: Metadata | null
  readonly metadataExpireAt: number | null
  refreshMetadata(topics: readonly string[]): Promise<void>
}

interface BrokerPoolPrototype {
  refreshMetadataIfNecessary(this: BrokerPool, topics: readonly string[]): Promise<void>
}

interface ClusterPrototype {
  findTopicPartitionMetadata(
    this: { readonly brokerPool: BrokerPool },
    topic: string,
  ): readonly PartitionMetadata[]
}

interface ConsumerGroup {
  readonly cluster: { readonly brokerPool: BrokerPool }
  readonly partitionsPerSubscribedTopic: object | null
  readonly preferredReadReplicasPerTopicPartition: Readonly<Record<string, object | undefined>>
}

interface ConsumerGroupPrototype {
  checkForStaleAssignment(this: ConsumerGroup): void
  findReadReplicaForPartitions(
    this: ConsumerGroup,
    topic: string,
    partitions: readonly (number | string)[],
  ): Record<number, number[]>
}

/** The partitions of each topic, and the leader of each partition, of one answer of Kafka. */
interface Index {
  readonly topics: ReadonlyMap<string, readonly PartitionMetadata[]>
  readonly leaders: Map<string, ReadonlyMap<number, PartitionMetadata['leader']>>
}

const indexes = new WeakMap<Metadata, Index>()

function indexOf(metadata: Metadata): Index {
  let index = indexes.get(metadata)
  if (index === undefined) {
    const { topicMetadata = [] } = metadata
    index = {
      topics: new Map(topicMetadata.map((one) => [one.topic, one.partitionMetadata])),
      leaders: new Map(),
    }
    indexes.set(metadata, index)
  }
  return index
}

function leadersOf({ topics, leaders }: Index, topic: string) {
  let ofTopic = leaders.get(topic)
  if (ofTopic === undefined) {
    ofTopic = new Map(topics.get(topic)?.map(({ partitionId, leader }) => [partitionId, leader]))
    leaders.set(topic, ofTopic)
  }
  return ofTopic
}

/**
 * Twice a second kafkajs searches the list of topics for each topic, and the list of partitions for
 * each partition, which it adds to a copy of those before. That is the square of topics and of
 * partitions. These look into an index of the answer that Kafka gave last.
 */
export function repairLookups(): void {
  const pool = prototypeOf<BrokerPoolPrototype>('cluster/brokerPool', [
    'refreshMetadataIfNecessary',
  ])
  pool.refreshMetadataIfNecessary = async function (topics) {
    const { metadata, metadataExpireAt } = this
    const isFresh =
      metadata?.topicMetadata !== undefined &&
      metadataExpireAt !== null &&
      performance.now() <= metadataExpireAt
    if (!isFresh) return await this.refreshMetadata(topics)
    const { topics: known } = indexOf(metadata)
    if (!topics.every((topic) => known.has(topic))) await this.refreshMetadata(topics)
  }

  const cluster = prototypeOf<ClusterPrototype>('cluster', ['findTopicPartitionMetadata'])
  const { findTopicPartitionMetadata } = cluster
  cluster.findTopicPartitionMetadata = function (topic) {
    const { metadata } = this.brokerPool
    return metadata?.topicMetadata === undefined
      ? findTopicPartitionMetadata.call(this, topic)
      : (indexOf(metadata).topics.get(topic) ?? [])
  }

  const group = prototypeOf<ConsumerGroupPrototype>('consumer/consumerGroup', [
    'checkForStaleAssignment',
    'findReadReplicaForPartitions',
  ])
  const { checkForStaleAssignment, findReadReplicaForPartitions } = group
  const checked = new WeakMap<ConsumerGroup, { metadata: Metadata | null; topics: object | null }>()
  group.checkForStaleAssignment = function () {
    const { metadata } = this.cluster.brokerPool
    const topics = this.partitionsPerSubscribedTopic
    const last = checked.get(this)
    if (last?.metadata === metadata && last.topics === topics) return
    checkForStaleAssignment.call(this)
    checked.set(this, { metadata, topics })
  }
  group.findReadReplicaForPartitions = function (topic, partitions) {
    const { metadata } = this.cluster.brokerPool
    const preferred = this.preferredReadReplicasPerTopicPartition[topic] ?? {}
    if (Object.keys(preferred).length > 0 || metadata?.topicMetadata === undefined)
      return findReadReplicaForPartitions.call(this, topic, partitions)
    const leaders = leadersOf(indexOf(metadata), topic)
    const byLeader: Record<number, number[]> = {}
    for (const partition of partitions) {
      const id = Number(partition)
      if (!leaders.has(id)) continue
      const leader = leaders.get(id)
      // kafkajs knows what to say.
      if (leader === null || leader === undefined)
        return findReadReplicaForPartitions.call(this, topic, partitions)
      byLeader[leader] ??= []
      byLeader[leader].push(id)
    }
    return byLeader
  }
}
