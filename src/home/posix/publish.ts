import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { systemCode } from '../../runtime/errors.ts'
import { faultPoint } from '../../runtime/fault.ts'
import { inLanes } from '../../runtime/lanes.ts'
import type { CommitLabel, Publishable } from '../home.ts'
import { makeDirectory, renameOnce, syncPath } from './durable.ts'
import { requireDirectories } from './no-links.ts'

/** What acts upon many files of a root. */
export interface FilesContext {
  readonly root: string
  /** Runs a task on a file; bounds how many files are open at once. */
  readonly onFile: <T>(task: () => Promise<T>) => Promise<T>
}

/**
 * Renames committed files from staging to their final names, durably. Idempotent: files that were
 * renamed already stay. Returns the files that are neither staged nor there.
 * @throws ArchiverError `ARCHIVE_UNUSABLE` if a link is in the way; or the file system's error.
 */
export async function publish<T extends Publishable>(
  { root, onFile }: FilesContext,
  files: readonly T[],
  label: Exclude<CommitLabel, 'origin'>,
): Promise<T[]> {
  await requireDirectories(
    root,
    files.flatMap((file) => [dirname(stagedPath(file)), dirname(file.path)]),
  )
  const missing: T[] = []
  let isFirst = true
  await inLanes(files, (file) =>
    onFile(async () => {
      if (!(await publishOne(root, file))) missing.push(file)
      else if (isFirst) {
        isFirst = false
        faultPoint(`${label}.renamed-one`)
      }
    }),
  )
  faultPoint(`${label}.renamed`)
  await syncDirectories(
    { root, onFile },
    files.map(({ path }) => path),
  )
  faultPoint(`${label}.directories-synced`)
  return missing
}

/** Max retries when a prune keeps removing the directory. */
const maxTries = 10

/** False if the file is neither staged nor there. */
async function publishOne(root: string, file: Publishable): Promise<boolean> {
  const source = join(root, stagedPath(file))
  const target = join(root, file.path)
  for (let tries = 0; ; tries++) {
    try {
      await renameOnce(source, target, isThere)
      return true
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
      // Somebody else may have renamed it between the two looks.
      if (!(await isThere(source))) return await isThere(target)
      if (tries === maxTries) throw error
      await makeAgain(root, dirname(file.path))
    }
  }
}

async function makeAgain(root: string, directory: string): Promise<void> {
  try {
    await makeDirectory(root, directory)
  } catch (error) {
    // It is gone again, before it was durable.
    if (systemCode(error) !== 'ENOENT') throw error
  }
}

/**
 * Where a file is staged, relative to the root. The check of each manifest that is read rejects
 * other places.
 */
export function stagedPath(file: Publishable): string {
  if ('staged' in file) return file.staged
  throw new Error(`${file.path} is staged as an upload, and this archive is a directory`)
}

/** Fsyncs the directories of some files, each once. One that a prune removed needs no fsync. */
export async function syncDirectories(
  { root, onFile }: FilesContext,
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

/** True if a path names something; a link counts by what it points to. */
export async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}
