import { basename, dirname } from 'node:path/posix'
import type { ReadableHome } from '../../home/home.ts'
import type { RecordType, TopicPartition } from '../../record/record.ts'
import { topicSegment, typeSegments } from '../../record/segment.ts'
import { msPerHour } from '../../record/time.ts'
import { isSameType } from '../../record/type-name.ts'
import { typeOf } from '../log/commit-log.ts'
import type { ManifestFile } from '../log/manifest.ts'
import { parseDataFileName } from '../log/path.ts'

/** Which records of an archive are meant; an absent field restricts nothing. */
export interface Selection {
  readonly types?: readonly RecordType[] | undefined
  readonly topics?: readonly string[] | undefined
  readonly partitions?: readonly number[] | undefined
  /** The min Kafka timestamp in ms. */
  readonly from?: number | undefined
  /** All Kafka timestamps are below this, in ms. */
  readonly to?: number | undefined
}

/** False if the manifest says that a file holds no selected record. */
export function mayHold(selection: Selection, tp: TopicPartition, file: ManifestFile): boolean {
  const { types, from, to } = selection
  if (!isSelected(selection, tp)) return false
  if (types !== undefined && !types.some((type) => isSameType(type, typeOf(file)))) return false
  return (
    (from === undefined || file.max_timestamp >= from) &&
    (to === undefined || file.min_timestamp < to)
  )
}

/** True if the time range of a selection includes every record of a file. */
export function isWhollySelected(
  { from, to }: Selection,
  { min_timestamp: min, max_timestamp: max }: ManifestFile,
): boolean {
  return (from === undefined || min >= from) && (to === undefined || max < to)
}

/** True if a topic-partition is selected. */
export function isSelected(
  { topics, partitions }: Selection,
  { topic, partition }: TopicPartition,
): boolean {
  return (topics?.includes(topic) ?? true) && (partitions?.includes(partition) ?? true)
}

/** One hour of an archive: the directories of the types that have it. */
export interface Hour {
  /** `2019-08-01/03`, or `unknown/unknown`: sorts by time, unknown last. */
  readonly key: string
  readonly directories: readonly string[]
}

/** The hours that may hold selected records, in order, from the names of directories alone. */
export async function hoursOf(home: ReadableHome, { types, from, to }: Selection): Promise<Hour[]> {
  const hours = new Map<string, string[]>()
  for (const parent of types === undefined ? [''] : segmentsOf(types)) {
    for await (const { day, hour, directory } of hourDirectoriesIn(home, parent)) {
      if (!isInTime(day, hour, from, to)) continue
      const key = `${day}/${hour}`
      const directories = hours.get(key) ?? []
      directories.push(directory)
      hours.set(key, directories)
    }
  }
  return [...hours]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, directories]) => ({ key, directories }))
}

/** One day of the directory of a type: the records of one index. */
export interface TypeDay {
  /** The directory: `type=readings`. */
  readonly type: string
  /** `2019-08-01` or `unknown`. */
  readonly day: string
  readonly hours: readonly Hour[]
}

/**
 * The days of all types of messages, one type after another, from the names of directories alone.
 */
export async function* typeDaysOf(home: ReadableHome): AsyncGenerator<TypeDay> {
  let current: { readonly type: string; readonly day: string; readonly hours: Hour[] } | undefined
  for await (const { type, day, hour, directory } of hourDirectoriesIn(home, '')) {
    if (type.startsWith('type=_')) continue
    if (current?.type !== type || current.day !== day) {
      if (current !== undefined) yield current
      current = { type, day, hours: [] }
    }
    current.hours.push({ key: `${day}/${hour}`, directories: [directory] })
  }
  if (current !== undefined) yield current
}

interface HourDirectory {
  /** `type=readings`. */
  readonly type: string
  readonly day: string
  readonly hour: string
  readonly directory: string
}

/** The beginnings of the segments of the directory of an hour. */
const levels = ['type=', 'dt=', 'hr=']

/** The directories of hours below one of a type, or below the root, sorted. */
async function* hourDirectoriesIn(
  home: ReadableHome,
  parent: string,
): AsyncGenerator<HourDirectory> {
  const isAboveHours = (directory: string) => {
    const segments = directory.split('/')
    return segments.length < levels.length && isNamed(segments)
  }
  for await (const directory of home.walk(parent, isAboveHours)) {
    const segments = directory.split('/')
    if (segments.length !== levels.length || !isNamed(segments)) continue
    const [type, day, hour] = segments
    yield { type: type!, day: day!.slice(3), hour: hour!.slice(3), directory }
  }
}

function isNamed(segments: readonly string[]): boolean {
  return segments.every((segment, i) => segment.startsWith(levels[i]!))
}

/**
 * The directories of types, each once. A directory of an earlier version may hold other types too.
 */
function segmentsOf(types: readonly RecordType[]): string[] {
  return [...new Set(types.flatMap(typeSegments).map((segment) => `type=${segment}`))]
}

function isInTime(
  day: string,
  hour: string,
  from: number | undefined,
  to: number | undefined,
): boolean {
  if (day === 'unknown') return from === undefined && to === undefined
  const start = Date.parse(`${day}T${hour}:00:00Z`)
  return (from === undefined || start + msPerHour > from) && (to === undefined || start < to)
}

/** A data file of a stream, by its name. */
export interface StreamFile {
  /** Relative to the root. */
  readonly path: string
  readonly first: number
  readonly last: number
}

/**
 * The data files of one hour, by stream: those of one type and topic-partition, in the order of
 * their offsets.
 */
export async function streamsOf(
  home: ReadableHome,
  hour: Hour,
  selection: Selection,
): Promise<StreamFile[][]> {
  const topics = selection.topics?.map(topicSegment)
  const streams = new Map<string, StreamFile[]>()
  for (const directory of hour.directories) {
    for await (const path of home.walk(directory, () => false)) {
      const parsed = parseDataFileName(basename(path))
      if (parsed === undefined || !isSelected({ topics, partitions: selection.partitions }, parsed))
        continue
      const key = `${directory}/${parsed.topic}+${parsed.partition}`
      const files = streams.get(key) ?? []
      files.push({ first: parsed.first, last: parsed.last, path })
      streams.set(key, files)
    }
  }
  return [...streams.values()].map(inOrder)
}

/** The files of a stream, listed again. */
export async function listStream(
  home: ReadableHome,
  { path: of }: StreamFile,
): Promise<StreamFile[]> {
  const stream = parseDataFileName(basename(of))
  const files: StreamFile[] = []
  for await (const path of home.walk(dirname(of), () => false)) {
    const parsed = parseDataFileName(basename(path))
    if (
      parsed?.topic !== stream?.topic ||
      parsed?.partition !== stream?.partition ||
      parsed === undefined
    )
      continue
    files.push({ first: parsed.first, last: parsed.last, path })
  }
  return inOrder(files)
}

/**
 * In the order of their offsets, without files inside the offsets of another one: they were merged
 * into it and are about to be removed.
 */
function inOrder(files: readonly StreamFile[]): StreamFile[] {
  const kept: StreamFile[] = []
  for (const file of files.toSorted((a, b) => a.first - b.first || b.last - a.last)) {
    if (file.last > (kept.at(-1)?.last ?? -1)) kept.push(file)
  }
  return kept
}
