/** A batch that a worker took, as `hook.ts` notes it. */
export interface Write {
  /** ms since 1970. */
  readonly at: number
  /** `topic/partition`. */
  readonly partition: string
  /** Which of the workers: one that is restarted keeps its number. */
  readonly slot: number
  /** Which process of that worker. */
  readonly life: number
}

export interface Window {
  /** ms since 1970. */
  readonly from: number
  readonly to: number
}

export interface Silences {
  readonly partitions: number
  /** All gaps of a partition, in seconds: the mean of the partitions. */
  readonly mean: number
  /** The longest gap, in seconds. */
  readonly longest: number
}

/** What happened in a window. */
export interface Movement {
  /** How often a partition went to another worker. */
  readonly moves: number
  /** Partitions that one process had all the time. */
  readonly kept: Silences
  /** Partitions that another process had afterwards. */
  readonly moved: Silences
}

/**
 * Records of each partition come twenty times a second, and a fetch is answered within half a
 * second. A shorter time without a batch is no silence.
 */
export const resolutionMs = 500

/** Pure. @param writes by time */
export function movementIn(writes: readonly Write[], { from, to }: Window): Movement {
  let moves = 0
  const kept: number[][] = []
  const moved: number[][] = []
  for (const ofPartition of Map.groupBy(writes, ({ partition }) => partition).values()) {
    const before = ofPartition.findLast(({ at }) => at < from)
    const within = ofPartition.filter(({ at }) => at >= from && at <= to)
    // A partition that did not exist before has no silence at its beginning.
    const all = before === undefined ? within : [before, ...within]
    if (all.length === 0) continue
    const gaps: number[] = []
    let isMoved = false
    for (const [i, one] of all.entries()) {
      const next = all[i + 1]
      const gap = (next?.at ?? to) - Math.max(one.at, from)
      if (gap > resolutionMs) gaps.push(gap / 1000)
      if (next === undefined) continue
      if (next.slot !== one.slot) moves++
      if (next.slot !== one.slot || next.life !== one.life) isMoved = true
    }
    ;(isMoved ? moved : kept).push(gaps)
  }
  return { moves, kept: silencesOf(kept), moved: silencesOf(moved) }
}

function silencesOf(partitions: readonly (readonly number[])[]): Silences {
  const sums = partitions.map((gaps) => gaps.reduce((sum, gap) => sum + gap, 0))
  return {
    partitions: partitions.length,
    mean: partitions.length === 0 ? 0 : sums.reduce((sum, one) => sum + one, 0) / partitions.length,
    longest: Math.max(0, ...partitions.flat()),
  }
}

/** Files that a window has, and how many of them come before the flush interval was over. */
export interface Files {
  readonly steady: number
  readonly extra: number
}

/** A flush is early if less than this share of the interval has passed since the last one. */
const earlyShare = 0.9

/**
 * Pure. Each flush is one file, as there is one type and one hour.
 *
 * @param flushes of each partition, in ms since 1970, in order
 */
export function filesIn(
  flushes: readonly (readonly number[])[],
  intervalMs: number,
  { from, to }: Window,
): Files {
  let steady = 0
  let extra = 0
  for (const times of flushes) {
    for (const [i, at] of times.entries()) {
      if (at < from || at > to) continue
      const before = times[i - 1]
      if (before !== undefined && at - before < intervalMs * earlyShare) extra++
      else steady++
    }
  }
  return { steady, extra }
}
