import type { ConsumerGroup, Retrier } from '../../src/kafka/group/consumer-group.ts'
import type { GroupBroker } from '../../src/kafka/group/requests.ts'

export type GroupApi = 'Metadata' | 'JoinGroup' | 'SyncGroup' | 'Heartbeat' | 'LeaveGroup'

/** The fields of a request to the coordinator of a group. */
export interface GroupRequest {
  readonly api: GroupApi
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly groupProtocols: readonly { readonly name: string; readonly metadata: Buffer }[]
  readonly groupAssignment: readonly {
    readonly memberId: string
    readonly memberAssignment: Buffer
  }[]
  readonly generationId: number
  readonly groupGenerationId: number
}

const apis = new Map<number, GroupApi>([
  [3, 'Metadata'],
  [11, 'JoinGroup'],
  [12, 'Heartbeat'],
  [13, 'LeaveGroup'],
  [14, 'SyncGroup'],
])

/** An error as kafkajs makes it of a code of Kafka's. */
export function kafkaError(type: string, retriable = false): Error {
  return Object.assign(new Error(type), { type, retriable, name: 'KafkaJSProtocolError' })
}

/** Kafka's answer to a request for the metadata of all topics. */
export function metadataOf(layout: ReadonlyMap<string, number>): object {
  const topicMetadata = [...layout].map(([topic, count]) => ({
    topic,
    topicErrorCode: 0,
    partitionMetadata: Array.from({ length: count }, (_, partitionId) => ({ partitionId })),
  }))
  return { topicMetadata }
}

const retrier: Retrier = async (attempt) => {
  let ended: unknown
  for (let left = 8; ; left--) {
    try {
      return await attempt((error) => {
        ended ??= error
      })
    } catch (error) {
      if (ended !== undefined) throw ended
      if (left === 0) throw error
    }
  }
}

/**
 * The inside of a consumer of kafkajs, as the member of a group uses it, with a coordinator that
 * answers as a test says.
 * @param maxVersion of each request that the coordinator knows
 */
export function fakeGroup(
  answer: (request: GroupRequest) => Promise<unknown>,
  maxVersion = 9,
): ConsumerGroup {
  const broker: GroupBroker = {
    versions: Object.fromEntries([...apis.keys()].map((key) => [key, { maxVersion }])),
    connectionPool: { send: (request) => answer(request as GroupRequest) },
    lookupRequest: (apiKey) => (fields) =>
      ({ api: apis.get(apiKey), ...fields }) as unknown as ReturnType<
        ReturnType<GroupBroker['lookupRequest']>
      >,
    disconnect: async () => {},
  }
  let assigned: { readonly topic: string; readonly partitions: number[] }[] = []
  const committed: Record<string, Record<number, string>> = {}
  return {
    groupId: 'g',
    sessionTimeout: 6000,
    rebalanceTimeout: 60_000,
    retrier,
    assigners: [],
    cluster: {
      targetTopics: new Set<string>(),
      findGroupCoordinator: async () => broker,
      addMultipleTargetTopics: async () => {},
      findTopicPartitionMetadata: () =>
        Array.from({ length: 100 }, (_, partitionId) => ({ partitionId })),
      refreshMetadata: async () => {},
    },
    subscriptionState: {
      assigned: () => assigned,
      assign: (partitions) => {
        assigned = [...partitions]
      },
    },
    topicConfigurations: {},
    instrumentationEmitter: { emit: () => {} },
    lastRequest: 0,
    coordinator: null,
    generationId: null,
    leaderId: null,
    memberId: null,
    groupProtocol: null,
    topics: [],
    topicsSubscribed: [],
    partitionsPerSubscribedTopic: null,
    offsetManager: {
      coordinator: broker,
      generationId: -1,
      memberId: '',
      memberAssignment: {},
      topics: [],
      resolvedOffsets: {},
      committedOffsets: () => committed,
    },
  }
}
