import { setTimeout as wait } from 'node:timers/promises'
import type { Admin, Assigner, Consumer, EachBatchPayload, Kafka, PartitionAssigner } from 'kafkajs'
import type { FetchedBatch, LogBounds, Source, SourceEvents } from '../pipeline/source.ts'
import { partitionKey, type SourceRecord, type TopicPartition } from '../record/record.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { Trouble } from '../runtime/outage.ts'
import { Backoff, sleep } from '../runtime/retry.ts'
import { FetchedPartitionBatch } from './batch/fetched-batch.ts'
import { Unpacker } from './batch/unpacker.ts'
import { kafkajs } from './kafkajs.ts'
import { RecordLookup } from './record-lookup.ts'
import { beforeJoin } from './repairs/before-join.ts'
import { RenewedAdmin } from './repairs/renewed-admin.ts'
import { connectFailure } from './security.ts'
import { isForgotten, isStill, rebalanceTimeoutMs, type Signs } from './silence.ts'
import { withPattern } from './subscription.ts'

export interface KafkaSourceOptions {
  readonly kafka: Kafka
  /**
   * A client of the same cluster that gives up soon: at the start a person waits for the answer.
   */
  readonly firstContact: Kafka
  readonly brokers: readonly string[]
  readonly group: string
  /** Topics by name, or all that a regular expression matches, now and later. */
  readonly topics: readonly string[] | RegExp
  readonly sessionTimeoutMs: number
  /** How often topics are looked for that match by now, in ms. */
  readonly topicsRefreshMs: number
  /** How long the first connection may take, in ms. */
  readonly connectTimeoutMs: number
  /** A larger record is not archived. */
  readonly maxRecordBytes: number
  /** What was fetched and waits to be unpacked may take so much memory, in bytes. */
  readonly memoryLimit: number
  /** The rack of this worker (KIP-392). */
  readonly rackId?: string | undefined
}

/** A heartbeat is due three times in a session, and every 3 s at the least often (KIP-62). */
const mostHeartbeatMs = 3000
/**
 * How long the broker may hold a fetch for which there is nothing: then it is noticed that another
 * partition was resumed, and stopping has to wait no longer.
 */
const maxWaitMs = 500
const maxBytesPerPartition = 2 ** 20
/**
 * What a batch inflates to is encoded in pieces of about this size, and in one if it is smaller.
 */
const pieceBytes = 4 * 2 ** 20
const metadataMaxAgeMs = 30_000
/** How long kafkajs may take to let go: with brokers away it tries for minutes. */
const disconnectTimeoutMs = 10_000

/**
 * Kafka as the worker sees it. kafkajs fetches, keeps the membership and commits; this decides when
 * a consumer begins anew, and hides that it does.
 *
 * One slow partition must not stall the others: kafkajs awaits all batches of a broker before it
 * fetches again, so `batch` only takes them over and returns, and pausing is what holds a partition
 * back.
 */
export class KafkaSource implements Source {
  readonly #options: KafkaSourceOptions
  readonly #log: Logger
  readonly #admin: RenewedAdmin<Admin>
  readonly #lookup: RecordLookup
  readonly #stopping = new AbortController()
  #clusterId = ''
  #topics: readonly string[] = []
  #consumer: Consumer | undefined
  #events: SourceEvents | undefined
  #memberId: string | undefined
  #assigned: readonly TopicPartition[] = []
  #restarting: Promise<void> | undefined
  /** The consumer connects and joins; what comes after waits for it. */
  #beginning: Promise<void> = Promise.resolve()
  /** What was fetched and not handed over yet. */
  readonly #unpacker: Unpacker
  /** When the consumer last gave a sign of life, in ms of `performance.now`. */
  #lastSign = 0
  /**
   * When the group last took this worker for a member, in ms of `performance.now`. A consumer also
   * "fetches" from a broker that is away.
   */
  #lastAnswer = 0
  /** When the consumer began, in ms of `performance.now`. */
  #began = 0
  /** True while the consumer joins the group and the worker makes durable what it can. */
  #joining = false
  #refresh: Promise<void> | undefined
  readonly #topicsTrouble: Trouble
  readonly #backoff = new Backoff({ firstMs: 500, mostMs: 15_000 })

