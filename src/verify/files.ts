import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, systemCode } from '../errors.ts'
import { typeOf } from '../files/catalog.ts'
import type { Manifest, ManifestFile } from '../files/manifest.ts'
import { dataFileName, hourDirectory } from '../files/path.ts'
import { isPruned, type Pruned } from '../files/pruned.ts'
import { readMembers } from '../files/reader.ts'
import { hourOf, LineHead } from '../line.ts'
import type { OffsetBitmap } from '../offsets/offset-bitmap.ts'
import { type OffsetRange, type RecordType, type TopicPartition, unknownHour } from '../record.ts'
import { sleep } from '../retry.ts'
import { describeOffsets, type Problems } from './problems.ts'

const LF = 0x0a
const CLOSING_BRACE = 0x7d
/** `{"@timestamp":"2019-08-01T03:23:03.000Z",` */
const timestampFieldBytes = 41
/** A worker that has just committed is still renaming. */
const publishPatienceMs = 5000
/** Offsets of one loss that are noted as told. */
const mostTold = 10_000_000

/** Lines of one file as they were read, each `[starts[i], starts[i + 1])` of `text`. */
export interface CheckedLines {
  readonly type: RecordType
  readonly hour: number
  readonly text: Buffer
  readonly offsets: readonly number[]
  readonly starts: readonly number[]
}

export interface FilesCheckOptions {
  readonly root: string
  readonly tp: TopicPartition
  readonly problems: Problems
  /** Look at manifests and sizes only. */
  readonly fast: boolean
  readonly pruned: Pruned | undefined
  /** Files of hours before this, in ms, are checked, and not compared with other stores: one of them has pruned them. */
  readonly since: number | undefined
  /** Gets every good line that is to be compared. */
  readonly onLines?: (lines: CheckedLines) => void
}

/** What one manifest brought. */
export interface CheckedManifest {
  readonly files: number
  readonly bytes: number
  /** Records that retention took with their files. */
  readonly prunedRecords: number
  /** Records that other stores must hold, as the manifest counts them. */
  readonly comparedRecords: number
}

/** Offsets that were found: all, and those that other stores must hold (the same set where nothing was pruned). */
export interface FoundOffsets {
  readonly seen: OffsetBitmap
  readonly compared: OffsetBitmap
}

/** Holds the files of a manifest to what it says of them. Reads each file once, member by member. */
export class FilesCheck {
  readonly #options: FilesCheckOptions
  readonly #head = new LineHead()

  constructor(options: FilesCheckOptions) {
    this.#options = options
  }

