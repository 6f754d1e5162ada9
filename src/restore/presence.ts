import { IndexNames } from '../elasticsearch/index-name.ts'
import type { FindableIndices } from '../elasticsearch/read/findable.ts'
import { type DocumentReader, maxOffsetsAtOnce } from '../elasticsearch/read/reader.ts'
import { hourOfFile, typeOf } from '../files/log/commit-log.ts'
import type { ManifestFile } from '../files/log/manifest.ts'
import type { RowReader } from '../mysql/reader.ts'
import { rangeOf, type TopicPartition } from '../record/record.ts'
import { ArchiverError } from '../runtime/errors.ts'

/** How much of a file a store holds, as far as that shows without reading the file. */
export type Coverage = 'none' | 'some' | 'all'

/**
 * Which records of a partition a store already holds, by their offsets: a restore sends the others.
 * A count alone proves nothing, because a missing record and a surplus one cancel out.
 */
export interface Presence {
  /** `all` only if the file has every offset of its range, and the store holds each of them. */
  coverageOf(file: ManifestFile): Promise<Coverage>
  /** The offsets of a file, among these, that the store holds. */
  held(file: ManifestFile, offsets: readonly number[]): Promise<ReadonlySet<number>>
}

/** Without holes and duplicates, an equal count means an equal set. */
const isDense = (file: ManifestFile) => file.records === file.last - file.first + 1

/** Offsets in one request, and in its answer. */
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
 * Documents in the index of their type and day, or in the one that an earlier version used for the
 * type. A record that only the rejected index holds counts as missing: it is sent again, and the
 * index accepts it if its mapping was repaired.
 */
export class DocumentPresence implements Presence {
  readonly #reader: DocumentReader
  readonly #names: IndexNames
  readonly #tp: TopicPartition
  readonly #findable: FindableIndices
  #hasAny: Promise<boolean> | undefined

  constructor(
    reader: DocumentReader,
    findable: FindableIndices,
    indexPrefix: string,
    tp: TopicPartition,
  ) {
    this.#reader = reader
    this.#findable = findable
    this.#names = new IndexNames(indexPrefix)
    this.#tp = tp
  }

  #indicesOf(file: ManifestFile): string {
    return this.#names.every(typeOf(file), hourOfFile(file)).join(',')
  }

  /** @throws ArchiverError `TARGET_UNFIT` for an index whose documents nobody would find */
  async coverageOf(file: ManifestFile): Promise<Coverage> {
    await this.#checkFindable(this.#names.of(typeOf(file), hourOfFile(file)))
    // An index is usually new: then one request a partition is enough, instead of one a file.
    this.#hasAny ??= this.#reader.total(this.#tp, {}).then((documents) => documents > 0)
    if (!(await this.#hasAny)) return 'none'
    const indices = this.#indicesOf(file)
    const range = rangeOf(file.first, file.last)
    const documents = await this.#reader.total(this.#tp, range, undefined, indices)
    if (documents === 0) return 'none'
    if (documents !== file.records || !isDense(file)) return 'some'
    for (let { from } = range; from < range.next; from += maxOffsetsAtOnce) {
      const next = Math.min(range.next, from + maxOffsetsAtOnce)
      const counted = await this.#reader.count(this.#tp, { from, next }, undefined, indices)
      if (counted.documents !== next - from || counted.doubled.size > 0) return 'some'
    }
    return 'all'
  }

  held(file: ManifestFile, offsets: readonly number[]): Promise<ReadonlySet<number>> {
    return heldInParts(offsets, (part) => this.#reader.held(this.#tp, part, this.#indicesOf(file)))
  }

  async #checkFindable(index: string): Promise<void> {
    const why = await this.#findable.whyNot(index)
    if (why === undefined) return
    throw new ArchiverError(
      'TARGET_UNFIT',
      `index ${index} was made without the archiver's templates: ${why}, so nobody finds a record in it by its position. Delete the index, and restore again: the files have its records`,
      { index },
    )
  }
}

/** Rows: a position exists once in the primary key. */
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
