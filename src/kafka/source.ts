import type { Admin, EachBatchPayload, Kafka } from 'kafkajs'
import type {
  Answers,
  AssignmentChange,
  FetchedBatch,
  LogBounds,
  Source,
  SourceEvents,
} from '../pipeline/source.ts'
import {
  type OffsetRange,
  partitionKey,
  type SourceBatch,
  type SourceRecord,
  type TopicPartition,
} from '../record/record.ts'
import { withDeadline } from '../runtime/deadline.ts'
import { ArchiverError, errorFields } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { FetchedPartitionBatch } from './batch/fetched-batch.ts'
import { Unpacker } from './batch/unpacker.ts'
import { GroupConsumer } from './consumer.ts'
import type { Membership } from './membership.ts'
import { partitionRanges } from './partition-ranges.ts'
import { PositionLookup } from './position-lookup.ts'
import { complete } from './positions.ts'
import { readRange } from './range-reader.ts'
import { RecordLookup } from './record-lookup.ts'
import { unexpectedKafkajs } from './repairs/modules.ts'
import { RenewedAdmin } from './repairs/renewed-admin.ts'
import { connectFailure } from './security.ts'
import { type TopicChoice, TopicWatch } from './topic-watch.ts'

export interface KafkaSourceOptions {
  readonly kafka: Kafka
  /**
   * A client of the same cluster that gives up soon. At the start a person waits for the answer;
   * later, who asks for positions retries by itself.
   */
  readonly impatient: Kafka
  readonly brokers: readonly string[]
  readonly group: string
  readonly topics: TopicChoice
  /** What `topics` leaves out, for messages. */
  readonly excluded?: RegExp | undefined
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  /** The id of a static member (KIP-345). */
  readonly groupInstanceId?: string | undefined
  /** How often topics are looked for that match by now, in ms. */
  readonly topicsRefreshMs: number
  /** How long the first connection may take, in ms. */
  readonly connectTimeoutMs: number
  /** A larger record is not archived. */
  readonly maxRecordBytes: number
  /** Memory for what was fetched and waits to be unpacked, in bytes. */
  readonly memoryLimit: number
  /** The rack of this worker (KIP-392). */
  readonly rackId?: string | undefined
}

/**
 * What a batch inflates to is encoded in pieces of about this size, and in one if it is smaller.
 */
const pieceBytes = 4 * 2 ** 20
/** What one fetch brings of a range that is read without the group. */
const rangeBytes = 4 * 2 ** 20
/** How long kafkajs may take to disconnect: when brokers are away it tries for minutes. */
const disconnectTimeoutMs = 10_000

/**
 * Kafka as the worker sees it: the member of the group (`consumer.ts`), what it fetches
 * (`batch/unpacker.ts`), the topics (`topic-watch.ts`), and questions about positions.
 *
 * One slow partition must not stall the others: kafkajs awaits all batches of a broker before it
 * fetches again, so a batch is only taken over, and pausing is what holds a partition back.
 */
export class KafkaSource implements Source {
  readonly #options: KafkaSourceOptions
  readonly #log: Logger
  readonly #admin: RenewedAdmin<Admin>
  readonly #lookup: RecordLookup
  readonly #positions: PositionLookup
  readonly #topics: TopicWatch
  readonly #consumer: GroupConsumer
  /** What was fetched and not handed over yet. */
  readonly #unpacker: Unpacker
  /** By `partitionKey`. A partition that goes and comes back is another assignment of it. */
  #assigned: ReadonlyMap<string, symbol> = new Map()
  readonly #stopping = new AbortController()
  #clusterId = ''
  #events: SourceEvents | undefined
  #watching: Promise<void> = Promise.resolve()

