import type { AssignmentChange } from '../pipeline/source.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'

/** What the group gave to this worker when it joined. */
export interface Membership {
  /**
   * A member that missed a rebalance gets a new id. Undefined once the worker has left: whatever it
   * gets then may have been another worker's.
   */
  readonly memberId: string | undefined
  readonly partitions: readonly TopicPartition[]
}

export const noMembership: Membership = { memberId: undefined, partitions: [] }

/** From what kafkajs says of a join. */
export function membershipOf(
  memberId: string,
  assignment: Readonly<Record<string, readonly number[]>>,
): Membership {
  const partitions = Object.entries(assignment).flatMap(([topic, numbers]) =>
    numbers.map((partition) => ({ topic, partition: Number(partition) })),
  )
  return { memberId, partitions }
}

/**
 * What a join changes. With the same member id nobody else can have had what the worker had before
 * and has now.
 */
export function changeOf(before: Membership, now: Membership): AssignmentChange {
  const isSameMember = before.memberId !== undefined && before.memberId === now.memberId
  const had = new Set(isSameMember ? before.partitions.map(partitionKey) : [])
  const kept = now.partitions.filter((tp) => had.has(partitionKey(tp)))
  const keptKeys = new Set(kept.map(partitionKey))
  const isNotKept = (tp: TopicPartition) => !keptKeys.has(partitionKey(tp))
  return {
    gained: now.partitions.filter(isNotKept),
    kept,
    lost: before.partitions.filter(isNotKept),
  }
}
