import { createRequire } from 'node:module'
import type * as Native from '@node-rs/crc32'
import { plainCrc32c } from './crc32c-plain.ts'

/** CRC-32C (Castagnoli, RFC 3720) of the bytes `[from, to)`, as a signed 32-bit number. */
export type Crc32c = (bytes: Uint8Array, from: number, to: number) => number

/** For fewer bytes, JavaScript is faster than a call of native code. */
const minNativeBytes = 512

/** Uses the processor's instructions; undefined if there is no native module to load. */
export function loadNativeCrc32c(): Crc32c | undefined {
  let native: typeof Native
  try {
    native = createRequire(import.meta.url)('@node-rs/crc32') as typeof Native
  } catch {
    // There is none for this platform, or it is not installed. JavaScript takes five times as long.
    return undefined
  }
  return (bytes, from, to) =>
    to - from < minNativeBytes
      ? plainCrc32c(bytes, from, to)
      : native.crc32c(Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from)) | 0
}

export const crc32c: Crc32c = loadNativeCrc32c() ?? plainCrc32c
