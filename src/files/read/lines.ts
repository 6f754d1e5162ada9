import type { ReadableHome } from '../../home/home.ts'
import { LF } from '../../record/ascii.ts'
import { decodeLine } from '../../record/line/decoder.ts'
import { LineHead } from '../../record/line/head.ts'
import { mayShareSegment } from '../../record/segment.ts'
import { isSameType } from '../../record/type-name.ts'
import { inLanes, mapAhead } from '../../runtime/lanes.ts'
import { isGone, readBlocks, readBlocksBackwards } from './members.ts'
import { filesAhead, ReadAhead } from './read-ahead.ts'
import {
  type Hour,
  hoursOf,
  listStream,
  type Selection,
  type StreamFile,
  streamsOf,
} from './selection.ts'

/**
 * Max streams that are read side by side, so that their records come in order of time. Memory holds
 * a member of each.
 */
const maxStreams = 256
/** Up to this many streams, a few members and a file of each are read ahead. */
const fewStreams = 64
/** Up to this many lines are sorted among more streams. */
const maxChosen = 10_000
/** Hours that are listed at once. */
const hoursAhead = 4
/** How often in a row a stream is listed again because a file of it is gone. */
const maxTries = 5

export type Order = 'oldest' | 'newest'

/** One line of a file: `[start, end)` of a block, without its LF. Valid until the next one. */
export interface LineAt {
  readonly block: Buffer
  readonly start: number
  readonly end: number
}

/** The order of selected lines, and which of them are wanted. */
export interface Wanted {
  readonly order: Order
  readonly matches?: ((line: Buffer) => boolean) | undefined
  /** The max number of lines. */
  readonly limit?: number | undefined
}

/**
 * The selected lines of an archive by time: hour by hour, and within an hour by timestamp, as far
 * as the records of each partition are in that order themselves. It reads directories and files as
 * it goes, so memory holds a few members, however large the archive is. There is one stream for
 * each type and topic-partition. If an hour has more than 256 streams, the order holds for a
 * `limit` of up to 10,000. Without such a limit, it holds among 256 streams at a time.
 */
export async function* readLines(
  home: ReadableHome,
  selection: Selection,
  wanted: Wanted,
): AsyncGenerator<LineAt> {
  yield* readHours(home, await hoursOf(home, selection), selection, wanted)
}

/** Like `readLines`, for hours that are in order. */
export async function* readHours(
  home: ReadableHome,
  hours: readonly Hour[],
  selection: Selection,
  wanted: Wanted,
): AsyncGenerator<LineAt> {
  if (wanted.order === 'newest') hours = hours.toReversed()
  let left = wanted.limit ?? Number.POSITIVE_INFINITY
  const listed = mapAhead(hours, hoursAhead, (hour) => streamsOf(home, hour, selection))
  for await (const streams of listed) {
    for await (const line of linesOfHour(home, streams, selection, { ...wanted, limit: left })) {
      yield line
      if (--left === 0) return
    }
  }
}

async function* linesOfHour(
  home: ReadableHome,
  streams: readonly StreamFile[][],
  selection: Selection,
  wanted: Wanted & { readonly limit: number },
): AsyncGenerator<LineAt> {
  const parts: StreamFile[][][] = []
  for (let at = 0; at < streams.length; at += maxStreams)
    parts.push(streams.slice(at, at + maxStreams))
  if (parts.length > 1 && wanted.limit <= maxChosen) yield* chosen(home, parts, selection, wanted)
  else
    for (const part of parts)
      for await (const { line } of matching(home, part, selection, wanted)) yield line
}

interface TimedLine {
  readonly timestamp: number
  readonly line: LineAt
}

/** The first lines in time of all parts: the first ones of each part, sorted. */
async function* chosen(
  home: ReadableHome,
  parts: readonly (readonly StreamFile[][])[],
  selection: Selection,
  wanted: Wanted & { readonly limit: number },
): AsyncGenerator<LineAt> {
  const sign = wanted.order === 'newest' ? -1 : 1
  let best: TimedLine[] = []
  for (const part of parts) {
    let taken = 0
    for await (const { timestamp, line } of matching(home, part, selection, wanted)) {
      best.push({ timestamp, line: kept(line) })
      if (++taken === wanted.limit) break
    }
    best = best.toSorted((a, b) => (a.timestamp - b.timestamp) * sign).slice(0, wanted.limit)
  }
  for (const { line } of best) yield line
}

function kept({ block, start, end }: LineAt): LineAt {
  const copy = Buffer.from(block.subarray(start, end))
  return { block: copy, start: 0, end: copy.length }
}

async function* matching(
  home: ReadableHome,
  part: readonly StreamFile[][],
  selection: Selection,
  { order, matches }: Wanted,
): AsyncGenerator<TimedLine> {
  const ahead = part.length > fewStreams ? 1 : undefined
  const share = part.length > fewStreams ? 0 : Math.ceil(filesAhead / part.length)
  const streams = part.map((files) => new LineStream(home, files, selection, order, ahead, share))
  const isOfType = typeFilter(selection)
  try {
    await inLanes(streams, async (stream) => void (await stream.load()))
    for await (const one of merged(streams, order)) {
      const line = one.line.block.subarray(one.line.start, one.line.end)
      if (isOfType(line) && (matches?.(line) ?? true)) yield one
    }
  } finally {
    for (const stream of streams) await stream.close()
  }
}

