import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ArchiverError, messageOf, systemCode } from '../errors.ts'
import type { OffsetRange, TopicPartition } from '../record.ts'
import type { ManifestFile } from './manifest.ts'
import { manifestDirectory } from './path.ts'

export const prunedName = 'pruned.json'

/** What retention took of a topic-partition: everything of days before `before`, in ranges that were committed by then. */
export interface Pruned {
  /** The start of the first day that is kept, in ms. */
  readonly before: number
  /** Records that came later are kept, however old their timestamps are. */
  readonly committed_until: number
}

/** `pruned.json` of a topic-partition: for each store, what was taken of it. */
export interface PrunedStores {
  readonly files?: Pruned
  readonly elasticsearch?: Pruned
}

/** @throws ArchiverError `MANIFEST_INVALID` */
export async function readPruned(root: string, tp: TopicPartition): Promise<PrunedStores> {
  const path = join(root, manifestDirectory(tp), prunedName)
  try {
    return JSON.parse(await readFile(path, 'utf8')) as PrunedStores
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return {}
    throw new ArchiverError('MANIFEST_INVALID', `${path}: ${messageOf(error)}`, { path }, error)
  }
}

/** True where retention took a file of a manifest. A file whose records have no day is never taken. */
export function isPruned(pruned: Pruned | undefined, manifest: OffsetRange, file: ManifestFile): boolean {
  if (pruned === undefined || manifest.from >= pruned.committed_until) return false
  return file.path.includes('/dt=unknown/') ? false : file.max_timestamp < pruned.before
}
