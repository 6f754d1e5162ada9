import type { PartitionAssigner } from 'kafkajs'
import { cooperative } from './group/leader.ts'
import type { Member } from './group/member.ts'
import { member } from './repairs/join.ts'

/** An assigner for kafkajs's consumer that leaves all of joining to our own member of the group. */
export function createAssigner(ours: Member): PartitionAssigner {
  const notAsked = () => {
    throw new Error('the member of the group joins by itself')
  }
  const assigner = {
    name: cooperative,
    version: 0,
    assign: notAsked,
    protocol: notAsked,
    [member]: ours,
  }
  return () => assigner
}
