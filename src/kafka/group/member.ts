import type { AssignmentChange } from '../../pipeline/source.ts'
import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { byTopic, changeOf, type Membership, membershipOf, noMembership } from '../membership.ts'
import type { TopicChoice } from '../topic-watch.ts'
import type { PartitionsByTopic } from './assign.ts'
import {
  adopt,
  type ConsumerGroup,
  forget,
  isUnknownTopic,
  targetTopics,
} from './consumer-group.ts'
import { Coordination } from './coordination.ts'
import { Heartbeats } from './heartbeats.ts'
import { KnownTopics } from './known-topics.ts'
import { cooperative } from './leader.ts'
import type { Given } from './member-data.ts'
import { offersOf } from './offers.ts'
import { type JoinAnswer, type Offer, readLayout } from './requests.ts'
import { wantedBy, wishOf } from './wish.ts'

export interface MemberOptions {
  readonly choice: TopicChoice
  /** The id of a static member (KIP-345). */
  readonly groupInstanceId: string | undefined
  readonly log: Logger
}

export interface MemberEvents {
  /** False once the consumer was stopped. */
  isCurrent(): boolean
  /** The chosen topics that exist, as far as is known. */
  topics(): readonly string[]
  /** It begins to join. */
  joining(): void
  /** Any partition may be taken away by the join that follows. */
  beforeJoin(): Promise<void>
  /** Called before anything of the assignment is fetched. */
  joined(membership: Membership, change: AssignmentChange): void
  /** These partitions must be given up. Once this resolves, other members may have them. */
  revoked(tps: readonly TopicPartition[]): Promise<void>
  /** It failed while the consumer fetched on. */
  failed(error: unknown): void
}

/** Errors of a join after which the next try may succeed. */
const mayPass = new Set([
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'NOT_COORDINATOR_FOR_GROUP',
])

/**
 * This worker in its group: joins, joins again, gives partitions up, leads. It replaces what
 * kafkajs does there, which stops all fetching, forgets all positions and has no static members.
 *
 * The consumer fetches on while it joins. What it must give up it drains first. Then it joins once
 * more, and only that second join lets another member have it.
 */
export class Member {
  readonly #options: MemberOptions
  readonly #events: MemberEvents
  readonly #coordination: Coordination
  readonly #wants: (topic: string) => boolean
  readonly #known: KnownTopics
  readonly #heartbeats: Heartbeats
  /** What it works on, with what it is giving up. */
  #membership: Membership
  #group: ConsumerGroup | undefined
  /** The protocol of the last generation. */
  #protocol: string | undefined
  /** A request to join or to sync has no answer yet: the group takes it for a member meanwhile. */
  #isAsking = false
  #round: Promise<void> | undefined
  /** It gives partitions up. It may join again after that. */
  #following: Promise<void> | undefined
  #joinsAgain = false
  /** Between the answers to a join and to its sync, the broker takes no commit. */
  #syncing: Promise<void> | undefined
  #looking: Promise<void> | undefined

