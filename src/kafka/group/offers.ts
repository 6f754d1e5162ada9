import { byTopic, type Membership } from '../membership.ts'
import { cooperative, eager } from './leader.ts'
import { encodeSubscription } from './member-data.ts'
import type { Offer } from './requests.ts'
import type { Wish } from './wish.ts'

/**
 * All topics are listed for Kafka if their names have no more bytes than this. Above that only the
 * leader lists them: Kafka keeps the lists of all members in one record.
 */
const maxListedBytes = 4096

export interface Offering {
  readonly wish: Wish
  /** The topics that exist and that the member wants, as far as it knows. */
  readonly topics: readonly string[]
  /** It was the leader last. */
  readonly listsAll: boolean
  /** What it claims. */
  readonly membership: Membership
}

/** What a member offers when it joins. The group takes the first protocol that all members know. */
export function offersOf({ wish, topics, listsAll, membership }: Offering): Offer[] {
  const bytes = topics.reduce((sum, topic) => sum + topic.length + 2, 0)
  const listed = listsAll || bytes <= maxListedBytes ? topics : []
  const { generation, partitions } = membership
  const claim = { wish, generation, owned: byTopic(partitions) }
  const nothing = { wish, generation: -1, owned: new Map() }
  return [
    { name: cooperative, metadata: encodeSubscription(listed, claim) },
    { name: eager, metadata: encodeSubscription(topics, nothing) },
  ]
}
