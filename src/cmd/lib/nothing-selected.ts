import { CommitLog, listPartitions, typeOf } from '../../files/log/commit-log.ts'
import { isSelected, type Selection } from '../../files/read/selection.ts'
import type { ReadableHome } from '../../home/home.ts'
import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { nameOfType } from '../../record/type-name.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { standardError } from '../../runtime/standard-streams.ts'
import { readableTimestamp } from './readable.ts'

const maxNamed = 10

/**
 * Explains why a selection has no record. A name that the archive does not hold is probably
 * mistyped. A time without records, or a condition that no record meets, is a valid answer:
 * standard error says what there is.
 * @throws ArchiverError `NOT_FOUND` for a topic, partition or type that the archive does not hold,
 *    with those that it holds
 */
export async function explainNothing(
  home: ReadableHome,
  { topics, partitions, types }: Selection,
  condition?: string,
): Promise<void> {
  let candidates = await listPartitions(home)
  if (candidates.length === 0) {
    say('the archive holds no record yet')
    return
  }
  if (topics !== undefined) {
    const known = candidates
    candidates = candidates.filter(({ topic }) => topics.includes(topic))
    if (candidates.length === 0)
      throw notFound('topic', topics, [...new Set(known.map(({ topic }) => topic))])
  }
  if (partitions !== undefined) {
    const known = candidates
    candidates = candidates.filter(({ partition }) => partitions.includes(partition))
    if (candidates.length === 0)
      throw notFound('partition', partitions.map(String), known.map(partitionKey))
  }
  const held = await heldBy(home, candidates)
  if (types !== undefined && !types.some((type) => held.types.has(nameOfType(type)))) {
    throw notFound('type', types.map(nameOfType), [...held.types].sort())
  }
  say(
    held.types.size === 0
      ? 'no record of these is archived yet'
      : `no record ${condition === undefined ? 'is selected' : `fits --where ${condition}`}; there are records from ${readableTimestamp(String(held.first))} to ${readableTimestamp(String(held.last))}`,
  )
}

/**
 * Looks for a file of the selected types, up to the first one.
 * @throws ArchiverError `NOT_FOUND` if no selected partition has any of them
 */
export async function refuseUnknownTypes(home: ReadableHome, selection: Selection): Promise<void> {
  const wanted = selection.types && new Set(selection.types.map(nameOfType))
  if (wanted === undefined) return
  let isWhole = true
  for (const tp of await listPartitions(home)) {
    if (!isSelected(selection, tp)) continue
    if (tp.error !== undefined) isWhole = false
    else {
      for await (const manifest of (await CommitLog.open(home, tp)).manifests()) {
        if ('error' in manifest) isWhole = false
        else if (manifest.files.some((file) => wanted.has(nameOfType(typeOf(file))))) return
      }
    }
  }
  // What cannot be read may hold them.
  if (isWhole) await explainNothing(home, selection)
}

async function heldBy(
  home: ReadableHome,
  partitions: readonly TopicPartition[],
): Promise<{ readonly types: Set<string>; readonly first: number; readonly last: number }> {
  const types = new Set<string>()
  let first = Number.POSITIVE_INFINITY
  let last = Number.NEGATIVE_INFINITY
  for (const tp of partitions) {
    for await (const manifest of (await CommitLog.open(home, tp)).manifests()) {
      if ('error' in manifest) throw manifest.error
      for (const file of manifest.files) {
        types.add(nameOfType(typeOf(file)))
        first = Math.min(first, file.min_timestamp)
        last = Math.max(last, file.max_timestamp)
      }
    }
  }
  return { types, first, last }
}

function notFound(
  kind: string,
  wanted: readonly string[],
  known: readonly string[],
): ArchiverError {
  const there =
    known.slice(0, maxNamed).join(', ') +
    (known.length > maxNamed ? ` and ${known.length - maxNamed} more` : '')
  return new ArchiverError(
    'NOT_FOUND',
    `the archive holds no record of ${kind} ${wanted.join(', ')}${known.length === 0 ? '' : `; it has ${there}`}`,
  )
}

function say(line: string): void {
  standardError.write(`archiver: ${line}\n`)
}
