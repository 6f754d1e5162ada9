import { promisify } from 'node:util'
import { gunzip, type ZlibOptions } from 'node:zlib'
import type { HomeFile } from '../../home/home.ts'
import { LF } from '../../record/ascii.ts'
import { ArchiverError, messageOf, systemCode } from '../../runtime/errors.ts'
import { describeFileError } from '../../runtime/file-errors.ts'
import type { FileOpener } from './read-ahead.ts'

/** With `info`, zlib says how many bytes it took: it silently skips zeros behind a member. */
const decompress = promisify(gunzip) as unknown as (
  bytes: Buffer,
  options: ZlibOptions,
) => Promise<{ readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } }>

/**
 * The beginning of a member as this program writes it: magic, deflate, no flags, no time (RFC 1952,
 * section 2.3).
 */
export const memberHead = Buffer.from([0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0])
const windowBytes = 2 ** 20
/** Members that are decompressed in zlib's thread pool while the caller uses one. */
const membersAhead = 3
/**
 * Bytes inside a member may look like the beginning of one. So up to this many neighbours are tried
 * as one member.
 */
const maxJoined = 3
const maxChunk = 4 * 2 ** 20
/** A member holds 512 KiB of lines, or one line. A foreign file may inflate to any size. */
const maxMemberBytes = 2 ** 30

/** One gzip member of a data file: what it holds, or why it cannot be read. */
export interface Member {
  /** Its first byte in the file. */
  readonly start: number
  readonly end: number
  readonly text: Buffer | undefined
  readonly trouble: string | undefined
}

interface Slice {
  readonly start: number
  readonly bytes: Buffer
}

interface Outcome {
  readonly text: Buffer | undefined
  readonly trouble: string | undefined
  /** It ends too early: the following bytes may belong to it. */
  readonly isShort: boolean
}

/**
 * The members of a gzip file in order, decompressed a few ahead, their checksums checked. A member
 * that cannot be read comes with its `trouble`, and the next one follows: members are independent.
 *
 * @param observe gets every byte of the file in order, to hash it.
 * @param ahead how many members are decompressed at once, from 1.
 */
export async function* readMembers(
  home: FileOpener,
  path: string,
  observe: (bytes: Buffer) => void = () => {},
  ahead = membersAhead,
): AsyncGenerator<Member> {
  const file = await openToRead(home, path)
  try {
    const slices = readSlices(file, observe)
    const queue: { readonly slice: Slice; readonly outcome: Promise<Outcome> }[] = []
    const fill = async (wanted: number) => {
      while (queue.length < wanted) {
        const { value, done } = await slices.next()
        if (done === true) return
        queue.push({ slice: value, outcome: inflate(value.bytes) })
      }
    }
    for (;;) {
      await fill(ahead)
      const first = queue.shift()
      if (first === undefined) return
      const { slice } = first
      let outcome = await first.outcome
      let end = slice.start + slice.bytes.length
      for (let joined = 1; joined < maxJoined && outcome.isShort; joined++) {
        await fill(joined)
        if (queue.length < joined) break
        const more = queue.slice(0, joined).map((next) => next.slice)
        const tried = await inflate(Buffer.concat([slice.bytes, ...more.map(({ bytes }) => bytes)]))
        if (tried.text === undefined) continue
        outcome = tried
        end = more[joined - 1]!.start + more[joined - 1]!.bytes.length
        queue.splice(0, joined)
      }
      yield { start: slice.start, end, text: outcome.text, trouble: outcome.trouble }
    }
  } finally {
    await file.close()
  }
}

async function* readSlices(
  file: HomeFile,
  observe: (bytes: Buffer) => void,
): AsyncGenerator<Slice, undefined> {
  let position = 0
  let start = 0
  let rest = Buffer.alloc(0)
  let searched = 1
  for (;;) {
    const window = Buffer.allocUnsafeSlow(Math.min(windowBytes, Math.max(1, file.bytes - position)))
    const bytesRead = await file.read(window, position)
    if (bytesRead === 0) break
    position += bytesRead
    const read = window.subarray(0, bytesRead)
    observe(read)
    rest = rest.length === 0 ? read : Buffer.concat([rest, read])
    for (let at = rest.indexOf(memberHead, searched); at !== -1; at = rest.indexOf(memberHead, 1)) {
      yield { start, bytes: rest.subarray(0, at) }
      start += at
      rest = rest.subarray(at)
    }
    searched = Math.max(1, rest.length - memberHead.length + 1)
  }
  if (rest.length > 0) yield { start, bytes: rest }
  return undefined
}

