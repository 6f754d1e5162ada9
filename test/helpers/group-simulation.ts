import type { ConsumerGroup } from '../../src/kafka/group/consumer-group.ts'
import { eager } from '../../src/kafka/group/leader.ts'
import { Member } from '../../src/kafka/group/member.ts'
import { encodeAssignment, encodeSubscription } from '../../src/kafka/group/member-data.ts'
import type { JoinAnswer, JoinedMember, Offer } from '../../src/kafka/group/requests.ts'
import { noMembership } from '../../src/kafka/membership.ts'
import { partitionKey, type TopicPartition } from '../../src/record/record.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { fakeGroup, type GroupRequest, kafkaError, metadataOf } from './fake-group.ts'

interface Registered {
  readonly memberId: string
  readonly instanceId: string | null
  offers: readonly Offer[]
  /** Its request to join that has no answer yet. */
  joining?: { resolve(answer: JoinAnswer): void; reject(error: Error): void } | undefined
  syncing?: { resolve(answer: object): void; reject(error: Error): void } | undefined
  assignment: Buffer
}

const nothing = encodeAssignment({ partitions: new Map() })

/**
 * The coordinator of a group as brokers are (the classic protocol, KIP-345), without time: a test
 * says when a session or the time for a rebalance is over.
 */
export class SimulatedGroup {
  readonly layout: Map<string, number>
  generation = 0
  protocol = ''
  #state: 'empty' | 'preparing' | 'completing' | 'stable' = 'empty'
  #leaderId = ''
  #made = 0
  readonly #members = new Map<string, Registered>()

  constructor(layout: ReadonlyMap<string, number>) {
    this.layout = new Map(layout)
  }

  get isStable(): boolean {
    return this.#state === 'stable' || this.#state === 'empty'
  }

