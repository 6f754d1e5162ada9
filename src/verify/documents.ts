import { isDeepStrictEqual } from 'node:util'
import { IndexNames } from '../elasticsearch/index-name.ts'
import { parseDocuments, type StoredDocument, sameUntil } from '../elasticsearch/read/raw-answer.ts'
import { type DocumentReader, maxOffsetsAtOnce } from '../elasticsearch/read/reader.ts'
import { documentId } from '../elasticsearch/sink/part.ts'
import { LF } from '../record/ascii.ts'
import { decodeLine, envelopeOfLine, valueOfLine } from '../record/line/decoder.ts'
import { type OffsetRange, rangeOf, type TopicPartition } from '../record/record.ts'
import type { CheckedLines } from './file-lines.ts'
import { hiddenDocuments, without } from './hidden-documents.ts'
import type { OffsetBitmap } from './offset-bitmap.ts'
import { describeOffsets, type Problems } from './problems.ts'
import type { StoreCheck } from './store-check.ts'

/** Documents of one multi-get, and the bytes of their lines. */
const getDocuments = 1000
const getBytes = 4 * 2 ** 20
const maxPlaces = 20
/** When this many documents of a partition differ, the rest is not compared. */
const maxChanged = 100

export interface DocumentsCheckOptions {
  readonly reader: DocumentReader
  readonly indexPrefix: string
  readonly tp: TopicPartition
  readonly problems: Problems
  /** Only documents from this time on are compared, in ms: a store has pruned what is older. */
  readonly since: number | undefined
}

interface LineAtOffset {
  readonly offset: number
  readonly line: Buffer
}

/** Compares the documents of a topic-partition with what its files hold. */
export class DocumentsCheck implements StoreCheck {
  readonly #options: DocumentsCheckOptions
  readonly #names: IndexNames
  #changed = 0

  constructor(options: DocumentsCheckOptions) {
    this.#options = options
    this.#names = new IndexNames(options.indexPrefix)
  }

  /**
   * Counts a range. Asks for the very offsets when the count is not that of the files, or when it
   * could hide one missing document behind a superfluous one. Returns the number of documents.
   */
  async compare(range: OffsetRange, held: OffsetBitmap): Promise<number> {
    const { reader, tp, since } = this.#options
    let documents = 0
    for (const part of held.partsOf(range, maxOffsetsAtOnce)) {
      if (part.isEmpty) {
        const found = await reader.total(tp, part, since)
        documents += found
        if (found > 0) await this.#reportExtra(part, found)
        continue
      }
      const expected = held.countIn(part)
      const count = await reader.count(tp, part, since)
      documents += count.documents
      // When every offset of a range has a record and none is doubled, equal numbers are equal
      // sets.
      const isWhole = expected === part.next - part.from
      if (isWhole && count.documents === expected && count.doubled.size === 0) continue
      await this.#bisect(part, held)
    }
    return documents
  }

  /** The same when only the number of records in the files is known. */
  async compareNumber(range: OffsetRange, records: number): Promise<number> {
    const { reader, tp, problems, since } = this.#options
    const documents = await reader.total(tp, range, since)
    if (documents !== records) {
      problems.add({
        kind: documents < records ? 'document-missing' : 'document-extra',
        message: `${describeOffsets(range)}: ${documents} documents for ${records} records; without --fast verify names them`,
        offsets: range,
      })
    }
    return documents
  }

