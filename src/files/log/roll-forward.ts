import type { Home } from '../../home/home.ts'
import type { TopicPartition } from '../../record/record.ts'
import type { Logger } from '../../runtime/log.ts'
import { compactedOver, type KnownHeads, listLog } from './log-listing.ts'
import { type Manifest, type ManifestFile, readHashedManifest } from './manifest.ts'
import { manifestDirectory, manifestName } from './path.ts'

/** What completing the last flush of a partition needs. */
export interface RollForwardContext {
  readonly home: Home
  readonly log: Logger
}

/** Where the log of a partition ends. */
export interface LogEnd extends Pick<Manifest, 'next'> {
  readonly committed: number | undefined
  /** What the next manifest has as `prev`; undefined behind a compacted manifest of format 1. */
  readonly head: string | undefined
}

/** Reports that committed files are missing. */
export function reportMissing(
  log: Logger,
  { topic, partition }: TopicPartition,
  missing: readonly ManifestFile[],
): void {
  for (const { path } of missing) {
    log.error(
      { event: 'committed_file_missing', topic, partition, path },
      'a committed file is missing',
    )
  }
}

/**
 * Completes the last flush of a partition, even if another worker began it. Returns the end of the
 * log, and the committed offset in its last manifest; undefined if nothing was flushed yet.
 *
 * @throws ArchiverError `MANIFEST_INVALID`, or the home's error.
 */
export async function rollForward(
  { home, log }: RollForwardContext,
  tp: TopicPartition,
  known?: KnownHeads,
): Promise<LogEnd | undefined> {
  for (;;) {
    const last = (await listLog(home, tp, known)).entries.at(-1)
    if (last === undefined) return undefined
    if (last.compacted !== undefined) {
      const { next, committed, head } = last.compacted
      return { next, committed, head }
    }
    const read = await readHashedManifest(home, tp, last.from)
    // It was compacted since it was listed, so its files were in place.
    if (read === undefined) continue
    const { content: manifest, sha256 } = read
    await home.confirm(`${manifestDirectory(tp)}/${manifestName(last.from)}`)
    const missing = await home.publish(manifest.files, 'files')
    const isMerged =
      missing.length > 0 && (await compactedOver(home, tp, last.from, known)) !== undefined
    if (isMerged) continue
    reportMissing(log, tp, missing)
    return { next: manifest.next, committed: manifest.committed, head: sha256 }
  }
}