  /**
   * Checks the files of a manifest; `found` gets every offset found, and those whose loss is told, so that the same loss is not told
   * again elsewhere. `isLast`: its files may still be on their way.
   */
  async check(manifest: Manifest, isLast: boolean, found: FoundOffsets): Promise<CheckedManifest> {
    const { fast, problems, pruned } = this.#options
    let bytes = 0
    let files = 0
    let records = 0
    let prunedRecords = 0
    let comparedRecords = 0
    const before = found.seen.added
    for (const file of manifest.files) {
      records += file.records
      this.#checkName(manifest, file)
      if (isPruned(pruned, manifest, file)) {
        prunedRecords += file.records
        continue
      }
      files++
      bytes += file.bytes
      const isCompared = this.#isCompared(file)
      if (isCompared) comparedRecords += file.records
      if ((await this.#isThere(manifest, file, isLast)) && !fast) await this.#read(file, found, isCompared)
    }
    if (records !== manifest.records) {
      problems.add({
        kind: 'manifest-invalid',
        message: `the manifest of ${describeOffsets(manifest)} says ${manifest.records} records, its files ${records}`,
        offsets: manifest,
      })
    }
    if (!fast) this.#checkCoverage(manifest, found, before, prunedRecords)
    return { files, bytes, prunedRecords, comparedRecords }
  }

  #isCompared(file: ManifestFile): boolean {
    const { since } = this.#options
    return since === undefined || hourOf(file.min_timestamp) === unknownHour || file.min_timestamp >= since
  }

  /** A path says type, day, hour, topic, partition and offsets: so must the manifest. */
  #checkName({ topic, partition, from, next }: Manifest, file: ManifestFile): void {
    const expected = `${hourDirectory(typeOf(file), hourOf(file.min_timestamp))}/${dataFileName({ topic, partition }, file.first, file.last)}`
    const fits = from <= file.first && file.first <= file.last && file.last < next
    if (expected === file.path && fits && hourOf(file.max_timestamp) === hourOf(file.min_timestamp)) return
    this.#options.problems.add({
      kind: 'file-misplaced',
      message: `${file.path} does not fit its manifest, which would name it ${expected} in ${describeOffsets({ from, next })}`,
      path: file.path,
    })
  }

  /** Looks at presence and size. */
  async #isThere(manifest: Manifest, file: ManifestFile, isLast: boolean): Promise<boolean> {
    const { root, problems } = this.#options
    const deadline = performance.now() + publishPatienceMs
    for (;;) {
      const size = await sizeOf(join(root, file.path))
      if (size !== undefined) {
        if (size === file.bytes) return true
        problems.add({
          kind: size < file.bytes ? 'file-truncated' : 'file-changed',
          message: `${file.path} has ${size} bytes, written were ${file.bytes}`,
          path: file.path,
        })
        return true
      }
      const isStaged = (await sizeOf(join(root, file.staged))) !== undefined
      if (isStaged && isLast && performance.now() < deadline) {
        await sleep(100)
        continue
      }
      problems.add(
        isStaged
          ? {
              kind: 'file-unpublished',
              message: `${file.path} (${file.records} records) is committed and still lies at ${file.staged}`,
              path: file.path,
            }
          : {
              kind: 'file-missing',
              message: `${file.path} is gone: ${file.records} records between ${describeOffsets({ from: file.first, next: file.last + 1 })}, written by ${manifest.worker}`,
              path: file.path,
              offsets: { from: file.first, next: file.last + 1 },
            },
      )
      return false
    }
  }

  async #read(file: ManifestFile, found: FoundOffsets, isCompared: boolean): Promise<void> {
    const { root, problems, tp } = this.#options
    const lines = new FileLines(
      file,
      tp,
      isCompared ? found : { seen: found.seen, compared: found.seen },
      problems,
      this.#head,
    )
    const hash = createHash('sha256')
    let rest: Buffer | undefined
    const path = join(root, file.path)
    try {
      for await (const { start, end, text, trouble } of readMembers(path, (bytes) => hash.update(bytes))) {
        if (text === undefined) {
          problems.add({
            kind: 'file-unreadable',
            message: `${file.path}: bytes ${start} to ${end} cannot be decompressed (${trouble}), behind ${lines.last === undefined ? 'its beginning' : `offset ${lines.last}`}`,
            path: file.path,
          })
          rest = undefined
          continue
        }
        const whole: Buffer = rest === undefined ? text : Buffer.concat([rest, text])
        const cut = whole.lastIndexOf(LF) + 1
        rest = cut === whole.length ? undefined : whole.subarray(cut)
        const checked = lines.check(whole.subarray(0, cut))
        if (isCompared) this.#options.onLines?.(checked)
      }
    } catch (error) {
      problems.add({
        kind: 'file-unreadable',
        message: `${file.path} cannot be read: ${messageOf(error)}`,
        path: file.path,
      })
      return
    }
    if (hash.digest('hex') !== file.sha256) {
      problems.add({
        kind: 'file-changed',
        message: `${file.path}: its sha256 is not that of its manifest`,
        path: file.path,
      })
    }
    lines.finish(rest)
  }

  /** Every offset of the range is in a file, or a gap says why not. */
  #checkCoverage(manifest: Manifest, { seen, compared }: FoundOffsets, before: number, prunedRecords: number): void {
    const { problems } = this.#options
    if (manifest.omitted_gaps !== undefined || prunedRecords > 0) {
      // Which offsets were gaps, or in files that retention took, is not known; how many is.
      const missing = manifest.records - prunedRecords - (seen.added - before)
      if (missing === 0) return
      problems.add({
        kind: 'line-missing',
        message: `${missing} records of ${describeOffsets(manifest)} are in no file`,
        offsets: { from: manifest.from, next: manifest.next },
      })
      return
    }
    for (const offsets of unexplained(manifest, seen)) {
      problems.add({
        kind: 'line-missing',
        message: `${describeOffsets(offsets)}: no file holds ${offsets.next - offsets.from === 1 ? 'it' : 'them'} and no gap explains it`,
        offsets,
      })
      const told = Math.min(offsets.next, offsets.from + mostTold)
      for (let offset = offsets.from; offset < told; offset++) {
        seen.add(offset)
        compared.add(offset)
      }
    }
  }
}

/** Offsets of a manifest's range that are neither in its files nor in its gaps. */
function* unexplained(manifest: Manifest, seen: OffsetBitmap): Iterable<OffsetRange> {
  let gap = 0
  for (const absent of seen.absentIn(manifest)) {
    let from = absent.from
    while (gap < manifest.gaps.length && manifest.gaps[gap]!.next <= from) gap++
    for (let i = gap; i < manifest.gaps.length && manifest.gaps[i]!.from < absent.next; i++) {
      if (manifest.gaps[i]!.from > from) yield { from, next: manifest.gaps[i]!.from }
      from = Math.max(from, manifest.gaps[i]!.next)
    }
    if (from < absent.next) yield { from, next: absent.next }
  }
}

