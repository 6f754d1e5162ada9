import type { DocumentReader } from '../elasticsearch/read/reader.ts'
import { documentId } from '../elasticsearch/sink/part.ts'
import { type OffsetRange, rangeOf, type TopicPartition } from '../record/record.ts'

/** Ids of one search. */
const idsAtOnce = 1000

/**
 * Documents that are there under their ids, though no search finds them by topic, partition and
 * offset. `missing`: the offsets that no search found.
 *
 * @returns the index of each, by offset. If none of a thousand ids is there, it asks no further:
 *   documents are missing then, and not hidden.
 */
export async function hiddenDocuments(
  reader: DocumentReader,
  tp: TopicPartition,
  missing: readonly OffsetRange[],
): Promise<ReadonlyMap<number, string>> {
  const hidden = new Map<number, string>()
  for (const offsets of inParts(missing)) {
    const ids = new Map(offsets.map((offset) => [documentId(tp, offset), offset]))
    const found = await reader.indicesOf([...ids.keys()])
    if (found.length === 0) break
    for (const { id, index } of found) hidden.set(ids.get(id)!, index)
  }
  return hidden
}

function* inParts(ranges: readonly OffsetRange[]): Generator<number[]> {
  let part: number[] = []
  for (const { from, next } of ranges) {
    for (let offset = from; offset < next; offset++) {
      part.push(offset)
      if (part.length < idsAtOnce) continue
      yield part
      part = []
    }
  }
  if (part.length > 0) yield part
}

/** The ranges without some offsets. */
export function without(
  ranges: readonly OffsetRange[],
  offsets: ReadonlyMap<number, unknown>,
): readonly OffsetRange[] {
  if (offsets.size === 0) return ranges
  const left: { from: number; next: number }[] = []
  for (const { from, next } of ranges) {
    for (let offset = from; offset < next; offset++) {
      if (offsets.has(offset)) continue
      const last = left.at(-1)
      if (last !== undefined && last.next === offset && offset > from) last.next++
      else left.push({ ...rangeOf(offset) })
    }
  }
  return left
}
