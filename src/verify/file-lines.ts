import { isSlice, typeOf } from '../files/log/commit-log.ts'
import type { ManifestFile } from '../files/log/manifest.ts'
import { CLOSE_BRACE, LF } from '../record/ascii.ts'
import { LineHead } from '../record/line/head.ts'
import { envelopeOf, timeFieldBytes } from '../record/line/layout.ts'
import { type RecordType, rangeOf, type TopicPartition } from '../record/record.ts'
import { hourOf, unknownHour } from '../record/time.ts'
import type { FoundOffsets } from './coverage.ts'
import { describeOffsets, type Problems } from './problems.ts'

/** Lines of one file as they were read, each `[starts[i], starts[i + 1])` of `text`. */
export interface CheckedLines {
  readonly type: RecordType
  readonly hour: number
  readonly text: Buffer
  readonly offsets: readonly number[]
  readonly starts: readonly number[]
}

/** What the lines of a file are compared with. */
export interface FileLinesOptions {
  /** The entry of the manifest. */
  readonly file: ManifestFile
  /** Where the lines are: in the file itself, or in the one that it was merged into. */
  readonly path: string
  readonly tp: TopicPartition
  /** Gets every offset of a good line. */
  readonly found: FoundOffsets
  readonly problems: Problems
}

/** Compares the lines of one file with its manifest, as they come. */
export class FileLines {
  readonly #options: FileLinesOptions
  readonly #head = new LineHead()
  readonly #type: RecordType
  readonly #hour: number
  /** What every line has before its offset, behind `@timestamp`. */
  readonly #beforeOffset: Buffer
  /** The file holds records of other entries as well: these are skipped. */
  readonly #isShared: boolean
  #records = 0
  #first: number | undefined
  #last: number | undefined
  #bytes = 0
  #minTimestamp = Number.POSITIVE_INFINITY
  #maxTimestamp = Number.NEGATIVE_INFINITY

  constructor(options: FileLinesOptions) {
    const { file, path, tp } = options
    this.#options = options
    this.#isShared = isSlice({ ...file, path })
    this.#type = typeOf(file)
    this.#hour = hourOf(file.min_timestamp)
    this.#beforeOffset = Buffer.from(envelopeOf(this.#type, tp))
  }

  /** The offset of the last good line. */
  get last(): number | undefined {
    return this.#last
  }

  /** Takes whole lines; returns the good ones. */
  check(text: Buffer): CheckedLines {
    const offsets: number[] = []
    const starts: number[] = []
    for (let start = 0, end = 0; start < text.length; start = end) {
      end = text.indexOf(LF, start) + 1
      if (this.#isShared && this.#isOfOther(text, start)) continue
      this.#records++
      this.#bytes += end - start
      if (!this.#isGood(text, start, end)) {
        this.#invalid(text, start, end)
        continue
      }
      this.#add()
      offsets.push(this.#head.offset)
      starts.push(start)
    }
    starts.push(text.length)
    return { type: this.#type, hour: this.#hour, text, offsets, starts }
  }

  /** Notes the good line that was read last. */
  #add(): void {
    const { offset, timestamp } = this.#head
    const { found, path, problems } = this.#options
    this.#first ??= offset
    this.#last = offset
    if (timestamp < this.#minTimestamp) this.#minTimestamp = timestamp
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp
    const isNew = found.seen.add(offset)
    if (found.compared !== found.seen) found.compared.add(offset)
    if (isNew) return
    problems.add({
      kind: 'line-doubled',
      message: `${path} holds offset ${offset}, which the files hold already`,
      path,
      offsets: rangeOf(offset),
    })
  }

  #isOfOther(text: Buffer, start: number): boolean {
    const { first, last } = this.#options.file
    return this.#head.read(text, start) && (this.#head.offset < first || this.#head.offset > last)
  }

  #isGood(text: Buffer, start: number, end: number): boolean {
    const head = this.#head
    const { first, last } = this.#options.file
    if (!head.read(text, start) || head.offsetAt >= end) return false
    if (head.offset < first || head.offset > last) return false
    if (this.#last !== undefined && head.offset <= this.#last) return false
    if (hourOf(head.timestamp) !== this.#hour || text[end - 2] !== CLOSE_BRACE) return false
    const before = head.offsetAt - this.#beforeOffset.length
    const opening = this.#hour === unknownHour ? 1 : timeFieldBytes
    return (
      before - start === opening &&
      text.compare(this.#beforeOffset, 0, this.#beforeOffset.length, before, head.offsetAt) === 0
    )
  }

  #invalid(text: Buffer, start: number, end: number): void {
    const { first, last } = this.#options.file
    const shown = JSON.stringify(text.toString('utf8', start, Math.min(end, start + 160)))
    this.#report(
      `line ${this.#records} is none of ${describeOffsets(rangeOf(first, last))} in their order, of this topic-partition, type and hour: ${shown}`,
    )
  }

  /** Must be called at the end. `rest`: what followed the last line. */
  finish(rest: Buffer | undefined): void {
    const { records, first, last, line_bytes, min_timestamp, max_timestamp } = this.#options.file
    if (rest !== undefined) this.#report('its last line has no end')
    // For an entry that begins within its file, only the offsets are known.
    if (isSlice(this.#options.file)) return
    if (this.#records !== records) {
      this.#report(`it holds ${this.#records} lines, its manifest says ${records}`)
      return
    }
    if (this.#bytes !== line_bytes)
      this.#report(`its lines have ${this.#bytes} bytes, its manifest says ${line_bytes}`)
    if (this.#first !== first || this.#last !== last)
      this.#report(
        `it holds offsets ${this.#first} to ${this.#last}, its name says ${first} to ${last}`,
      )
    if (this.#minTimestamp !== min_timestamp || this.#maxTimestamp !== max_timestamp)
      this.#report('its timestamps are not those of its manifest')
  }

  #report(what: string): void {
    const { path, problems } = this.#options
    problems.add({ kind: 'line-invalid', message: `${path}: ${what}`, path })
  }
}
