import { DamagedData } from './damaged-data.ts'
import { SlidingOutput } from './sliding-output.ts'

/**
 * The head of Java's snappy stream (xerial): a magic, its version and the oldest version that reads
 * it. Blocks follow, each a 32-bit big-endian length and raw snappy. Kafka's Java clients read and
 * write this, not plain snappy.
 */
export const xerialHeader = Buffer.from('82534e4150505900' + '00000001' + '00000001', 'hex')
const xerialMagicLength = 8
/**
 * A copy of three bytes means at most 64, so raw snappy cannot claim more than this times its size.
 */
const maxRatio = 22

/**
 * The raw blocks of a batch: those of a xerial stream, or the whole batch.
 *
 * @throws DamagedData for a block that runs past the end.
 */
export function snappyBlocks(bytes: Buffer): readonly Buffer[] {
  if (!bytes.subarray(0, xerialMagicLength).equals(xerialHeader.subarray(0, xerialMagicLength)))
    return [bytes]
  const blocks: Buffer[] = []
  for (let at = xerialHeader.length; at < bytes.length; ) {
    const length = at + 4 <= bytes.length ? bytes.readInt32BE(at) : -1
    const end = at + 4 + length
    if (length < 0 || end > bytes.length)
      throw new DamagedData(`block of ${length} bytes at ${at} of ${bytes.length}`)
    blocks.push(bytes.subarray(at + 4, end))
    at = end
  }
  return blocks
}

/**
 * The size that a raw block claims to inflate to.
 *
 * @throws DamagedData for more than such a block can hold.
 */
export function snappyLength(block: Buffer): number {
  return preamble(block).length
}

function preamble(block: Buffer): { readonly length: number; readonly end: number } {
  let length = 0
  for (let i = 0; i < 5; i++) {
    const byte = block[i]
    if (byte === undefined) break
    length += (byte & 0x7f) * 2 ** (7 * i)
    if (byte >= 0x80) continue
    if (length > maxRatio * block.length)
      throw new DamagedData(`${block.length} bytes of snappy claim to be ${length}`)
    return { length, end: i + 1 }
  }
  throw new DamagedData('a block of snappy does not say its length')
}

/**
 * Inflates raw snappy blocks in chunks, with memory that does not depend on their size
 * (google/snappy, format_description.txt).
 *
 * @throws DamagedData
 */
export function* inflateSnappy(blocks: readonly Buffer[]): Generator<Buffer> {
  const output = new SlidingOutput()
  for (const block of blocks) {
    output.reset()
    yield* inflateBlock(block, output)
  }
  const rest = output.take()
  if (rest.length > 0) yield rest
}

function* inflateBlock(block: Buffer, output: SlidingOutput): Generator<Buffer> {
  const { length, end: begin } = preamble(block)
  let at = begin
  const number = (bytes: number): number => {
    if (at + bytes > block.length) throw new DamagedData('a block of snappy ends within an element')
    const value = block.readUIntLE(at, bytes)
    at += bytes
    return value
  }
  while (at < block.length) {
    const tag = block[at++]!
    const kind = tag & 3
    if (kind === 0) {
      const short = tag >>> 2
      const bytes = 1 + (short < 60 ? short : number(short - 59))
      const end = at + bytes
      if (end > block.length) throw new DamagedData('a literal of snappy runs past the end')
      while (at < end) {
        at += output.literal(block, at, end)
        if (output.isFull) yield output.take()
      }
    } else {
      let bytes = kind === 1 ? 4 + ((tag >>> 2) & 7) : 1 + (tag >>> 2)
      const offset = kind === 1 ? ((tag >>> 5) << 8) | number(1) : number(kind === 2 ? 2 : 4)
      while (bytes > 0) {
        bytes -= output.copy(offset, bytes)
        if (output.isFull) yield output.take()
      }
    }
    if (output.written > length) break
  }
  if (output.written !== length)
    throw new DamagedData(`a block of snappy claims ${length} bytes and has others`)
}
