import { basename, dirname, join } from 'node:path'
import type { RecordType, TopicPartition } from '../../record/record.ts'
import { topicSegment, typeSegments } from '../../record/segment.ts'
import { isSameType } from '../../record/type-name.ts'
import { namesIn, typeOf } from '../log/commit-log.ts'
import type { ManifestFile } from '../log/manifest.ts'
import { parseDataFileName } from '../log/path.ts'

/** Which records of an archive are meant; what is absent restricts nothing. */
export interface Selection {
  readonly types?: readonly RecordType[] | undefined
  readonly topics?: readonly string[] | undefined
  readonly partitions?: readonly number[] | undefined
  /** Kafka's timestamps in ms, from this … */
  readonly from?: number | undefined
  /** … up to, and without, this. */
  readonly to?: number | undefined
}

const msPerHour = 3_600_000

/** True where a file may hold what is selected; false where its manifest says that it does not. */
export function mayHold(selection: Selection, tp: TopicPartition, file: ManifestFile): boolean {
  const { types, from, to } = selection
  if (!isSelected(selection, tp)) return false
  if (types !== undefined && !types.some((type) => isSameType(type, typeOf(file)))) return false
  return (
    (from === undefined || file.max_timestamp >= from) &&
    (to === undefined || file.min_timestamp < to)
  )
}

/** True if the time of a selection leaves out no record of a file. */
export function isWhollySelected(
  { from, to }: Selection,
  { min_timestamp: min, max_timestamp: max }: ManifestFile,
): boolean {
  return (from === undefined || min >= from) && (to === undefined || max < to)
}

/** True where a topic-partition is selected. */
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

/** The hours that may hold what is selected, in order, from the names of directories alone. */
export async function hoursOf(root: string, { types, from, to }: Selection): Promise<Hour[]> {
  const hours = new Map<string, string[]>()
  for (const type of types === undefined ? await namesIn(root) : segmentsOf(types)) {
    if (!type.startsWith('type=')) continue
    for (const day of await namesIn(join(root, type))) {
      if (!day.startsWith('dt=')) continue
      for (const hour of await namesIn(join(root, type, day))) {
        if (!hour.startsWith('hr=') || !isInTime(day.slice(3), hour.slice(3), from, to)) continue
        const key = `${day.slice(3)}/${hour.slice(3)}`
        const directories = hours.get(key) ?? []
        directories.push(`${type}/${day}/${hour}`)
        hours.set(key, directories)
      }
    }
  }
  return [...hours]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, directories]) => ({ key, directories }))
}

/** One day of the directory of a type: what one index has records of. */
export interface TypeDay {
  /** `type=readings`: the directory. */
  readonly type: string
  /** `2019-08-01` or `unknown`. */
  readonly day: string
  readonly hours: readonly Hour[]
}

/**
 * The days of all types of messages, one type after another, from the names of directories alone.
 */
export async function* typeDaysOf(root: string): AsyncGenerator<TypeDay> {
  for (const type of (await namesIn(root)).sort()) {
    if (!type.startsWith('type=') || type.startsWith('type=_')) continue
    for (const dt of (await namesIn(join(root, type))).sort()) {
      if (!dt.startsWith('dt=')) continue
      const day = dt.slice(3)
      const hours = (await namesIn(join(root, type, dt)))
        .filter((name) => name.startsWith('hr='))
        .sort()
        .map(
          (name): Hour => ({
            key: `${day}/${name.slice(3)}`,
            directories: [`${type}/${dt}/${name}`],
          }),
        )
      yield { type, day, hours }
    }
  }
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
  readonly path: string
  readonly first: number
  readonly last: number
}

/**
 * The data files of one hour, by stream: those of one type and topic-partition, in the order of
 * their offsets.
 */
export async function streamsOf(
  root: string,
  hour: Hour,
  selection: Selection,
): Promise<StreamFile[][]> {
  const topics = selection.topics?.map(topicSegment)
  const streams = new Map<string, StreamFile[]>()
  for (const directory of hour.directories) {
    for (const name of await namesIn(join(root, directory))) {
      const parsed = parseDataFileName(name)
      if (parsed === undefined || !isSelected({ topics, partitions: selection.partitions }, parsed))
        continue
      const key = `${directory}/${parsed.topic}+${parsed.partition}`
      const files = streams.get(key) ?? []
      files.push({ first: parsed.first, last: parsed.last, path: join(root, directory, name) })
      streams.set(key, files)
    }
  }
  return [...streams.values()].map(inOrder)
}

/** The files of a stream as its directory lists them now. */
export async function listStream({ path }: StreamFile): Promise<StreamFile[]> {
  const directory = dirname(path)
  const stream = parseDataFileName(basename(path))
  const files: StreamFile[] = []
  for (const name of await namesIn(directory)) {
    const parsed = parseDataFileName(name)
    if (
      parsed?.topic !== stream?.topic ||
      parsed?.partition !== stream?.partition ||
      parsed === undefined
    )
      continue
    files.push({ first: parsed.first, last: parsed.last, path: join(directory, name) })
  }
  return inOrder(files)
}

/**
 * In the order of their offsets, without those that lie inside another one: they were merged into
 * it, and are about to go.
 */
function inOrder(files: readonly StreamFile[]): StreamFile[] {
  const kept: StreamFile[] = []
  for (const file of files.toSorted((a, b) => a.first - b.first || b.last - a.last)) {
    if (file.last > (kept.at(-1)?.last ?? -1)) kept.push(file)
  }
  return kept
}
