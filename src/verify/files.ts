import { createHash } from 'node:crypto'
import { isTaken } from '../files/compact/prune.ts'
import type { CommitLog } from '../files/log/commit-log.ts'
import type { LoggedManifest } from '../files/log/log-cursor.ts'
import type { Manifest, ManifestFile } from '../files/log/manifest.ts'
import { isPruned, type Pruned } from '../files/log/pruned.ts'
import { isGone, readMembers } from '../files/read/members.ts'
import type { FileOpener } from '../files/read/read-ahead.ts'
import type { ReadableHome } from '../home/home.ts'
import { LF } from '../record/ascii.ts'
import { rangeOf, type TopicPartition } from '../record/record.ts'
import { hourOf, unknownHour } from '../record/time.ts'
import { messageOf } from '../runtime/errors.ts'
import { sleep } from '../runtime/retry.ts'
import { Coverage, type FoundOffsets } from './coverage.ts'
import { type CheckedLines, FileLines } from './file-lines.ts'
import type { HashedNames } from './hashed-names.ts'
import type { ListedFiles } from './listed-files.ts'
import { describeOffsets, type Problems } from './problems.ts'

/** A worker that has just committed is still renaming: its files have this long to appear. */
const publishPatienceMs = 5000
/** Offsets of a manifest that are reported as read together: fewer are not worth a comparison. */
const minReadOffsets = 2 ** 18
const hashedAtOnce = 2 ** 20

export interface FilesCheckOptions {
  readonly home: ReadableHome
  /** Opens the data files that are read. */
  readonly files: FileOpener
  readonly log: CommitLog
  readonly tp: TopicPartition
  readonly problems: Problems
  /** Gets the path of each file that a manifest names. */
  readonly named?: HashedNames | undefined
  /** What one listing of the home has told; undefined if each file is looked at. */
  readonly listed?: ListedFiles | undefined
  /** Look at manifests and sizes only. */
  readonly fast: boolean
  readonly pruned: Pruned | undefined
  /**
   * Files of hours before this, in ms, are checked, but not compared with other stores: one store
   * has pruned these hours.
   */
  readonly since: number | undefined
  /** Gets every good line that other stores must hold. */
  readonly onLines?: (lines: CheckedLines) => void
  /** All files that may hold offsets below this one are read. */
  readonly onRead: (next: number) => Promise<void>
}

/** What the files of one manifest hold. */
export interface CheckedManifest {
  readonly files: number
  /** Those whose stored checksum is that of their parts. */
  readonly byChecksum: number
  readonly records: number
  readonly bytes: number
  /** Records that retention took with their files. */
  readonly prunedRecords: number
  /** Records that other stores must hold, as the manifest counts them. */
  readonly comparedRecords: number
}

/** Compares the files of a manifest with what it says. Reads each file once, member by member. */
export class FilesCheck {
  readonly #options: FilesCheckOptions
  #byChecksum = 0

  constructor(options: FilesCheckOptions) {
    this.#options = options
  }

  /**
   * Checks the files of a manifest. `found` gets every offset that is found. It also gets those
   * that are reported as lost, so that no other check reports the same loss. `isLast`: its files
   * may still be on their way.
   */
  async check(
    manifest: LoggedManifest,
    isLast: boolean,
    found: FoundOffsets,
  ): Promise<CheckedManifest> {
    const { fast, problems, pruned, named, onRead } = this.#options
    let bytes = 0
    let files = 0
    const byChecksum = this.#byChecksum
    let records = 0
    let prunedRecords = 0
    let comparedRecords = 0
    const before = found.seen.added
    const coverage = new Coverage(manifest, found, problems)
    const inOrder = filesInOrder(manifest)
    for (const [i, file] of inOrder.entries()) {
      records += file.records
      for (const path of [file.path, ...(file.replaces ?? [])]) named?.add(path)
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
      // A compacted manifest may span years: its bitmap must not grow with it.
      const read = inOrder[i + 1]?.first ?? manifest.next
      if (fast || read - coverage.checked < minReadOffsets) continue
      coverage.check(read)
      await onRead(read)
    }
    if (!fast) {
      coverage.check(manifest.next)
      coverage.count(prunedRecords, found.seen.added - before)
    }
    // For a part of a manifest, only counting shows the number.
    if (manifest.isPart === true && !fast) records = prunedRecords + found.seen.added - before
    await onRead(manifest.next)
    return {
      files,
      byChecksum: this.#byChecksum - byChecksum,
      bytes,
      records,
      prunedRecords,
      comparedRecords,
    }
  }

