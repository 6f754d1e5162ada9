import type { Consumer, EachBatchPayload } from 'kafkajs'
import type { AssignmentChange } from '../pipeline/source.ts'
import type { TopicPartition } from '../record/record.ts'
import { withDeadline } from '../runtime/deadline.ts'
import { ArchiverError, errorFields, rootCause } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { Backoff, sleep } from '../runtime/retry.ts'
import { createAssigner } from './assigner.ts'
import { consumerConfig, type GroupConsumerOptions } from './consumer-config.ts'
import { instanceFenced } from './group/coordination.ts'
import { Member } from './group/member.ts'
import { kafkajs } from './kafkajs.ts'
import { type Membership, noMembership } from './membership.ts'
import { isForgotten, isStill, type Signs } from './silence.ts'

export interface GroupConsumerEvents {
  /** The topics to consume now. */
  topics(): readonly string[]
  /** Called before anything gained is fetched, so what is paused here is not fetched. */
  joined(membership: Membership, change: AssignmentChange): void
  /** It is about to join the group, which may take any partition. */
  beforeJoin(): Promise<void>
  /** It gives these partitions up, while the others go on. */
  revoked(tps: readonly TopicPartition[]): Promise<void>
  /** `isCurrent` turns false when the consumer ends. */
  eachBatch(payload: EachBatchPayload, isCurrent: () => boolean): Promise<void>
  /** The consumer ended, and what it fetched must not be delivered. */
  ended(): void
  /** It cannot go on at all. */
  failed(error: unknown): void
}

interface Joined {
  readonly consumer: Consumer
  readonly member: Member
}

/**
 * - `idle`: there is nothing to consume.
 * - `joining`: it connects, joins, or joins again. In the last case it consumes meanwhile.
 * - `consuming`: it is a member of the group, as far as it knows.
 * - `restarting`: it has ended, and another one begins after a delay.
 * - `stopped`: for good.
 */
type State =
  | { readonly name: 'idle' | 'restarting' | 'stopped' }
  | (Joined & { readonly name: 'joining' | 'consuming' })

/** Why a consumer is restarted. */
export type RestartReason = 'crashed' | 'silent' | 'forgotten' | 'expelled'

/** How long kafkajs may take to disconnect: when brokers are away it tries for minutes. */
const disconnectTimeoutMs = 10_000
const firstRetryMs = 500
const maxRetryMs = 15_000

/**
 * This worker's consumer. One of kafkajs cannot be used again after a crash. This class replaces
 * it, and hides the replacement.
 */
