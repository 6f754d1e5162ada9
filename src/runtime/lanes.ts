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

/** The results of `mapAhead` together. */
export async function mapInLanes<T, R>(
  items: Iterable<T>,
  lanesAtOnce: number,
  task: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  for await (const result of mapAhead(items, lanesAtOnce, task)) results.push(result)
  return results
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

/**
 * Maps items and gives the results in order, while the tasks of the next `ahead` items run already.
 * At its end, whoever ends it, no task is running any more.
 */
export async function* mapAhead<T, R>(
  items: Iterable<T>,
  ahead: number,
  task: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const rest = items[Symbol.iterator]()
  const running: Promise<R>[] = []
  const fill = () => {
    while (running.length < ahead) {
      const next = rest.next()
      if (next.done === true) return
      running.push(awaitedLater(task(next.value)))
    }
  }
  try {
    for (fill(); running.length > 0; fill()) yield await running.shift()!
  } finally {
    await Promise.allSettled(running)
  }
}

/**
 * The same for items that come one after another. An error of their source comes behind the results
 * of the items before it.
 */
export async function* mapStreamAhead<T, R>(
  items: AsyncIterable<T>,
  ahead: number,
  task: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const rest = items[Symbol.asyncIterator]()
  const running: Promise<R>[] = []
  let failure: { readonly error: unknown } | undefined
  const nextItem = () =>
    rest.next().catch((error: unknown) => {
      failure = { error }
      return { done: true, value: undefined } as const
    })
  try {
    for (let next = await nextItem(); next.done !== true; next = await nextItem()) {
      running.push(awaitedLater(task(next.value)))
      if (running.length > ahead) yield await running.shift()!
    }
    while (running.length > 0) yield await running.shift()!
    if (failure !== undefined) throw failure.error
  } finally {
    await rest.return?.()
    await Promise.allSettled(running)
  }
}

/** Its failure is thrown when its turn comes, and is no unhandled one until then. */
export function awaitedLater<T>(result: Promise<T>): Promise<T> {
  result.catch(() => undefined)
  return result
}
