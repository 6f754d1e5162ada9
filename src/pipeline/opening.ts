import {
  type Gap,
  type GapReason,
  partitionKey,
  type SourceRecord,
  type TopicPartition,
} from '../record/record.ts'
import { type Identity, identify } from './recreated.ts'
import type { Sink, SinkPosition } from './sink.ts'
import type { LogBounds, Source } from './source.ts'

/** Where everybody stands in a partition that is opened. */
export interface Standing {
  /** What the group has committed; undefined if it has no offset. */
  readonly committed: number | undefined
  readonly positions: readonly SinkPosition[]
  /** Where to begin if nobody knows. */
  readonly fallback: number
  /**
   * Of Kafka's log, not older than the positions: who still believes to own the partition may have
   * archived meanwhile.
   */
  readonly bounds: LogBounds
}

/** What is known of a partition before it is open, for status lines. */
export interface KnownOfOpening {
  committed?: number | undefined
  resumesAt?: number
  highWatermark?: number
}

/**
 * Asks the group, the sinks and Kafka, in this order: so the end of the log is not older than what
 * they hold.
 *
 * @param latest where a partition begins of which nobody knows anything, if not at its first record
 * @param learn hears of each answer
 * @throws what a sink or Kafka threw; the caller tries again
 */
export async function askStanding(
  tp: TopicPartition,
  source: Source,
  sinks: readonly Sink[],
  latest: number | undefined,
  learn: (known: KnownOfOpening) => void,
): Promise<Standing> {
  const key = partitionKey(tp)
  const boundsNow = async () => {
    const bounds = (await source.bounds([tp.topic])).get(key)
    if (bounds === undefined) throw new Error('Kafka does not know it')
    learn({ highWatermark: bounds.end })
    return bounds
  }
  const committed = (await source.committed([tp])).get(key)
  learn({ committed })
  const fallback = committed ?? Math.max((await boundsNow()).start, latest ?? 0)
  learn({ resumesAt: fallback })
  const positions: SinkPosition[] = []
  try {
    for (const sink of sinks) positions.push(await sink.open(tp, fallback))
  } catch (error) {
    // Its lag grows, however long the sink cannot take it.
    await boundsNow()
    throw error
  }
  return { committed, positions, fallback, bounds: await boundsNow() }
}

/** Where a partition begins, and what is lost before it. */
export interface Judgement {
  readonly start: number
  readonly loss: Gap | undefined
}

/**
 * Pure. A loss may stop the partition for good: to be judged once more by younger answers before
 * that.
 */
export function judge({ committed, positions, fallback, bounds }: Standing): Judgement {
  const start = startOffset(positions, committed, fallback)
  // Not only the start: one sink may stand further back, and the other would take new records for
  // those that it holds.
  const furthest = Math.max(start, committed ?? 0, ...positions.map(({ next }) => next ?? 0))
  if (furthest > bounds.end)
    return { start, loss: { from: bounds.end, next: furthest, reason: 'truncated' } }
  if (start < bounds.start)
    return { start, loss: { from: start, next: bounds.start, reason: 'retention' } }
  return { start, loss: undefined }
}

/**
 * Where to begin: the lowest of where the sinks stand. A sink that does not know relies on the
 * group's committed offset, or, if that is gone, on what another sink wrote down of it, then on
 * where archiving began, at the last on `fallback`.
 */
export function startOffset(
  positions: readonly SinkPosition[],
  committed: number | undefined,
  fallback: number,
): number {
  const relied =
    committed ??
    firstKnown(positions, (position) => position.committed) ??
    firstKnown(positions, (position) => position.origin) ??
    fallback
  return Math.min(
    ...positions.map(({ next }) => next ?? relied),
    committed ?? Number.POSITIVE_INFINITY,
  )
}

export function firstKnown(
  positions: readonly SinkPosition[],
  pick: (position: SinkPosition) => number | undefined,
): number | undefined {
  return positions.map(pick).find((offset) => offset !== undefined)
}

/**
 * Holds the last records that a sink knows of against Kafka's. One partition at a time: after a
 * group lost its offsets thousands are opened at once, and each check keeps a piece of a file in
 * memory.
 */
export class IdentityCheck {
  readonly #sinks: readonly Sink[]
  readonly #source: Pick<Source, 'records'>
  #last: Promise<unknown> = Promise.resolve()

  constructor(sinks: readonly Sink[], source: Pick<Source, 'records'>) {
    this.#sinks = sinks
    this.#source = source
  }

  /** @param start the first offset that Kafka still has */
  of(tp: TopicPartition, start: number): Promise<Identity> {
    const answer = this.#last.then(() => this.#identify(tp, start))
    this.#last = answer.catch(() => {})
    return answer
  }

  async #identify(tp: TopicPartition, start: number): Promise<Identity> {
    let archived: readonly SourceRecord[] = []
    for (const sink of this.#sinks)
      if (archived.length === 0) archived = (await sink.lastRecords?.(tp)) ?? []
    return identify(archived, start, (offset) => this.#source.records(tp, offset))
  }
}

/** What a loss is, for people. `end` is where Kafka's log ends, `start` where it begins. */
export function describeLoss({ from, next, reason }: Gap, { start, end }: LogBounds): string {
  if (reason === 'truncated') {
    return `the archive holds records up to offset ${next}, but Kafka's log ends at ${end}: the topic was deleted and made again, or its log was truncated`
  }
  return `offsets ${from} to ${next - 1} are gone from Kafka before they were archived (retention); its log begins at ${start}`
}

export function describeRecreated(offset: number, next: number | undefined): string {
  return `Kafka's record at offset ${offset} is not the one that is archived: the topic was deleted and made again, and its records below offset ${next} are not archived`
}

export function adviceFor(reason: GapReason): string {
  if (reason === 'oversized')
    return 'Start with a larger --max-record-bytes to keep it, or with --on-gap continue to go on behind it'
  return reason === 'truncated' || reason === 'recreated'
    ? 'Archive the new topic under another --archive-dir, --group and --index-prefix, or give the topic another name'
    : 'Start with --on-gap continue to go on behind them'
}

/**
 * What a group without an offset means. `before` is what it had committed, `next` where the archive
 * ends.
 */
export function describeForgotten(
  tp: TopicPartition,
  before: number,
  next: number | undefined,
  { verdict }: Identity,
): string {
  const what = `${partitionKey(tp)}: the group has no offset, and had committed ${before}: its offsets expired or were deleted`
  return verdict === 'same'
    ? `${what}, which loses nothing: Kafka has the last archived records still`
    : `${what}, which loses nothing, or the topic was deleted and made again, and its records below offset ${next} are not archived. Kafka does not have the last archived records any more, so they cannot be compared. Archive a topic that was made again under another --archive-dir, --group and --index-prefix`
}
