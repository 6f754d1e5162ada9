import type { LineEncoder } from '../record/line/encoder.ts'
import type { OffsetRange, RecordBatch, TopicPartition } from '../record/record.ts'
import { ArchiverError } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { describeLostFiles, type Losses } from './loss.ts'
import type { Partition } from './partition.ts'
import type { IncompleteRange, Sink } from './sink.ts'
import type { Source } from './source.ts'
import type { Standing } from './standing.ts'

/**
 * Gives a sink again what it has lost: it committed a range, and lost files of it before the group
 * committed the offset. A partition that is opened does this first.
 *
 * If the group has committed the range, its files were in place, and somebody removed them. Then a
 * person decides: it is a loss, even if Kafka still has the records.
 */
export class Refiller {
  readonly #source: Pick<Source, 'read'>
  readonly #encoder: Pick<LineEncoder, 'encode'>
  readonly #sinks: readonly Sink[]
  readonly #losses: Losses
  readonly #log: Logger

  constructor(parts: {
    source: Pick<Source, 'read'>
    encoder: Pick<LineEncoder, 'encode'>
    sinks: readonly Sink[]
    losses: Losses
    log: Logger
  }) {
    this.#source = parts.source
    this.#encoder = parts.encoder
    this.#sinks = parts.sinks
    this.#losses = parts.losses
    this.#log = parts.log
  }

  /**
   * @returns `none` if nothing is incomplete; `some` if ranges were completed, so the sinks have
   *   another standing now; `stopped` if the partition stopped because of a loss.
   * @throws what the source or a sink threw; the caller retries.
   */
  async refill(
    partition: Partition,
    { committed, positions }: Standing,
    life: AbortSignal,
  ): Promise<'none' | 'some' | 'stopped'> {
    let isAny = false
    for (const [i, { incomplete = [] }] of positions.entries()) {
      for (const range of incomplete) {
        isAny = true
        if (!(await this.#refillRange(partition, this.#sinks[i]!, range, committed, life)))
          return 'stopped'
      }
    }
    return isAny ? 'some' : 'none'
  }

  async #refillRange(
    partition: Partition,
    sink: Sink,
    range: IncompleteRange,
    committed: number | undefined,
    life: AbortSignal,
  ): Promise<boolean> {
    const { tp } = partition
    const { from, next, lostRecords } = range
    const lost = (offsets: number, isCommitted: boolean) =>
      this.#losses.report(
        partition,
        { from, next, reason: 'file-lost' },
        describeLostFiles(range, offsets, isCommitted),
        { offsets },
      )
    const isCommitted = committed !== undefined && committed > from
    if (isCommitted && !this.#losses.goesOn) return lost(lostRecords, true)
    const { topic, partition: number } = tp
    const fields = { topic, partition: number, from, next, records: lostRecords }
    this.#log.warn({ event: 'range_reread', ...fields }, 'reading lost records from Kafka again')
    try {
      const batches = this.#batches(tp, range, life)
      const gaps = await sink.refill!(tp, range, batches, this.#losses.goesOn)
      const offsets = gaps.reduce((sum, gap) => sum + gap.next - gap.from, 0)
      return offsets === 0 || lost(offsets, false)
    } catch (error) {
      if (!(error instanceof ArchiverError) || error.code !== 'GAP') throw error
      this.#losses.report(partition, { from, next, reason: 'recreated' }, error.message, {
        offsets: lostRecords,
      })
      return false
    }
  }

  async *#batches(
    tp: TopicPartition,
    range: OffsetRange,
    life: AbortSignal,
  ): AsyncGenerator<RecordBatch> {
    for await (const batch of this.#source.read(tp, range, life)) yield this.#encoder.encode(batch)
  }
}