  async #bisect(part: OffsetRange, held: OffsetBitmap): Promise<void> {
    const { reader, tp, problems, since } = this.#options
    const found = await reader.offsets(tp, part, since)
    const missing = [...held.missingIn(part, found)]
    const hidden = missing.length === 0 ? new Map() : await hiddenDocuments(reader, tp, missing)
    this.#reportHidden(hidden)
    for (const offsets of without(missing, hidden)) {
      problems.add({
        kind: 'document-missing',
        message: `${describeOffsets(offsets)}: no document in ${this.#options.indexPrefix}*, the first id is ${documentId(tp, offsets.from)}`,
        id: documentId(tp, offsets.from),
        offsets,
      })
    }
    for (const [offset, count] of found) {
      const one = rangeOf(offset)
      if (!held.has(offset)) await this.#reportExtra(one, count)
      else if (count > 1) await this.#reportDoubled(one)
    }
  }

  #reportHidden(hidden: ReadonlyMap<number, string>): void {
    const { tp, problems } = this.#options
    for (const [offset, index] of hidden) {
      const id = documentId(tp, offset)
      problems.add({
        kind: 'document-hidden',
        message: `${index} holds ${id}, and no search finds it by its topic, partition and offset`,
        index,
        id,
        offsets: rangeOf(offset),
      })
    }
  }

  async #reportExtra(range: OffsetRange, count: number): Promise<void> {
    const { reader, tp, problems, since } = this.#options
    const places = await reader.places(tp, range, maxPlaces, since)
    for (const { index, id, offset } of places) {
      problems.add({
        kind: 'document-extra',
        message: `${index} holds ${id}, and no file holds offset ${offset}`,
        index,
        id,
        offsets: rangeOf(offset),
      })
    }
    if (count > places.length) {
      problems.add({
        kind: 'document-extra',
        message: `${count - places.length} more documents of ${describeOffsets(range)}`,
        offsets: range,
      })
    }
  }

  async #reportDoubled(range: OffsetRange): Promise<void> {
    const { reader, tp, problems, since, indexPrefix } = this.#options
    const places = await reader.places(tp, range, maxPlaces, since)
    const isReject = ({ index }: { index: string }) => index.startsWith(`${indexPrefix}_rejected-`)
    const kind =
      places.length === 2 && places.some(isReject) ? 'document-also-rejected' : 'document-doubled'
    problems.add({
      kind,
      message: `${describeOffsets(range)}: ${places.map(({ index, id }) => `${id} in ${index}`).join(' and ')}`,
      id: documentId(tp, range.from),
      offsets: range,
    })
  }

  /**
   * Reports what lies outside the range that files and documents share. `end`: no record of Kafka
   * has this offset or a later one.
   */
  async compareOutside(origin: number, end: number | undefined): Promise<void> {
    const { reader, tp, since } = this.#options
    const before = await reader.total(tp, { next: origin }, since)
    if (before > 0) await this.#reportExtra({ from: 0, next: origin }, before)
    if (end === undefined) return
    const behind = await reader.total(tp, { from: end }, since)
    if (behind > 0) await this.#reportExtra({ from: end, next: Number.MAX_SAFE_INTEGER }, behind)
  }

  /**
   * Compares documents with their lines, byte for byte, one request for many. Those of offsets from
   * `end` on may not be there yet. Slow when an index is compressed well, so only for ranges that
   * are known to differ.
   */
  async compareContent(lines: CheckedLines, end: number): Promise<void> {
    const batch: LineAtOffset[] = []
    let bytes = 0
    for (const [i, offset] of lines.offsets.entries()) {
      if (offset >= end || this.#changed >= maxChanged) break
      const line = lines.text.subarray(lines.starts[i]!, lines.text.indexOf(LF, lines.starts[i]!))
      batch.push({ offset, line })
      bytes += line.length
      if (batch.length < getDocuments && bytes < getBytes) continue
      await this.#compareBatch(lines, batch)
      batch.length = 0
      bytes = 0
    }
    await this.#compareBatch(lines, batch)
  }

  async #compareBatch(lines: CheckedLines, batch: readonly LineAtOffset[]): Promise<void> {
    const indices = this.#names.every(lines.type, lines.hour)
    for (let start = 0; start < batch.length && this.#changed < maxChanged; start++) {
      for (const index of indices) start += await this.#sameIn(index, batch.slice(start))
      const different = batch[start]
      if (different !== undefined) await this.#explain(different, indices, lines)
    }
  }

  /** How many documents of an index, from the first on, equal their lines. */
  async #sameIn(index: string, batch: readonly LineAtOffset[]): Promise<number> {
    if (batch.length === 0) return 0
    const { reader, tp } = this.#options
    const answer = await reader.get(
      batch.map(({ offset }) => ({ index, id: documentId(tp, offset) })),
    )
    return sameUntil(
      answer,
      batch.map(({ line }) => line),
    )
  }

  async #explain(
    different: LineAtOffset,
    indices: readonly string[],
    lines: CheckedLines,
  ): Promise<void> {
    const { reader, tp, problems } = this.#options
    const { offset, line } = different
    const id = documentId(tp, offset)
    const rejected = this.#names.rejected(lines.hour)
    const documents = parseDocuments(
      await reader.get([...indices, rejected].map((index) => ({ index, id }))),
    )
    const reject = documents.at(-1)!
    const place = documents.findIndex(({ found }) => found === true)
    // A document found in no index is reported by `compare`.
    if (place === -1) return
    const where = indices[place] ?? rejected
    const isSame =
      where === rejected ? isRejectOf(reject, line) : (await this.#sameIn(where, [different])) === 1
    if (isSame) return
    this.#changed++
    problems.add({
      kind: 'document-changed',
      message: `${id} in ${where} is not the line of offset ${offset} in the files`,
      index: where,
      id,
      offsets: rangeOf(offset),
    })
  }
}

/** True when a rejected document keeps the envelope and the value of a line. */
function isRejectOf({ _source }: StoredDocument, line: Buffer): boolean {
  const {
    error: _,
    value_text,
    value_base64,
    value_omitted,
    ...envelope
  } = _source as Record<string, unknown>
  if (!isDeepStrictEqual(envelope, JSON.parse(`${envelopeOfLine(line).toString('utf8')}}`)))
    return false
  if (value_omitted === true) return true
  const value = valueOfLine(line)
  if (value === undefined) return value_base64 === decodeLine(line).record.value?.toString('base64')
  return value_text === value.toString('utf8')
}
