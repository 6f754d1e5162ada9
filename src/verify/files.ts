import { createHash } from 'node:crypto'
import { isTaken } from '../files/compact/prune.ts'
import { type CommitLog, isSlice, typeOf } from '../files/log/commit-log.ts'
import type { LoggedManifest } from '../files/log/log-cursor.ts'
import type { Manifest, ManifestFile } from '../files/log/manifest.ts'
import { isPruned, type Pruned } from '../files/log/pruned.ts'
import { isGone, readMembers } from '../files/read/members.ts'
import type { ReadableHome } from '../home/home.ts'
import { CLOSE_BRACE, LF } from '../record/ascii.ts'
import { LineHead } from '../record/line/head.ts'
import { envelopeOf, timeFieldBytes } from '../record/line/layout.ts'
import {
  type Gap,
  type OffsetRange,
  type RecordType,
  rangeOf,
  type TopicPartition,
} from '../record/record.ts'
import { hourOf, unknownHour } from '../record/time.ts'
import { messageOf } from '../runtime/errors.ts'
import { sleep } from '../runtime/retry.ts'
import type { OffsetBitmap } from './offset-bitmap.ts'
import { describeOffsets, type Problems } from './problems.ts'

/** A worker that has just committed is still renaming. */
const publishPatienceMs = 5000
/** Offsets of one loss that are noted as told. */
const mostTold = 10_000_000
/** Offsets of a manifest that are settled together: fewer are not worth a turn. */
const settledOffsets = 2 ** 18

/** Lines of one file as they were read, each `[starts[i], starts[i + 1])` of `text`. */
export interface CheckedLines {
  readonly type: RecordType
  readonly hour: number
  readonly text: Buffer
  readonly offsets: readonly number[]
  readonly starts: readonly number[]
}

export interface FilesCheckOptions {
  readonly home: ReadableHome
  readonly log: CommitLog
  readonly tp: TopicPartition
  readonly problems: Problems
  /** Look at manifests and sizes only. */
  readonly fast: boolean
  readonly pruned: Pruned | undefined
  /**
   * Files of hours before this, in ms, are checked, and not compared with other stores: one of them
   * has pruned them.
   */
  readonly since: number | undefined
  /** Gets every good line that is to be compared. */
  readonly onLines?: (lines: CheckedLines) => void
  /** All files that may hold offsets below this one are read. */
  readonly onSettled: (next: number) => Promise<void>
}

/** What one manifest brought. */
export interface CheckedManifest {
  readonly files: number
  readonly records: number
  readonly bytes: number
  /** Records that retention took with their files. */
  readonly prunedRecords: number
  /** Records that other stores must hold, as the manifest counts them. */
  readonly comparedRecords: number
}

/**
 * Offsets that were found: all, and those that other stores must hold (the same set where nothing
 * was pruned).
 */
export interface FoundOffsets {
  readonly seen: OffsetBitmap
  readonly compared: OffsetBitmap
}

/**
 * Holds the files of a manifest to what it says of them. Reads each file once, member by member.
 */
export class FilesCheck {
  readonly #options: FilesCheckOptions
  readonly #head = new LineHead()

  constructor(options: FilesCheckOptions) {
    this.#options = options
  }