  constructor(
    options: MemberOptions,
    events: MemberEvents,
    former: { readonly memberId?: string | undefined; readonly membership: Membership },
  ) {
    this.#options = options
    this.#events = events
    this.#membership = former.membership
    this.#coordination = new Coordination(options, former.memberId)
    this.#wants = wantedBy(wishOf(options.choice))
    this.#known = new KnownTopics(this.#wants)
    this.#heartbeats = new Heartbeats({
      instanceId: () => this.#coordination.instanceId,
      isAsking: () => this.#isAsking,
      rebalancing: (group) => this.#joinBeside(group),
      fenced: (error) => this.#failed(error),
    })
  }

  get membership(): Membership {
    return this.#membership
  }

  get isStatic(): boolean {
    return this.#coordination.isStatic
  }

  /** Resolves when the broker takes commits: at once, unless a join ends right now. */
  async settled(): Promise<void> {
    await this.#syncing
  }

  leaveForGood(): void {
    this.#coordination.leavesForGood = true
  }

  /**
   * Joins the group, or joins it again, and resolves when kafkajs may fetch.
   * @throws kafkajs's error
   */
  join(group: ConsumerGroup): Promise<void> {
    this.#group = group
    this.#round ??= this.#join(group).finally(() => {
      this.#round = undefined
    })
    return this.#round
  }

  /** Joins again while the consumer fetches on. */
  #joinBeside(group: ConsumerGroup): void {
    if (this.#following !== undefined) this.#joinsAgain = true
    else if (this.#round === undefined)
      this.join(group).catch((error: unknown) => this.#failed(error))
  }

  #failed(error: unknown): void {
    if (this.#events.isCurrent()) this.#events.failed(error)
  }

  async #join(group: ConsumerGroup): Promise<void> {
    await this.#following
    this.#joinsAgain = false
    this.#events.joining()
    const { memberId, partitions } = this.#membership
    if (this.#protocol !== cooperative && memberId !== undefined && partitions.length > 0)
      await this.#events.beforeJoin()
    const revoked = await group.retrier(async (bail) => {
      try {
        return await this.#joinAndSync(group)
      } catch (error) {
        const { type, retriable } = error as {
          readonly type?: string
          readonly retriable?: boolean
        }
        if (type === 'UNKNOWN_MEMBER_ID') this.#coordination.forgotten(group)
        else if (
          error instanceof ArchiverError ||
          (retriable === false && !mayPass.has(type ?? ''))
        )
          bail(error)
        // kafkajs's retries take an error of Kafka's for a final one.
        throw new Error('cannot join the group', { cause: error })
      }
    })
    this.#follow(group, revoked)
  }

  /** @returns what is to be given up */
  async #joinAndSync(group: ConsumerGroup): Promise<readonly TopicPartition[]> {
    let claimedIn = this.#membership.generation
    for (;;) {
      const answer = await this.#asking(() =>
        this.#coordination.join(group, this.#offers(group), () => this.#throwIfEnded()),
      )
      const sync = Promise.withResolvers<void>()
      this.#syncing = sync.promise
      try {
        const given = await this.#asking(() => this.#coordination.sync(group, answer))
        return await this.#adopt(group, answer, given, claimedIn)
      } catch (error) {
        if ((error as { readonly type?: string }).type !== 'REBALANCE_IN_PROGRESS') throw error
        // Another member came. The leader of this generation saw what this member has.
        if (answer.groupProtocol === cooperative && answer.generationId <= claimedIn + 1)
          claimedIn = Math.max(claimedIn, answer.generationId)
      } finally {
        sync.resolve()
        this.#syncing = undefined
      }
    }
  }

  async #asking<T>(ask: () => Promise<T>): Promise<T> {
    this.#isAsking = true
    try {
      return await ask()
    } finally {
      this.#isAsking = false
    }
  }

  #throwIfEnded(): void {
    if (!this.#events.isCurrent()) throw new ArchiverError('INTERNAL', 'this consumer was ended')
  }

  #offers({ memberId }: ConsumerGroup): Offer[] {
    const isMember = this.#membership.memberId === memberId
    return offersOf({
      wish: wishOf(this.#options.choice),
      topics: this.#events.topics(),
      listsAll: this.#coordination.isLeader,
      membership: isMember ? this.#membership : noMembership,
    })
  }

  /** @returns what is to be given up */
  async #adopt(
    group: ConsumerGroup,
    { memberId, generationId: generation, groupProtocol }: JoinAnswer,
    given: Given,
    claimedIn: number,
  ): Promise<readonly TopicPartition[]> {
    const chosen = this.#chosen(given.partitions)
    this.#throwIfEnded()
    const partitions = await targetTopics(group, chosen)
    this.#throwIfEnded()
    const before = this.#membership
    const now = membershipOf(memberId, generation, partitions)
    const { revoked, ...change } = changeOf(before, now, {
      claimedIn,
      mayLinger: groupProtocol === cooperative,
    })
    // What is to be given up stays claimed until it is.
    this.#membership = { ...now, partitions: [...now.partitions, ...revoked] }
    this.#protocol = groupProtocol
    this.#known.learn(given, this.#events.topics())
    adopt(group, { partitions, gained: byTopic(change.gained), generation, memberId })
    this.#events.joined(now, change)
    // A static member that restarts gets what it had, whatever it wants by now (KAFKA-12759).
    const isNew = this.#coordination.isStatic && before.memberId === undefined
    const isRestarted = isNew && this.#known.differ(this.#events.topics())
    this.#joinsAgain ||= given.again === true || isRestarted || partitions.size < chosen.size
    if (given.follows === true) this.#heartbeats.hurry(group)
    return revoked
  }

  /** A leader of an older version gives out what it wants itself. */
  #chosen(partitions: PartitionsByTopic): PartitionsByTopic {
    const chosen = new Map([...partitions].filter(([topic]) => this.#wants(topic)))
    if (chosen.size < partitions.size) {
      const topics = [...partitions.keys()].filter((topic) => !chosen.has(topic))
      this.#options.log.warn(
        { event: 'topics_not_chosen', topics },
        'the group gave topics to this worker that it does not archive',
      )
    }
    return chosen
  }

  /** Gives up what the member does not have any more, and joins once more if need be. */
  #follow(group: ConsumerGroup, revoked: readonly TopicPartition[]): void {
    const giveUp = async () => {
      if (revoked.length === 0) return
      await this.#events.revoked(revoked)
      const gone = new Set(revoked.map(partitionKey))
      const { partitions } = this.#membership
      this.#membership = {
        ...this.#membership,
        partitions: partitions.filter((tp) => !gone.has(partitionKey(tp))),
      }
    }
    this.#following = giveUp().finally(() => {
      this.#following = undefined
    })
    this.#following.then(
      () => {
        if (this.#joinsAgain && this.#events.isCurrent())
          setImmediate(() => this.#joinBeside(group))
      },
      (error: unknown) => this.#failed(error),
    )
  }

  /** As kafkajs's consumer asks for it after each fetch. @param interval in ms */
  heartbeat(group: ConsumerGroup, interval: number): Promise<void> {
    return this.#heartbeats.beat(group, interval)
  }

  /**
   * Looks whether topics or partitions came or went, and joins again if so. That is for the leader
   * to do, so that the whole group rebalances once. Others do it only if no leader does.
   */
  look(): Promise<void> {
    const group = this.#group
    if (group === undefined || this.#round !== undefined || this.#following !== undefined)
      return Promise.resolve()
    this.#looking ??= this.#look(group).finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #look(group: ConsumerGroup): Promise<void> {
    const { generationId, coordinator } = group
    if (coordinator === null) return
    let isOutdated = this.#known.isOutdated({
      topics: this.#events.topics(),
      isLeader: this.#coordination.isLeader || this.#protocol !== cooperative,
      now: performance.now(),
    })
    if (this.#coordination.isLeader)
      isOutdated ||= this.#known.isOther(await readLayout(coordinator))
    if (isOutdated && group.generationId === generationId && this.#events.isCurrent())
      this.#joinBeside(group)
  }

  /**
   * A fetch found that what kafkajs knows of the topics is old. If one is gone, this member gives
   * it up and the others go on. If it was made again, the group gives it out as a new one.
   * @throws kafkajs's error
   */
  async refreshMetadata(group: ConsumerGroup): Promise<void> {
    try {
      await group.cluster.refreshMetadata()
    } catch (error) {
      const isBusy = this.#round !== undefined || this.#following !== undefined
      if (!isUnknownTopic(error) || isBusy || group.coordinator === null) throw error
      const layout = await readLayout(group.coordinator)
      const gone = [...group.cluster.targetTopics].filter((topic) => !layout.has(topic))
      if (gone.length === 0) throw error
      forget(group, gone)
      this.#joinsAgain = true
      this.#follow(
        group,
        this.#membership.partitions.filter(({ topic }) => gone.includes(topic)),
      )
    }
  }

  leave(group: ConsumerGroup): Promise<void> {
    return this.#coordination.leave(group)
  }

  close(): Promise<void> {
    this.#heartbeats.calm()
    return this.#coordination.close(this.#group?.coordinator)
  }
}
