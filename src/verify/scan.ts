import { IndexNames } from '../elasticsearch/index-name.ts'
import type { DocumentReader } from '../elasticsearch/read/reader.ts'
import { originalLineOf } from '../elasticsearch/rejected.ts'
import { documentId } from '../elasticsearch/sink/part.ts'
import { LineHead } from '../record/line/head.ts'
import { marks, partitionField, timeFieldBytes } from '../record/line/layout.ts'
import { malformedType, partitionKey, type TopicPartition, untypedType } from '../record/record.ts'
import { dayOf, hourOf, unknownHour } from '../record/time.ts'

import { LineSums } from './line-sums.ts'

/** Which documents of a partition are compared. */
export interface ComparedPart extends TopicPartition {
  /** Offsets below this. */
  readonly end: number
  /** Kafka timestamps of this and later, in ms; undefined: all. */
  readonly since: number | undefined
}

/** A document that is not where its record belongs: it has another `_id`, or another index. */
export interface MisplacedDocument {
  readonly offset: number
  readonly index: string
  readonly id: string
}

/** All documents of one partition. */
export interface ScannedDocuments {
  /** Of the documents that are where they belong. */
  readonly sums: LineSums
  readonly misplaced: readonly MisplacedDocument[]
}

interface Entry {
  readonly part: ComparedPart
  readonly sums: LineSums
  readonly misplaced: MisplacedDocument[]
}

/** Misplaced documents of a partition that are reported. */
const maxMisplaced = 1000

/**
 * Reads all documents of some partitions, by `partitionKey`. Documents are read in the order in
 * which the engine keeps them, which is a hundred times as fast as asking for them one by one.
 */
export async function scanDocuments(
  reader: DocumentReader,
  parts: readonly ComparedPart[],
  {
    topics,
    indexPrefix,
  }: { readonly topics: readonly string[] | undefined; readonly indexPrefix: string },
  onProgress: (documents: number) => void,
): Promise<ReadonlyMap<string, ScannedDocuments>> {
  const entries = new Map<string, Entry>()
  const scanned = new Map<string, ScannedDocuments>()
  for (const part of parts) {
    const entry = { part, sums: new LineSums(), misplaced: [] }
    entries.set(partitionField(part), entry)
    scanned.set(partitionKey(part), entry)
  }
  const head = new LineHead()
  const places = new Places(indexPrefix)
  let documents = 0
  for await (const { index, isRejected, hits } of reader.scan(topics)) {
    for (const { id, source } of hits) {
      const line = isRejected ? originalLineOf(source) : source
      if (line === undefined || !head.read(line, 0)) continue
      const start = line.indexOf(marks.kafka)
      const entry =
        start === -1 ? undefined : entries.get(line.toString('latin1', start, head.offsetAt))
      if (entry === undefined || head.offset >= entry.part.end) continue
      const { part, sums, misplaced } = entry
      if (part.since !== undefined && head.timestamp >= 0 && head.timestamp < part.since) continue
      const { offset, timestamp } = head
      if (
        id === documentId(part, offset) &&
        places.has(index, line.toString('latin1', 0, start), timestamp)
      ) {
        sums.add(offset, line)
      } else if (misplaced.length < maxMisplaced) misplaced.push({ offset, index, id })
    }
    documents += hits.length
    onProgress(documents)
  }
  return scanned
}

/** Which indices a line may be in, remembered by its type and day. */
class Places {
  readonly #names: IndexNames
  readonly #known = new Map<string, ReadonlySet<string>>()

  constructor(indexPrefix: string) {
    this.#names = new IndexNames(indexPrefix)
  }

  /** True when the index may hold a line that begins like this, up to `"kafka"`. */
  has(index: string, beginning: string, timestamp: number): boolean {
    const hour = hourOf(timestamp)
    const type = hour === unknownHour ? beginning : beginning.slice(timeFieldBytes)
    const key = `${dayOf(hour)} ${type}`
    let known = this.#known.get(key)
    if (known === undefined) {
      const ofTypes = this.#typesOf(type).flatMap((one) => this.#names.every(one, hour))
      const rebuilt = ofTypes.map((name) => this.#names.rebuilt(name))
      known = new Set([...ofTypes, ...rebuilt, this.#names.rejected(hour)])
      if (this.#known.size >= 10_000) this.#known.clear()
      this.#known.set(key, known)
    }
    // A rebuild numbers the indices that it makes.
    return known.has(index) || known.has(index.replace(/\d+$/, ''))
  }

  /** The types that `"type":"…",` may mean. Without it, only the value tells which it is. */
  #typesOf(field: string) {
    const text = /"type":("(?:[^"\\]|\\.)*"),$/s.exec(field)?.[1]
    if (text === undefined) return [malformedType, untypedType]
    return [
      { name: JSON.parse(Buffer.from(text, 'latin1').toString('utf8')) as string, reserved: false },
    ]
  }
}
