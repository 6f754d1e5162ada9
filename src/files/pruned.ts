import { rename, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { systemCode } from '../errors.ts'
import type { TopicPartition } from '../record.ts'
import { CommitLog } from './catalog.ts'
import { removeIfThere, syncPath, writeDurably } from './durable.ts'
import { readJsonFile } from './json-file.ts'
import type { ManifestFile } from './manifest.ts'
import { checkPruned, invalidManifest } from './manifest-check.ts'
import { requireDirectories } from './no-links.ts'
import { manifestDirectory } from './path.ts'

export const prunedName = 'pruned.json'

/** What retention took of a topic-partition: everything of days before `before`, in ranges that were committed by then. */
export interface Pruned {
  /** The start of the first day that is kept, in ms. */
  readonly before: number
  /** Records that came later are kept, however old their timestamps are. */
  readonly committed_until: number
  /** False while it is being taken: what was to go may still be there. */
  readonly complete: boolean
}

/** `pruned.json` of a topic-partition: for each store, what was taken of it. */
export interface PrunedStores {
  readonly files?: Pruned
  readonly elasticsearch?: Pruned
  readonly mysql?: Pruned
}

const storeNames: readonly (keyof PrunedStores)[] = ['files', 'elasticsearch', 'mysql']
/** A note of three stores has some 400 bytes. */
const maxPrunedBytes = 2 ** 16

/** @throws ArchiverError `MANIFEST_INVALID` */
export async function readPruned(root: string, tp: TopicPartition): Promise<PrunedStores> {
  const path = join(root, manifestDirectory(tp), prunedName)
  const read = await readJsonFile(path, { refuse: (why) => invalidManifest(path, why), maxBytes: maxPrunedBytes })
  if (read === undefined) return {}
  checkPruned(path, storeNames, read)
  return read
}

/**
 * True where retention took a file. A file whose records have no day is never taken; nor is one into which records were merged that came
 * later.
 */
export function isPruned(pruned: Pruned | undefined, file: ManifestFile): boolean {
  if (pruned === undefined || file.last >= pruned.committed_until) return false
  return file.path.includes('/dt=unknown/') ? false : file.max_timestamp < pruned.before
}

/** What a prune takes of one topic-partition. */
export interface PrunePlan {
  readonly tp: TopicPartition
  readonly pruned: Pruned
  /** What an earlier one took completely: its files are gone. */
  readonly earlier: Pruned | undefined
  readonly files: number
  readonly records: number
  readonly bytes: number
}

/**
 * What there is of a partition from days before `before`, in ms; undefined where an earlier prune went as far. The manifest of the last
 * flush stays out of it: its files may still be on their way.
 */
export async function planPrune(root: string, tp: TopicPartition, before: number): Promise<PrunePlan | undefined> {
  const { files: noted } = await readPruned(root, tp)
  const earlier = noted?.complete === true ? noted : undefined
  if (earlier !== undefined && earlier.before >= before) return undefined
  const log = await CommitLog.open(root, tp)
  const last = log.entries.at(-1)
  if (last === undefined) return undefined
  // One that was interrupted is finished by this one, however far that was to go.
  const pruned = {
    before: Math.max(before, noted?.before ?? 0),
    committed_until: last.compacted?.next ?? last.from,
    complete: false,
  }
  let files = 0
  let records = 0
  let bytes = 0
  for await (const file of prunedFiles(log, pruned, earlier)) {
    files++
    records += file.records
    bytes += file.bytes
  }
  return { tp, pruned, earlier, files, records, bytes }
}

/** Files that one prune takes and an earlier one did not. @throws ArchiverError `MANIFEST_INVALID` */
async function* prunedFiles(log: CommitLog, pruned: Pruned, earlier: Pruned | undefined): AsyncGenerator<ManifestFile> {
  for await (const manifest of log.manifests()) {
    if ('error' in manifest) throw manifest.error
    for (const file of manifest.files) {
      if (isPruned(pruned, file) && !isPruned(earlier, file)) yield file
    }
  }
}

/** Notes, durably, what a store is about to lose of a partition: whoever finds it gone knows why. */
export async function notePruned(root: string, tp: TopicPartition, stores: PrunedStores): Promise<void> {
  const directory = join(root, manifestDirectory(tp))
  const all = { ...(await readPruned(root, tp)), ...stores }
  const beside = join(directory, `${prunedName}.new`)
  await writeDurably(beside, `${JSON.stringify(all, undefined, 1)}\n`)
  await rename(beside, join(directory, prunedName))
  await syncPath(directory)
}

/** Removes the files of a plan, and directories that are empty then. Noted first: interrupted, the next prune finishes it. */
export async function pruneFiles(root: string, { tp, pruned, earlier }: PrunePlan): Promise<void> {
  await notePruned(root, tp, { files: pruned })
  const directories = new Set<string>()
  for await (const { path } of prunedFiles(await CommitLog.open(root, tp), pruned, earlier)) {
    await requireDirectories(root, [dirname(path)])
    await removeIfThere(join(root, path))
    directories.add(dirname(path))
  }
  for (const hour of directories) {
    for (let directory = hour; directory !== '.'; directory = dirname(directory)) {
      if (!(await removeIfEmpty(join(root, directory)))) break
    }
  }
  await notePruned(root, tp, { files: { ...pruned, complete: true } })
}

async function removeIfEmpty(directory: string): Promise<boolean> {
  try {
    await rmdir(directory)
    return true
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false
    if (code === 'ENOENT') return true
    throw error
  }
}