  /**
   * Checks the files of a manifest; `found` gets every offset found, and those whose loss is told,
   * so that the same loss is not told again elsewhere. `isLast`: its files may still be on their
   * way.
   */
  async check(
    manifest: LoggedManifest,
    isLast: boolean,
    found: FoundOffsets,
  ): Promise<CheckedManifest> {
    const { fast, problems, pruned, onSettled } = this.#options
    let bytes = 0
    let files = 0
    let records = 0
    let prunedRecords = 0
    let comparedRecords = 0
    const before = found.seen.added
    const coverage = new Coverage(manifest, found, problems)
    const inOrder = manifest.files.toSorted((a, b) => a.first - b.first)
    for (const [i, file] of inOrder.entries()) {
      records += file.records
      const taken = await isTaken(this.#options.home, pruned, file)
      const there = taken ? undefined : await this.#find(manifest, file, isLast)
      if (there === undefined && isPruned(pruned, file)) {
        prunedRecords += file.records
        coverage.pruned(file)
      } else {
        files++
        bytes += file.bytes
        const isCompared = this.#isCompared(file)
        if (isCompared) comparedRecords += file.records
        if (there !== undefined && !fast) await this.#read(file, there, found, isCompared)
      }
      // Of a compacted manifest the bitmap would grow over years of offsets.
      const settled = inOrder[i + 1]?.first ?? manifest.next
      if (fast || settled - coverage.checked < settledOffsets) continue
      coverage.check(settled)
      await onSettled(settled)
    }
    if (records !== manifest.records && manifest.isPart !== true) {
      problems.add({
        kind: 'manifest-invalid',
        message: `the manifest of ${describeOffsets(manifest)} says ${manifest.records} records, its files ${records}`,
        offsets: manifest,
      })
    }
    if (!fast) {
      coverage.check(manifest.next)
      coverage.count(prunedRecords, found.seen.added - before)
    }
    // Of a part it is known by counting alone.
    if (manifest.isPart !== true) records = manifest.records
    else if (!fast) records = prunedRecords + found.seen.added - before
    await onSettled(manifest.next)
    return { files, bytes, records, prunedRecords, comparedRecords }
  }

  #isCompared(file: ManifestFile): boolean {
    const { since } = this.#options
    return (
      since === undefined ||
      hourOf(file.min_timestamp) === unknownHour ||
      file.min_timestamp >= since
    )
  }

