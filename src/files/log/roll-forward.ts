import type { Home } from '../../home/home.ts'
import type { TopicPartition } from '../../record/record.ts'
import type { Logger } from '../../runtime/log.ts'
import { compactedOver, type KnownHeads, type LogEntry, listLog } from './log-listing.ts'
import { type Manifest, type ManifestFile, readHashedManifest } from './manifest.ts'
import { manifestDirectory, manifestName } from './path.ts'
import { isPruned, readPruned } from './pruned.ts'

/** What completing the last flush of a partition needs. */
export interface RollForwardContext {
  readonly home: Home
  readonly log: Logger
}

/**
 * A committed range with files that are nowhere: lost between their manifest and their publication,
 * or removed since by somebody else.
 */
export interface Incomplete {
  readonly manifest: Manifest
  /** The SHA-256 of the manifest of the last flush in it: see `ChainLink`. */
  readonly head: string | undefined
  readonly missing: readonly ManifestFile[]
}

/** Where the log of a partition ends. */
export interface LogEnd extends Pick<Manifest, 'next'> {
  readonly committed: number | undefined
  /** What the next manifest has as `prev`; undefined behind a compacted manifest of format 1. */
  readonly head: string | undefined
  /** In ascending order. */
  readonly incomplete: readonly Incomplete[]
}

/** Reports that committed files are missing. */
export function reportMissing(
  log: Logger,
  { topic, partition }: TopicPartition,
  missing: readonly ManifestFile[],
): void {
  for (const { path, records } of missing) {
    log.error(
      { event: 'committed_file_missing', topic, partition, path, records },
      'a committed file is missing',
    )
  }
}

/**
 * Completes the last flush of a partition, even if another worker began it. Returns the end of the
 * log, and the committed offset in its last manifest; undefined if nothing was flushed yet.
 *
 * @param committed what the group has committed. Ranges beyond it are looked at as well: their
 *   records can still be read from Kafka again.
 * @throws ArchiverError `MANIFEST_INVALID`, or the home's error.
 */
export async function rollForward(
  context: RollForwardContext,
  tp: TopicPartition,
  known?: KnownHeads,
  committed?: number,
): Promise<LogEnd | undefined> {
  for (;;) {
    const { entries } = await listLog(context.home, tp, known)
    const last = entries.at(-1)
    if (last === undefined) return undefined
    const end = await endOf(context, tp, last, known)
    if (end === undefined) continue
    const doubtful = uncommitted(entries, committed ?? end.committed)
    const earlier: Incomplete[] = []
    for (const { from } of doubtful) {
      const flush = await publishFlush(context, tp, from, known)
      if (flush !== undefined && flush.missing.length > 0) earlier.push(flush)
    }
    return { ...end, incomplete: [...earlier, ...end.incomplete] }
  }
}

/** The flushes before the last one that end behind what the group has committed. */
function uncommitted(entries: readonly LogEntry[], committed: number | undefined): LogEntry[] {
  if (committed === undefined) return []
  return entries.filter(
    ({ compacted }, i) =>
      compacted === undefined && (entries[i + 1]?.from ?? Number.NEGATIVE_INFINITY) > committed,
  )
}

async function endOf(
  context: RollForwardContext,
  tp: TopicPartition,
  { from, compacted }: LogEntry,
  known?: KnownHeads,
): Promise<LogEnd | undefined> {
  if (compacted !== undefined) {
    const { next, committed, head } = compacted
    return { next, committed, head, incomplete: [] }
  }
  const flush = await publishFlush(context, tp, from, known)
  if (flush === undefined) return undefined
  const { manifest, head, missing } = flush
  const { next, committed } = manifest
  return { next, committed, head, incomplete: missing.length > 0 ? [flush] : [] }
}

/** Publishes a flush; undefined if it was compacted since: its files were in place. */
async function publishFlush(
  { home, log }: RollForwardContext,
  tp: TopicPartition,
  from: number,
  known?: KnownHeads,
): Promise<Incomplete | undefined> {
  const read = await readHashedManifest(home, tp, from)
  if (read === undefined) return undefined
  const { content: manifest, sha256: head } = read
  await home.confirm(`${manifestDirectory(tp)}/${manifestName(from)}`)
  const nowhere = await home.publish(manifest.files, 'files')
  if (nowhere.length === 0) return { manifest, head, missing: [] }
  if ((await compactedOver(home, tp, from, known)) !== undefined) return undefined
  const { files: pruned } = await readPruned(home, tp)
  const missing = nowhere.filter((file) => !isPruned(pruned, file))
  reportMissing(log, tp, missing)
  return { manifest, head, missing }
}
