import { DamagedData } from './damaged-data.ts'
import { FrameCursor } from './frame-cursor.ts'

const magic = 0xfd_2f_b5_28
const maxBlockBytes = 128 * 1024

export interface ZstdSizes {
  /** An upper bound for what the frames inflate to. */
  readonly bound: number
  /** What the frames that say a size claim to inflate to. */
  readonly claimed: number
  /** The largest window, which a reader must keep in memory. */
  readonly windowBytes: number
}

/**
 * What the headers of all frames and blocks say, without inflating them (RFC 8878, section 3.1.1).
 *
 * @throws DamagedData
 */
export function zstdSizes(bytes: Buffer): ZstdSizes {
  const cursor = new FrameCursor(bytes, 'zstd', magic)
  let bound = 0
  let claimed = 0
  let windowBytes = 0
  while (cursor.nextFrame()) {
    const descriptor = cursor.byte()
    const isSingleSegment = (descriptor & 0x20) !== 0
    const window = isSingleSegment ? undefined : cursor.byte()
    cursor.take([0, 1, 2, 4][descriptor & 3]!)
    const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6]!
    const size = contentSize(bytes, cursor.take(sizeBytes), sizeBytes)
    claimed += size
    windowBytes = Math.max(windowBytes, window === undefined ? size : windowOf(window))
    for (let isLast = false; !isLast; ) {
      const header = bytes.readUIntLE(cursor.take(3), 3)
      isLast = (header & 1) === 1
      const type = (header >>> 1) & 3
      const length = header >>> 3
      if (type === 3) throw new DamagedData('a block of zstd of a type that does not exist')
      cursor.take(type === 1 ? 1 : length)
      bound += type === 2 ? maxBlockBytes : length
    }
    if ((descriptor & 0x04) !== 0) cursor.take(4)
  }
  return { bound, claimed, windowBytes }
}

function contentSize(bytes: Buffer, at: number, length: number): number {
  if (length === 0) return 0
  if (length === 8) return Number(bytes.readBigUInt64LE(at))
  return bytes.readUIntLE(at, length) + (length === 2 ? 256 : 0)
}

function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >>> 3))
  return base + (base / 8) * (descriptor & 7)
}