  get memberIds(): readonly string[] {
    return [...this.#members.keys()]
  }

  isMember(memberId: string | undefined): boolean {
    return memberId !== undefined && this.#members.has(memberId)
  }

  /** Answers as a broker: each in a turn of its own. */
  async answer(request: GroupRequest): Promise<unknown> {
    await Promise.resolve()
    const { api, memberId, groupInstanceId } = request
    if (api === 'Metadata') return metadataOf(this.layout)
    if (api === 'LeaveGroup') {
      this.expire(this.#known(memberId, groupInstanceId).memberId)
      return {}
    }
    if (api === 'JoinGroup') return this.#join(request)
    const member = this.#known(memberId, groupInstanceId)
    const generation = api === 'Heartbeat' ? request.groupGenerationId : request.generationId
    if (generation !== this.generation) throw kafkaError('ILLEGAL_GENERATION')
    if (this.#state === 'preparing') throw kafkaError('REBALANCE_IN_PROGRESS')
    if (api === 'Heartbeat') return {}
    return this.#sync(member, request)
  }

  #known(memberId: string, instanceId: string | null): Registered {
    if (instanceId !== null) {
      const current = this.#byInstance(instanceId)
      if (current === undefined) throw kafkaError('UNKNOWN_MEMBER_ID')
      if (memberId !== '' && current.memberId !== memberId) throw kafkaError('FENCED_INSTANCE_ID')
      return current
    }
    const member = this.#members.get(memberId)
    if (member === undefined) throw kafkaError('UNKNOWN_MEMBER_ID')
    return member
  }

  #byInstance(instanceId: string): Registered | undefined {
    return [...this.#members.values()].find((member) => member.instanceId === instanceId)
  }

  #join({ memberId, groupInstanceId, groupProtocols }: GroupRequest): Promise<JoinAnswer> {
    if (memberId !== '') {
      const member = this.#known(memberId, groupInstanceId)
      const isSame = member.offers.every(({ name, metadata }, i) => {
        const offer = groupProtocols[i]
        return offer?.name === name && offer.metadata.equals(metadata)
      })
      member.offers = groupProtocols
      if (this.#state === 'stable' && isSame && memberId !== this.#leaderId)
        return Promise.resolve(this.#answerTo(member, []))
      return this.#rebalance(member)
    }
    const former = groupInstanceId === null ? undefined : this.#byInstance(groupInstanceId)
    const id = `${groupInstanceId ?? 'member'}-${String(++this.#made).padStart(36, '0')}`
    const member: Registered = {
      memberId: id,
      instanceId: groupInstanceId,
      offers: groupProtocols,
      assignment: former?.assignment ?? nothing,
    }
    if (former === undefined) {
      this.#members.set(id, member)
      return this.#rebalance(member)
    }
    this.#members.delete(former.memberId)
    this.#members.set(id, member)
    former.joining?.reject(kafkaError('FENCED_INSTANCE_ID'))
    former.syncing?.reject(kafkaError('FENCED_INSTANCE_ID'))
    const leader = this.#leaderId
    if (leader === former.memberId) this.#leaderId = id
    // A static member that comes back changes nothing while the group is stable, and hears of the
    // leader that was there before, so that it does not lead.
    if (this.#state === 'stable' && this.#chosenProtocol() === this.protocol)
      return Promise.resolve({ ...this.#answerTo(member, []), leaderId: leader })
    return this.#rebalance(member)
  }

  #answerTo({ memberId }: Registered, members: readonly JoinedMember[]): JoinAnswer {
    return {
      generationId: this.generation,
      groupProtocol: this.protocol,
      leaderId: this.#leaderId,
      memberId,
      members,
    }
  }

  #rebalance(member: Registered): Promise<JoinAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<JoinAnswer>()
    member.joining?.reject(kafkaError('UNKNOWN_MEMBER_ID'))
    member.joining = { resolve, reject }
    this.#prepare()
    this.#completeIfAllJoined()
    return promise
  }

  #prepare(): void {
    this.#state = 'preparing'
    for (const member of this.#members.values()) {
      member.syncing?.reject(kafkaError('REBALANCE_IN_PROGRESS'))
      member.syncing = undefined
    }
  }

  #completeIfAllJoined(): void {
    const members = [...this.#members.values()]
    if (this.#state !== 'preparing') return
    if (members.length === 0) this.#state = 'empty'
    else if (members.every(({ joining }) => joining !== undefined)) this.#complete()
  }

  /** The time for the rebalance is over: who has not joined is out, unless it is static. */
  endRebalance(): void {
    if (this.#state !== 'preparing') return
    for (const [id, { joining, instanceId }] of this.#members)
      if (joining === undefined && instanceId === null) this.#members.delete(id)
    const members = [...this.#members.values()]
    if (members.length === 0) this.#state = 'empty'
    else if (members.some(({ joining }) => joining !== undefined)) this.#complete()
  }

  #chosenProtocol(): string {
    const members = [...this.#members.values()]
    const [first] = members
    return (
      first!.offers.find(({ name }) =>
        members.every(({ offers }) => offers.some((offer) => offer.name === name)),
      )?.name ?? ''
    )
  }

  #complete(): void {
    const members = [...this.#members.values()]
    this.generation++
    this.protocol = this.#chosenProtocol()
    this.#state = 'completing'
    const leader = this.#members.get(this.#leaderId)
    if (leader?.joining === undefined)
      this.#leaderId = members.find(({ joining }) => joining !== undefined)!.memberId
    const listed = members.map(({ memberId, instanceId, offers }) => ({
      memberId,
      groupInstanceId: instanceId,
      memberMetadata: offers.find(({ name }) => name === this.protocol)!.metadata,
    }))
    for (const member of members) {
      const { joining } = member
      member.joining = undefined
      joining?.resolve(this.#answerTo(member, member.memberId === this.#leaderId ? listed : []))
    }
  }

  #sync(member: Registered, { groupAssignment }: GroupRequest): Promise<unknown> {
    if (this.#state === 'stable') return Promise.resolve({ memberAssignment: member.assignment })
    const { promise, resolve, reject } = Promise.withResolvers<object>()
    member.syncing = { resolve, reject }
    if (member.memberId !== this.#leaderId) return promise
    const given = new Map(groupAssignment.map((one) => [one.memberId, one.memberAssignment]))
    this.#state = 'stable'
    for (const one of this.#members.values()) {
      one.assignment = given.get(one.memberId) ?? nothing
      one.syncing?.resolve({ memberAssignment: one.assignment })
      one.syncing = undefined
    }
    return promise
  }

  /** A member left, or its session is over. */
  expire(memberId: string): void {
    const member = this.#members.get(memberId)
    if (member === undefined) return
    this.#members.delete(memberId)
    member.joining?.reject(kafkaError('UNKNOWN_MEMBER_ID'))
    member.syncing?.reject(kafkaError('UNKNOWN_MEMBER_ID'))
    if (this.#members.size === 0) this.#state = 'empty'
    else {
      if (this.#state !== 'preparing') this.#prepare()
      this.#completeIfAllJoined()
    }
  }
}

const silent = createLogger({ level: 'silent', stream: { write: () => {} } })

/** What a history looks at. */
export interface Observer {
  began(worker: SimulatedWorker, tp: TopicPartition): void
}

/** A worker of this version: its member of the group is the real one. */
export class SimulatedWorker {
  readonly name: string
  readonly instanceId: string | undefined
  readonly held = new Set<string>()
  readonly inside: ConsumerGroup
  readonly #member: Member
  readonly #observer: Observer
  isAlive = true
  /** It answers nothing for a while: a process that is stopped, a machine that sleeps. */
  isFrozen = false
  failure: unknown
  #gate: Promise<void> = Promise.resolve()
  #open: () => void = () => {}
  moves = 0

  constructor(
    group: SimulatedGroup,
    name: string,
    observer: Observer,
    { instanceId, topics = /./ }: { instanceId?: string | undefined; topics?: RegExp } = {},
  ) {
    this.name = name
    this.instanceId = instanceId
    this.#observer = observer
    this.inside = fakeGroup(async (request) => {
      await this.#gate
      const answer = await group.answer(request)
      await this.#gate
      return answer
    })
    this.#member = new Member(
      { choice: topics, groupInstanceId: instanceId, log: silent },
      {
        isCurrent: () => this.isAlive,
        topics: () => [...group.layout.keys()].filter((topic) => topics.test(topic)),
        joining: () => {},
        beforeJoin: async () => {},
        joined: (_, { gained, lost }) => {
          for (const tp of lost) this.held.delete(partitionKey(tp))
          for (const tp of gained) {
            this.held.add(partitionKey(tp))
            this.#observer.began(this, tp)
          }
        },
        revoked: async (tps) => {
          // A flush takes its time, and nobody else may have the partition meanwhile.
          for (let turn = 0; turn < 5; turn++) await Promise.resolve()
          await this.#gate
          for (const tp of tps) this.held.delete(partitionKey(tp))
          this.moves += tps.length
        },
        failed: (error) => {
          this.failure ??= error
        },
      },
      { memberId: undefined, membership: noMembership },
    )
  }

  /** The id under which it has what it holds. */
  get memberId(): string | undefined {
    return this.#member.membership.memberId
  }

  async start(): Promise<void> {
    await this.#member.join(this.inside).catch((error: unknown) => {
      if (this.isAlive) this.failure ??= error
    })
  }

  /** As kafkajs asks for it after each fetch. */
  async beat(): Promise<void> {
    if (!this.isAlive || this.isFrozen) return
    this.inside.lastRequest = Number.NEGATIVE_INFINITY
    try {
      await this.#member.heartbeat(this.inside, 0)
    } catch (error) {
      // As kafkajs's runner does.
      const { type } = error as { readonly type?: string }
      if (type === 'UNKNOWN_MEMBER_ID') this.inside.memberId = null
      await this.start()
    }
  }

  look(): Promise<void> {
    return this.isAlive && !this.isFrozen ? this.#member.look() : Promise.resolve()
  }

  freeze(): void {
    if (this.isFrozen) return
    this.isFrozen = true
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#gate = promise
    this.#open = resolve
  }

  thaw(): void {
    this.isFrozen = false
    this.#open()
    this.#gate = Promise.resolve()
  }

  /** SIGKILL: it does nothing any more, and the group does not know. */
  kill(): void {
    this.isAlive = false
    this.held.clear()
    this.freeze()
  }

  async stop(): Promise<void> {
    this.isAlive = false
    this.held.clear()
    await this.#member.leave(this.inside).catch(() => {})
  }
}

/** A worker of the version before: it knows one protocol, and drops everything when it joins. */
export class OldWorker {
  readonly name: string
  readonly held = new Set<string>()
  readonly #group: SimulatedGroup
  readonly #offers: readonly Offer[]
  #memberId = ''
  #generation = -1
  #isJoining = false
  isAlive = true

  constructor(group: SimulatedGroup, name: string, decode: (bytes: Buffer) => TopicPartition[]) {
    this.name = name
    this.#group = group
    this.#decode = decode
    const wish = { pattern: '.' }
    const data = { wish, generation: -1, owned: new Map() }
    this.#offers = [{ name: eager, metadata: encodeSubscription([...group.layout.keys()], data) }]
  }

  readonly #decode: (bytes: Buffer) => TopicPartition[]

  get memberId(): string {
    return this.#memberId
  }

  async start(): Promise<void> {
    if (this.#isJoining || !this.isAlive) return
    this.#isJoining = true
    this.held.clear()
    try {
      const answer = (await this.#ask('JoinGroup', { groupProtocols: this.#offers })) as JoinAnswer
      this.#memberId = answer.memberId
      this.#generation = answer.generationId
      const groupAssignment =
        answer.leaderId === answer.memberId ? roundRobin(answer.members, this.#group.layout) : []
      const synced = await this.#ask('SyncGroup', { groupAssignment })
      const { memberAssignment } = synced as { readonly memberAssignment: Buffer }
      if (this.isAlive)
        for (const tp of this.#decode(memberAssignment)) this.held.add(partitionKey(tp))
    } catch (error) {
      if ((error as { readonly type?: string }).type === 'UNKNOWN_MEMBER_ID') this.#memberId = ''
    } finally {
      this.#isJoining = false
    }
  }

  async beat(): Promise<void> {
    if (!this.isAlive || this.#isJoining) return
    try {
      await this.#ask('Heartbeat', {})
    } catch (error) {
      if ((error as { readonly type?: string }).type === 'UNKNOWN_MEMBER_ID') this.#memberId = ''
      await this.start()
    }
  }

  async stop(): Promise<void> {
    this.isAlive = false
    this.held.clear()
    await this.#ask('LeaveGroup', {}).catch(() => {})
  }

  #ask(api: GroupRequest['api'], fields: object): Promise<unknown> {
    return this.#group.answer({
      api,
      memberId: this.#memberId,
      groupInstanceId: null,
      generationId: this.#generation,
      groupGenerationId: this.#generation,
      groupProtocols: [],
      groupAssignment: [],
      ...fields,
    })
  }
}

function roundRobin(members: readonly JoinedMember[], layout: ReadonlyMap<string, number>) {
  const ids = members.map(({ memberId }) => memberId).sort()
  const given = new Map(ids.map((id) => [id, new Map<string, number[]>()]))
  let turn = 0
  for (const [topic, count] of layout) {
    for (let partition = 0; partition < count; partition++) {
      const ofMember = given.get(ids[turn++ % ids.length]!)!
      ofMember.set(topic, [...(ofMember.get(topic) ?? []), partition])
    }
  }
  return [...given].map(([memberId, partitions]) => ({
    memberId,
    memberAssignment: encodeAssignment({ partitions }),
  }))
}
