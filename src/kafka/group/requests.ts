import { load } from '../repairs/modules.ts'

/**
 * Requests of the group protocol, in the versions that kafkajs has. Its own methods do not send the
 * id of a static member (KIP-345), though its protocol has the field.
 */

/** A broker of kafkajs, connected. */
export interface GroupBroker {
  readonly versions: Readonly<Record<number, { readonly maxVersion: number }>>
  readonly connectionPool: { send(request: object): Promise<unknown> }
  lookupRequest(apiKey: number, definitions: unknown): (fields: object) => ProtocolRequest
  disconnect(): Promise<void>
}

interface ProtocolRequest {
  readonly request: object
  readonly response: { decode(bytes: Buffer): Promise<unknown>; parse(data: unknown): unknown }
}

type ApiName = 'Metadata' | 'JoinGroup' | 'SyncGroup' | 'Heartbeat' | 'LeaveGroup'

const apiKeys: Readonly<Record<ApiName, number>> = {
  Metadata: 3,
  JoinGroup: 11,
  Heartbeat: 12,
  LeaveGroup: 13,
  SyncGroup: 14,
}

/** The first versions that know static members (Kafka 2.3). */
const staticVersions: readonly (readonly [ApiName, number])[] = [
  ['JoinGroup', 5],
  ['SyncGroup', 3],
  ['Heartbeat', 3],
  ['LeaveGroup', 3],
]

export function knowsStaticMembers({ versions }: GroupBroker): boolean {
  return staticVersions.every(
    ([name, version]) => (versions[apiKeys[name]]?.maxVersion ?? -1) >= version,
  )
}

/** A protocol of the group, with what the member says in it. */
export interface Offer {
  readonly name: string
  readonly metadata: Buffer
}

export interface JoinRequest {
  readonly groupId: string
  /** In ms, as the next one. */
  readonly sessionTimeout: number
  readonly rebalanceTimeout: number
  /** Empty for a new member. */
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly groupProtocols: readonly Offer[]
}

export interface JoinedMember {
  readonly memberId: string
  readonly groupInstanceId?: string | null
  readonly memberMetadata: Buffer
}

export interface JoinAnswer {
  readonly generationId: number
  readonly groupProtocol: string
  readonly leaderId: string
  readonly memberId: string
  /** Empty unless the member is the leader. */
  readonly members: readonly JoinedMember[]
}

/** What the leader gives to a member, as it is sent. */
export interface MemberAssignment {
  readonly memberId: string
  readonly memberAssignment: Buffer
}

/** A member of a group, to the broker. */
interface MemberNames {
  readonly groupId: string
  readonly memberId: string
  readonly groupInstanceId: string | null
}

/** Answers when the whole group has joined. @throws kafkajs's error */
export async function joinGroup(broker: GroupBroker, request: JoinRequest): Promise<JoinAnswer> {
  const join = (memberId: string) =>
    send(broker, 'JoinGroup', { protocolType: 'consumer', ...request, memberId })
  try {
    return (await join(request.memberId)) as JoinAnswer
  } catch (error) {
    const given = error as { readonly name?: string; readonly memberId?: string }
    if (given.name !== 'KafkaJSMemberIdRequired' || given.memberId === undefined) throw error
    return (await join(given.memberId)) as JoinAnswer
  }
}

/** @throws kafkajs's error */
export async function syncGroup(
  broker: GroupBroker,
  request: MemberNames & {
    readonly generationId: number
    readonly groupAssignment: readonly MemberAssignment[]
  },
): Promise<Buffer> {
  const answer = await send(broker, 'SyncGroup', request)
  return (answer as { readonly memberAssignment: Buffer }).memberAssignment
}

/** @throws kafkajs's error */
export async function heartbeat(
  broker: GroupBroker,
  request: MemberNames & { readonly groupGenerationId: number },
): Promise<void> {
  await send(broker, 'Heartbeat', request)
}

/** @throws kafkajs's error */
export async function leaveGroup(broker: GroupBroker, request: MemberNames): Promise<void> {
  await send(broker, 'LeaveGroup', request)
}

interface TopicMetadata {
  readonly topic: string
  readonly topicErrorCode: number
  readonly partitionMetadata: readonly { readonly partitionId: number }[]
}

/**
 * Every topic with its number of partitions. kafkajs's own question fails for all topics if one
 * partition of the cluster has no leader.
 * @throws kafkajs's error
 */
export async function readLayout(broker: GroupBroker): Promise<Map<string, number>> {
  const fields = { topics: [], allowAutoTopicCreation: false }
  const answer = await send(broker, 'Metadata', fields, (data) => data)
  const { topicMetadata } = answer as { readonly topicMetadata: readonly TopicMetadata[] }
  return new Map(
    topicMetadata.flatMap(({ topic, topicErrorCode, partitionMetadata }) => {
      if (topicErrorCode !== 0) return []
      const ids = partitionMetadata.map(({ partitionId }) => partitionId)
      return [[topic, Math.max(-1, ...ids) + 1] as const]
    }),
  )
}

async function send(
  broker: GroupBroker,
  name: ApiName,
  fields: object,
  parse?: (data: unknown) => unknown,
): Promise<unknown> {
  const { requests } = load('protocol/requests') as {
    readonly requests: Readonly<Record<ApiName, unknown>>
  }
  const made = broker.lookupRequest(apiKeys[name], requests[name])(fields)
  const response = parse === undefined ? made.response : { ...made.response, parse }
  try {
    // Errors are the caller's: most are no more than the news of a rebalance.
    return await broker.connectionPool.send({ ...made, response, logResponseError: false })
  } catch (error) {
    if (error instanceof Error && error.name === 'KafkaJSConnectionClosedError')
      await broker.disconnect()
    throw error
  }
}
