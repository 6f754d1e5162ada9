import type { LostRange, SourceBatch, SourceRecord, TopicPartition } from '../record/record.ts'

/** First offset that Kafka still has, and the one after the last. */
export interface LogBounds {
  readonly start: number
  readonly end: number
}

/**
 * What the source tells the worker. All are called on the consumer's own path and must not block
 * it.
 */
export interface SourceEvents {
  /**
   * The group gave this worker these partitions, all that it has from now on. `kept` are those that
   * nobody else can have owned in between. Nothing is fetched of a partition before `seek` and
   * `resume`.
   */
  assigned(assignment: {
    readonly all: readonly TopicPartition[]
    readonly kept: readonly TopicPartition[]
  }): void
  /**
   * The worker is about to join the group again and may lose partitions: it makes durable and
   * commits what it can, in time.
   */
  beforeJoin(): Promise<void>
  /**
   * What one fetch brought, or a part of that. Where it is not wanted the worker seeks before it
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
   * A batch of this partition makes trouble. Others go on; this one goes on when the worker seeks.
   * Never throws.
   */
  troubled(trouble: BatchTrouble): void
  /** The source cannot go on at all. */
  failed(error: unknown): void
}

/** A batch with what the worker needs to check that nothing was skipped. */
export interface FetchedBatch extends SourceBatch {
  /** The last offsets of the batch, if the archive does not get their records. */
  readonly lost?: LostRange | undefined
  /** The offset after the last one that consumers may read now. */
  readonly highWatermark: number
  /**
   * To be called, if it is there, once the records are encoded: it frees their bytes, which may be
   * many.
   */
  readonly release?: (() => void) | undefined
}

/**
 * What goes wrong with a batch and is no loss, as far as is known: no memory, a codec that is not
 * here, a mistake of this program.
 */
export interface BatchTrouble extends TopicPartition {
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
   * How long the group has not taken this worker for a member, in ms; 0 where there is nothing to
   * consume.
   */
  readonly silentMs: number
  /** Joins the group and begins to call the events. */
  run(events: SourceEvents): Promise<void>
  /** Sets the position of the next fetch. */
  seek(tp: TopicPartition, offset: number): void
  pause(tp: TopicPartition): void
  resume(tp: TopicPartition): void
  /** The group's committed offsets; partitions without one are absent. */
  committed(tps: readonly TopicPartition[]): Promise<Map<string, number>>
  /** By `partitionKey`. Throws where a topic cannot be asked about, as one that is gone. */
  bounds(topics: readonly string[]): Promise<Map<string, LogBounds>>
  /** The records from an offset on that one small fetch brings; none if Kafka has none there. */
  records(tp: TopicPartition, offset: number): Promise<readonly SourceRecord[]>
  /** The topics that are consumed now. */
  topics(): readonly string[]
  /** Commits; throws where the broker refused or could not be asked. */
  commit(offsets: readonly (TopicPartition & { readonly offset: number })[]): Promise<void>
  /** Leaves the group and disconnects. */
  stop(): Promise<void>
}