  #isCompared(file: ManifestFile): boolean {
    const { since } = this.#options
    return (
      since === undefined ||
      hourOf(file.min_timestamp) === unknownHour ||
      file.min_timestamp >= since
    )
  }

  /**
   * Checks presence and size. Returns the file, or the one that it was merged into meanwhile;
   * undefined when neither is there.
   */
  async #find(
    manifest: Manifest,
    file: ManifestFile,
    isLast: boolean,
  ): Promise<ManifestFile | undefined> {
    const { home, log, problems, pruned, listed } = this.#options
    const look = listed?.look(file) ?? 'absent'
    if (look === 'checksum') this.#byChecksum++
    if (look === 'differs' && this.#options.fast) await this.#compareContent(file)
    if (look !== 'absent') return file
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
      // It was put in place since the first look, or renamed between the two looks.
      if ((await home.stat(there.path)) !== undefined) continue
      // A prune that runs beside took it since.
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

  /** The store's checksum is another one: the content decides. */
  async #compareContent({ path, sha256 }: ManifestFile): Promise<void> {
    const { home, problems, listed } = this.#options
    try {
      const found = await contentHash(home, path)
      // It was merged and removed since the listing.
      if (found === undefined) return
      if (found === sha256) {
        listed?.wasHarmless()
        return
      }
      problems.add({
        kind: 'file-changed',
        message: `${path}: its stored checksum is not that of its parts, and its sha256 is not that of its manifest`,
        path,
      })
    } catch (error) {
      problems.add({
        kind: 'file-unreadable',
        message: `${path} cannot be read: ${messageOf(error)}`,
        path,
      })
    }
  }

  /**
   * Reads the records of an entry: `there` is its own file, or the one that its records were merged
   * into.
   */
  async #read(
    entry: ManifestFile,
    there: ManifestFile,
    found: FoundOffsets,
    isCompared: boolean,
  ): Promise<void> {
    const { files, problems, tp, log } = this.#options
    const lines = new FileLines({
      file: entry,
      path: there.path,
      tp,
      found: isCompared ? found : { seen: found.seen, compared: found.seen },
      problems,
    })
    const hash = createHash('sha256')
    let rest: Buffer | undefined
    try {
      for await (const { start, end, text, trouble } of readMembers(files, there.path, (bytes) =>
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
      // It was merged between the look and the read; an open file stays readable.
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

/** The files of a manifest as they are checked. */
export function filesInOrder({ files }: Manifest): ManifestFile[] {
  return files.toSorted((a, b) => a.first - b.first)
}

/** Where a file waits to be published. */
function stagedAt(file: ManifestFile): string {
  return 'staged' in file ? file.staged : `the open upload ${file.upload.id}`
}

/** The sha256 of a file; undefined if it is not there. @throws the home's error */
async function contentHash(home: ReadableHome, path: string): Promise<string | undefined> {
  const file = await home.open(path)
  if (file === undefined) return undefined
  try {
    const hash = createHash('sha256')
    const window = Buffer.allocUnsafe(Math.min(file.bytes, hashedAtOnce))
    for (let at = 0; at < file.bytes; ) {
      const read = await file.read(window, at)
      if (read === 0) break
      hash.update(window.subarray(0, read))
      at += read
    }
    return hash.digest('hex')
  } finally {
    await file.close()
  }
}
