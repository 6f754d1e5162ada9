import type { Gap, LostRange, OffsetRange } from '../record/record.ts'
import type { Logger } from '../runtime/log.ts'
import type { Partition } from './partition.ts'
import type { Identity } from './recreated.ts'
import type { LogBounds } from './source.ts'
import type { WorkerCounts } from './worker-status.ts'

/** How much a loss is. */
export interface LossExtent {
  /** Of one record that is too large. */
  readonly bytes?: number
  /** If not all offsets of the range are lost: how many. */
  readonly offsets?: number
}

/** Counts and logs what the archive does not get, and decides whether its partition goes on. */
export class Losses {
  readonly #onGap: 'stop' | 'continue'
  readonly #counts: WorkerCounts
  readonly #log: Logger

  constructor(onGap: 'stop' | 'continue', counts: WorkerCounts, log: Logger) {
    this.#onGap = onGap
    this.#counts = counts
    this.#log = log
  }

  /** True if a partition goes on behind records that are lost. */
  get goesOn(): boolean {
    return this.#onGap === 'continue'
  }

  /**
   * Records are lost before they were read, or cannot be kept. A log that ends before the archive
   * does, or is that of another topic, always stops the partition: its new records would have
   * offsets that are taken.
   *
   * @param detail what happened, for people
   * @returns true if the partition goes on behind them; else it is stopped
   */
  report(
    partition: Partition,
    gap: Gap,
    detail: string,
    { bytes, offsets = gap.next - gap.from }: LossExtent = {},
  ): boolean {
    const { topic, partition: number } = partition.tp
    const { from, next, reason } = gap
    const goesOn = reason !== 'truncated' && reason !== 'recreated' && this.goesOn
    this.#counts.lostOffsets += offsets
    this.#log.error(
      {
        event: 'records_lost',
        topic,
        partition: number,
        from,
        next,
        reason,
        ...(offsets === next - from ? {} : { offsets }),
        bytes,
        stopped: !goesOn,
        detail,
      },
      'records are lost',
    )
    if (!goesOn) partition.lost(`${detail}; ${adviceOn(reason)}`, next)
    return goesOn
  }

  /**
   * Fetched records that are damaged or too large are lost as those that retention took.
   * @returns the gap if the partition goes on behind it
   */
  reportUnkept(partition: Partition, lost: LostRange): Gap | undefined {
    const gap: Gap = { from: lost.from, next: lost.next, reason: lost.reason }
    if (lost.reason === 'oversized') this.#counts.oversizedRecords++
    const extent = lost.bytes === undefined ? {} : { bytes: lost.bytes }
    return this.report(partition, gap, lost.detail, extent) ? gap : undefined
  }

  /**
   * The group had committed an offset and has none any more. That harms nothing if the topic is the
   * same. If Kafka has no archived record any more to compare, a person must judge.
   *
   * @param committed what the group had committed
   * @param next the end of the archive
   */
  reportMissingOffset(
    { topic, partition }: { readonly topic: string; readonly partition: number },
    committed: number,
    next: number | undefined,
    { verdict }: Identity,
  ): void {
    const isSame = verdict === 'same'
    if (!isSame) this.#counts.missingGroupOffsets++
    this.#log[isSame ? 'warn' : 'error'](
      { event: 'group_offset_missing', topic, partition, committed, next, comparison: verdict },
      'the group has lost its committed offset',
    )
  }
}

const toContinue = 'start the worker with --on-gap continue to go on behind them'
const elsewhere = 'archive the topic under another --archive-dir, --group and --index-prefix'

/** What a person can do about a stopped partition. */
function adviceOn(reason: Gap['reason']): string {
  switch (reason) {
    case 'truncated':
    case 'recreated':
      return elsewhere
    case 'oversized':
      return 'start the worker with a larger --max-record-bytes, or with --on-gap continue to go on behind it'
    default:
      return toContinue
  }
}

/** What a loss is, for people. */
export function describeLoss({ from, next, reason }: Gap, { start, end }: LogBounds): string {
  if (reason === 'truncated') {
    return `the archive holds records up to offset ${next}, but Kafka's log ends at ${end}: the topic was recreated, or its log was truncated`
  }
  return `offsets ${from} to ${next - 1} are gone from Kafka before they were archived (retention); its log begins at ${start}`
}

/**
 * What the loss of committed files is, for people.
 * @param isCommitted the group has committed the range, so the files were there before
 */
export function describeLostFiles(
  { from, next }: OffsetRange,
  records: number,
  isCommitted: boolean,
): string {
  const what = `files with ${records} records of the committed offsets ${from} to ${next - 1} are gone`
  return isCommitted
    ? `${what}, and the group has committed those: somebody removed them. Restore them from a copy, or set the offset of the group back to ${from}`
    : `${what}, and Kafka does not have these records any more`
}

/** @param next the end of the archive */
export function describeRecreated(offset: number, next: number | undefined): string {
  return `Kafka's record at offset ${offset} is not the archived one: the topic was recreated, and its records below offset ${next} are not archived`
}
