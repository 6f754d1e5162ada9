import { partitionKey, type RecordBatch, type TopicPartition } from '../../record/record.ts'
import { ArchiverError, errorFields } from '../../runtime/errors.ts'
import { type CommitContext, commitRange, type StagingOwner } from './commit.ts'
import { type RangeContext, StagedRange } from './staged-range.ts'
import { type LogPosition, type TakenPartition, takeOver } from './take-over.ts'

/** What the writers of a sink share. */
export type WriterContext = CommitContext & RangeContext

/**
 * - `writing`: takes batches and flushes ranges.
 * - `failed`: a range could not be committed. The chain is broken there, so nothing that was staged
 *   after it can be committed either. The worker reopens the partition.
 * - `closed`: the partition was given up. Nobody waits for its records any more.
 */
type State =
  | { readonly is: 'writing' }
  | { readonly is: 'failed'; readonly error: ArchiverError }
  | { readonly is: 'closed' }

/**
 * The one writer of a topic-partition in this worker: stages records, and commits them range by
 * range, one range after another.
 *
 * **Invariant**: a manifest is created only when the files of the one before it are all in place.
 * So only the last manifest of a log can name files that are still staged.
 */
export class PartitionWriter {
  readonly #context: WriterContext
  readonly #partition: TakenPartition
  /** The next batch continues here. */
  #position: number
  /** The range that is staged and not being flushed. */
  #current: StagedRange | undefined
  #flushing: Promise<void> = Promise.resolve()
  #state: State = { is: 'writing' }
  #stagingOwner: StagingOwner = 'writer'

  private constructor(context: WriterContext, partition: TakenPartition) {
    this.#context = context
    this.#partition = partition
    this.#position = partition.position.next
  }

  /**
   * Takes the partition over.
   *
   * @param fallback the origin, if archiving of this partition has not begun.
   * @param committed what the group has committed, if it has an offset.
   * @throws ArchiverError `MANIFEST_INVALID`, `ARCHIVE_UNUSABLE`.
   */
  static async open(
    context: WriterContext,
    tp: TopicPartition,
    fallback: number,
    committed?: number,
  ): Promise<{ writer: PartitionWriter; position: LogPosition }> {
    const partition = await takeOver(context, tp, fallback, committed)
    return { writer: new PartitionWriter(context, partition), position: partition.position }
  }

  /**
   * Settles when the records are committed. The batch may begin before the position of the
   * take-over.
   */
  write(batch: RecordBatch): Promise<void> {
    if (this.#state.is === 'failed') return Promise.reject(this.#state.error)
    const { tp, position } = this.#partition
    // Everything below the position of the take-over is committed. From there on, batches come in
    // order.
    if (batch.next <= position.next) return Promise.resolve()
    if (batch.from > this.#position || batch.next <= this.#position) {
      return Promise.reject(
        new ArchiverError(
          'INTERNAL',
          `${partitionKey(tp)}: the files' position is ${this.#position}, and a batch of [${batch.from}, ${batch.next}) came`,
        ),
      )
    }
    const committed: Promise<void>[] = []
    for (let staged = 0; ; ) {
      this.#current ??= new StagedRange(this.#context, this.#partition.staging, this.#position)
      staged = this.#current.take(batch, staged)
      this.#position = this.#current.next
      committed.push(this.#current.committed())
      if (staged === batch.count) break
      void this.flush()
    }
    return committed.length === 1 ? committed[0]! : Promise.all(committed).then(() => {})
  }

  /** Moves the lines in memory to a spill file. */
  spill(): void {
    this.#current?.spill()
  }

  get topic(): string {
    return this.#partition.tp.topic
  }

  /**
   * The time when the oldest record that is not being flushed was staged, in ms of `now`; undefined
   * if there is none.
   */
  get stagedSince(): number | undefined {
    return this.#current?.since
  }

  /** Bytes of lines that are staged and not being flushed. */
  get stagedBytes(): number {
    return this.#current?.lineBytes ?? 0
  }

  get openBuckets(): number {
    return this.#current?.buckets.length ?? 0
  }

  /**
   * Commits everything that is staged. Settles when that succeeded or failed; a failure rejects the
   * promises of `write`.
   */
  flush(): Promise<void> {
    const range = this.#current
    if (range === undefined || this.#state.is === 'failed') return this.#flushing
    this.#current = undefined
    const { memory } = this.#context
    memory.closeBuckets(range.buckets.length)
    this.#flushing = this.#flushing
      .then(() => this.#commitOrFail(range))
      .finally(() => memory.bucketsClosed(range.buckets.length))
    return this.#flushing
  }

  async #commitOrFail(range: StagedRange): Promise<void> {
    if (this.#state.is === 'writing') {
      const outcome = await commitRange(this.#context, this.#partition, range)
      if (outcome.is === 'committed') {
        range.acknowledge()
        return
      }
      this.#fail(outcome.error, outcome.owner)
    }
    await this.#discard(range)
  }

  #fail(error: ArchiverError, owner: StagingOwner): void {
    this.#stagingOwner = owner
    // It may have been closed during the commit.
    if (this.#state.is === 'writing') this.#state = { is: 'failed', error }
  }

  /** Drops a range, and what was staged after it. */
  async #discard(range: StagedRange): Promise<void> {
    await range.drop()
    if (this.#state.is === 'failed') range.reject(this.#state.error)
    await this.#discardCurrent()
  }

  async #discardCurrent(): Promise<void> {
    const range = this.#current
    if (range === undefined) return
    this.#current = undefined
    const { memory } = this.#context
    memory.closeBuckets(range.buckets.length)
    try {
      await this.#discard(range)
    } finally {
      memory.bucketsClosed(range.buckets.length)
    }
  }

  /**
   * Gives the partition up: waits for a running flush and drops the rest. The promises of dropped
   * records never settle.
   */
  async close(): Promise<void> {
    this.#state = { is: 'closed' }
    await this.#flushing
    await this.#discardCurrent()
    if (this.#stagingOwner === 'log') return
    const { tp, staging } = this.#partition
    try {
      await staging.remove()
    } catch (error) {
      this.#context.log.debug(
        {
          event: 'staging_left',
          topic: tp.topic,
          partition: tp.partition,
          ...errorFields(error),
        },
        'leaving own staging behind',
      )
    }
  }
}
