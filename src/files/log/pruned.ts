import type { Home, ReadableHome } from '../../home/home.ts'
import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { readJsonFile } from './json-file.ts'
import type { ManifestFile } from './manifest.ts'
import { checkPruned, invalidManifest } from './manifest-check.ts'
import { manifestDirectory } from './path.ts'

export const prunedName = 'pruned.json'

/**
 * What retention took of a topic-partition: everything of days before `before`, in ranges that were
 * committed by then.
 */
export interface Pruned {
  /** The start of the first day that is kept, in ms. */
  readonly before: number
  /** Records that came later are kept, however old their timestamps are. */
  readonly committed_until: number
  /** False while a prune takes it: some of it may still be there. */
  readonly complete: boolean
}

/** `pruned.json` of a topic-partition: for each store, what was taken of it. */
export interface PrunedStores {
  readonly files?: Pruned
  readonly elasticsearch?: Pruned
  readonly mysql?: Pruned
}

/** How often the note was written; absent in one that an earlier version wrote. */
interface PrunedNote extends PrunedStores {
  readonly version?: number
}

const storeNames: readonly (keyof PrunedStores)[] = ['files', 'elasticsearch', 'mysql']
/** A note of three stores has some 400 bytes. */
const maxPrunedBytes = 2 ** 16
/** Each try finds a note that somebody else wrote meanwhile. */
const maxTries = 1000

/**
 * What was taken of a topic-partition: the newest note in its directory.
 * @throws ArchiverError `MANIFEST_INVALID`
 */
export async function readPruned(home: ReadableHome, tp: TopicPartition): Promise<PrunedStores> {
  const { version: _, ...stores } = await newestNote(home, tp)
  return stores
}

/**
 * True if retention took a file, or was about to. It never takes a file whose records have no day,
 * nor a merged file that holds records that came later.
 */
export function isPruned(pruned: Pruned | undefined, file: ManifestFile): boolean {
  if (pruned === undefined || file.last >= pruned.committed_until) return false
  return file.path.includes('/dt=unknown/') ? false : file.max_timestamp < pruned.before
}

/**
 * Changes the note of a topic-partition durably, so a reader that misses records knows why. Safe
 * while others do the same. A note is numbered, and its number is created exclusively. If two start
 * from the same note, one of them starts again. `pruned.json` is a copy of the newest note.
 * `change` may be called again, also with its own result.
 */
export async function updatePruned(
  home: Home,
  tp: TopicPartition,
  change: (noted: PrunedStores) => PrunedStores,
): Promise<void> {
  const directory = manifestDirectory(tp)
  for (let tries = 0; tries < maxTries; tries++) {
    const { version = 0, ...noted } = await newestNote(home, tp)
    const next: PrunedNote = { version: version + 1, ...change(noted) }
    const name = `${directory}/${noteName(version + 1)}`
    const content = `${JSON.stringify(next, undefined, 1)}\n`
    if (!(await home.create(name, content))) continue
    // A number becomes free once a higher one exists. If this one was free for that reason, a look
    // at the notes finds the higher one, and this starts again.
    const [newest] = await noteVersions(home, tp)
    if (newest !== version + 1) {
      await home.remove([name])
      continue
    }
    await home.replace(`${directory}/${prunedName}`, content)
    const older = (await noteVersions(home, tp)).filter((found) => found <= version)
    await home.remove(older.map((number) => `${directory}/${noteName(number)}`))
    return
  }
  throw new ArchiverError(
    'MANIFEST_INVALID',
    `${partitionKey(tp)}: ${prunedName} changes as fast as it is read`,
  )
}

const noteBeginning = 'pruned-'

function noteName(version: number): string {
  return `${noteBeginning}${String(version).padStart(10, '0')}.json`
}

/** The numbers of the notes of a topic-partition, the highest first. */
async function noteVersions(home: ReadableHome, tp: TopicPartition): Promise<number[]> {
  const names = await home.list(manifestDirectory(tp), noteBeginning)
  return names
    .flatMap((name) => {
      const digits = /^pruned-(\d{10})\.json$/.exec(name)?.[1]
      return digits === undefined ? [] : [Number(digits)]
    })
    .sort((a, b) => b - a)
}

/** The note with the highest number; one of an earlier version, `pruned.json` alone, has none. */
async function newestNote(home: ReadableHome, tp: TopicPartition): Promise<PrunedNote> {
  const directory = manifestDirectory(tp)
  for (const version of await noteVersions(home, tp)) {
    const numbered = await readNote(home, `${directory}/${noteName(version)}`)
    if (numbered !== undefined) return { ...numbered, version }
  }
  return (await readNote(home, `${directory}/${prunedName}`)) ?? {}
}

async function readNote(home: ReadableHome, name: string): Promise<PrunedNote | undefined> {
  const path = home.locate(name)
  const read = await readJsonFile(home, name, {
    refuse: (why) => invalidManifest(path, why),
    maxBytes: maxPrunedBytes,
  })
  if (read === undefined) return undefined
  checkPruned(path, storeNames, read)
  return read as PrunedNote
}
