import type { TopicPartition } from '../record/record.ts'

/** More topics than this are counted, not named: a log line is read by people. */
const maxTopics = 100

/**
 * Partitions for a log line, a text for each topic: `orders/0-3,7`. A worker may have ten thousand,
 * and a line that names each of them has a quarter of a megabyte.
 */
export function partitionRanges(tps: readonly TopicPartition[]): string[] {
  const topics = [...Map.groupBy(tps, ({ topic }) => topic)].sort(([a], [b]) => (a < b ? -1 : 1))
  const named = topics
    .slice(0, maxTopics)
    .map(([topic, some]) => `${topic}/${ranges(some.map(({ partition }) => partition))}`)
  const more = topics.length - named.length
  return more === 0 ? named : [...named, `and ${more} more topics`]
}

function ranges(numbers: readonly number[]): string {
  const found: { readonly first: number; last: number }[] = []
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const range = found.at(-1)
    if (range !== undefined && number === range.last + 1) range.last = number
    else found.push({ first: number, last: number })
  }
  return found.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join()
}