/**
 * The directory says the type. But an earlier version put several types into some directories, so
 * there each line is checked.
 */
function typeFilter({ types }: Selection): (line: Buffer) => boolean {
  const mayBeShared = types?.some((type) => !type.reserved && mayShareSegment(type)) ?? false
  return mayBeShared
    ? (line) => types!.some((type) => isSameType(type, decodeLine(line).type))
    : () => true
}

/** Merges streams by time. */
async function* merged(streams: readonly LineStream[], order: Order): AsyncGenerator<TimedLine> {
  const open = [...streams]
  const sign = order === 'newest' ? -1 : 1
  for (;;) {
    let best: LineStream | undefined
    for (let i = open.length - 1; i >= 0; i--) {
      const stream = open[i]!
      if (stream.current === undefined && !(await stream.load())) open.splice(i, 1)
      else if (best === undefined || (stream.timestamp - best.timestamp) * sign <= 0) best = stream
    }
    if (best === undefined) return
    yield { timestamp: best.timestamp, line: best.current! }
    best.advance()
  }
}

/**
 * The lines of some files one after another, forwards or backwards. If a file was merged into
 * another one meanwhile, it continues in that one, behind the last offset.
 */
class LineStream {
  readonly #home: ReadableHome
  readonly #opener: ReadAhead
  #files: StreamFile[]
  readonly #selection: Selection
  readonly #order: Order
  readonly #ahead: number | undefined
  readonly #head = new LineHead()
  #blocks: AsyncGenerator<Buffer> | undefined
  #block: Buffer = Buffer.alloc(0)
  /** Where the lines of the block begin, in the order of reading. */
  #starts: number[] = []
  #at = 0
  current: LineAt | undefined
  timestamp = Number.NaN
  /** The offset of the last line. */
  #offset: number | undefined
  #tries = 0
  #isReadingOn = false

  /**
   * `ahead`: members that are decompressed at once, see `readBlocks`. `opened`: files that may be
   * open before it is their turn.
   */
  constructor(
    home: ReadableHome,
    files: readonly StreamFile[],
    selection: Selection,
    order: Order,
    ahead: number | undefined,
    opened: number,
  ) {
    this.#home = home
    this.#opener = new ReadAhead(home, opened)
    this.#ahead = ahead
    this.#files = order === 'newest' ? files.toReversed() : [...files]
    this.#selection = selection
    this.#order = order
  }

  /** Moves to the next line of the block; `current` is undefined at its end. */
  advance(): void {
    const { from, to } = this.#selection
    this.current = undefined
    while (this.#at < this.#starts.length) {
      const start = this.#starts[this.#at++]!
      this.#head.read(this.#block, start)
      const { timestamp, offset } = this.#head
      if (!this.#isAhead(offset)) continue
      this.#offset = offset
      if ((from !== undefined && timestamp < from) || (to !== undefined && timestamp >= to))
        continue
      this.timestamp = timestamp
      this.current = { block: this.#block, start, end: this.#block.indexOf(LF, start) }
      return
    }
  }

  /** Reads blocks until there is a line; false at the end. */
  async load(): Promise<boolean> {
    for (;;) {
      this.advance()
      if (this.current !== undefined) return true
      const next = await this.#nextBlock()
      if (next !== undefined) {
        this.#block = next
        this.#starts = startsOf(next)
        if (this.#order === 'newest') this.#starts.reverse()
        this.#at = 0
        continue
      }
      const file = this.#files[0]
      if (file === undefined) return false
      this.#blocks =
        this.#order === 'newest'
          ? readBlocksBackwards(this.#opener, file.path)
          : readBlocks(this.#opener, file.path, this.#ahead)
    }
  }

  /** Undefined at the end of a file, and if it was merged into another one, which comes next. */
  async #nextBlock(): Promise<Buffer | undefined> {
    if (this.#blocks === undefined) return undefined
    try {
      const next = await this.#blocks.next()
      if (next.done === false) return next.value
      this.#files.shift()
      // Who reads on reads all; who wants some lines has them from the first file, as a rule.
      if (!this.#isReadingOn) this.#opener.expect(this.#files.map(({ path }) => path))
      this.#isReadingOn = true
      this.#tries = 0
    } catch (error) {
      const [gone] = this.#files
      if (!isGone(error) || gone === undefined || this.#tries++ === maxTries) throw error
      const files = await listStream(this.#home, gone)
      // No other file has the records of a pruned one.
      if (!files.some(({ first, last }) => first <= gone.first && gone.last <= last)) throw error
      if (this.#order === 'newest') files.reverse()
      this.#files = files.filter(({ first, last }) =>
        this.#isAhead(this.#order === 'newest' ? first : last),
      )
    }
    this.#blocks = undefined
    return undefined
  }

  #isAhead(offset: number): boolean {
    if (this.#offset === undefined) return true
    return this.#order === 'newest' ? offset < this.#offset : offset > this.#offset
  }

  async close(): Promise<void> {
    await this.#blocks?.return(undefined)
    await this.#opener[Symbol.asyncDispose]()
  }
}

function startsOf(block: Buffer): number[] {
  const starts: number[] = []
  for (let start = 0; start < block.length; start = block.indexOf(LF, start) + 1) starts.push(start)
  return starts
}
