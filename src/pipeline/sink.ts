import type {
  Gap,
  OffsetRange,
  RecordBatch,
  SourceRecord,
  TopicPartition,
} from '../record/record.ts'

/**
 * The contract of everything that keeps records. `test/integration/sink-contract.test.ts` holds
 * every implementation to it:
 *
 * - `write` resolves only when all records of the batch are durable, in any order between batches.
 * - A batch, or a part of one, may be written again after a restart or a rebalance. The outcome is
 *   the same as if it had been written once.
 * - A sink waits for what may come back (a server that is away, a full disk) and says so in
 *   `waiting`. It never drops.
 */
export interface Sink {
  /** `files`, `elasticsearch`, `mysql`: as in flags, metrics and log lines. */
  readonly name: string

  /**
   * Whether it reads the lines of a batch until `write` settles. One that does not has copied them
   * when `write` returns. Then they may be gone.
   */
  readonly keepsLines: boolean

  /**
   * Connects and prepares. The sink calls `roomFreed` whenever it releases memory that `pressure`
   * counts.
   * @throws ArchiverError if it cannot start: unreachable, no rights, the directory of another
   *   archive.
   */
  start(roomFreed: () => void): Promise<void>

  /**
   * Takes a partition over before its first record is read. `fallback` is the position at which the
   * consumer would begin.
   *
   * @param committed what the group has committed, if it has an offset
   * @returns the sink's position
   * @throws ArchiverError if the partition cannot be taken over now; the caller retries.
   */
  open(tp: TopicPartition, fallback: number, committed?: number): Promise<SinkPosition>

  /**
   * Takes the lost records of a range again, which `open` named as incomplete. The caller opens the
   * partition again afterwards.
   *
   * @param batches what Kafka still has of the range
   * @param acceptsLoss whether to complete the range without those that Kafka has not
   * @returns what Kafka has not. If there is such a loss and it is not accepted, nothing changes.
   * @throws ArchiverError `GAP` if Kafka has other records there. Any other: the caller retries.
   */
  refill?(
    tp: TopicPartition,
    range: OffsetRange,
    batches: AsyncIterable<RecordBatch>,
    acceptsLoss: boolean,
  ): Promise<readonly Gap[]>

  /**
   * Resolves when the batch is durable. Batches of one partition come in order and without holes.
   * After `close` it never resolves.
   * @throws ArchiverError `FENCED` if another worker owns the partition by now. Any other means
   *   that the sink lost what it had taken of this partition. The caller opens the partition again
   *   and reads it again.
   */
  write(batch: RecordBatch): Promise<void>

  /**
   * Makes what was taken of these partitions durable without waiting for size or age. Resolves when
   * it is durable or lost.
   */
  flush(tps: readonly TopicPartition[]): Promise<void>

  /**
   * The last few records that the sink holds of a partition, in order; none if it cannot say. The
   * worker compares them with Kafka's, to find a topic that was recreated. A sink that keeps no
   * position has no such method: it finds another record at the same position when it writes.
   */
  lastRecords?(tp: TopicPartition): Promise<readonly SourceRecord[]>

  /** Forgets what is not durable of a partition. */
  close(tp: TopicPartition): Promise<void>

  /**
   * Ends at once what waits for a store that does not answer: the call fails, and so does every
   * later one. Nothing is lost, because nothing of it is acknowledged. A sink whose calls end by
   * themselves has no such method.
   *
   * @returns what it gave up, for people; undefined if nothing was waited for
   */
  giveUp?(): string | undefined

  /** Releases connections and files; nothing is flushed. */
  stop(): Promise<void>

  /**
   * How full the sink's memory is for a partition: at 1 and above it wants no more of it for now.
   * The signal for back-pressure; `write` takes a batch anyway.
   */
  pressure(tp: TopicPartition): number

  /** Bytes of records kept in memory, all partitions together. */
  readonly heldBytes: number

  /**
   * Why the sink makes no progress, for people: `no space left on /archive`; undefined while all is
   * well.
   */
  readonly waiting: string | undefined
}

/** The position of a sink in a partition. */
export interface SinkPosition {
  /**
   * Everything below is durable in this sink. `undefined`: the sink does not know and relies on the
   * group's committed offset.
   */
  readonly next: number | undefined
  /** The first offset of the archive of this partition, if the sink knows it. */
  readonly origin: number | undefined
  /**
   * What the group had committed when the sink last wrote its position down: a lower bound if the
   * group's offset is gone.
   */
  readonly committed: number | undefined
  /**
   * Ranges below `next` with records that the sink has lost, in ascending order: see `refill`. None
   * if it is absent.
   */
  readonly incomplete?: readonly IncompleteRange[]
}

/** A range with records that a sink has lost. */
export interface IncompleteRange extends OffsetRange {
  /** How many. */
  readonly lostRecords: number
}
