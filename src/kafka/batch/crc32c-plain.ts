import { endianness } from 'node:os'

/**
 * Table `n` holds the checksum of each byte with `n` zero bytes after it. The tables lie one behind
 * the other, 256 entries each.
 */
const tables = new Int32Array(8 * 256)
for (let byte = 0; byte < 256; byte++) {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  tables[byte] = crc
}
for (let i = 256; i < tables.length; i++) {
  const before = tables[i - 256]!
  tables[i] = tables[before & 0xff]! ^ (before >>> 8)
}

/**
 * Each step depends on the one before, so four parts are computed at a time to keep a core busy:
 * each of this many 32-bit words.
 */
const laneWords = 64
const laneBytes = 4 * laneWords
const blockBytes = 4 * laneBytes
const isLittleEndian = endianness() === 'LE'

/** What `laneBytes` zero bytes make of a checksum: one table for each of its bytes. */
const shifts = new Int32Array(4 * 256)
for (let bit = 0; bit < 32; bit++) {
  let crc = 1 << bit
  for (let i = 0; i < laneBytes; i++) crc = tables[crc & 0xff]! ^ (crc >>> 8)
  const table = (bit >>> 3) * 256
  // The operation is linear: the result for a byte is the sum of the results for its bits.
  for (let byte = 0; byte < 256; byte++)
    if ((byte & (1 << (bit & 7))) !== 0) shifts[table + byte]! ^= crc
}

function shifted(crc: number): number {
  return (
    shifts[crc & 0xff]! ^
    shifts[256 + ((crc >>> 8) & 0xff)]! ^
    shifts[512 + ((crc >>> 16) & 0xff)]! ^
    shifts[768 + (crc >>> 24)]!
  )
}

/** One step over two words, eight bytes ("slicing by 8"). */
function step(x: number, y: number): number {
  return (
    tables[1792 + (x & 0xff)]! ^
    tables[1536 + ((x >>> 8) & 0xff)]! ^
    tables[1280 + ((x >>> 16) & 0xff)]! ^
    tables[1024 + (x >>> 24)]! ^
    tables[768 + (y & 0xff)]! ^
    tables[512 + ((y >>> 8) & 0xff)]! ^
    tables[256 + ((y >>> 16) & 0xff)]! ^
    tables[y >>> 24]!
  )
}

function bytewise(crc: number, bytes: Uint8Array, from: number, to: number): number {
  let value = crc
  for (let at = from; at < to; at++) value = tables[(value ^ bytes[at]!) & 0xff]! ^ (value >>> 8)
  return value
}

/** Whole blocks, from word `from` to word `to`. */
function blockwise(crc: number, words: Int32Array, from: number, to: number): number {
  let a = crc
  for (let block = from; block < to; block += 4 * laneWords) {
    let b = 0
    let c = 0
    let d = 0
    const end = block + laneWords
    for (let i = block; i < end; i += 2) {
      a = step(a ^ words[i]!, words[i + 1]!)
      b = step(b ^ words[i + laneWords]!, words[i + laneWords + 1]!)
      c = step(c ^ words[i + 2 * laneWords]!, words[i + 2 * laneWords + 1]!)
      d = step(d ^ words[i + 3 * laneWords]!, words[i + 3 * laneWords + 1]!)
    }
    a = shifted(shifted(shifted(a) ^ b) ^ c) ^ d
  }
  return a
}

/** CRC-32C (Castagnoli, RFC 3720) of the bytes `[from, to)`, as a signed 32-bit number. */
export function plainCrc32c(bytes: Uint8Array, from: number, to: number): number {
  const aligned = from + (-(bytes.byteOffset + from) & 3)
  if (!isLittleEndian || to - aligned < 8) return ~bytewise(-1, bytes, from, to)
  let crc = bytewise(-1, bytes, from, aligned)
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + aligned, (to - aligned) >>> 2)
  const blocks = Math.floor((to - aligned) / blockBytes) * 4 * laneWords
  crc = blockwise(crc, words, 0, blocks)
  const pairs = words.length & ~1
  for (let i = blocks; i < pairs; i += 2) crc = step(crc ^ words[i]!, words[i + 1]!)
  return ~bytewise(crc, bytes, aligned + 4 * pairs, to)
}
