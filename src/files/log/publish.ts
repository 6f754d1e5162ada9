import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { TopicPartition } from '../../record/record.ts'
import { systemCode } from '../../runtime/errors.ts'
import { type FaultPoint, faultPoint } from '../../runtime/fault.ts'
import { inLanes } from '../../runtime/lanes.ts'
import type { Logger } from '../../runtime/log.ts'
import { makeDirectory, renameOnce, syncPath } from '../fs/durable.ts'
import { requireDirectories } from '../fs/no-links.ts'
import { compactedOver, type KnownHeads, listLog } from './log-listing.ts'
import { type Manifest, type ManifestFile, readManifest } from './manifest.ts'
import { manifestDirectory } from './path.ts'

export interface PublishContext {
  readonly root: string
  /** Runs a task on a file; bounds how many files are open at once. */
  readonly onFile: <T>(task: () => Promise<T>) => Promise<T>
}

/**
 * Where the chaos tests break a publication: behind the first file, behind the last, behind the
 * directories.
 */
export type PublishPoints = readonly [FaultPoint, FaultPoint, FaultPoint]

/**
 * Renames committed files from staging to where readers look, durably. Idempotent: what was renamed
 * already is there. Returns the files that are neither staged nor there.
 * @throws ArchiverError `ARCHIVE_UNUSABLE` if a link is in the way; or the file system's error.
 */
export async function publish(
  { root, onFile }: PublishContext,
  files: readonly ManifestFile[],
  points: PublishPoints,
): Promise<ManifestFile[]> {
  await requireDirectories(
    root,
    files.flatMap(({ staged, path }) => [dirname(staged), dirname(path)]),
  )
  const missing: ManifestFile[] = []
  let isFirst = true
  await inLanes(files, (file) =>
    onFile(async () => {
      const source = join(root, file.staged)
      const target = join(root, file.path)
      try {
        await renameOnce(source, target, isThere)
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw error
        if (!(await isThere(source))) {
          // Somebody else may have renamed it between the two looks.
          if (!(await isThere(target))) missing.push(file)
          return
        }
        await makeDirectory(root, dirname(file.path))
        await renameOnce(source, target, isThere)
      }
      if (isFirst) {
        isFirst = false
        faultPoint(points[0])
      }
    }),
  )
  faultPoint(points[1])
  await syncDirectories(
    { root, onFile },
    files.map(({ path }) => path),
  )
  faultPoint(points[2])
  return missing
}

/** Fsyncs the directories of some files, each once; one that a prune removed needs none. */
export async function syncDirectories(
  { root, onFile }: PublishContext,
  paths: readonly string[],
): Promise<void> {
  await inLanes(new Set(paths.map((path) => dirname(path))), (directory) =>
    onFile(async () => {
      try {
        await syncPath(join(root, directory))
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw error
      }
    }),
  )
}

export async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

/** What publishing the last flush of a partition is told with. */
export interface RollForwardContext extends PublishContext {
  readonly log: Logger
}

const flushPoints: PublishPoints = [
  'files.renamed-one',
  'files.renamed',
  'files.directories-synced',
]

/**
 * Step 3 of a flush: every file of its manifest under its final name. Returns those that are
 * nowhere.
 */
export function publishFlush(context: PublishContext, manifest: Manifest): Promise<ManifestFile[]> {
  return publish(context, manifest.files, flushPoints)
}

/** Says that committed files are nowhere. */
export function tellMissing(
  log: Logger,
  { topic, partition }: TopicPartition,
  missing: readonly ManifestFile[],
): void {
  for (const { path } of missing) {
    log.error(
      { topic, partition, path },
      `${path} is committed and is not there: somebody removed it; restore it from a copy of the archive`,
    )
  }
}

/**
 * Completes the last flush of a partition, whoever began it. Returns where the log ends, and what
 * its last manifest says was committed; undefined where nothing was flushed yet.
 *
 * @throws ArchiverError `MANIFEST_INVALID`, or the file system's error.
 */
export async function rollForward(
  context: RollForwardContext,
  tp: TopicPartition,
  known?: KnownHeads,
): Promise<{ readonly next: number; readonly committed?: number | undefined } | undefined> {
  for (;;) {
    const last = (await listLog(context.root, tp, known)).entries.at(-1)
    if (last?.compacted !== undefined || last === undefined) return last?.compacted
    const manifest = await readManifest(context.root, tp, last.from)
    // Compacted since it was listed: then its files were in place.
    if (manifest === undefined) continue
    // Its writer may have ended before this; a file must not outlive its manifest in a power cut.
    await syncPath(join(context.root, manifestDirectory(tp)))
    const missing = await publishFlush(context, manifest)
    if (
      missing.length > 0 &&
      compactedOver(await listLog(context.root, tp, known), last.from) !== undefined
    )
      continue
    tellMissing(context.log, tp, missing)
    return manifest
  }
}
