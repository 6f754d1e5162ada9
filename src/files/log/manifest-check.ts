import { setImmediate } from 'node:timers/promises'
import type { Staged } from '../../home/home.ts'
import {
  malformedType,
  partitionKey,
  type RecordType,
  type TopicPartition,
  untypedType,
} from '../../record/record.ts'
import { hourOf } from '../../record/time.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import type { Manifest, ManifestFile, Origin } from './manifest.ts'
import {
  dataFileName,
  hourDirectories,
  hourDirectory,
  parseDataFileName,
  stagedName,
  stagingOf,
} from './path.ts'

/**
 * An archive's root is not trusted: another client of the share, or a copy from a partner, may have
 * written its files. Names follow from topic, partition, type, hour and offsets. So each name in a
 * manifest is compared with them, and nothing else is ever opened, renamed or removed. The check
 * runs once, when a manifest is read, so no reader can forget it.
 */

/** Files that are checked in one turn of the event loop: some milliseconds. */
const filesInTurn = 1000

/** `path`: of the file that is wrong, to be named. */
export function invalidManifest(path: string, why: string): ArchiverError {
  return new ArchiverError(
    'MANIFEST_INVALID',
    `${path}: ${why}. Restore this file from a copy of the archive; verify names all that are damaged`,
    { path },
  )
}

type Fields = Readonly<Record<string, unknown>>

/** What is read: its name for people, the format that this home uses, and the topic-partition. */
export interface CheckedPlace {
  readonly path: string
  readonly format: 1 | 2
  readonly tp: TopicPartition
}

/** A whole number that is exact, from 0. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isAbsentOr(isIt: (value: unknown) => boolean, value: unknown): boolean {
  return value === undefined || isIt(value)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isSha256(value: unknown): boolean {
  return isText(value) && /^[0-9a-f]{64}$/.test(value)
}

/**
 * What a manifest's head says: everything but its lists. @throws ArchiverError `MANIFEST_INVALID`
 */
export function checkHead(
  place: CheckedPlace,
  from: number,
  generation: number | undefined,
  read: Fields,
): void {
  const fail = (why: string) => invalidManifest(place.path, why)
  checkFormat(place, read)
  checkPartition(place, read)
  if (
    read.from !== from ||
    !isCount(read.next) ||
    read.next <= from ||
    !Array.isArray(read.files)
  ) {
    throw fail(`its range [${String(read.from)}, ${String(read.next)}) does not fit its name`)
  }
  if (read.generation !== generation) {
    throw fail(`its generation ${String(read.generation)} does not fit its name`)
  }
  for (const name of ['committed', 'unmerged', 'omitted_gaps']) {
    if (!isAbsentOr(isCount, read[name])) throw fail(`its ${name} is no whole number`)
  }
  if (!isAbsentOr((value) => typeof value === 'boolean', read.closed))
    throw fail('its closed is not true or false')
  if (place.format === 2) checkLink(place, generation !== undefined, read)
}

/** The chain of format 2. */
function checkLink({ path }: CheckedPlace, isCompacted: boolean, read: Fields): void {
  if (!isText(read.nonce) || read.nonce === '') throw invalidManifest(path, 'it has no nonce')
  for (const name of isCompacted ? ['prev', 'head'] : ['prev'])
    if (!isSha256(read[name])) throw invalidManifest(path, `its ${name} is no sha256`)
}

function checkFormat({ path, format }: CheckedPlace, read: Fields): void {
  if (read.format === format) return
  throw invalidManifest(path, `its format is ${String(read.format)}, known is ${format}`)
}

function checkPartition({ path, tp }: CheckedPlace, { topic, partition }: Fields): void {
  if (topic === tp.topic && partition === tp.partition) return
  throw invalidManifest(
    path,
    `it is of ${String(topic)}/${String(partition)}, not of ${partitionKey(tp)}`,
  )
}

/**
 * What a manifest says, whole. Yields to the event loop if it lists many files.
 * @throws ArchiverError `MANIFEST_INVALID`
 */
export async function checkManifest(
  place: CheckedPlace,
  from: number,
  generation: number | undefined,
  read: Fields,
): Promise<Manifest> {
  checkHead(place, from, generation, read)
  const { path, tp } = place
  for (const name of ['worker', 'written']) {
    if (!isText(read[name])) throw invalidManifest(path, `its ${name} is no text`)
  }
  if (!isCount(read.records)) throw invalidManifest(path, 'its records is no whole number')
  const manifest = read as unknown as Manifest
  checkGaps(path, manifest, read.gaps)
  const whatIsWrongWithStaged = place.format === 1 ? wrongDirectory(tp) : wrongUpload
  let held = 0
  for (const [i, file] of manifest.files.entries()) {
    const wrong = whatIsWrong(tp, manifest, file) ?? whatIsWrongWithStaged(file)
    if (wrong !== undefined)
      throw invalidManifest(path, `file ${i + 1} of ${manifest.files.length} ${wrong}`)
    held += file.records
    if ((i + 1) % filesInTurn === 0) await setImmediate()
  }
  if (held !== manifest.records)
    throw invalidManifest(path, `it says ${manifest.records} records, its files ${held}`)
  return manifest
}

/** Ranges inside that of the manifest, in ascending order. Later versions may know more reasons. */
function checkGaps(path: string, { from, next }: Manifest, gaps: unknown): void {
  if (!Array.isArray(gaps)) throw invalidManifest(path, 'its gaps are no list')
  let behind = from
  for (const gap of gaps as (Fields | null)[]) {
    const isSane =
      isCount(gap?.from) &&
      isCount(gap.next) &&
      gap.from >= behind &&
      gap.next > gap.from &&
      gap.next <= next
    if (!isSane || !isText(gap.reason)) {
      throw invalidManifest(
        path,
        `its gap ${shown(gap)} is not behind the one before and inside its range`,
      )
    }
    behind = gap.next as number
  }
}

