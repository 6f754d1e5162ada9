import { CommitLog } from '../files/log/commit-log.ts'
import { type Pruned, type PrunedStores, readPruned } from '../files/log/pruned.ts'
import type { ReadableHome } from '../home/home.ts'
import type { TopicPartition } from '../record/record.ts'
import type { Problem } from './problems.ts'

export interface CheckedNotes {
  /** The notes that can be true. The others explain nothing that is gone. */
  readonly sound: PrunedStores
  readonly problems: readonly Problem[]
}

/**
 * Compares what `pruned.json` says with what can be true: prune takes days that are over, from
 * ranges that were committed.
 *
 * @param next the end of the commit log; undefined without one
 * @param now in ms since 1970
 */
export function checkPruneNotes(
  { topic, partition }: TopicPartition,
  stores: PrunedStores,
  next: number | undefined,
  now: number,
): CheckedNotes {
  const problems: Problem[] = []
  const sound: Partial<Record<keyof PrunedStores, Pruned>> = {}
  for (const store of ['files', 'elasticsearch', 'mysql'] as const) {
    const note = stores[store]
    if (note === undefined) continue
    const claims = `pruned.json of ${topic}/${partition} claims that ${store} lost`
    if (!isDate(note.before) || note.before > now) {
      const until = isDate(note.before) ? new Date(note.before).toISOString() : `${note.before} ms`
      problems.push({
        kind: 'prune-note-invalid',
        message: `${claims} records up to ${until}, which is not over`,
      })
    } else if (note.committed_until > (next ?? 0)) {
      const end = next === undefined ? 'nothing is committed' : `the commit log ends at ${next}`
      const message = `${claims} records of offsets up to ${note.committed_until}, and ${end}`
      problems.push({ kind: 'prune-note-invalid', message })
    } else sound[store] = note
  }
  return { sound, problems }
}

/**
 * The same for an archive. Beside a worker and a prune, a note may concern a flush that was not
 * there a moment ago.
 */
export async function readSoundNotes(
  home: ReadableHome,
  tp: TopicPartition,
  next: number | undefined,
): Promise<CheckedNotes> {
  const stores = await readPruned(home, tp)
  const notes = checkPruneNotes(tp, stores, next, Date.now())
  if (notes.problems.length === 0) return notes
  const later = await (await CommitLog.open(home, tp)).next().catch(() => next)
  return checkPruneNotes(tp, stores, later, Date.now())
}

function isDate(ms: number): boolean {
  return Math.abs(ms) <= 8.64e15
}