  constructor(options: KafkaSourceOptions, log: Logger) {
    this.#options = options
    this.#log = log
    this.#admin = new RenewedAdmin(
      () => options.kafka.admin(),
      (error) => this.#log.debug(`disconnecting: ${messageOf(error)}`),
    )
    this.#lookup = new RecordLookup(options.kafka, (error) =>
      this.#log.debug(`disconnecting: ${messageOf(error)}`),
    )
    this.#topicsTrouble = new Trouble(log)
    this.#unpacker = new Unpacker({
      limits: {
        pieceBytes,
        maxRecordBytes: options.maxRecordBytes,
        heldBytes: options.memoryLimit,
      },
      log,
      deliver: (batch) => this.#deliver(batch),
      hasRoom: (tp, bytes) => this.#events?.hasRoom(tp, bytes) ?? false,
      troubled: (trouble) => this.#events?.unreadable(trouble),
      seek: (tp, offset) => this.#seekFetch(tp, offset),
      pauseFetch: (tp) => this.#pauseFetch(tp),
      resumeFetch: (tp) => this.#resumeFetch(tp),
    })
  }

  get clusterId(): string {
    return this.#clusterId
  }

  topics(): readonly string[] {
    return this.#topics
  }

  async connect(): Promise<void> {
    const { brokers, connectTimeoutMs, topics } = this.#options
    const where = brokers.join(', ')
    const first = this.#options.firstContact.admin()
    const connecting = first.connect()
    let existing: ReadonlySet<string>
    try {
      await withTimeout(connecting, connectTimeoutMs)
      this.#clusterId = (await withTimeout(first.describeCluster(), connectTimeoutMs)).clusterId
      await first.disconnect()
      existing = new Set(await this.#admin.ask((admin) => admin.listTopics()))
    } catch (error) {
      // Not awaited: kafkajs would wait for the connection that does not come. One that comes after
      // all must not keep us alive.
      connecting
        .then(() => Promise.all([first.disconnect(), this.#admin.disconnect()]))
        .catch((later: unknown) => this.#log.debug(`disconnecting: ${messageOf(later)}`))
      throw new ArchiverError('UNREACHABLE', connectFailure(error, where), { brokers }, error)
    }
    if (!(topics instanceof RegExp)) {
      const missing = topics.filter((topic) => !existing.has(topic))
      if (missing.length > 0) {
        await this.#admin.disconnect()
        throw new ArchiverError(
          'NO_SUCH_TOPIC',
          `Kafka at ${where} has no topic ${missing.join(', ')}; create it first, or name others with --topics`,
          { topics: missing },
        )
      }
    }
    this.#topics = this.#wanted([...existing])
    if (this.#topics.length === 0)
      this.#log.warn(`no topic matches ${String(topics)} yet; waiting for one`)
  }

  /** Internal topics (`__consumer_offsets`) are archived only when they are named. */
  #wanted(existing: readonly string[]): readonly string[] {
    const { topics } = this.#options
    const wanted =
      topics instanceof RegExp
        ? existing.filter((topic) => !topic.startsWith('__') && topics.test(topic))
        : existing.filter((topic) => topics.includes(topic))
    return wanted.sort()
  }

  get silentMs(): number {
    return this.#events === undefined || this.#topics.length === 0
      ? 0
      : performance.now() - this.#lastAnswer
  }

  async run(events: SourceEvents): Promise<void> {
    this.#events = events
    this.#lastAnswer = performance.now()
    this.#refresh = this.#lookForTopics()
    this.#refresh.catch((error: unknown) => events.failed(error))
    if (this.#topics.length > 0) this.#startBeginning()
  }

  #startBeginning(): void {
    this.#beginning = this.#begin()
    this.#beginning.catch((error: unknown) => this.#events?.failed(error))
  }

  /**
   * A consumer cannot change what it consumes, nor be used again after a crash: each beginning has
   * a new one.
   */
  async #begin(): Promise<void> {
    const { kafka, group, sessionTimeoutMs, rackId } = this.#options
    const consumer: Consumer = kafka.consumer({
      groupId: group,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: rebalanceTimeoutMs(sessionTimeoutMs),
      heartbeatInterval: Math.min(mostHeartbeatMs, Math.floor(sessionTimeoutMs / 3)),
      maxWaitTimeInMs: maxWaitMs,
      maxBytesPerPartition,
      metadataMaxAge: metadataMaxAgeMs,
      // Or consuming a topic that was deleted would make it again.
      allowAutoTopicCreation: false,
      partitionAssigners: [this.#assigner(() => consumer)],
      retry: { restartOnFailure: async () => false },
      ...(rackId === undefined ? {} : { rackId }),
    })
    this.#consumer = consumer
    this.#began = performance.now()
    this.#joining = false
    const { GROUP_JOIN, CRASH, FETCH, HEARTBEAT } = consumer.events
    const alive = () => {
      if (consumer === this.#consumer) this.#lastSign = performance.now()
    }
    alive()
    const answered = () => {
      alive()
      if (consumer === this.#consumer) this.#lastAnswer = performance.now()
    }
    consumer.on(FETCH, alive)
    consumer.on(HEARTBEAT, answered)
    consumer.on(GROUP_JOIN, ({ payload }) => {
      answered()
      if (consumer === this.#consumer) this.#joined(payload.memberId, payload.memberAssignment)
    })
    consumer.on(CRASH, ({ payload }) => {
      if (consumer === this.#consumer) this.#crashed(payload.error)
    })
    try {
      await consumer.connect()
      if (consumer !== this.#consumer) return await consumer.disconnect()
      await consumer.subscribe({ topics: [...this.#topics], fromBeginning: true })
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        eachBatch: (payload) => this.#eachBatch(payload),
      })
    } catch (error) {
      if (consumer === this.#consumer) this.#crashed(error)
    }
  }

  #assigner(own: () => Consumer): PartitionAssigner {
    return (config) => {
      const assigner = kafkajs.PartitionAssigners.roundRobin(config)
      return {
        ...assigner,
        // Asked for each try to join. A consumer that was stopped while it tried would else be in
        // the group with nobody to end it.
        protocol: (subscription) => {
          if (own() !== this.#consumer) throw new Error('this consumer was stopped')
          const { topics } = this.#options
          const protocol = assigner.protocol(subscription)
          const metadata = withPattern(
            protocol.metadata,
            topics instanceof RegExp ? topics : undefined,
          )
          return { ...protocol, metadata }
        },
        [beforeJoin]: async () => {
          if (own() === this.#consumer) this.#joining = true
          if (this.#assigned.length > 0) await this.#events?.beforeJoin()
        },
      } as Assigner
    }
  }

  /** Called before the first fetch after a join, so what is paused here is not fetched. */
  #joined(memberId: string, assignment: Readonly<Record<string, readonly number[]>>): void {
    const all = Object.entries(assignment).flatMap(([topic, partitions]) =>
      partitions.map((partition) => ({ topic, partition: Number(partition) })),
    )
    // A member that missed a rebalance gets a new id. With the same one, nobody else had what it
    // keeps.
    const before = new Set(memberId === this.#memberId ? this.#assigned.map(partitionKey) : [])
    this.#memberId = memberId
    this.#joining = false
    const owned = this.#assigned
    this.#assigned = all
    this.#unpacker.clear()
    for (const tp of all) this.pause(tp)
    this.#log.info(
      { member: memberId, partitions: all.map(partitionKey) },
      `joined the group with ${all.length} partitions`,
    )
    const kept = all.filter((tp) => before.has(partitionKey(tp)))
    const keptKeys = new Set(kept.map(partitionKey))
    const without = (tps: readonly TopicPartition[]) =>
      tps.filter((tp) => !keptKeys.has(partitionKey(tp)))
    this.#events?.joined({ gained: without(all), kept, lost: without(owned) })
  }

  /**
   * Takes a batch over and lets kafkajs fetch again: the broker works on the next answer while this
   * one is unpacked. The position may move before the worker has taken the records: whatever it
   * does not take, it seeks back for.
   */
  async #eachBatch({ batch, resolveOffset, isStale }: EachBatchPayload): Promise<void> {
    if (!(batch instanceof FetchedPartitionBatch)) {
      throw new ArchiverError(
        'INTERNAL',
        'kafkajs is not as expected (2.2.4): its batches are not replaced',
      )
    }
    const consumer = this.#consumer
    // The consumer may be ended, or the position set elsewhere, while this waits.
    const isCurrent = () => consumer === this.#consumer && !isStale()
    if (!(await this.#unpacker.take(batch, isCurrent)) || batch.isStalled) return
    resolveOffset(batch.lastOffset())
  }

  #deliver(batch: FetchedBatch): void {
    this.#events?.batch(batch)
    // Only what was taken is progress: a consumer may also join, and fail at the same batch, again
    // and again.
    this.#backoff.reset()
  }

  /** A consumer ended. What may pass is waited for; what cannot pass is told to the worker. */
  #crashed(error: unknown): void {
    const cause = rootCause(error)
    const isBug =
      cause instanceof ArchiverError || cause instanceof TypeError || cause instanceof RangeError
    if (isBug || (cause instanceof Error && cause.name === 'KafkaJSNotImplemented')) {
      this.#events?.failed(cause)
      return
    }
    this.#restart(`the consumer stopped: ${messageOf(error)}`, this.#backoff.next())
  }

  /** Begins anew after a delay, once; further reasons meanwhile change nothing. */
  #restart(why: string, delayMs: number): void {
    if (this.#restarting !== undefined || this.#stopping.signal.aborted) return
    this.#log.warn({ retry_ms: delayMs }, `${why}; consuming begins again`)
    this.#restarting = (async () => {
      await this.#end()
      if (!(await sleep(delayMs, this.#stopping.signal))) return
      this.#restarting = undefined
      this.#startBeginning()
    })()
    this.#restarting.catch((error: unknown) => this.#events?.failed(error))
  }

  async #end(): Promise<void> {
    const consumer = this.#consumer
    this.#consumer = undefined
    this.#memberId = undefined
    this.#unpacker.clear()
    try {
      if (consumer !== undefined) await withTimeout(consumer.disconnect(), disconnectTimeoutMs)
    } catch (error) {
      this.#log.debug(`disconnecting the consumer: ${messageOf(error)}`)
    }
  }

  /** Topics that appear, and topics that vanish and would keep a consumer from beginning. */
  async #lookForTopics(): Promise<void> {
    const { topicsRefreshMs } = this.#options
    while (await sleep(topicsRefreshMs, this.#stopping.signal)) {
      this.#restartIfStill()
      let topics: readonly string[]
      try {
        topics = this.#wanted(await this.#admin.ask((admin) => admin.listTopics()))
        this.#topicsTrouble.over()
        this.#restartIfForgotten()
      } catch (error) {
        this.#topicsTrouble.failed(`topics cannot be listed: ${messageOf(error)}; trying again`)
        continue
      }
      const appeared = topics.filter((topic) => !this.#topics.includes(topic))
      const vanished = this.#topics.filter((topic) => !topics.includes(topic))
      if (appeared.length === 0 && vanished.length === 0) continue
      if (vanished.length > 0) {
        this.#log.error(
          { topics: vanished },
          `Kafka has no topic ${vanished.join(', ')} any more; the others go on`,
        )
        this.#admin.renew()
      }
      if (this.#topics.length === 0) this.#lastAnswer = performance.now()
      this.#topics = topics
      if (topics.length === 0) {
        await this.#events?.revoked(this.#assigned)
        this.#assigned = []
        await this.#end()
        continue
      }
      if (this.#assigned.length > 0) await this.#events?.beforeJoin()
      if (appeared.length > 0)
        this.#log.info({ topics: appeared }, `new topic ${appeared.join(', ')}`)
      this.#restart('the topics changed', 0)
    }
  }

  /** A consumer that works fetches several times a second. */
  #restartIfStill(): void {
    const now = performance.now()
    if (this.#consumer === undefined || !isStill(this.#signs, this.#options.sessionTimeoutMs, now))
      return
    this.#restart(
      `the consumer gave no sign of life for ${Math.round((now - this.#lastSign) / 1000)} s`,
      0,
    )
  }

  /** Called when Kafka has just answered. */
  #restartIfForgotten(): void {
    const now = performance.now()
    if (
      this.#consumer === undefined ||
      !isForgotten(this.#signs, this.#options.sessionTimeoutMs, now)
    )
      return
    this.#restart(
      `the group has not answered the consumer for ${Math.round((now - this.#lastAnswer) / 1000)} s`,
      0,
    )
  }

  get #signs(): Signs {
    return { began: this.#began, lastSign: this.#lastSign, lastAnswer: this.#lastAnswer }
  }

  seek(tp: TopicPartition, offset: number): void {
    this.#unpacker.drop(tp)
    this.#seekFetch(tp, offset)
  }

  pause(tp: TopicPartition): void {
    this.#unpacker.pause(tp)
    this.#pauseFetch(tp)
  }

  resume(tp: TopicPartition): void {
    if (this.#unpacker.resume(tp)) this.#resumeFetch(tp)
  }

  #seekFetch({ topic, partition }: TopicPartition, offset: number): void {
    this.#whileRunning((consumer) => consumer.seek({ topic, partition, offset: String(offset) }))
  }

  #pauseFetch({ topic, partition }: TopicPartition): void {
    this.#whileRunning((consumer) => consumer.pause([{ topic, partitions: [partition] }]))
  }

  #resumeFetch({ topic, partition }: TopicPartition): void {
    this.#whileRunning((consumer) => consumer.resume([{ topic, partitions: [partition] }]))
  }

  /**
   * A consumer that has stopped has no positions to set; the next one begins with an assignment of
   * its own.
   */
  #whileRunning(act: (consumer: Consumer) => void): void {
    if (this.#consumer === undefined) return
    try {
      act(this.#consumer)
    } catch (error) {
      this.#log.debug(`the consumer has stopped: ${messageOf(error)}`)
    }
  }

  async committedOffsets(tps: readonly TopicPartition[]): Promise<Map<string, number>> {
    const topics = [...new Set(tps.map(({ topic }) => topic))]
    const committed = new Map<string, number>()
    const answer = await this.#admin.ask((admin) =>
      admin.fetchOffsets({ groupId: this.#options.group, topics }),
    )
    for (const { topic, partitions } of answer) {
      for (const { partition, offset } of partitions) {
        // -1 is none; kafkajs itself commits -2 ("earliest") where it reset an offset.
        if (Number(offset) >= 0) committed.set(partitionKey({ topic, partition }), Number(offset))
      }
    }
    return committed
  }

  async bounds(topics: readonly string[]): Promise<Map<string, LogBounds>> {
    const bounds = new Map<string, LogBounds>()
    for (const topic of topics) {
      for (const { partition, low, high } of await this.#admin.ask((admin) =>
        admin.fetchTopicOffsets(topic),
      )) {
        bounds.set(partitionKey({ topic, partition }), { start: Number(low), end: Number(high) })
      }
    }
    return bounds
  }

  records(tp: TopicPartition, offset: number): Promise<readonly SourceRecord[]> {
    return this.#lookup.records(tp, offset)
  }

  async commit(offsets: readonly (TopicPartition & { readonly offset: number })[]): Promise<void> {
    const consumer = this.#consumer
    if (consumer === undefined) throw new Error('no consumer is running')
    // kafkajs says nothing where it does not commit because it is stopping; the event says that it
    // did.
    let confirmed = false
    const remove = consumer.on(consumer.events.COMMIT_OFFSETS, () => {
      confirmed = true
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
      this.#restartIfExpelled(consumer, error)
      throw error
    } finally {
      remove()
    }
    if (!confirmed) throw new Error('the consumer was stopping and did not commit')
  }

  /**
   * The group does not know this member any more. A heartbeat finds that too and joins again, but
   * only a heartbeat that is sent. A consumer that joins already is left alone: what it commits
   * before may well come too late.
   */
  #restartIfExpelled(consumer: Consumer, error: unknown): void {
    const cause = rootCause(error)
    const isUnknown =
      cause instanceof kafkajs.KafkaJSProtocolError && cause.type === 'UNKNOWN_MEMBER_ID'
    if (!isUnknown || this.#joining || consumer !== this.#consumer) return
    this.#restart('the group does not know this member any more', 0)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#restarting
    await this.#refresh
    await this.#end()
    try {
      await withTimeout(this.#beginning, disconnectTimeoutMs)
      await withTimeout(
        Promise.all([this.#admin.disconnect(), this.#lookup.disconnect()]),
        disconnectTimeoutMs,
      )
    } catch (error) {
      this.#log.debug(`disconnecting: ${messageOf(error)}`)
    }
  }
}

function rootCause(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? rootCause(error.cause) : error
}

/** The result, or an error once the time is over; what is still under way goes on unheard. */
async function withTimeout<T>(task: Promise<T>, ms: number): Promise<T> {
  const timer = new AbortController()
  task.catch(() => {})
  try {
    return await Promise.race([
      task,
      wait(ms, undefined, { signal: timer.signal }).then(() =>
        Promise.reject(new Error(`no answer within ${ms / 1000} s`)),
      ),
    ])
  } finally {
    timer.abort()
  }
}
