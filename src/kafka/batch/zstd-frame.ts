import { DamagedData } from './damaged-data.ts'

const magic = 0xfd_2f_b5_28
/** Sixteen magics of frames that readers pass over. */
const skippableMagic = 0x18_4d_2a_50
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
  let at = 0
  let bound = 0
  let claimed = 0
  let windowBytes = 0
  const take = (length: number): number => {
    if (at + length > bytes.length) throw new DamagedData('a frame of zstd is cut off')
    at += length
    return at - length
  }
  while (at < bytes.length) {
    const frame = bytes.readUInt32LE(take(4))
    if ((frame & 0xff_ff_ff_f0) >>> 0 === skippableMagic) {
      take(bytes.readUInt32LE(take(4)))
      continue
    }
    if (frame !== magic) throw new DamagedData('this is no frame of zstd')
    const descriptor = bytes[take(1)]!
    const isSingleSegment = (descriptor & 0x20) !== 0
    const window = isSingleSegment ? undefined : bytes[take(1)]!
    take([0, 1, 2, 4][descriptor & 3]!)
    const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6]!
    const size = contentSize(bytes, take(sizeBytes), sizeBytes)
    claimed += size
    windowBytes = Math.max(windowBytes, window === undefined ? size : windowOf(window))
    for (let isLast = false; !isLast; ) {
      const header = bytes.readUIntLE(take(3), 3)
      isLast = (header & 1) === 1
      const type = (header >>> 1) & 3
      const length = header >>> 3
      if (type === 3) throw new DamagedData('a block of zstd of a type that does not exist')
      take(type === 1 ? 1 : length)
      bound += type === 2 ? maxBlockBytes : length
    }
    if ((descriptor & 0x04) !== 0) take(4)
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