export class GroupConsumer {
  readonly #options: GroupConsumerOptions
  readonly #events: GroupConsumerEvents
  readonly #log: Logger
  readonly #stopping = new AbortController()
  readonly #backoff = new Backoff({ firstMs: firstRetryMs, maxMs: maxRetryMs })
  #state: State = { name: 'idle' }
  /** What this worker had with its last consumer, and the id that it had in the group. */
  #former: { readonly memberId: string | undefined; readonly membership: Membership } = {
    memberId: undefined,
    membership: noMembership,
  }
  readonly #signs: Signs = { began: 0, lastSign: 0, lastAnswer: 0 }
  /** The consumer connects and joins; later steps wait for it. */
  #beginning: Promise<void> = Promise.resolve()
  #restarting: Promise<void> = Promise.resolve()

  constructor(options: GroupConsumerOptions, events: GroupConsumerEvents, log: Logger) {
    this.#options = options
    this.#events = events
    this.#log = log
  }

  /** How long the group has not regarded this worker as a member, in ms; 0 if it need not. */
  get silentMs(): number {
    const { name } = this.#state
    return name === 'idle' || name === 'stopped' ? 0 : performance.now() - this.#signs.lastAnswer
  }

  /** Joins the group. */
  begin(): void {
    this.#leaveIdle()
    this.#replace()
  }

  #leaveIdle(): void {
    if (this.#state.name === 'idle') this.#signs.lastAnswer = performance.now()
  }

  #replace(): void {
    const created = this.#create()
    this.#state = { name: 'joining', ...created }
    this.#signs.began = performance.now()
    this.#beginning = this.#run(created.consumer)
    this.#beginning.catch((error: unknown) => this.#events.failed(error))
  }

  #create(): Joined {
    const { topics: choice, groupInstanceId } = this.#options
    const member = new Member(
      { choice, groupInstanceId, log: this.#log },
      {
        isCurrent: () => this.#isCurrent(consumer),
        topics: () => this.#events.topics(),
        joining: () => {
          if (this.#isCurrent(consumer)) this.#state = { name: 'joining', consumer, member }
        },
        beforeJoin: () => this.#events.beforeJoin(),
        joined: (membership, change) => {
          this.#answered()
          this.#state = { name: 'consuming', consumer, member }
          this.#events.joined(membership, change)
        },
        revoked: (tps) => this.#events.revoked(tps),
        failed: (error) => this.#crashed(error),
      },
      this.#former,
    )
    const consumer: Consumer = this.#options.kafka.consumer(
      consumerConfig(this.#options, createAssigner(member)),
    )
    return { consumer, member }
  }

  #isCurrent(consumer: Consumer): boolean {
    return 'consumer' in this.#state && this.#state.consumer === consumer
  }

  async #run(consumer: Consumer): Promise<void> {
    this.#listen(consumer)
    const isCurrent = () => this.#isCurrent(consumer)
    try {
      await consumer.connect()
      if (!isCurrent()) return await consumer.disconnect()
      await consumer.subscribe({ topics: [...this.#events.topics()], fromBeginning: true })
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        eachBatch: (payload) => this.#events.eachBatch(payload, isCurrent),
      })
    } catch (error) {
      if (isCurrent()) this.#crashed(error)
    }
  }

  #listen(consumer: Consumer): void {
    const { CRASH, FETCH, HEARTBEAT } = consumer.events
    const whileCurrent = (act: () => void) => {
      if (this.#isCurrent(consumer)) act()
    }
    consumer.on(FETCH, () =>
      whileCurrent(() => {
        this.#signs.lastSign = performance.now()
      }),
    )
    consumer.on(HEARTBEAT, () => whileCurrent(() => this.#answered()))
    consumer.on(CRASH, ({ payload: { error } }) => whileCurrent(() => this.#crashed(error)))
  }

  #answered(): void {
    this.#signs.lastAnswer = performance.now()
    this.#signs.lastSign = this.#signs.lastAnswer
  }

  /**
   * Only delivered records count as progress: a consumer may also join and fail at the same batch,
   * again and again.
   */
  progressed(): void {
    this.#backoff.reset()
  }

  /** A consumer ended. The source waits if the cause may pass; otherwise it ends. */
  #crashed(error: unknown): void {
    const cause = rootCause(error)
    if ((cause as { readonly type?: string }).type === 'FENCED_INSTANCE_ID') {
      this.#events.failed(instanceFenced(this.#options.groupInstanceId, cause))
      return
    }
    const isBug =
      cause instanceof ArchiverError || cause instanceof TypeError || cause instanceof RangeError
    if (isBug || (cause instanceof Error && cause.name === 'KafkaJSNotImplemented')) {
      this.#events.failed(cause)
      return
    }
    this.#restart('crashed', errorFields(error), this.#backoff.next())
  }

  /** Another consumer begins after a delay. Further reasons meanwhile change nothing. */
  #restart(reason: RestartReason, fields: object, delayMs: number): void {
    if (this.#state.name === 'restarting' || this.#state.name === 'stopped') return
    this.#log.warn(
      { event: 'consumer_restarted', reason, retry_ms: delayMs, ...fields },
      'restarting the consumer',
    )
    this.#leaveIdle()
    const ending = this.#end('restarting')
    this.#restarting = (async () => {
      await ending
      const isOver = await sleep(delayMs, this.#stopping.signal)
      // The topics may be gone by now.
      if (isOver && this.#state.name === 'restarting') this.#replace()
    })()
    this.#restarting.catch((error: unknown) => this.#events.failed(error))
  }

  async #end(next: 'idle' | 'restarting' | 'stopped'): Promise<void> {
    const ending = 'consumer' in this.#state ? this.#state : undefined
    this.#state = { name: next }
    if (ending !== undefined) {
      const { memberId, partitions } = ending.member.membership
      this.#former = { memberId, membership: { ...noMembership, partitions } }
    }
    this.#events.ended()
    if (ending === undefined) return
    try {
      await withDeadline(disconnectTimeoutMs, undefined, async () => {
        await ending.consumer.disconnect()
        await ending.member.close()
      })
    } catch (error) {
      this.#log.debug({ event: 'not_disconnected', ...errorFields(error) }, 'could not disconnect')
    }
  }

  /** There are other topics than before, or it is time to look whether there are. */
  look(): void {
    if (this.#state.name === 'idle') {
      if (this.#events.topics().length > 0) this.begin()
      return
    }
    if (!('member' in this.#state)) return
    this.#state.member.look().catch((error: unknown) =>
      // The next look asks again.
      this.#log.debug(
        { event: 'partitions_not_listed', ...errorFields(error) },
        'cannot look for new partitions',
      ),
    )
  }

  /** There is nothing to consume any more: leaves the group. */
  async leave(): Promise<void> {
    if ('member' in this.#state) {
      this.#state.member.leaveForGood()
      await this.#events.revoked(this.#state.member.membership.partitions)
    }
    await this.#end('idle')
    this.#former = { memberId: undefined, membership: noMembership }
  }

  /**
   * Restarts a consumer that does nothing any more. A working one fetches several times a second.
   */
  restartIfStill(): void {
    const now = performance.now()
    if (!('consumer' in this.#state) || !isStill(this.#signs, this.#options.sessionTimeoutMs, now))
      return
    this.#restart('silent', { silent_ms: Math.round(now - this.#signs.lastSign) }, 0)
  }

  /**
   * Restarts a consumer that the group does not answer any more. To be called when Kafka has just
   * answered another client.
   */
  restartIfForgotten(): void {
    const now = performance.now()
    const { sessionTimeoutMs } = this.#options
    if (!('consumer' in this.#state) || !isForgotten(this.#signs, sessionTimeoutMs, now)) return
    this.#restart('forgotten', { silent_ms: Math.round(now - this.#signs.lastAnswer) }, 0)
  }

  /**
   * Sets positions, pauses or resumes. A consumer that has ended has no positions to set; the next
   * one begins with an assignment of its own.
   */
  whileRunning(act: (consumer: Consumer) => void): void {
    if (!('consumer' in this.#state)) return
    try {
      act(this.#state.consumer)
    } catch (error) {
      this.#log.debug({ event: 'consumer_ended', ...errorFields(error) }, 'the consumer has ended')
    }
  }

  /** @throws what Kafka answered, or Error if there is no consumer that could commit */
  async commit(offsets: readonly (TopicPartition & { readonly offset: number })[]): Promise<void> {
    if (!('consumer' in this.#state)) throw new Error('no consumer is running')
    const { consumer, member } = this.#state
    await member.settled()
    // If kafkajs does not commit because it is stopping, it reports nothing. The event says that it
    // did commit.
    let isConfirmed = false
    const remove = consumer.on(consumer.events.COMMIT_OFFSETS, () => {
      isConfirmed = true
    })
    try {
      await consumer.commitOffsets(
        offsets.map(({ topic, partition, offset }) => ({
          topic,
          partition,
          offset: String(offset),
        })),
      )
    } catch (error) {
      if (this.#isCurrent(consumer)) this.#restartIfExpelled(member, error)
      throw error
    } finally {
      remove()
    }
    if (!isConfirmed) throw new Error('the consumer was stopping and did not commit')
  }

  /**
   * The group does not know this member any more. A heartbeat detects that too and rejoins, but
   * only if it is sent. A consumer that joins already is left alone: a commit that it sent before
   * may well come too late. So is a static member: only a heartbeat says whether another process
   * has taken its id.
   */
  #restartIfExpelled({ isStatic }: Member, error: unknown): void {
    const cause = rootCause(error)
    const isUnknown =
      cause instanceof kafkajs.KafkaJSProtocolError && cause.type === 'UNKNOWN_MEMBER_ID'
    if (isUnknown && !isStatic && this.#state.name === 'consuming') this.#restart('expelled', {}, 0)
  }

  /** Ends for good. A static member stays in the group. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#restarting
    await this.#end('stopped')
    await withDeadline(disconnectTimeoutMs, undefined, () => this.#beginning).catch(
      (error: unknown) =>
        this.#log.debug(
          { event: 'not_disconnected', ...errorFields(error) },
          'could not disconnect',
        ),
    )
  }
}