/** Holds the lines of one file to its manifest, as they come. */
class FileLines {
  readonly #file: ManifestFile
  readonly #found: FoundOffsets
  readonly #problems: Problems
  readonly #head: LineHead
  readonly #type: RecordType
  readonly #hour: number
  /** What stands before `,"offset":` in every line, behind `@timestamp`. */
  readonly #beforeOffset: Buffer
  #records = 0
  #first: number | undefined
  #last: number | undefined
  #bytes = 0
  #minTimestamp = Number.POSITIVE_INFINITY
  #maxTimestamp = Number.NEGATIVE_INFINITY

  constructor(
    file: ManifestFile,
    { topic, partition }: TopicPartition,
    found: FoundOffsets,
    problems: Problems,
    head: LineHead,
  ) {
    this.#file = file
    this.#found = found
    this.#problems = problems
    this.#head = head
    this.#type = typeOf(file)
    this.#hour = hourOf(file.min_timestamp)
    const type = this.#type.reserved ? '' : `"type":${JSON.stringify(this.#type.name)},`
    this.#beforeOffset = Buffer.from(`${type}"kafka":{"topic":"${topic}","partition":${partition}`)
  }

  get last(): number | undefined {
    return this.#last
  }

  /** Takes whole lines. */
  check(text: Buffer): CheckedLines {
    const offsets: number[] = []
    const starts: number[] = []
    const head = this.#head
    for (let start = 0, end = 0; start < text.length; start = end) {
      end = text.indexOf(LF, start) + 1
      this.#records++
      if (!this.#isGood(text, start, end)) {
        this.#invalid(text, start, end)
        continue
      }
      this.#first ??= head.offset
      this.#last = head.offset
      if (head.timestamp < this.#minTimestamp) this.#minTimestamp = head.timestamp
      if (head.timestamp > this.#maxTimestamp) this.#maxTimestamp = head.timestamp
      const isNew = this.#found.seen.add(head.offset)
      if (this.#found.compared !== this.#found.seen) this.#found.compared.add(head.offset)
      if (!isNew) {
        const offsets = { from: head.offset, next: head.offset + 1 }
        this.#problems.add({
          kind: 'line-doubled',
          message: `${this.#file.path} holds offset ${head.offset}, which the files hold already`,
          path: this.#file.path,
          offsets,
        })
      }
      offsets.push(head.offset)
      starts.push(start)
    }
    starts.push(text.length)
    this.#bytes += text.length
    return { type: this.#type, hour: this.#hour, text, offsets, starts }
  }

  #isGood(text: Buffer, start: number, end: number): boolean {
    const head = this.#head
    const { first, last } = this.#file
    if (!head.read(text, start) || head.offsetAt >= end) return false
    if (head.offset < first || head.offset > last || (this.#last !== undefined && head.offset <= this.#last))
      return false
    if (hourOf(head.timestamp) !== this.#hour || text[end - 2] !== CLOSING_BRACE) return false
    const before = head.offsetAt - this.#beforeOffset.length
    const opening = this.#hour === unknownHour ? 1 : timestampFieldBytes
    return (
      before - start === opening &&
      text.compare(this.#beforeOffset, 0, this.#beforeOffset.length, before, head.offsetAt) === 0
    )
  }

  #invalid(text: Buffer, start: number, end: number): void {
    const { path, first, last } = this.#file
    const shown = JSON.stringify(text.toString('utf8', start, Math.min(end, start + 160)))
    this.#problems.add({
      kind: 'line-invalid',
      message: `${path}: line ${this.#records} is none of ${describeOffsets({ from: first, next: last + 1 })} in their order, of this topic-partition, type and hour: ${shown}`,
      path,
    })
  }

  /** To be called at the end; `rest`: what stood behind the last line. */
  finish(rest: Buffer | undefined): void {
    const { path, records, first, last, line_bytes, min_timestamp, max_timestamp } = this.#file
    const tell = (what: string) => this.#problems.add({ kind: 'line-invalid', message: `${path}: ${what}`, path })
    if (rest !== undefined) tell('its last line has no end')
    if (this.#records !== records) tell(`it holds ${this.#records} lines, its manifest says ${records}`)
    else if (this.#bytes !== line_bytes) tell(`its lines have ${this.#bytes} bytes, its manifest says ${line_bytes}`)
    if (this.#records !== records) return
    if (this.#first !== first || this.#last !== last)
      tell(`it holds offsets ${this.#first} to ${this.#last}, its name says ${first} to ${last}`)
    if (this.#minTimestamp !== min_timestamp || this.#maxTimestamp !== max_timestamp)
      tell('its timestamps are not those of its manifest')
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw error
  }
}