/** Decompresses a series of members and checks their checksums. */
export async function inflate(bytes: Buffer, maxBytes = maxMemberBytes): Promise<Outcome> {
  // The last four bytes are the size of the text (modulo 2^32): one chunk for most members.
  const size = bytes.length < 18 ? 0 : bytes.readUInt32LE(bytes.length - 4)
  try {
    const chunkSize = Math.max(64, Math.min(size + 1, maxChunk))
    const { buffer, engine } = await decompress(bytes, {
      chunkSize,
      info: true,
      maxOutputLength: maxBytes,
    })
    if (engine.bytesWritten === bytes.length)
      return { text: buffer, trouble: undefined, isShort: false }
    return {
      text: undefined,
      trouble: `${bytes.length - engine.bytesWritten} bytes of it are no gzip`,
      isShort: false,
    }
  } catch (error) {
    const code = systemCode(error)
    const trouble =
      code === 'ERR_BUFFER_TOO_LARGE' ? `it holds more than ${maxBytes} bytes` : messageOf(error)
    return { text: undefined, trouble, isShort: code === 'Z_BUF_ERROR' }
  }
}

/**
 * The lines of a data file, many at a time: each block ends with the LF of its last line.
 * @throws ArchiverError `DAMAGED` if the file cannot be read as gzip or does not end with a line.
 */
export async function* readBlocks(
  home: FileOpener,
  path: string,
  ahead?: number,
): AsyncGenerator<Buffer> {
  const where = home.locate(path)
  let rest: Buffer | undefined
  for await (const { start, end, text, trouble } of readMembers(home, path, undefined, ahead)) {
    if (text === undefined)
      throw damaged(where, `bytes ${start} to ${end} cannot be decompressed: ${trouble}`)
    const whole: Buffer = rest === undefined ? text : Buffer.concat([rest, text])
    const cut = whole.lastIndexOf(LF) + 1
    rest = cut === whole.length ? undefined : whole.subarray(cut)
    if (cut > 0) yield whole.subarray(0, cut)
  }
  if (rest !== undefined) throw damaged(where, 'its last line has no end')
}

/**
 * The same from the last block to the first; the lines of each keep their order. Here a block is a
 * member, so members must hold whole lines, as those of this program do.
 */
export async function* readBlocksBackwards(home: FileOpener, path: string): AsyncGenerator<Buffer> {
  const where = home.locate(path)
  const file = await openToRead(home, path)
  try {
    const starts: number[] = []
    let end = 0
    for await (const { start, bytes } of readSlices(file, () => {})) {
      starts.push(start)
      end = start + bytes.length
    }
    let joined = 1
    for (let i = starts.length - 1; i >= 0; i--) {
      const bytes = Buffer.allocUnsafeSlow(end - starts[i]!)
      await file.read(bytes, starts[i]!)
      const { text, trouble } = await inflate(bytes)
      if (text === undefined) {
        // This was no beginning: the member begins with the bytes before.
        if (i === 0 || joined++ === maxJoined)
          throw damaged(where, `bytes ${starts[i]} to ${end}: ${trouble}`)
        continue
      }
      joined = 1
      end = starts[i]!
      if (text.at(-1) !== LF) throw damaged(where, 'a gzip member of it does not end with a line')
      yield text
    }
  } finally {
    await file.close()
  }
}

/**
 * Opens a data file; `from` is where its reader begins.
 * @throws ArchiverError `DAMAGED`, which says so if it is gone.
 */
export async function openToRead(home: FileOpener, path: string, from?: number): Promise<HomeFile> {
  let file: HomeFile | undefined
  try {
    file = await home.open(path, from)
  } catch (error) {
    if (error instanceof ArchiverError) throw error
    const ofFile = describeFileError(error)
    if (ofFile !== undefined) throw new ArchiverError('DAMAGED', ofFile, { path }, error)
    throw damaged(home.locate(path), messageOf(error))
  }
  if (file === undefined) throw damaged(home.locate(path), 'it is gone', true)
  return file
}

function damaged(path: string, why: string, isGone = false): ArchiverError {
  return new ArchiverError('DAMAGED', `${path}: ${why}; run verify`, { path, isGone })
}

/**
 * True for the error of a file that is not there. If it was merged meanwhile, another one has its
 * records.
 */
export function isGone(error: unknown): boolean {
  return error instanceof ArchiverError && error.context.isGone === true
}
