import { DamagedData } from './damaged-data.ts'
import { FrameCursor } from './frame-cursor.ts'
import { SlidingOutput } from './sliding-output.ts'

const magic = 0x18_4d_22_04
const uncompressedBit = 0x80_00_00_00
/** One byte of a match's length means at most 255 bytes. */
const maxRatio = 255

interface Block {
  readonly bytes: Buffer
  readonly isCompressed: boolean
  /** The largest that a block of its frame may be. */
  readonly limit: number
  /** Copies may reach into the block before it. */
  readonly isLinked: boolean
}

/**
 * The blocks of all frames (lz4_Frame_format.md of lz4/lz4). Checksums are not checked: Kafka's own
 * covers these bytes.
 *
 * @throws DamagedData
 */
function* blocks(bytes: Buffer): Generator<Block> {
  const cursor = new FrameCursor(bytes, 'LZ4', magic)
  while (cursor.nextFrame()) {
    const flags = cursor.byte()
    if (flags >>> 6 !== 1) throw new DamagedData(`version ${flags >>> 6} of a frame of LZ4`)
    const size = (cursor.byte() >>> 4) & 7
    if (size < 4) throw new DamagedData('a frame of LZ4 has no size of its blocks')
    if ((flags & 0x08) !== 0) cursor.take(8)
    if ((flags & 0x01) !== 0) throw new DamagedData('a frame of LZ4 needs a dictionary')
    cursor.take(1)
    for (let isFirst = true; ; isFirst = false) {
      const word = cursor.uint32()
      if (word === 0) break
      const length = word & ~uncompressedBit
      const start = cursor.take(length)
      yield {
        bytes: bytes.subarray(start, start + length),
        isCompressed: word < uncompressedBit,
        limit: 2 ** (8 + 2 * size),
        isLinked: (flags & 0x20) === 0 && !isFirst,
      }
      if ((flags & 0x10) !== 0) cursor.take(4)
    }
    if ((flags & 0x04) !== 0) cursor.take(4)
  }
}

/**
 * An upper bound for what the frames inflate to, and hardly above it.
 *
 * @throws DamagedData
 */
export function lz4Bound(bytes: Buffer): number {
  let bound = 0
  for (const { bytes: block, isCompressed, limit } of blocks(bytes)) {
    bound += isCompressed ? Math.min(limit, block.length * maxRatio) : block.length
  }
  return bound
}

/**
 * Inflates frames in chunks, with memory that does not depend on their size.
 *
 * @throws DamagedData
 */
export function* inflateLz4(bytes: Buffer): Generator<Buffer> {
  const output = new SlidingOutput()
  for (const block of blocks(bytes)) {
    if (!block.isLinked) output.reset()
    if (block.isCompressed) yield* inflateBlock(block.bytes, output, block.limit)
    else yield* literal(block.bytes, 0, block.bytes.length, output)
  }
  const rest = output.take()
  if (rest.length > 0) yield rest
}

function* literal(
  block: Buffer,
  from: number,
  to: number,
  output: SlidingOutput,
): Generator<Buffer> {
  let at = from
  while (at < to) {
    at += output.literal(block, at, to)
    if (output.isFull) yield output.take()
  }
}

/** A sequence is a token, literals and a copy. The last has no copy (lz4_Block_format.md). */
function* inflateBlock(block: Buffer, output: SlidingOutput, limit: number): Generator<Buffer> {
  let at = 0
  const before = output.written
  const byte = (): number => {
    const value = block[at++]
    if (value === undefined) throw new DamagedData('a block of LZ4 ends within a sequence')
    return value
  }
  const length = (short: number): number => {
    let sum = short
    if (short === 15) for (let more = 255; more === 255; sum += more) more = byte()
    return sum
  }
  while (at < block.length) {
    const token = byte()
    const end = length(token >>> 4) + at
    if (end > block.length) throw new DamagedData('a literal of LZ4 runs past the end')
    yield* literal(block, at, end, output)
    at = end
    if (at === block.length) break
    const offset = byte() | (byte() << 8)
    let bytes = 4 + length(token & 15)
    while (bytes > 0) {
      bytes -= output.copy(offset, bytes)
      if (output.isFull) yield output.take()
    }
    if (output.written - before > limit)
      throw new DamagedData(`a block of LZ4 is larger than ${limit} bytes`)
  }
}
