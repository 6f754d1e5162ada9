import type { Assigner, PartitionAssigner } from 'kafkajs'
import { kafkajs } from './kafkajs.ts'
import { beforeJoin } from './repairs/before-join.ts'
import { withPattern } from './subscription.ts'
import type { TopicChoice } from './topic-watch.ts'

export interface AssignerEvents {
  /** False once the consumer was ended. */
  isCurrent(): boolean
  /** The consumer is about to join, or to join again. */
  beforeJoin(): Promise<void>
}

/**
 * Gives partitions to members in turn. What the members say of themselves has the pattern of their
 * topics.
 */
export function createAssigner(topics: TopicChoice, events: AssignerEvents): PartitionAssigner {
  const pattern = topics instanceof RegExp ? topics : undefined
  return (config) => {
    const assigner = kafkajs.PartitionAssigners.roundRobin(config)
    const own: Assigner & { readonly [beforeJoin]: () => Promise<void> } = {
      ...assigner,
      // kafkajs asks for it at each try to join. A consumer that was ended while it tried would else
      // be in the group, and nothing would end it.
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
