import type { Assigner, PartitionAssigner } from 'kafkajs'
import { kafkajs } from './kafkajs.ts'
import { beforeJoin } from './repairs/before-join.ts'
import { withPattern } from './subscription.ts'
import type { TopicChoice } from './topic-watch.ts'

export interface AssignerEvents {
  /** False once the consumer was stopped. */
  isCurrent(): boolean
  /** The consumer is about to join or rejoin. */
  beforeJoin(): Promise<void>
}

/**
 * Gives partitions to members in turn. The metadata of a member holds the pattern of its topics.
 */
export function createAssigner(topics: TopicChoice, events: AssignerEvents): PartitionAssigner {
  const pattern = topics instanceof RegExp ? topics : undefined
  return (config) => {
    const assigner = kafkajs.PartitionAssigners.roundRobin(config)
    const own: Assigner & { readonly [beforeJoin]: () => Promise<void> } = {
      ...assigner,
      // kafkajs asks for it at each try to join. Otherwise a consumer that was stopped during a try
      // would be in the group, and nothing would stop it.
      protocol: (subscription) => {
        if (!events.isCurrent()) throw new Error('this consumer was ended')
        const protocol = assigner.protocol(subscription)
        return { ...protocol, metadata: withPattern(protocol.metadata, pattern) }
      },
      [beforeJoin]: () => events.beforeJoin(),
    }
    return own
  }
}
