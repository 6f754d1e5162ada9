import { load } from '../repairs/modules.ts'
import type { PartitionsByTopic } from './assign.ts'
import { type GroupBroker, readLayout } from './requests.ts'

/** kafkajs's retries: `bail` ends them. */
export type Retrier = <T>(attempt: (bail: (error: unknown) => void) => Promise<T>) => Promise<T>

interface OffsetManager {
  coordinator: GroupBroker
  generationId: number
  memberId: string
  memberAssignment: Record<string, readonly number[]>
  topics: readonly string[]
  resolvedOffsets: Record<string, Record<number, string>>
  committedOffsets(): Record<string, Record<number, string>>
}

/** As kafkajs lists an assignment; it sorts the numbers in place. */
interface TopicPartitions {
  readonly topic: string
  readonly partitions: number[]
}

/** What is used of the member of a group inside kafkajs's consumer. */
export interface ConsumerGroup {
  readonly groupId: string
  /** In ms, as the next one. */
  readonly sessionTimeout: number
  readonly rebalanceTimeout: number
  readonly retrier: Retrier
  readonly assigners: readonly object[]
  readonly cluster: {
    readonly targetTopics: Set<string>
    findGroupCoordinator(group: { readonly groupId: string }): Promise<GroupBroker>
    addMultipleTargetTopics(topics: readonly string[]): Promise<void>
    findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number }[]
    refreshMetadata(): Promise<void>
  }
  readonly subscriptionState: {
    assigned(): TopicPartitions[]
    assign(partitions: readonly TopicPartitions[]): void
  }
  readonly topicConfigurations: Record<string, { readonly fromBeginning: boolean }>
  readonly instrumentationEmitter: { emit(event: string, payload: object): void }
  /** `performance.now`: see `repairs/clocks.ts`. */
  lastRequest: number
  coordinator: GroupBroker | null
  generationId: number | null
  leaderId: string | null
  memberId: string | null
  groupProtocol: string | null
  topics: readonly string[]
  topicsSubscribed: readonly string[]
  partitionsPerSubscribedTopic: null
  offsetManager: OffsetManager | null
}

/** What a member has now, and which of it is new. */
export interface Adopted {
  readonly partitions: PartitionsByTopic
  readonly gained: PartitionsByTopic
  readonly generation: number
  readonly memberId: string
}

/**
 * Has kafkajs's consumer fetch these partitions from now on. kafkajs itself makes new objects at
 * each join and so forgets every position. Here what is kept is fetched on from where it is, and a
 * fetch that runs meanwhile finds the objects that it began with. All of it happens at once.
 */
export function adopt(
  group: ConsumerGroup,
  { partitions, gained, generation, memberId }: Adopted,
): void {
  const topics = [...partitions.keys()]
  group.topics = topics
  group.topicsSubscribed = topics
  // kafkajs would join again when a topic gets more partitions. Here the leader looks for them.
  group.partitionsPerSubscribedTopic = null
  for (const topic of topics) group.topicConfigurations[topic] = { fromBeginning: true }
  group.subscriptionState.assign(
    [...partitions].map(([topic, numbers]) => ({ topic, partitions: [...numbers] })),
  )
  const manager = group.offsetManager ?? createOffsetManager(group, generation, memberId)
  group.offsetManager = manager
  manager.coordinator = group.coordinator!
  manager.generationId = generation
  manager.memberId = memberId
  manager.memberAssignment = Object.assign(Object.create(null), Object.fromEntries(partitions))
  manager.topics = topics
  const committed = manager.committedOffsets()
  for (const topic of topics) {
    committed[topic] ??= {}
    manager.resolvedOffsets[topic] ??= {}
  }
  for (const [topic, numbers] of gained) {
    for (const partition of numbers) {
      delete committed[topic]?.[partition]
      delete manager.resolvedOffsets[topic]?.[partition]
    }
  }
  for (const topic of Object.keys(committed)) {
    const has = new Set(partitions.get(topic))
    for (const partition of Object.keys(committed[topic]!).map(Number)) {
      // Not the object of the topic: a fetch that runs still looks into it.
      if (!has.has(partition)) delete committed[topic]![partition]
    }
  }
}

function createOffsetManager(
  group: ConsumerGroup,
  generationId: number,
  memberId: string,
): OffsetManager {
  const Manager = load('consumer/offsetManager') as new (options: object) => OffsetManager
  return new Manager({
    cluster: group.cluster,
    topicConfigurations: group.topicConfigurations,
    instrumentationEmitter: group.instrumentationEmitter,
    memberAssignment: {},
    autoCommit: false,
    autoCommitInterval: null,
    autoCommitThreshold: null,
    coordinator: group.coordinator,
    groupId: group.groupId,
    generationId,
    memberId,
  })
}

/**
 * Has kafkajs know the metadata of these partitions, and ask about no other topics: it asks about
 * all at once, and one that was deleted fails the question. If there are none, it keeps what it
 * has: otherwise it would ask about every topic of the cluster.
 * @returns the partitions without those of topics that were deleted since they were given out
 * @throws kafkajs's error
 */
export async function targetTopics(
  group: ConsumerGroup,
  partitions: PartitionsByTopic,
): Promise<PartitionsByTopic> {
  if (partitions.size === 0) return partitions
  const { cluster, coordinator } = group
  for (const topic of cluster.targetTopics)
    if (!partitions.has(topic)) cluster.targetTopics.delete(topic)
  try {
    await cluster.addMultipleTargetTopics([...partitions.keys()])
    if (!isKnown(group, partitions)) await cluster.refreshMetadata()
    return partitions
  } catch (error) {
    if (!isUnknownTopic(error)) throw error
    const layout = await readLayout(coordinator!)
    const present = new Map([...partitions].filter(([topic]) => layout.has(topic)))
    if (present.size === partitions.size) throw error
    return targetTopics(group, present)
  }
}

function isKnown({ cluster }: ConsumerGroup, partitions: PartitionsByTopic): boolean {
  return [...partitions].every(([topic, numbers]) => {
    const found = cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId)
    const known = new Set(found)
    return numbers.every((partition) => known.has(partition))
  })
}

export function isUnknownTopic(error: unknown): boolean {
  return (error as { readonly type?: string }).type === 'UNKNOWN_TOPIC_OR_PARTITION'
}

/** Has kafkajs fetch nothing of these topics, and ask about them no more. */
export function forget(group: ConsumerGroup, topics: readonly string[]): void {
  const { cluster, subscriptionState, offsetManager } = group
  for (const topic of topics) {
    cluster.targetTopics.delete(topic)
    if (offsetManager !== null) delete offsetManager.memberAssignment[topic]
  }
  const isGone = (topic: string) => topics.includes(topic)
  subscriptionState.assign(subscriptionState.assigned().filter(({ topic }) => !isGone(topic)))
  if (offsetManager !== null)
    offsetManager.topics = offsetManager.topics.filter((topic) => !isGone(topic))
}
