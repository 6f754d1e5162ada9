import { setTimeout } from 'node:timers/promises'
import type { ConsumerGroup } from '../group/consumer-group.ts'
import type { Member } from '../group/member.ts'
import { prototypeOf } from './modules.ts'
import type { SourceEdit } from './source-edits.ts'

/** An assigner that carries this leaves joining, heartbeats and leaving to it. */
export const member = Symbol('member')

interface ConsumerGroupPrototype {
  joinAndSync(this: ConsumerGroup): Promise<void>
  heartbeat(this: ConsumerGroup, options: { readonly interval: number }): Promise<void>
  leave(this: ConsumerGroup): Promise<void>
  recoverFromFetch(this: ConsumerGroup, error: unknown): Promise<void>
}

/** Errors of a fetch after which the leader of a partition is looked up. */
const staleErrors: readonly (string | undefined)[] = [
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'UNKNOWN_TOPIC_OR_PARTITION',
]
/** Brokers need a moment to hear of a new leader. */
const leaderDelayMs = 250

function memberOf({ assigners }: ConsumerGroup): Member | undefined {
  for (const assigner of assigners) if (member in assigner) return assigner[member] as Member
  return undefined
}

/**
 * kafkajs stops fetching while it joins, forgets what it had, and cannot give up single partitions.
 * It also joins again whenever a partition gets another leader, which makes each restart of a
 * broker a rebalance of the group.
 */
export function repairJoin(): void {
  const prototype = prototypeOf<ConsumerGroupPrototype>('consumer/consumerGroup', [
    'joinAndSync',
    'heartbeat',
    'leave',
    'recoverFromFetch',
  ])
  const { joinAndSync, heartbeat, leave, recoverFromFetch } = prototype
  prototype.joinAndSync = function () {
    return memberOf(this)?.join(this) ?? joinAndSync.call(this)
  }
  prototype.heartbeat = function (options) {
    return memberOf(this)?.heartbeat(this, options.interval) ?? heartbeat.call(this, options)
  }
  prototype.leave = function () {
    return memberOf(this)?.leave(this) ?? leave.call(this)
  }
  prototype.recoverFromFetch = async function (error) {
    const ours = memberOf(this)
    const { type, name } = error as { readonly type?: string; readonly name?: string }
    const isStale = staleErrors.includes(type) || name === 'KafkaJSTopicMetadataNotLoaded'
    if (ours === undefined || !isStale) return recoverFromFetch.call(this, error)
    await setTimeout(leaderDelayMs)
    await ours.refreshMetadata(this)
  }
}

/**
 * The group may take a topic away while a fetch runs. And a request that waits for the whole group
 * must not keep commits and metadata waiting, so it gets a connection of its own: a broker answers
 * the requests of one connection in turn.
 */
export const joinEdits: readonly SourceEdit[] = [
  {
    module: 'consumer/consumerGroup',
    find: 'committedOffsets[topic][partition] != null',
    replace: 'committedOffsets[topic]?.[partition] != null',
    times: 1,
  },
  {
    module: 'consumer/consumerGroup',
    find: 'activeTopicPartitions[topic].has(partition)',
    replace: 'activeTopicPartitions[topic]?.has(partition)',
    times: 1,
  },
  {
    module: 'network/connectionPool',
    find: 'new Array(2)',
    replace: 'new Array(3)',
    times: 1,
  },
  {
    module: 'network/connectionPool',
    find: '{ [apiKeys.Fetch]: 1 }',
    replace: '{ [apiKeys.Fetch]: 1, [apiKeys.JoinGroup]: 2, [apiKeys.SyncGroup]: 2 }',
    times: 1,
  },
]
