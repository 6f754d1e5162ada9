import type { Home, ReadableHome } from '../../home/home.ts'
import type { TopicPartition } from '../../record/record.ts'
import { pruneFiles } from '../compact/prune.ts'
import { type Pruned, type PrunedStores, readPruned, updatePruned } from '../log/pruned.ts'

interface Places {
  readonly source: ReadableHome
  readonly target: Home
}

/**
 * Tells the target what retention took of the source, before a manifest there names a file that is
 * gone.
 *
 * @returns what was taken of the files.
 */
export async function copyNotes(
  { source, target }: Places,
  tp: TopicPartition,
): Promise<Pruned | undefined> {
  const taken = await readPruned(source, tp)
  const { files, ...others } = taken
  if (Object.keys(taken).length === 0) return undefined
  const noted = await readPruned(target, tp)
  const change = (present: PrunedStores): PrunedStores => ({
    ...present,
    ...others,
    // The target may still have files of it.
    ...(files === undefined || covers(present.files, files)
      ? {}
      : { files: { ...files, complete: false } }),
  })
  if (JSON.stringify(change(noted)) !== JSON.stringify(noted))
    await updatePruned(target, tp, change)
  return files
}

/** Removes at the target what retention has removed at the source since it was copied. */
export async function finishPrune(
  { target }: Places,
  tp: TopicPartition,
  taken: Pruned | undefined,
): Promise<void> {
  if (taken?.complete !== true) return
  const { files: noted } = await readPruned(target, tp)
  if (noted?.complete !== true) await pruneFiles(target, { tp, taking: taken })
}

function covers(noted: Pruned | undefined, taken: Pruned): boolean {
  return (
    noted !== undefined &&
    noted.before >= taken.before &&
    noted.committed_until >= taken.committed_until
  )
}
