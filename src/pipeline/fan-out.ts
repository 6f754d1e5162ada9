import type { OffsetRange, RecordBatch } from '../record/record.ts'
import { faultPoint } from '../runtime/fault.ts'
import type { Tracker } from './offsets/tracker.ts'
import type { Opener } from './opening.ts'
import type { Partition } from './partition.ts'
import type { Sink } from './sink.ts'
import type { WorkerCounts } from './worker-status.ts'

/** What is kept of a batch until it is acknowledged: its offsets, records and bytes. */
interface DeliveredRange extends OffsetRange {
  readonly count: number
  readonly bytes: number
}

/** Looks at batches on their way, and takes no part in their acknowledgement. */
export interface BatchWatch {
  /**
   * Copies what it needs of the lines.
   * @returns what is called once every sink holds the batch; undefined: nothing is
   */
  delivered(batch: RecordBatch): (() => void) | undefined
}

/** Gives each batch to every sink, and the partition's tracker what each sink acknowledges. */
export class FanOut {
  readonly #sinks: readonly Sink[]
  readonly #keepers: number
  readonly #opener: Opener
  readonly #counts: WorkerCounts
  readonly #watch: BatchWatch | undefined

  constructor(parts: {
    sinks: readonly Sink[]
    opener: Opener
    counts: WorkerCounts
    watch?: BatchWatch | undefined
  }) {
    this.#sinks = parts.sinks
    this.#keepers = parts.sinks.filter(({ keepsLines }) => keepsLines).length
    this.#opener = parts.opener
    this.#counts = parts.counts
    this.#watch = parts.watch
  }

  /**
   * Does not wait for the sinks. If one fails, the partition is opened again.
   * @throws ArchiverError `INTERNAL` if the batch does not begin at the position of the tracker
   */
  deliver(partition: Partition, tracker: Tracker, batch: RecordBatch): void {
    tracker.delivered(batch)
    this.#counts.records += batch.count
    this.#counts.bytes += batch.lines.length
    // Files acknowledge only at their flush: what waits for that keeps the range, and not the
    // lines.
    const range = {
      from: batch.from,
      next: batch.next,
      count: batch.count,
      bytes: batch.lines.length,
    }
    const letGo = afterCalls(this.#keepers, batch.free)
    const held = this.#watch?.delivered(batch)
    const writes: Promise<void>[] = []
    for (const sink of this.#sinks) {
      const written = sink.write(batch)
      if (held !== undefined) writes.push(written)
      this.#follow(written, partition, tracker, sink, range)
      // After a failure the sink may still read them: they are left to the garbage collector.
      if (sink.keepsLines) written.then(letGo, () => {})
    }
    // A batch that a sink lost is read again, and watched again.
    if (held !== undefined) Promise.all(writes).then(held, () => {})
    letGo()
  }

  #follow(
    written: Promise<void>,
    partition: Partition,
    tracker: Tracker,
    sink: Sink,
    range: DeliveredRange,
  ): void {
    written.then(
      () => this.#acknowledged(partition, tracker, sink, range),
      (error: unknown) => this.#opener.reopen(partition, tracker, error),
    )
  }

  #acknowledged(partition: Partition, tracker: Tracker, sink: Sink, range: DeliveredRange): void {
    if (tracker.closed) return
    const before = tracker.committable
    tracker.acknowledge(sink.name, range)
    // Only what all sinks hold is progress: one that works must not hurry the retries of one that
    // does not.
    if (tracker.committable > before) partition.progressed()
    const { acknowledged, acknowledgedBytes } = this.#counts
    acknowledged.set(sink.name, acknowledged.get(sink.name)! + range.count)
    acknowledgedBytes.set(sink.name, acknowledgedBytes.get(sink.name)! + range.bytes)
    faultPoint('worker.acknowledged')
  }
}

/** What calls an action when it is called once more than this many times. */
function afterCalls(count: number, action: (() => void) | undefined): () => void {
  let calls = 0
  return () => {
    if (calls++ === count) action?.()
  }
}
