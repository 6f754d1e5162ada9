import { EventEmitter } from 'node:events'
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs'
import { cooperative } from '../../src/kafka/group/leader.ts'
import type { Member } from '../../src/kafka/group/member.ts'
import { encodeAssignment } from '../../src/kafka/group/member-data.ts'
import { member } from '../../src/kafka/repairs/join.ts'
import { fakeGroup } from './fake-group.ts'

/** A consumer of kafkajs that a test lets join, fetch and crash. */
export class StandInConsumer {
  readonly #emitter = new EventEmitter()
  readonly #answers = new Map<string, object>()
  readonly #group = fakeGroup(async ({ api }) => this.#answers.get(api))
  #generation = 0
  readonly events = {
    CRASH: 'crash',
    FETCH: 'fetch',
    HEARTBEAT: 'heartbeat',
    COMMIT_OFFSETS: 'commit',
  }
  readonly config: Parameters<Kafka['consumer']>[0]
  eachBatch: ((payload: EachBatchPayload) => Promise<void>) | undefined
  topics: readonly (string | RegExp)[] = []
  isDisconnected = false
  /** What a commit is answered with; nothing: it is not confirmed. */
  commitAnswer: 'confirmed' | 'nothing' | Error = 'confirmed'
  /** Ends the wait of `connect`. */
  connected: Promise<void> = Promise.resolve()

  constructor(config: Parameters<Kafka['consumer']>[0]) {
    this.config = config
  }

  connect(): Promise<void> {
    return this.connected
  }

  async subscribe({ topics }: { readonly topics: readonly (string | RegExp)[] }): Promise<void> {
    this.topics = topics
  }

  async disconnect(): Promise<void> {
    this.isDisconnected = true
  }

  async run({
    eachBatch,
  }: {
    eachBatch: (payload: EachBatchPayload) => Promise<void>
  }): Promise<void> {
    await this.join('m', { events: [0] })
    this.eachBatch = eachBatch
  }

  /** The group takes it for a member, and gives it these partitions. */
  async join(
    memberId: string,
    assignment: Readonly<Record<string, readonly number[]>>,
    groupProtocol: string = cooperative,
  ): Promise<void> {
    this.#generation++
    this.#answers.set('JoinGroup', {
      generationId: this.#generation,
      groupProtocol,
      leaderId: 'another',
      memberId,
      members: [],
    })
    const partitions = new Map(Object.entries(assignment))
    this.#answers.set('SyncGroup', { memberAssignment: encodeAssignment({ partitions }) })
    await this.member.join(this.#group)
  }

  /** The worker's own member of the group. */
  get member(): Member {
    const [assigner] = this.config!.partitionAssigners!.map((create) => create({} as never))
    return (assigner as unknown as { readonly [member]: Member })[member]
  }

  crash(error: unknown): void {
    this.#emitter.emit('crash', { payload: { error } })
  }

  /** As kafkajs, which returns what removes the listener. */
  on(event: string, listener: (event: object) => void): () => void {
    this.#emitter.on(event, listener)
    return () => void this.#emitter.off(event, listener)
  }

  async commitOffsets(): Promise<void> {
    if (this.commitAnswer instanceof Error) throw this.commitAnswer
    if (this.commitAnswer === 'confirmed') this.#emitter.emit('commit', {})
  }

  pause(): void {}
  resume(): void {}
  seek(): void {}
}

/** A client of kafkajs whose consumers a test drives, in the order in which they began. */
export function standInKafka(topics: readonly string[] = ['events']): {
  readonly kafka: Kafka
  readonly consumers: readonly StandInConsumer[]
} {
  const consumers: StandInConsumer[] = []
  const admin = {
    connect: async () => {},
    disconnect: async () => {},
    describeCluster: async () => ({ clusterId: 'c' }),
    listTopics: async () => topics,
  }
  const kafka = {
    admin: () => admin,
    consumer: (config: Parameters<Kafka['consumer']>[0]) => {
      const consumer = new StandInConsumer(config)
      consumers.push(consumer)
      return consumer as unknown as Consumer
    },
  } as unknown as Kafka
  return { kafka, consumers }
}
