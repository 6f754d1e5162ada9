import { setImmediate } from 'node:timers/promises'

/** More at once is not faster, and ten thousand waiting promises cost memory. */
const lanes = 32

/**
 * Runs the task for each item, several at once. Rejects with the first failure; tasks that are
 * running then still finish.
 */
export async function inLanes<T>(
  items: Iterable<T>,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]()
  let failed = false
  const lane = async (first: IteratorResult<T>) => {
    for (let next = first; !failed && next.done !== true; next = rest.next()) {
      try {
        await task(next.value)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const running: Promise<void>[] = []
  while (running.length < lanes) {
    const first = rest.next()
    if (first.done === true) break
    running.push(lane(first))
  }
  await Promise.all(running)
}

/** Items in one turn of the event loop: some milliseconds for the entries of files. */
const itemsInTurn = 1000

/** Maps items one after another, and yields to other tasks regularly. */
export async function inTurns<T, R>(items: readonly T[], map: (item: T) => R): Promise<R[]> {
  const mapped: R[] = []
  for (const item of items) {
    mapped.push(map(item))
    if (mapped.length % itemsInTurn === 0) await setImmediate()
  }
  return mapped
}
