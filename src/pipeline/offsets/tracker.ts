import type { OffsetRange } from '../../record/record.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { RangeSet } from './range-set.ts'

/**
 * The records of one partition that were delivered during one life of it, and what each sink has
 * acknowledged of them.
 *
 * The rule that guards the data: **the committable offset is the end of the contiguous prefix that
 * every sink holds.** A committed offset is the next one to read, so everything below it must be
 * durable everywhere. One hole in one sink holds it back, however much lies beyond.
 *
 * A tracker ends with that life: acknowledgements after `close` have no effect, because by then
 * another worker may have read the same records and committed.
 *
 * **Invariant**: `start <= watermark(sink) <= position` for every sink, and none of them ever moves
 * backwards.
 */
export class Tracker {
  readonly start: number
  readonly #acknowledged: ReadonlyMap<string, SinkProgress>
  #position: number
  #closed = false

  /**
   * `start`: the position of the first record to be delivered; everything below it is durable in
   * every sink.
   */
  constructor(start: number, sinks: readonly string[]) {
    this.start = start
    this.#position = start
    this.#acknowledged = new Map(sinks.map((sink) => [sink, new SinkProgress(start)]))
  }

  /** The end of what was delivered: the first offset of the next batch. */
  get position(): number {
    return this.#position
  }

  get closed(): boolean {
    return this.#closed
  }

  /**
   * A batch went to all sinks.
   * @throws ArchiverError `INTERNAL` if it does not begin at the position: records were skipped or
   *   came twice.
   */
  delivered({ from, next }: OffsetRange): void {
    if (from !== this.#position || next < from) {
      throw new ArchiverError(
        'INTERNAL',
        `delivered [${from}, ${next}) at position ${this.#position}`,
      )
    }
    this.#position = next
  }

  /**
   * A sink holds a range for good.
   * @throws ArchiverError `INTERNAL` if the range was not delivered
   */
  acknowledge(sink: string, range: OffsetRange): void {
    if (this.#closed) return
    if (range.next > this.#position) {
      throw new ArchiverError(
        'INTERNAL',
        `${sink} acknowledged up to ${range.next}, delivered is ${this.#position}`,
      )
    }
    this.#progress(sink).add(range)
  }

  /** The end of the contiguous prefix that one sink holds. */
  watermark(sink: string): number {
    return this.#progress(sink).watermark
  }

  /** The end of the contiguous prefix that every sink holds. */
  get committable(): number {
    let lowest = this.#position
    for (const { watermark } of this.#acknowledged.values()) lowest = Math.min(lowest, watermark)
    return lowest
  }

  close(): void {
    this.#closed = true
  }

  #progress(sink: string): SinkProgress {
    const progress = this.#acknowledged.get(sink)
    if (progress === undefined) throw new ArchiverError('INTERNAL', `unknown sink ${sink}`)
    return progress
  }
}

/** The acknowledged offsets of one sink: a prefix, and what lies beyond a hole. */
class SinkProgress {
  watermark: number
  readonly #beyond = new RangeSet()

  constructor(start: number) {
    this.watermark = start
  }

  add(range: OffsetRange): void {
    this.#beyond.add(range)
    this.watermark = this.#beyond.endOfPrefix(this.watermark)
    this.#beyond.dropBelow(this.watermark)
  }
}
