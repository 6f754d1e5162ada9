import { sleep } from '../runtime/retry.ts'
import type { Tracker } from './offsets/tracker.ts'
import type { Partition } from './partition.ts'
import type { LogBounds } from './source.ts'

const checkMs = 25

/**
 * Resolves when every partition has reached the end that was seen at the start, and every sink has
 * stored the records before it. Also resolves at the signal.
 *
 * @param partitions those of the worker now; undefined until it has joined the group
 * @param flush has the sinks store what they hold
 */
export async function untilEnds(
  ends: ReadonlyMap<string, LogBounds>,
  partitions: () => readonly Partition[] | undefined,
  flush: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let isFlushing = false
  const haveReached = (offsetOf: (tracker: Tracker) => number) => {
    const present = partitions()
    if (present === undefined) return ends.size === 0
    return present.every((partition) => hasReached(partition, ends.get(partition.key), offsetOf))
  }
  while (await sleep(checkMs, signal)) {
    if (!haveReached(({ position }) => position)) {
      isFlushing = false
      continue
    }
    if (!isFlushing) void flush()
    isFlushing = true
    if (haveReached(({ committable }) => committable)) return
  }
}

/** A partition that stopped, or did not exist at the start, holds nothing up. */
function hasReached(
  { state, tracker }: Partition,
  bounds: LogBounds | undefined,
  offsetOf: (tracker: Tracker) => number,
): boolean {
  if (state.name === 'stopped' || bounds === undefined) return true
  return tracker !== undefined && !tracker.closed && offsetOf(tracker) >= bounds.end
}
