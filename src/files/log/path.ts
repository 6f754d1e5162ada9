import type { RecordType, TopicPartition } from '../../record/record.ts'
import { topicSegment, typeSegment, typeSegments } from '../../record/segment.ts'
import { dayOf, hourOfDay, isoDay, unknownHour } from '../../record/time.ts'

/**
 * Every name inside an archive, in one place. All are relative to the archive's root, with `/`
 * between segments. Spark and Hive skip what begins with `_`.
 */

export const archiveMarker = '_archive.json'
/** In a place to which an archive is being copied: nothing reads it or writes it but `copy`. */
export const copyNote = `${archiveMarker}.copy`
export const manifestsDirectory = '_manifests'
export const stagingDirectory = '_staging'
export const originName = 'origin.json'

/** An offset with 20 digits, so that names sort by offset. */
export function offsetDigits(offset: number): string {
  return String(offset).padStart(20, '0')
}

/** `type=object.one/dt=2019-08-01/hr=03`: the directory of one type and hour. */
export function hourDirectory(type: RecordType, hour: number): string {
  return `type=${typeSegment(type)}/${hourSegments(hour)}`
}

/**
 * Every directory in which an archive may hold a type and hour: that of `hourDirectory`, then that
 * of earlier versions.
 */
export function hourDirectories(type: RecordType, hour: number): readonly string[] {
  return typeSegments(type).map((segment) => `type=${segment}/${hourSegments(hour)}`)
}

function hourSegments(hour: number): string {
  if (hour === unknownHour) return 'dt=unknown/hr=unknown'
  return `dt=${isoDay(dayOf(hour))}/hr=${hourOfDay(hour)}`
}

/** `events+3+00000000000000120045-00000000000000121044.jsonl.gz`. */
export function dataFileName(tp: TopicPartition, first: number, last: number): string {
  return `${topicSegment(tp.topic)}+${tp.partition}+${offsetDigits(first)}-${offsetDigits(last)}.jsonl.gz`
}

/** What a data file's name says; undefined for any other name. */
export function parseDataFileName(
  name: string,
): { topic: string; partition: number; first: number; last: number } | undefined {
  const match = /^(.+)\+(\d+)\+(\d{20})-(\d{20})\.jsonl\.gz$/.exec(name)
  if (match === null) return undefined
  return {
    topic: match[1]!,
    partition: Number(match[2]),
    first: Number(match[3]),
    last: Number(match[4]),
  }
}

/** The commit log of one topic-partition. */
export function manifestDirectory({ topic, partition }: TopicPartition): string {
  return `${manifestsDirectory}/${topicSegment(topic)}/${partition}`
}

/** Where archiving of a topic-partition began. */
export function originOf(tp: TopicPartition): string {
  return `${manifestDirectory(tp)}/${originName}`
}

export function manifestName(from: number): string {
  return `${offsetDigits(from)}.json`
}

/** The `from` in a manifest's name; undefined for any other name. */
export function parseManifestName(name: string): number | undefined {
  const match = /^(\d{20})\.json$/.exec(name)
  return match === null ? undefined : Number(match[1])
}

/**
 * A compacted manifest. Of several that begin at the same offset, the highest generation is in
 * force.
 */
export interface CompactedName {
  readonly from: number
  /** Counted up from 1. */
  readonly generation: number
}

/** What the names of all compacted manifests begin with, and no other names of a log. */
export const compactedBeginning = 'compacted-'

export function compactedName({ from, generation }: CompactedName): string {
  return `${compactedBeginning}${offsetDigits(from)}-${generation}.json`
}

/** What the name of a compacted manifest says; undefined for any other name. */
export function parseCompactedName(name: string): CompactedName | undefined {
  const match = /^compacted-(\d{20})-([1-9]\d*)\.json$/.exec(name)
  return match === null ? undefined : { from: Number(match[1]), generation: Number(match[2]) }
}

/** Everything that any worker stages for one topic-partition. */
export function stagingOf({ topic, partition }: TopicPartition): string {
  return `${stagingDirectory}/${topicSegment(topic)}/${partition}`
}

/**
 * A staged file, when only its first offset is known. It does not end in `.jsonl.gz`, so no glob
 * takes it for data.
 */
export function stagedName(first: number): string {
  return `${offsetDigits(first)}.part`
}

/** Where lines of the range that begins at an offset wait while memory is short. */
export function spillName(from: number): string {
  return `${offsetDigits(from)}.spill`
}

/** What the names of all staging of compactions begin with. */
export const compactionBeginning = 'compaction-'

/**
 * Where a compaction stages, below `stagingOf`. The name says for which manifest, so only staging
 * that no manifest can name any more is removed.
 */
export function compactionStaging({ from, generation }: CompactedName, unique: string): string {
  return `${compactionBeginning}${offsetDigits(from)}-${generation}-${unique}`
}

/** For which manifest a directory of `compactionStaging` is; undefined for any other name. */
export function parseCompactionStaging(name: string): CompactedName | undefined {
  const match = /^compaction-(\d{20})-([1-9]\d*)-/.exec(name)
  return match === null ? undefined : { from: Number(match[1]), generation: Number(match[2]) }
}
