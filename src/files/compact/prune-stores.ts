import type { Home } from '../../home/home.ts'
import type { TopicPartition } from '../../record/record.ts'
import { CommitLog } from '../log/commit-log.ts'
import { type PrunedStores, readPruned, updatePruned } from '../log/pruned.ts'

/** A store whose records the archive's notes speak of. */
type Server = Exclude<keyof PrunedStores, 'files'>

/** What is removed from a store that is not the archive itself. */
interface Removal {
  readonly home: Home
  readonly partitions: readonly TopicPartition[]
  readonly store: Server
  /** The start of the first day that is kept, in ms. */
  readonly before: number
}

/**
 * Notes for every partition what a store is about to lose, removes it, and notes that it is gone.
 * So a reader that misses it knows why.
 */
export async function removeNoted(
  { home, partitions, store, before }: Removal,
  remove: () => Promise<void>,
): Promise<void> {
  const update = async (
    tp: TopicPartition,
    change: (noted: PrunedStores[Server]) => PrunedStores[Server],
  ) => {
    await updatePruned(home, tp, (stores) => {
      const changed = change(stores[store])
      return changed === undefined ? stores : { ...stores, [store]: changed }
    })
  }
  const wasComplete = new Set<TopicPartition>()
  for (const tp of partitions) {
    if ((await readPruned(home, tp))[store]?.complete === true) wasComplete.add(tp)
    const committedUntil = (await (await CommitLog.open(home, tp)).next()) ?? 0
    await update(tp, (noted) => ({
      before: Math.max(noted?.before ?? 0, before),
      committed_until: Math.max(noted?.committed_until ?? 0, committedUntil),
      complete: false,
    }))
  }
  await remove()
  // This prune does not complete a prune that goes further or that was interrupted on the way
  // there. A complete one stays complete.
  for (const tp of partitions) {
    await update(tp, (noted) =>
      noted !== undefined &&
      (noted.before === before || (noted.before > before && wasComplete.has(tp)))
        ? { ...noted, complete: true }
        : noted,
    )
  }
}
