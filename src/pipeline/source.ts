import type {
  LostRange,
  OffsetRange,
  SourceBatch,
  SourceRecord,
  TopicPartition,
} from '../record/record.ts'

/** The first offset that Kafka still has, and the one after the last. */
export interface LogBounds {
  readonly start: number
  readonly end: number
}

/** What Kafka says of partitions, by `partitionKey`. */
export interface Answers<T> {
  /** Partitions that Kafka does not know, or that have no such thing, are absent. */
  readonly found: ReadonlyMap<string, T>
  /** Topics that cannot be asked about, as ones that are gone, and why. */
  readonly refused: ReadonlyMap<string, unknown>
}

/**
 * What the group gave and took when this worker joined. No partition is in two of the lists, except
 * one that was lost and came back: another worker may have had it in between.
 */
export interface AssignmentChange {
  /** This worker's from now on. Nothing of them is fetched before `seek` and `resume`. */
  readonly gained: readonly TopicPartition[]
  /** Still this worker's, and nobody else can have owned them in between. They are fetched on. */
  readonly kept: readonly TopicPartition[]
  /** Not this worker's any more, and others may read them already (KIP-429, `onPartitionsLost`). */
  readonly lost: readonly TopicPartition[]
}

/**
 * What the worker hears from the source. All are called on the consumer's own path and must not
 * block it.
 */
export interface SourceEvents {
  /** The worker has joined the group. */
  joined(change: AssignmentChange): void
  /**
   * The worker is about to join the group, which may take any partition, as it has members of an
   * older version: what can be stored and committed in time is. All partitions stay as they are.
   */
  beforeJoin(): Promise<void>
  /**
   * The worker must give these partitions up, and no others (KIP-429, `onPartitionsRevoked`). What
   * can be stored and committed in time is. When this resolves, other workers may have them.
   */
  revoked(tps: readonly TopicPartition[]): Promise<void>
  /**
   * What one fetch brought, or a part of that. If it is not wanted the worker seeks before it
   * resumes: the source is behind it already.
   */
  batch(batch: FetchedBatch): void
  /**
   * Whether the sinks have room for more of a partition; `bytes`: for a single record of that size,
   * 0 for ordinary ones. Asked before anything is inflated. Without room for ordinary ones the
   * worker pauses the partition.
   */
  hasRoom(tp: TopicPartition, bytes: number): boolean
  /**
   * A batch of this partition cannot be read. Others go on; this one goes on when the worker seeks.
   * Never throws.
   */
  unreadable(batch: UnreadableBatch): void
  /** The source cannot go on at all. */
  failed(error: unknown): void
}

/** A batch with what the worker needs to check that nothing was skipped. */
export interface FetchedBatch extends SourceBatch {
  /** The last offsets of the batch, if the archive does not get their records. */
  readonly lost?: LostRange | undefined
  /** The offset after the last one that consumers may read now. */
  readonly highWatermark: number
  /** If it is there, the worker calls it once the records are encoded: it frees their bytes. */
  readonly release?: (() => void) | undefined
}

/**
 * A batch that cannot be read, and is no loss as far as is known: memory is short, a codec is
 * missing, this program has a mistake.
 */
export interface UnreadableBatch extends TopicPartition {
  readonly offset: number
  readonly error: unknown
  /** It may be over when the batch is read again. */
  readonly canPass: boolean
}

/** The contract between Kafka's client and the worker. */
export interface Source {
  /**
   * Connects and finds the topics.
   * @throws ArchiverError `UNREACHABLE`, `NO_SUCH_TOPIC`.
   */
  connect(): Promise<void>
  readonly clusterId: string
  /**
   * How long the group has not taken this worker for a member, in ms; 0 if there is nothing to
   * consume.
   */
  readonly silentMs: number
  /** Joins the group and begins to call the events. */
  run(events: SourceEvents): Promise<void>
  /** Sets the position of the next fetch. */
  seek(tp: TopicPartition, offset: number): void
  pause(tp: TopicPartition): void
  resume(tp: TopicPartition): void
  /** What the group has committed. Throws if Kafka cannot be asked at all. */
  committedOffsets(tps: readonly TopicPartition[]): Promise<Answers<number>>
  /** The bounds of their logs. Throws if Kafka cannot be asked at all. */
  bounds(tps: readonly TopicPartition[]): Promise<Answers<LogBounds>>
  /** Of all partitions, by `partitionKey`. Throws if a topic cannot be asked about. */
  allBounds(topics: readonly string[]): Promise<ReadonlyMap<string, LogBounds>>
  /** The records from an offset on that one small fetch brings; none if Kafka has none there. */
  records(tp: TopicPartition, offset: number): Promise<readonly SourceRecord[]>
  /**
   * All records of a range that Kafka still has, in order, read without the group. A batch is valid
   * until the next one is asked for. What is damaged or too large is left out.
   *
   * @throws ArchiverError `UNREACHABLE`; or the signal's reason, once it is aborted
   */
  read(tp: TopicPartition, range: OffsetRange, signal: AbortSignal): AsyncIterable<SourceBatch>
  /** The topics that are consumed now. */
  topics(): readonly string[]
  /** Commits; throws if the broker refused or could not be asked. */
  commit(offsets: readonly (TopicPartition & { readonly offset: number })[]): Promise<void>
  /** Leaves the group and disconnects. */
  stop(): Promise<void>
}
