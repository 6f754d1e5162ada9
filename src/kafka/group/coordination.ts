import { ArchiverError } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import { Leader } from './leader.ts'
import { decodeAssignment, type Given } from './member-data.ts'
import {
  type GroupBroker,
  type JoinAnswer,
  joinGroup,
  knowsStaticMembers,
  leaveGroup,
  type Offer,
  readLayout,
  syncGroup,
} from './requests.ts'

/** Who this worker is to the coordinator of its group: its ids, and whether it leads. */
export class Coordination {
  readonly #groupInstanceId: string | undefined
  readonly #log: Logger
  readonly #leader: Leader
  /** The id that this worker had with its last consumer. */
  #formerId: string | undefined
  #isStatic: boolean
  #isLeader = false
  /**
   * kafkajs may have put a broker out of its pool that this member still speaks to, as after the
   * broker was away. Then nobody else closes its connections.
   */
  readonly #spokenTo = new Set<GroupBroker>()
  /** It is to leave the group when it stops, though it is a static member. */
  leavesForGood = false

  constructor(
    {
      groupInstanceId,
      log,
    }: { readonly groupInstanceId: string | undefined; readonly log: Logger },
    formerId: string | undefined,
  ) {
    this.#groupInstanceId = groupInstanceId
    this.#isStatic = groupInstanceId !== undefined
    this.#log = log
    this.#leader = new Leader(log)
    // Without it, a worker that was frozen would take the place of the one that replaced it.
    this.#formerId = this.#isStatic ? formerId : undefined
  }

  get isStatic(): boolean {
    return this.#isStatic
  }

  get isLeader(): boolean {
    return this.#isLeader
  }

  get instanceId(): string | null {
    return this.#isStatic ? (this.#groupInstanceId ?? null) : null
  }

  /**
   * @param throwIfEnded a consumer that was stopped during a try would connect again and be in the
   *   group, and nothing would stop it
   * @throws kafkajs's error
   */
  async join(
    group: ConsumerGroup,
    groupProtocols: readonly Offer[],
    throwIfEnded: () => void,
  ): Promise<JoinAnswer> {
    const { groupId, sessionTimeout, rebalanceTimeout } = group
    throwIfEnded()
    const coordinator = await group.cluster.findGroupCoordinator({ groupId })
    if (this.#isStatic && !knowsStaticMembers(coordinator)) this.#notStatic()
    throwIfEnded()
    group.coordinator = coordinator
    this.#spokenTo.add(coordinator)
    const answer = await joinGroup(coordinator, {
      groupId,
      sessionTimeout,
      rebalanceTimeout,
      memberId: group.memberId ?? this.#formerId ?? '',
      groupInstanceId: this.instanceId,
      groupProtocols,
    })
    group.generationId = answer.generationId
    group.memberId = answer.memberId
    group.leaderId = answer.leaderId
    group.groupProtocol = answer.groupProtocol
    this.#isLeader = answer.leaderId === answer.memberId || this.#wasLeader(answer)
    return answer
  }

  /**
   * A static member that was the leader and restarted: the broker still names the id of before
   * (KIP-345), which is the member's own id of the group and a UUID.
   */
  #wasLeader({ leaderId }: JoinAnswer): boolean {
    const id = this.instanceId
    return id !== null && leaderId.startsWith(`${id}-`) && leaderId.length === id.length + 37
  }

  #notStatic(): void {
    this.#isStatic = false
    this.#log.warn(
      { event: 'static_membership_unsupported', group_instance_id: this.#groupInstanceId },
      'the broker does not know static members; joining without the id',
    )
  }

  /** @throws kafkajs's error */
  async sync(group: ConsumerGroup, answer: JoinAnswer): Promise<Given> {
    const { generationId, memberId, leaderId } = answer
    const coordinator = group.coordinator!
    const groupAssignment =
      leaderId === memberId ? this.#leader.assign(answer, await readLayout(coordinator)) : []
    const assignment = await syncGroup(coordinator, {
      groupId: group.groupId,
      generationId,
      memberId,
      groupInstanceId: this.instanceId,
      groupAssignment,
    })
    return decodeAssignment(assignment)
  }

  /** Closes what is left open once kafkajs has disconnected. */
  async close(coordinator: GroupBroker | null | undefined): Promise<void> {
    if (coordinator) this.#spokenTo.add(coordinator)
    await Promise.all([...this.#spokenTo].map((broker) => broker.disconnect()))
  }

  /** The group does not know this member any more. */
  forgotten(group: ConsumerGroup): void {
    group.memberId = null
    this.#formerId = undefined
  }

  /** Static members stay in the group when they stop: a restart is to cost no rebalance. */
  async leave(group: ConsumerGroup): Promise<void> {
    const { memberId, groupId, coordinator } = group
    if (memberId === null || coordinator === null) return
    if (this.#isStatic && !this.leavesForGood) return
    await leaveGroup(coordinator, { groupId, memberId, groupInstanceId: this.instanceId })
    group.memberId = null
  }
}

/** Two processes with one id would take it from each other for ever: the older one ends. */
export function instanceFenced(id: string | undefined, cause: unknown): ArchiverError {
  return new ArchiverError(
    'INSTANCE_FENCED',
    `another worker has begun with --group-instance-id ${id}, so this one ends; give each worker an id of its own`,
    {},
    cause,
  )
}
