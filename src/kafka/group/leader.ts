import type { Logger } from '../../runtime/log.ts'
import { assignPartitions, type Claim, type GroupMember, type PartitionsByTopic } from './assign.ts'
import {
  decodeSubscription,
  encodeAssignment,
  type Given,
  layoutHash,
  type Subscription,
  topicsHash,
} from './member-data.ts'
import type { JoinAnswer, JoinedMember, MemberAssignment } from './requests.ts'
import { wantedBy } from './wish.ts'

/**
 * The protocol of this program: cooperative (KIP-429). A group uses it once all its members know
 * it.
 */
export const cooperative = 'archiver-cooperative-1'
/** The protocol of the versions before, which all members still know. */
export const eager = 'RoundRobinAssigner'

/**
 * Kafka keeps a group in one record of `__consumer_offsets`. Its brokers refuse one above
 * message.max.bytes (offsets topic: max.message.bytes), 1 MiB if nobody changed it. Then the group
 * cannot form: SyncGroup answers UNKNOWN to every member (KAFKA-3590).
 */
const maxRecordBytes = 2 ** 20
const largeRecordBytes = 700_000

interface Member {
  readonly joined: JoinedMember
  readonly subscription: Subscription
  readonly wants: (topic: string) => boolean
}

/** What was given out in a generation, by `nameOf` the member. */
interface Last {
  readonly generation: number
  readonly given: ReadonlyMap<string, PartitionsByTopic>
}

const nothing: Last = { generation: -1, given: new Map() }

/**
 * What the leader of the group does, and remembers. Any member may become the leader, and one that
 * was it before may have forgotten: nothing that keeps partitions apart relies on this memory but
 * for static members that did not join again. The broker then shows what they said long ago.
 */
export class Leader {
  readonly #log: Logger
  #last: Last = nothing

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * What each member gets.
   * @param layout the number of partitions of every topic that exists
   */
  assign(
    { groupProtocol, generationId, leaderId, members }: JoinAnswer,
    layout: ReadonlyMap<string, number>,
  ): MemberAssignment[] {
    const all = describe(members)
    const given =
      groupProtocol === cooperative
        ? this.#cooperative(all, layout, leaderId)
        : roundRobin(all, layout, leaderId)
    this.#last = groupProtocol === cooperative ? lastOf(generationId, all, given) : nothing
    const known = new Map<Member['wants'], Pick<Given, 'topics' | 'layout'>>()
    const encoded = all.map(({ joined: { memberId }, wants }) => {
      const topics = known.get(wants) ?? knownOf(layout, wants)
      known.set(wants, topics)
      const memberAssignment = encodeAssignment({ ...given.get(memberId)!, ...topics })
      return { memberId, memberAssignment }
    })
    this.#warnIfLarge(members, encoded)
    return encoded
  }

  #cooperative(
    members: readonly Member[],
    layout: ReadonlyMap<string, number>,
    leaderId: string,
  ): Map<string, Given> {
    const plan = assignPartitions(
      members.map((member) => this.#groupMember(member)),
      layout,
    )
    const listed = new Set(members.flatMap(({ subscription }) => subscription.topics))
    // Kafka lets offsets of topics expire that no member lists. The leader lists all, once it knows
    // that it is the leader.
    const leader = members.find(({ joined }) => joined.memberId === leaderId)
    const isUnlisted = [...layout.keys()].some(
      (topic) => leader?.wants(topic) === true && !listed.has(topic),
    )
    const follows = isUnlisted || plan.givingUp.size > 0
    return new Map(
      members.map(({ joined: { memberId } }) => {
        const again = plan.givingUp.has(memberId) || (isUnlisted && memberId === leaderId)
        return [memberId, { partitions: plan.given.get(memberId)!, again, follows }]
      }),
    )
  }

  #groupMember({ joined, subscription: { data }, wants }: Member): GroupMember {
    const claims: Claim[] =
      data === undefined ? [] : [{ generation: data.generation, partitions: data.owned }]
    // A static member that did not join again, or that restarted, may work on what it was given.
    const { generation, given } = this.#last
    const remembered = given.get(nameOf(joined))
    if (remembered !== undefined && (data?.generation ?? -1) < generation)
      claims.push({ generation, partitions: remembered })
    return { id: joined.memberId, wants, claims }
  }

  #warnIfLarge(members: readonly JoinedMember[], encoded: readonly MemberAssignment[]): void {
    const bytes =
      members.reduce(
        (sum, { memberId, memberMetadata }) => sum + memberMetadata.length + 2 * memberId.length,
        0,
      ) + encoded.reduce((sum, { memberAssignment }) => sum + memberAssignment.length, 0)
    if (bytes < largeRecordBytes) return
    this.#log.warn(
      {
        event: 'group_record_large',
        bytes,
        limit_bytes: maxRecordBytes,
        members: members.length,
      },
      "the record that Kafka keeps of the group nears the broker's limit",
    )
  }
}

function lastOf(
  generation: number,
  members: readonly Member[],
  given: ReadonlyMap<string, Given>,
): Last {
  const partitions = members.map(
    ({ joined }) => [nameOf(joined), given.get(joined.memberId)!.partitions] as const,
  )
  return { generation, given: new Map(partitions) }
}

function knownOf(
  layout: ReadonlyMap<string, number>,
  wants: Member['wants'],
): Pick<Given, 'topics' | 'layout'> {
  const topics = topicsHash([...layout.keys()].filter(wants))
  return { topics, layout: layoutHash(layout, wants) }
}

/** A static member keeps its id in the group when it restarts (KIP-345). */
function nameOf({ groupInstanceId, memberId }: JoinedMember): string {
  return groupInstanceId === null || groupInstanceId === undefined
    ? `member ${memberId}`
    : `instance ${groupInstanceId}`
}

function describe(members: readonly JoinedMember[]): Member[] {
  const wishes = new Map<string, Member['wants']>()
  return members.map((joined) => {
    const subscription = decodeSubscription(joined.memberMetadata)
    const wish = subscription.data?.wish ?? { names: subscription.topics }
    const key = JSON.stringify(wish)
    const wants = wishes.get(key) ?? wantedBy(wish)
    wishes.set(key, wants)
    return { joined, subscription, wants }
  })
}

/** What versions before do: members take turns with the partitions that the leader itself wants. */
function roundRobin(
  members: readonly Member[],
  layout: ReadonlyMap<string, number>,
  leaderId: string,
): Map<string, Given> {
  const ids = members.map(({ joined }) => joined.memberId).sort()
  const { wants } = members.find(({ joined }) => joined.memberId === leaderId)!
  const given = new Map(ids.map((id) => [id, new Map<string, number[]>()]))
  let turn = 0
  for (const [topic, count] of [...layout].filter(([name]) => wants(name)).sort()) {
    for (let partition = 0; partition < count; partition++) {
      const ofMember = given.get(ids[turn++ % ids.length]!)!
      ofMember.set(topic, [...(ofMember.get(topic) ?? []), partition])
    }
  }
  return new Map([...given].map(([id, partitions]) => [id, { partitions }]))
}
