import { IndexNames } from '../elasticsearch/index-name.ts'
import { type DocumentReader, mostOffsetsAtOnce } from '../elasticsearch/read/reader.ts'
import { hourOfFile, typeOf } from '../files/log/commit-log.ts'
import type { ManifestFile } from '../files/log/manifest.ts'
import type { RowReader } from '../mysql/reader.ts'
import { rangeOf, type TopicPartition } from '../record/record.ts'

/** How much of a file a store holds, as far as it can be told without reading the file. */
export type Coverage = 'none' | 'some' | 'all'

/**
 * Which records of a partition a store holds already, by their very offsets: a restore sends the
 * others. A number of records alone says nothing, for one that is missing and one too many cancel
 * each other out.
 */
export interface Presence {
  /** `all` only if each offset of the file's range is the file's, and the store has each. */
  coverageOf(file: ManifestFile): Promise<Coverage>
  /** Those of some offsets of a file that the store holds. */
  held(file: ManifestFile, offsets: readonly number[]): Promise<ReadonlySet<number>>
}

/** With an offset in every place and none twice, the same number is the same set. */
const isDense = (file: ManifestFile) => file.records === file.last - file.first + 1

/** Offsets of one question: a list in a request, and one in its answer. */
const offsetsAtOnce = 10_000

async function heldInParts(
  offsets: readonly number[],
  ask: (part: readonly number[]) => Promise<ReadonlySet<number>>,
): Promise<ReadonlySet<number>> {
  const held = new Set<number>()
  for (let start = 0; start < offsets.length; start += offsetsAtOnce) {
    for (const offset of await ask(offsets.slice(start, start + offsetsAtOnce))) held.add(offset)
  }
  return held
}

/**
 * Documents in the index of their own type and day, or in that to which an earlier version sent the
 * type. A record that only the rejected index has counts as missing: it is sent again, and the
 * index takes it if its mapping was mended.
 */
export class DocumentPresence implements Presence {
  readonly #reader: DocumentReader
  readonly #names: IndexNames
  readonly #tp: TopicPartition
  #hasAny: Promise<boolean> | undefined

  constructor(reader: DocumentReader, indexPrefix: string, tp: TopicPartition) {
    this.#reader = reader
    this.#names = new IndexNames(indexPrefix)
    this.#tp = tp
  }

  #indicesOf(file: ManifestFile): string {
    return this.#names.every(typeOf(file), hourOfFile(file)).join(',')
  }

  async coverageOf(file: ManifestFile): Promise<Coverage> {
    // The common case is an index that is new: one question a partition instead of one a file.
    this.#hasAny ??= this.#reader.total(this.#tp, {}).then((documents) => documents > 0)
    if (!(await this.#hasAny)) return 'none'
    const indices = this.#indicesOf(file)
    const range = rangeOf(file.first, file.last)
    const documents = await this.#reader.total(this.#tp, range, undefined, indices)
    if (documents === 0) return 'none'
    if (documents !== file.records || !isDense(file)) return 'some'
    for (let { from } = range; from < range.next; from += mostOffsetsAtOnce) {
      const next = Math.min(range.next, from + mostOffsetsAtOnce)
      const counted = await this.#reader.count(this.#tp, { from, next }, undefined, indices)
      if (counted.documents !== next - from || counted.doubled.size > 0) return 'some'
    }
    return 'all'
  }

  held(file: ManifestFile, offsets: readonly number[]): Promise<ReadonlySet<number>> {
    return heldInParts(offsets, (part) => this.#reader.held(this.#tp, part, this.#indicesOf(file)))
  }
}

/** Rows: the primary key holds a position once. */
export class RowPresence implements Presence {
  readonly #reader: RowReader
  readonly #tp: TopicPartition

  constructor(reader: RowReader, tp: TopicPartition) {
    this.#reader = reader
    this.#tp = tp
  }

  async coverageOf(file: ManifestFile): Promise<Coverage> {
    const rows = await this.#reader.count(this.#tp, rangeOf(file.first, file.last))
    if (rows === 0) return 'none'
    return isDense(file) && rows === file.records ? 'all' : 'some'
  }

  held(_file: ManifestFile, offsets: readonly number[]): Promise<ReadonlySet<number>> {
    return heldInParts(offsets, (part) => this.#reader.held(this.#tp, part))
  }
}