  /** Looks at presence and size. Returns the file, or the one that it was merged into meanwhile. */
  async #find(
    manifest: Manifest,
    file: ManifestFile,
    isLast: boolean,
  ): Promise<ManifestFile | undefined> {
    const { home, log, problems, pruned } = this.#options
    const mayBeOnItsWay = isLast || file.replaces !== undefined
    const deadline = performance.now() + publishPatienceMs
    for (let there = file; ; ) {
      const size = (await home.stat(there.path))?.bytes
      if (size !== undefined) {
        if (size === there.bytes) return there
        problems.add({
          kind: size < there.bytes ? 'file-truncated' : 'file-changed',
          message: `${there.path} has ${size} bytes, written were ${there.bytes}`,
          path: there.path,
        })
        return there
      }
      const isStaged = await home.isStaged(file)
      if (isStaged && mayBeOnItsWay && performance.now() < deadline) {
        await sleep(100)
        continue
      }
      const replacement = isStaged
        ? undefined
        : await log.replacementOf({ ...file, path: there.path })
      if (replacement !== undefined) {
        there = replacement
        continue
      }
      // It was put in place since it was looked for, or renamed between the two looks.
      if ((await home.stat(there.path)) !== undefined) continue
      // A prune at work took it since.
      if (isPruned(pruned, file)) return undefined
      problems.add(
        isStaged
          ? {
              kind: 'file-unpublished',
              message: `${file.path} (${file.records} records) is committed and still lies at ${stagedAt(file)}`,
              path: file.path,
            }
          : {
              kind: 'file-missing',
              message: `${file.path} is gone: ${file.records} records between ${describeOffsets(rangeOf(file.first, file.last))}, written by ${manifest.worker}`,
              path: file.path,
              offsets: rangeOf(file.first, file.last),
            },
      )
      return undefined
    }
  }

  /**
   * Reads what an entry says of a file: `there` is that file, or the one that its records were
   * merged into.
   */
  async #read(
    entry: ManifestFile,
    there: ManifestFile,
    found: FoundOffsets,
    isCompared: boolean,
  ): Promise<void> {
    const { home, problems, tp, log } = this.#options
    const lines = new FileLines(
      entry,
      there.path,
      tp,
      isCompared ? found : { seen: found.seen, compared: found.seen },
      problems,
      this.#head,
    )
    const hash = createHash('sha256')
    let rest: Buffer | undefined
    try {
      for await (const { start, end, text, trouble } of readMembers(home, there.path, (bytes) =>
        hash.update(bytes),
      )) {
        if (text === undefined) {
          problems.add({
            kind: 'file-unreadable',
            message: `${there.path}: bytes ${start} to ${end} cannot be decompressed (${trouble}), behind ${lines.last === undefined ? 'its beginning' : `offset ${lines.last}`}`,
            path: there.path,
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
      // Merged between the look and the reading; once opened, a file stays readable.
      const replacement = isGone(error)
        ? await log.replacementOf({ ...entry, path: there.path })
        : undefined
      if (replacement !== undefined) return this.#read(entry, replacement, found, isCompared)
      problems.add({
        kind: 'file-unreadable',
        message: `${there.path} cannot be read: ${messageOf(error)}`,
        path: there.path,
      })
      return
    }
    if (hash.digest('hex') !== there.sha256) {
      problems.add({
        kind: 'file-changed',
        message: `${there.path}: its sha256 is not that of its manifest`,
        path: there.path,
      })
    }
    lines.finish(rest)
  }
}

/**
 * Holds the offsets that files brought to what a manifest says of its range: every one is in a
 * file, or a gap says why not.
 */
class Coverage {
  readonly #manifest: LoggedManifest
  readonly #found: FoundOffsets
  readonly #problems: Problems
  /** Stretches of which offsets may have gone with files that retention took, in order. */
  readonly #pruned: Gap[] = []
  #tellsAll = true
  /** Offsets below this are checked. */
  checked: number

  constructor(manifest: LoggedManifest, found: FoundOffsets, problems: Problems) {
    this.#manifest = manifest
    this.#found = found
    this.#problems = problems
    this.checked = manifest.from
  }

  /** To be called in the order of the files. */
  pruned({ first, last }: ManifestFile): void {
    const before = this.#pruned.at(-1)
    if (before !== undefined && first <= before.next) {
      this.#pruned[this.#pruned.length - 1] = { ...before, next: Math.max(before.next, last + 1) }
    } else this.#pruned.push({ ...rangeOf(first, last), reason: 'retention' })
  }

  /** Checks offsets below `next`: all files that may hold some are read. */
  check(next: number): void {
    const range = { from: this.checked, next }
    this.checked = next
    // Which offsets were gaps is not known then; how many is.
    if (this.#manifest.omitted_gaps !== undefined || next <= range.from) return
    for (const offsets of withoutGaps(
      unexplained(range, this.#manifest.gaps, this.#found.seen),
      this.#pruned,
    )) {
      this.#tellsAll = false
      this.#problems.add({
        kind: 'line-missing',
        message: `${describeOffsets(offsets)}: no file holds ${offsets.next - offsets.from === 1 ? 'it' : 'them'} and no gap explains it`,
        offsets,
      })
      const told = Math.min(offsets.next, offsets.from + mostTold)
      for (let offset = offsets.from; offset < told; offset++) {
        this.#found.seen.add(offset)
        this.#found.compared.add(offset)
      }
    }
  }

  /**
   * Where gaps are not listed, or files were pruned, only the number of records is left to tell
   * that some are missing.
   */
  count(prunedRecords: number, added: number): void {
    const { omitted_gaps, isPart, records } = this.#manifest
    if ((omitted_gaps === undefined && prunedRecords === 0) || isPart === true || !this.#tellsAll)
      return
    const missing = records - prunedRecords - added
    if (missing === 0) return
    this.#problems.add({
      kind: 'line-missing',
      message: `${missing} records of ${describeOffsets(this.#manifest)} are in no file`,
      offsets: { from: this.#manifest.from, next: this.#manifest.next },
    })
  }
}

/** Offsets of a range that are neither in files nor in gaps. */
function unexplained(
  range: OffsetRange,
  gaps: readonly Gap[],
  seen: OffsetBitmap,
): Iterable<OffsetRange> {
  return withoutGaps(seen.absentIn(range), gaps)
}

/** What is left of ranges in ascending order without the gaps, in ascending order as well. */
function* withoutGaps(ranges: Iterable<OffsetRange>, gaps: readonly Gap[]): Iterable<OffsetRange> {
  let gap = 0
  for (const range of ranges) {
    let from = range.from
    while (gap < gaps.length && gaps[gap]!.next <= from) gap++
    for (let i = gap; i < gaps.length && gaps[i]!.from < range.next; i++) {
      if (gaps[i]!.from > from) yield { from, next: gaps[i]!.from }
      from = Math.max(from, gaps[i]!.next)
    }
    if (from < range.next) yield { from, next: range.next }
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
  readonly #path: string
  /** It holds records of other entries as well: these are passed over. */
  readonly #isShared: boolean
  #records = 0
  #first: number | undefined
  #last: number | undefined
  #bytes = 0
  #minTimestamp = Number.POSITIVE_INFINITY
  #maxTimestamp = Number.NEGATIVE_INFINITY

  /** `path`: of the file itself, or of the one that it was merged into. */
  constructor(
    file: ManifestFile,
    path: string,
    tp: TopicPartition,
    found: FoundOffsets,
    problems: Problems,
    head: LineHead,
  ) {
    this.#file = file
    this.#found = found
    this.#problems = problems
    this.#head = head
    this.#path = path
    this.#isShared = isSlice({ ...file, path })
    this.#type = typeOf(file)
    this.#hour = hourOf(file.min_timestamp)
    this.#beforeOffset = Buffer.from(envelopeOf(this.#type, tp))
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
      if (this.#isShared && this.#isOfOther(text, start)) continue
      this.#records++
      this.#bytes += end - start
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
        const offsets = rangeOf(head.offset)
        this.#problems.add({
          kind: 'line-doubled',
          message: `${this.#path} holds offset ${head.offset}, which the files hold already`,
          path: this.#path,
          offsets,
        })
      }
      offsets.push(head.offset)
      starts.push(start)
    }
    starts.push(text.length)
    return { type: this.#type, hour: this.#hour, text, offsets, starts }
  }

  #isOfOther(text: Buffer, start: number): boolean {
    const { first, last } = this.#file
    return this.#head.read(text, start) && (this.#head.offset < first || this.#head.offset > last)
  }

  #isGood(text: Buffer, start: number, end: number): boolean {
    const head = this.#head
    const { first, last } = this.#file
    if (!head.read(text, start) || head.offsetAt >= end) return false
    if (
      head.offset < first ||
      head.offset > last ||
      (this.#last !== undefined && head.offset <= this.#last)
    )
      return false
    if (hourOf(head.timestamp) !== this.#hour || text[end - 2] !== CLOSE_BRACE) return false
    const before = head.offsetAt - this.#beforeOffset.length
    const opening = this.#hour === unknownHour ? 1 : timeFieldBytes
    return (
      before - start === opening &&
      text.compare(this.#beforeOffset, 0, this.#beforeOffset.length, before, head.offsetAt) === 0
    )
  }

  #invalid(text: Buffer, start: number, end: number): void {
    const path = this.#path
    const { first, last } = this.#file
    const shown = JSON.stringify(text.toString('utf8', start, Math.min(end, start + 160)))
    this.#problems.add({
      kind: 'line-invalid',
      message: `${path}: line ${this.#records} is none of ${describeOffsets(rangeOf(first, last))} in their order, of this topic-partition, type and hour: ${shown}`,
      path,
    })
  }

  /** To be called at the end; `rest`: what stood behind the last line. */
  finish(rest: Buffer | undefined): void {
    const path = this.#path
    const { records, first, last, line_bytes, min_timestamp, max_timestamp } = this.#file
    const tell = (what: string) =>
      this.#problems.add({ kind: 'line-invalid', message: `${path}: ${what}`, path })
    if (rest !== undefined) tell('its last line has no end')
    // Of an entry that begins within its file only the offsets are known.
    if (isSlice(this.#file)) return
    if (this.#records !== records)
      tell(`it holds ${this.#records} lines, its manifest says ${records}`)
    else if (this.#bytes !== line_bytes)
      tell(`its lines have ${this.#bytes} bytes, its manifest says ${line_bytes}`)
    if (this.#records !== records) return
    if (this.#first !== first || this.#last !== last)
      tell(`it holds offsets ${this.#first} to ${this.#last}, its name says ${first} to ${last}`)
    if (this.#minTimestamp !== min_timestamp || this.#maxTimestamp !== max_timestamp)
      tell('its timestamps are not those of its manifest')
  }
}

/** Where a file waits to be published. */
function stagedAt(file: ManifestFile): string {
  return 'staged' in file ? file.staged : `the open upload ${file.upload.id}`
}
