import { constants, gunzipSync } from 'node:zlib'
import type { HomeFile, ReadableHome } from '../../home/home.ts'
import { LF, OPEN_BRACE } from '../../record/ascii.ts'
import { LineHead } from '../../record/line/head.ts'
import type { ManifestFile } from '../log/manifest.ts'
import { inflate, memberHead, openToRead, readBlocks } from './members.ts'

/** Read at once: some ten members, and one request to a bucket. */
const windowBytes = 2 ** 20
/** Compressed bytes of a member that hold the head of its first line, unless that is huge. */
const headBytes = 2 ** 14
/** A member of one line may be larger than a window; then the window grows up to this. */
const maxWindowBytes = 2 ** 28
/** Windows that are read before a file is read from its beginning: no file of ours needs them. */
const maxWindows = 40
/** Windows whose place is interpolated; the others halve what is left. */
const interpolated = 4

/** A file that may hold an offset, as its manifest describes it. */
export type SearchedFile = Pick<ManifestFile, 'path' | 'first' | 'last' | 'bytes'>

/**
 * The line with an offset in files that may hold it; undefined if none does.
 *
 * The lines of a file are in the order of their offsets, and each gzip member holds whole lines. So
 * a few windows are read in place of a file of a gibibyte: where the offset would be if all lines
 * were of one size, then nearer. In a bucket that is one request, as a rule.
 *
 * @throws ArchiverError `DAMAGED`
 */
export async function findOffset(
  home: ReadableHome,
  files: readonly SearchedFile[],
  offset: number,
): Promise<Buffer | undefined> {
  for (const file of files) {
    const found =
      file.bytes <= windowBytes ? undefined : await new OffsetSearch(file, offset).search(home)
    const line = found === undefined ? await scan(home, file.path, offset) : found.line
    if (line !== undefined) return line
  }
  return undefined
}

/** Reads from the beginning, up to the first greater offset. */
async function scan(home: ReadableHome, path: string, offset: number): Promise<Buffer | undefined> {
  const head = new LineHead()
  for await (const block of readBlocks(home, path)) {
    head.read(block, block.lastIndexOf(LF, block.length - 2) + 1)
    if (head.offset >= offset) return lineIn(block, offset)
  }
  return undefined
}

function lineIn(block: Buffer, offset: number): Buffer | undefined {
  const head = new LineHead()
  for (let start = 0, end = 0; start < block.length; start = end + 1) {
    end = block.indexOf(LF, start)
    head.read(block, start)
    if (head.offset === offset) return block.subarray(start, end)
    if (head.offset > offset) break
  }
  return undefined
}

/** Where a member begins, and the offset of its first line. */
interface MemberStart {
  readonly at: number
  readonly offset: number
}

/** What a search knows: undefined if the file has to be read from its beginning. */
type Found = { readonly line: Buffer | undefined } | undefined

class OffsetSearch {
  readonly #file: SearchedFile
  readonly #offset: number
  /** The member that holds the offset begins here or behind … */
  #low: MemberStart
  /** … and before this one. */
  #high: MemberStart

  constructor(file: SearchedFile, offset: number) {
    this.#file = file
    this.#offset = offset
    this.#low = { at: 0, offset: file.first }
    this.#high = { at: file.bytes, offset: file.last + 1 }
  }

  async search(home: ReadableHome): Promise<Found> {
    let at = this.#guess(0)
    let size = windowBytes
    const file = await openToRead(home, this.#file.path, at)
    try {
      // Somebody changed it; reading it whole says what is wrong.
      if (file.bytes !== this.#file.bytes) return undefined
      for (let windows = 1; windows <= maxWindows; windows++) {
        const window = await readWindow(file, at, size)
        const starts = startsIn(window, at)
        const behind = starts.findIndex(({ offset }) => offset > this.#offset)
        const target = starts[behind === -1 ? starts.length - 1 : behind - 1]
        const next = behind === -1 ? undefined : starts[behind]
        const end = next?.at ?? (at + window.length === file.bytes ? file.bytes : undefined)
        if (target !== undefined && end !== undefined)
          return await inMember(window.subarray(target.at - at, end - at), this.#offset)
        const isTooSmall = target === undefined ? next === undefined : target.at === at
        if (isTooSmall) {
          size *= 4
          if (size > maxWindowBytes) return undefined
          continue
        }
        if (target === undefined) this.#high = next!
        else this.#low = target
        at = this.#guess(windows)
      }
      return undefined
    } finally {
      await file.close()
    }
  }

  /** Where to read next: the offset is in the middle of the window if all lines are of one size. */
  #guess(windows: number): number {
    const { at: low, offset: first } = this.#low
    const { at: high, offset: next } = this.#high
    const share = windows < interpolated ? (this.#offset - first) / Math.max(1, next - first) : 0.5
    const middle = low + (high - low) * Math.min(1, share)
    const at = Math.min(middle - windowBytes / 2, this.#file.bytes - windowBytes)
    return Math.max(low, Math.floor(at))
  }
}

async function readWindow(file: HomeFile, at: number, size: number): Promise<Buffer> {
  const window = Buffer.allocUnsafeSlow(Math.min(size, file.bytes - at))
  let length = 0
  while (length < window.length) {
    const read = await file.read(window.subarray(length), at + length)
    if (read === 0) break
    length += read
  }
  return window.subarray(0, length)
}

/** The members that begin in a window. Bytes that only look like a beginning hold no line. */
function startsIn(window: Buffer, from: number): MemberStart[] {
  const starts: MemberStart[] = []
  const head = new LineHead()
  for (let at = window.indexOf(memberHead); at !== -1; at = window.indexOf(memberHead, at + 1)) {
    const text = beginningOf(window.subarray(at, at + headBytes))
    if (text?.[0] !== OPEN_BRACE || !head.read(text, 0)) continue
    starts.push({ at: from + at, offset: head.offset })
  }
  return starts
}

/** What the first bytes of a member hold; undefined if it is none. */
function beginningOf(bytes: Buffer): Buffer | undefined {
  try {
    return gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH })
  } catch {
    return undefined
  }
}

/** Undefined if it is not as this program writes it: reading the file whole says why. */
async function inMember(bytes: Buffer, offset: number): Promise<Found> {
  const { text } = await inflate(bytes)
  return text?.at(-1) === LF ? { line: lineIn(text, offset) } : undefined
}
