import { setImmediate } from 'node:timers/promises'

/**
 * As many at once as are worth it: ten thousand promises that wait for their turn are memory too.
 */
const lanes = 32

/**
 * Runs the task for each item, some at once. Rejects with the first failure; what is under way then
 * goes on to its end.
 */
export async function inLanes<T>(
  items: Iterable<T>,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]()
  let failed = false
  const lane = async () => {
    for (let next = rest.next(); !failed && next.done !== true; next = rest.next()) {
      try {
        await task(next.value)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}

/** Items of one turn of the event loop: some milliseconds of what a file's entry takes. */
const itemsInTurn = 1000

/** Maps items one after another, and lets others have a turn now and then. */
export async function inTurns<T, R>(items: readonly T[], map: (item: T) => R): Promise<R[]> {
  const mapped: R[] = []
  for (const item of items) {
    mapped.push(map(item))
    if (mapped.length % itemsInTurn === 0) await setImmediate()
  }
  return mapped
}
