import { type Gap, partitionKey, type TopicPartition } from '../record/record.ts'
import type { Partition } from './partition.ts'
import type { Sink, SinkPosition } from './sink.ts'
import type { LogBounds, Source } from './source.ts'

/** The positions of the group, the sinks and Kafka in a partition that is opened. */
export interface Standing {
  /** What the group has committed; undefined if it has no offset. */
  readonly committed: number | undefined
  readonly positions: readonly SinkPosition[]
  /** Where to begin if nobody knows. */
  readonly fallback: number
  /**
   * Of Kafka's log, and not older than the positions: a worker that still believes to own the
   * partition may have archived meanwhile.
   */
  readonly bounds: LogBounds
}

/** What is known of a partition before it is open, for status lines. */
export type KnownOfOpening = Partial<Pick<Partition, 'committed' | 'resumesAt' | 'highWatermark'>>

/**
 * Asks the group, the sinks and Kafka, in this order: so the end of the log is not older than what
 * they hold.
 *
 * @param latest where a partition that nobody knows begins, if not at its first record
 * @param learn hears of each answer
 * @throws what a sink or Kafka threw; the caller retries
 */
export async function askStanding(
  tp: TopicPartition,
  source: Pick<Source, 'bounds' | 'committedOffsets'>,
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
  const committed = (await source.committedOffsets([tp])).get(key)
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
 * Pure. A loss may stop the partition for good, so the caller judges it once more by younger
 * answers.
 */
export function judge({ committed, positions, fallback, bounds }: Standing): Judgement {
  const start = startOffset(positions, committed, fallback)
  // Not only the start: one sink may be behind, and the other would take new records for those that
  // it holds.
  const furthest = Math.max(start, committed ?? 0, ...positions.map(({ next }) => next ?? 0))
  if (furthest > bounds.end)
    return { start, loss: { from: bounds.end, next: furthest, reason: 'truncated' } }
  if (start < bounds.start)
    return { start, loss: { from: start, next: bounds.start, reason: 'retention' } }
  return { start, loss: undefined }
}

/**
 * Where to begin: the lowest position of all sinks. A sink that does not know its position relies
 * on the group's committed offset. If that is gone, it relies on what another sink wrote down of
 * it, then on where archiving began, then on `fallback`.
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

/** The first that a sink knows, in the order of the sinks. */
export function firstKnown(
  positions: readonly SinkPosition[],
  pick: (position: SinkPosition) => number | undefined,
): number | undefined {
  return positions.map(pick).find((offset) => offset !== undefined)
}