/** Says what is wrong with the entry of a file, except for its staged place; else undefined. */
function whatIsWrong(
  tp: TopicPartition,
  { from, next, generation }: Manifest,
  file: ManifestFile | null,
): string | undefined {
  if (typeof file !== 'object' || file === null) return 'is no entry'
  const { first, last, records, type } = file
  if (!isCount(first) || !isCount(last) || first < from || last < first || last >= next) {
    return `has offsets ${first} to ${last}, outside the range`
  }
  if (!isCount(records) || records === 0 || records > last - first + 1)
    return `has ${records} records`
  if (!isCount(file.bytes) || !isCount(file.line_bytes))
    return `has ${file.bytes} bytes of ${file.line_bytes}`
  if (!isSha256(file.sha256)) return 'has a sha256 that is none'
  if (!isAbsentOr((value) => isText(value) && value !== '', type))
    return 'has a type that is no text'
  const { min_timestamp: earliest, max_timestamp: latest } = file
  if (!Number.isFinite(earliest) || !Number.isFinite(latest) || earliest > latest) {
    return `has timestamps ${earliest} to ${latest}`
  }
  const hour = hourOf(earliest)
  if (hourOf(latest) !== hour)
    return `has timestamps of more than one hour: ${earliest} to ${latest}`
  const directory = isText(file.path) ? file.path.slice(0, file.path.lastIndexOf('/')) : ''
  const name = dataFileName(tp, first, last)
  if (!isDirectoryOf(directory, type, hour) || file.path !== `${directory}/${name}`) {
    const expected = type === undefined ? malformedType : { name: type, reserved: false }
    return `has the path ${shown(file.path)}, which should be ${hourDirectory(expected, hour)}/${name}`
  }
  if (file.replaces === undefined) return undefined
  if (generation === undefined || !Array.isArray(file.replaces))
    return 'has a replaces that does not belong there'
  const foreign = file.replaces.find((path: unknown) => !isReplaceable(tp, directory, file, path))
  return foreign === undefined
    ? undefined
    : `replaces ${shown(foreign)}, which is none of its own hour and offsets`
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isText)
}

type WrongStaged = (file: ManifestFile) => string | undefined

/** Says what is wrong with the name under which a directory staged a file of a partition. */
function wrongDirectory(tp: TopicPartition): WrongStaged {
  const staging = `${stagingOf(tp)}/`
  return (file) => {
    const staged = 'staged' in file ? file.staged : undefined
    if (isStaged(staging, file.first, staged)) return undefined
    return `has the staged path ${shown(staged)}, which should be ${staging}<worker>/${stagedName(file.first)}`
  }
}

/** Says what is wrong with the open upload of a file. */
function wrongUpload(file: Staged): string | undefined {
  const upload: Fields | null | undefined = 'upload' in file ? file.upload : undefined
  const { id, parts, checksums } = upload ?? {}
  const isSane =
    isText(id) &&
    id !== '' &&
    isTexts(parts) &&
    parts.length > 0 &&
    isAbsentOr((value) => isTexts(value) && value.length === parts.length, checksums)
  return isSane ? undefined : `has the upload ${shown(upload)}, which has no id or no parts`
}

function isDirectoryOf(directory: string, type: string | undefined, hour: number): boolean {
  const types: readonly RecordType[] =
    type === undefined ? [malformedType, untypedType] : [{ name: type, reserved: false }]
  return types.some(
    (one) =>
      hourDirectory(one, hour) === directory || hourDirectories(one, hour).includes(directory),
  )
}

/**
 * True for `_staging/<topic>/<partition>/<one segment>/<first>.part`: where a flush or a compaction
 * stages.
 */
function isStaged(staging: string, first: number, path: unknown): boolean {
  if (!isText(path) || !path.startsWith(staging)) return false
  const segments = path.slice(staging.length).split('/')
  const [worker] = segments
  const isName = worker !== '' && worker !== '.' && worker !== '..' && !worker!.includes('\0')
  return segments.length === 2 && isName && segments[1] === stagedName(first)
}

/**
 * True for another data file of the same directory and partition, with offsets that the merged file
 * has.
 */
function isReplaceable(
  tp: TopicPartition,
  directory: string,
  { path, first, last }: ManifestFile,
  other: unknown,
): boolean {
  if (!isText(other) || other === path || !other.startsWith(`${directory}/`)) return false
  const name = other.slice(directory.length + 1)
  const parsed = parseDataFileName(name)
  if (parsed === undefined || name !== dataFileName(tp, parsed.first, parsed.last)) return false
  return first <= parsed.first && parsed.first <= parsed.last && parsed.last <= last
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 200)
}

/** @throws ArchiverError `MANIFEST_INVALID` */
export function checkOrigin(place: CheckedPlace, read: Fields): Origin {
  checkFormat(place, read)
  if (!isCount(read.offset)) throw invalidManifest(place.path, 'it has no offset')
  checkPartition(place, read)
  return read as unknown as Origin
}

/** What `pruned.json` says, store by store. @throws ArchiverError `MANIFEST_INVALID` */
export function checkPruned(path: string, stores: readonly string[], read: Fields): void {
  for (const store of stores) {
    const pruned = read[store] as Fields | null | undefined
    if (pruned === undefined) continue
    const isSane =
      Number.isSafeInteger(pruned?.before) &&
      isCount(pruned?.committed_until) &&
      typeof pruned.complete === 'boolean'
    if (!isSane)
      throw invalidManifest(
        path,
        `its ${store} is ${shown(pruned)}, not a date, an offset and a state`,
      )
  }
}
