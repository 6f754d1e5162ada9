import type { Home, ReadableHome } from '../../home/home.ts'
import type { RecordType, TopicPartition } from '../../record/record.ts'
import { CommitLog, hourOfFile, typeOf } from '../log/commit-log.ts'
import type { ManifestFile } from '../log/manifest.ts'
import { isPruned, type Pruned, readPruned, updatePruned } from '../log/pruned.ts'

/** Files that are removed together. */
const removedAtOnce = 1000

/** What a prune takes of one topic-partition. */
export interface PrunePlan {
  readonly tp: TopicPartition
  /** What this prune takes, and nothing else. */
  readonly taking: Pick<Pruned, 'before' | 'committed_until'>
  readonly files: number
  readonly records: number
  readonly bytes: number
  /**
   * Old files that stay because they are of the last flush or hold records of it. They may not be
   * published yet.
   */
  readonly ofLastFlush: number
  /** An earlier prune with a later date was interrupted. Its remaining files stay for now. */
  readonly interrupted: { readonly before: number; readonly files: number } | undefined
}

/**
 * The records of a partition from days before `before`, in ms; undefined if an earlier prune went
 * further. Without `before`: what an interrupted prune left. The manifest of the last flush is left
 * out: its files may not be published yet.
 * @throws ArchiverError `MANIFEST_INVALID`
 */
export async function planPrune(
  home: ReadableHome,
  tp: TopicPartition,
  before: number | undefined,
): Promise<PrunePlan | undefined> {
  const { files: noted } = await readPruned(home, tp)
  if (noted?.complete === true && (before === undefined || noted.before > before)) return undefined
  const open = noted?.complete === false ? noted : undefined
  const date = before ?? open?.before
  if (date === undefined) return undefined
  const log = await CommitLog.open(home, tp)
  const last = log.entries.at(-1)
  if (last === undefined) return undefined
  const taking = { before: date, committed_until: last.compacted?.next ?? last.from }
  const left = { files: 0 }
  const sum = { files: 0, records: 0, bytes: 0, ofLastFlush: 0 }
  for await (const file of filesOf(log)) {
    const isTaken = isPruned({ ...taking, complete: false }, file)
    if (!isTaken && !isPruned(open, file)) {
      if (isPruned({ ...taking, committed_until: Number.POSITIVE_INFINITY, complete: false }, file))
        sum.ofLastFlush++
      continue
    }
    if (noted !== undefined && isPruned(noted, file) && !(await isThere(home, file))) continue
    if (!isTaken) {
      left.files++
      continue
    }
    sum.files++
    sum.records += file.records
    sum.bytes += file.bytes
  }
  const interrupted =
    open !== undefined && open.before > date ? { before: open.before, ...left } : undefined
  return { tp, taking, ...sum, interrupted }
}

/** @throws ArchiverError `MANIFEST_INVALID` */
async function* filesOf(log: CommitLog): AsyncGenerator<ManifestFile> {
  for await (const manifest of log.manifests()) {
    if ('error' in manifest) throw manifest.error
    yield* manifest.files
  }
}

/**
 * Removes the files of a plan, and directories that are empty then. It writes the note first, so a
 * reader that misses a file knows why. The note is complete once all files that it names are gone.
 * If a prune is interrupted, the next one with the same or a later date continues it.
 */
export async function pruneFiles(
  home: Home,
  { tp, taking }: Pick<PrunePlan, 'tp' | 'taking'>,
): Promise<void> {
  await updatePruned(home, tp, ({ files: noted, ...others }) => ({
    ...others,
    files: begun(noted, taking),
  }))
  let names: string[] = []
  for await (const file of filesOf(await CommitLog.open(home, tp))) {
    if (!isPruned({ ...taking, complete: false }, file)) continue
    names.push(file.path)
    if (names.length < removedAtOnce) continue
    await home.remove(names, { emptied: true })
    names = []
  }
  await home.remove(names, { emptied: true })
  const { files: noted } = await readPruned(home, tp)
  if (noted === undefined || noted.complete || (await isAnythingLeft(home, tp, noted))) return
  await updatePruned(home, tp, (stores) => {
    const { files } = stores
    // Another prune may have begun meanwhile. It completes what it takes itself.
    const isSame = files?.before === noted.before && files.committed_until === noted.committed_until
    return isSame ? { ...stores, files: { ...noted, complete: true } } : stores
  })
}

/**
 * The note while this prune runs. It covers what another prune or an interrupted one may have
 * removed already.
 */
function begun(
  noted: Pruned | undefined,
  taking: Pick<Pruned, 'before' | 'committed_until'>,
): Pruned {
  return {
    before: Math.max(noted?.before ?? 0, taking.before),
    committed_until: Math.max(noted?.committed_until ?? 0, taking.committed_until),
    complete: false,
  }
}

async function isAnythingLeft(
  home: ReadableHome,
  tp: TopicPartition,
  noted: Pruned,
): Promise<boolean> {
  for await (const file of filesOf(await CommitLog.open(home, tp))) {
    if (isPruned(noted, file) && (await isThere(home, file))) return true
  }
  return false
}

/**
 * True if retention took a file. Files that an interrupted prune did not reach are still there, and
 * nothing may hide them.
 */
export async function isTaken(
  home: ReadableHome,
  pruned: Pruned | undefined,
  file: ManifestFile,
): Promise<boolean> {
  if (!isPruned(pruned, file)) return false
  return pruned!.complete || !(await isThere(home, file))
}

async function isThere(home: ReadableHome, { path }: ManifestFile): Promise<boolean> {
  return (await home.stat(path)) !== undefined
}

/**
 * Types and hours whose records a partition holds or held, each day and type once. @throws
 * ArchiverError `MANIFEST_INVALID`
 */
export async function* typesByDay(
  home: ReadableHome,
  tp: TopicPartition,
): AsyncGenerator<{ readonly type: RecordType; readonly hour: number }> {
  const seen = new Set<string>()
  for await (const file of filesOf(await CommitLog.open(home, tp))) {
    const day = file.path.slice(0, file.path.lastIndexOf('/hr='))
    if (seen.has(day)) continue
    seen.add(day)
    yield { type: typeOf(file), hour: hourOfFile(file) }
  }
}
