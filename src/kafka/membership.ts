import type { AssignmentChange } from '../pipeline/source.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'
import type { PartitionsByTopic } from './group/assign.ts'

/** What the group gave to this worker when it joined. */
export interface Membership {
  /** Undefined once the worker has left: whatever it gets then may have been another worker's. */
  readonly memberId: string | undefined
  /** The generation of the group that it joined; -1 before. */
  readonly generation: number
  readonly partitions: readonly TopicPartition[]
}

export const noMembership: Membership = { memberId: undefined, generation: -1, partitions: [] }

export function membershipOf(
  memberId: string,
  generation: number,
  assignment: PartitionsByTopic,
): Membership {
  const partitions = [...assignment].flatMap(([topic, numbers]) =>
    numbers.map((partition) => ({ topic, partition })),
  )
  return { memberId, generation, partitions }
}

/**
 * What a join changes. A member keeps what it had and still has, if nobody else can have had it in
 * between: it has the same id, and took part in every generation since.
 *
 * @param claimedIn the last generation whose leader knew what the member had, as far as the member
 *   knows; that of `before` if there was none
 * @param mayLinger nobody else gets what the member had before the member gives it up: it is
 *   `revoked` then, and `lost` otherwise
 */
export function changeOf(
  before: Membership,
  now: Membership,
  { claimedIn = before.generation, mayLinger = false } = {},
): AssignmentChange & { readonly revoked: readonly TopicPartition[] } {
  const isContinuous =
    before.memberId !== undefined &&
    before.memberId === now.memberId &&
    now.generation >= before.generation &&
    now.generation <= claimedIn + 1
  const has = new Set(now.partitions.map(partitionKey))
  const had = new Set(isContinuous ? before.partitions.map(partitionKey) : [])
  const gone = before.partitions.filter((tp) => !isContinuous || !has.has(partitionKey(tp)))
  const isRevoked = isContinuous && mayLinger
  return {
    gained: now.partitions.filter((tp) => !had.has(partitionKey(tp))),
    kept: now.partitions.filter((tp) => had.has(partitionKey(tp))),
    lost: isRevoked ? [] : gone,
    revoked: isRevoked ? gone : [],
  }
}

export function byTopic(tps: readonly TopicPartition[]): Map<string, number[]> {
  const partitions = new Map<string, number[]>()
  for (const { topic, partition } of tps) {
    const ofTopic = partitions.get(topic)
    if (ofTopic === undefined) partitions.set(topic, [partition])
    else ofTopic.push(partition)
  }
  return partitions
}