  constructor(options: KafkaSourceOptions, log: Logger) {
    const { kafka, impatient, group, maxRecordBytes, memoryLimit } = options
    this.#options = options
    this.#log = log
    this.#admin = new RenewedAdmin(
      () => kafka.admin(),
      (error) => this.#notDisconnected(error),
    )
    this.#lookup = new RecordLookup(kafka, (error) => this.#notDisconnected(error))
    this.#positions = new PositionLookup(impatient, group, (error) => this.#notDisconnected(error))
    this.#topics = new TopicWatch(
      options.topics,
      () => this.#admin.ask((admin) => admin.listTopics()),
      log,
      options.excluded,
    )
    this.#consumer = new GroupConsumer(
      options,
      {
        topics: () => this.#topics.topics,
        joined: (membership, change) => this.#joined(membership, change),
        beforeJoin: async () => this.#events?.beforeJoin(),
        revoked: async (tps) => {
          await this.#events?.revoked(tps)
          for (const tp of tps) this.#unpacker.drop(tp)
          this.#log.info(
            { event: 'partitions_revoked', count: tps.length, partitions: partitionRanges(tps) },
            'gave partitions up',
          )
        },
        eachBatch: (payload, isCurrent) => this.#eachBatch(payload, isCurrent),
        ended: () => this.#unpacker.clear(),
        failed: (error) => this.#events?.failed(error),
      },
      log,
    )
    this.#unpacker = new Unpacker({
      limits: { pieceBytes, maxRecordBytes, heldBytes: memoryLimit },
      log,
      deliver: (batch) => this.#deliver(batch),
      hasRoom: (tp, bytes) => this.#events?.hasRoom(tp, bytes) ?? false,
      unreadable: (batch) => this.#events?.unreadable(batch),
      seek: (tp, offset) => this.#seekFetch(tp, offset),
      pauseFetch: (tp) => this.#pauseFetch(tp),
      resumeFetch: (tp) => this.#resumeFetch(tp),
    })
  }

  get clusterId(): string {
    return this.#clusterId
  }

  get silentMs(): number {
    return this.#consumer.silentMs
  }

  topics(): readonly string[] {
    return this.#topics.topics
  }

  async connect(): Promise<void> {
    const { brokers, connectTimeoutMs, impatient } = this.#options
    const where = brokers.join(', ')
    const first = impatient.admin()
    const connecting = first.connect()
    const inTime = <T>(answer: Promise<T>) =>
      withDeadline(connectTimeoutMs, undefined, () => answer)
    try {
      await inTime(connecting)
      this.#clusterId = (await inTime(first.describeCluster())).clusterId
      await first.disconnect()
      await this.#topics.start(where)
    } catch (error) {
      // Not awaited: kafkajs would wait for the connection that does not come. One that comes after
      // all must not keep the process alive.
      connecting
        .then(() => Promise.all([first.disconnect(), this.#admin.disconnect()]))
        .catch((later: unknown) => this.#notDisconnected(later))
      if (error instanceof ArchiverError && error.code === 'NO_SUCH_TOPIC') throw error
      throw new ArchiverError('UNREACHABLE', connectFailure(error, where), { brokers }, error)
    }
  }

  async run(events: SourceEvents): Promise<void> {
    this.#events = events
    if (this.#topics.topics.length > 0) this.#consumer.begin()
    this.#watching = this.#topics.run(
      this.#options.topicsRefreshMs,
      {
        due: () => this.#consumer.restartIfStill(),
        answered: () => {
          this.#consumer.restartIfForgotten()
          this.#consumer.look()
        },
        vanished: () => {
          this.#admin.renew()
          this.#positions.renew()
        },
        changed: async (topics) =>
          topics.length === 0 ? this.#consumer.leave() : this.#consumer.look(),
      },
      this.#stopping.signal,
    )
    this.#watching.catch((error: unknown) => events.failed(error))
  }

  #joined({ memberId, partitions }: Membership, change: AssignmentChange): void {
    this.#assigned = assignedNow(this.#assigned, partitions, change)
    // What is kept is fetched and unpacked on.
    for (const tp of [...change.gained, ...change.lost]) this.#unpacker.drop(tp)
    for (const tp of change.gained) this.pause(tp)
    this.#log.info(
      {
        event: 'group_joined',
        member: memberId,
        count: partitions.length,
        gained: change.gained.length,
        kept: change.kept.length,
        lost: change.lost.length,
        partitions: partitionRanges(partitions),
      },
      'joined the group',
    )
    this.#events?.joined(change)
  }

  /**
   * Takes a batch over and lets kafkajs fetch again: the broker works on the next answer while this
   * one is unpacked. The position may move before the worker has taken the records: whatever it
   * does not take, it seeks back for.
   */
  async #eachBatch(
    { batch, resolveOffset, isStale }: EachBatchPayload,
    isCurrent: () => boolean,
  ): Promise<void> {
    if (!(batch instanceof FetchedPartitionBatch))
      throw unexpectedKafkajs('its batches are not replaced')
    const key = partitionKey(batch)
    const assignment = this.#assigned.get(key)
    // While this waits, the consumer may end, the partition may go, or its position may be set
    // elsewhere.
    const isWanted = () =>
      isCurrent() &&
      !isStale() &&
      assignment !== undefined &&
      this.#assigned.get(key) === assignment
    if (!(await this.#unpacker.take(batch, isWanted)) || batch.isStalled) return
    resolveOffset(batch.lastOffset())
  }

  #deliver(batch: FetchedBatch): void {
    this.#events?.batch(batch)
    this.#consumer.progressed()
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
    this.#consumer.whileRunning((consumer) =>
      consumer.seek({ topic, partition, offset: String(offset) }),
    )
  }

  #pauseFetch({ topic, partition }: TopicPartition): void {
    this.#consumer.whileRunning((consumer) => consumer.pause([{ topic, partitions: [partition] }]))
  }

  #resumeFetch({ topic, partition }: TopicPartition): void {
    this.#consumer.whileRunning((consumer) => consumer.resume([{ topic, partitions: [partition] }]))
  }

  committedOffsets(tps: readonly TopicPartition[]): Promise<Answers<number>> {
    return this.#positions.committedOffsets(tps)
  }

  bounds(tps: readonly TopicPartition[]): Promise<Answers<LogBounds>> {
    return this.#positions.bounds(tps)
  }

  async allBounds(topics: readonly string[]): Promise<ReadonlyMap<string, LogBounds>> {
    return complete(await this.bounds(await this.#positions.partitionsOf(topics)))
  }

  records(tp: TopicPartition, offset: number): Promise<readonly SourceRecord[]> {
    return this.#lookup.records(tp, offset)
  }

  read(tp: TopicPartition, range: OffsetRange, signal: AbortSignal): AsyncIterable<SourceBatch> {
    const questions = {
      fetch: (of: TopicPartition, offset: number) => this.#lookup.fetch(of, offset, rangeBytes),
      startOf: async (of: TopicPartition) =>
        complete(await this.bounds([of])).get(partitionKey(of))?.start ?? 0,
    }
    const { maxRecordBytes } = this.#options
    return readRange(questions, tp, range, { maxRecordBytes, signal })
  }

  commit(offsets: readonly (TopicPartition & { readonly offset: number })[]): Promise<void> {
    return this.#consumer.commit(offsets)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#watching
    await this.#consumer.stop()
    try {
      await withDeadline(disconnectTimeoutMs, undefined, () =>
        Promise.all([
          this.#admin.disconnect(),
          this.#lookup.disconnect(),
          this.#positions.disconnect(),
        ]),
      )
    } catch (error) {
      this.#notDisconnected(error)
    }
  }

  #notDisconnected(error: unknown): void {
    this.#log.debug({ event: 'not_disconnected', ...errorFields(error) }, 'could not disconnect')
  }
}

function assignedNow(
  before: ReadonlyMap<string, symbol>,
  partitions: readonly TopicPartition[],
  { kept }: AssignmentChange,
): Map<string, symbol> {
  const stays = new Set(kept.map(partitionKey))
  return new Map(
    partitions.map(partitionKey).map((key) => {
      const assignment = stays.has(key) ? before.get(key) : undefined
      return [key, assignment ?? Symbol(key)]
    }),
  )
}
