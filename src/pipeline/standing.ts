import PQueue from 'p-queue'
import type { Gap, TopicPartition } from '../record/record.ts'
import type { Partition } from './partition.ts'
import type { Questions } from './questions.ts'
import type { Sink, SinkPosition } from './sink.ts'
import type { LogBounds } from './source.ts'

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
 * How many partitions the sinks open at once. More are not faster, and each may hold a manifest in
 * memory.
 */
const openAtOnce = 32

/** Finds the positions of partitions: in the sinks, in the group and in Kafka. */
export class Standings {
  readonly #questions: Questions
  readonly #sinks: readonly Sink[]
  readonly #lanes = new PQueue({ concurrency: openAtOnce })

  constructor(questions: Questions, sinks: readonly Sink[]) {
    this.#questions = questions
    this.#sinks = sinks
  }

  /**
   * Asks the group, the sinks and Kafka, in this order: so the end of the log is not older than
   * what they hold. Partitions that ask at the same time share their questions to Kafka.
   *
   * @param latest where a partition that nobody knows begins, if not at its first record
   * @param learn hears of each answer
   * @throws what a sink or Kafka threw; the caller retries
   */
  async of(
    tp: TopicPartition,
    latest: number | undefined,
    learn: (known: KnownOfOpening) => void,
  ): Promise<Standing> {
    const boundsNow = async () => {
      const bounds = await this.#questions.bounds(tp)
      if (bounds === undefined) throw new Error('Kafka does not know it')
      learn({ highWatermark: bounds.end })
      return bounds
    }
    const committed = await this.#questions.committedOffset(tp)
    learn({ committed })
    const fallback = committed ?? Math.max((await boundsNow()).start, latest ?? 0)
    learn({ resumesAt: fallback })
    let positions: readonly SinkPosition[]
    try {
      positions = await this.#lanes.add(() => this.#openSinks(tp, fallback, committed))
    } catch (error) {
      // Its lag grows, however long the sink cannot take it.
      await boundsNow()
      throw error
    }
    return { committed, positions, fallback, bounds: await boundsNow() }
  }

  async #openSinks(
    tp: TopicPartition,
    fallback: number,
    committed: number | undefined,
  ): Promise<readonly SinkPosition[]> {
    const positions: SinkPosition[] = []
    for (const sink of this.#sinks) positions.push(await sink.open(tp, fallback, committed))
    return positions
  }
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
