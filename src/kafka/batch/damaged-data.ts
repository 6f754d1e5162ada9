import { ArchiverError } from '../../runtime/errors.ts'

/**
 * Bytes that are not what they claim to be: no codec on any machine makes records of them. Every
 * other error while a batch is read (no memory, no module) says nothing about the batch, and may
 * pass.
 */
export class DamagedData extends Error {
  override readonly name = 'DamagedData'
}

/** Codes of Node's zlib for what is wrong with the bytes (zlib.h, "Return codes"). */
const damageCodes = new Set([
  'Z_DATA_ERROR',
  'Z_BUF_ERROR',
  'Z_NEED_DICT',
  'ERR_TRAILING_JUNK_AFTER_STREAM_END',
])
const zstdMemoryCode = 'ZSTD_error_memory_allocation'

/** True if an error of Node's zlib blames the bytes, and not this process or machine. */
export function isZlibDamage(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code = '' } = error as NodeJS.ErrnoException
  return damageCodes.has(code) || (code.startsWith('ZSTD_error_') && code !== zstdMemoryCode)
}

/**
 * The same for an error of a native module. These errors have no codes of their own: all of them
 * carry napi's.
 */
export function isNativeDamage(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof RangeError || error instanceof TypeError)
    return false
  if (error instanceof ArchiverError) return false
  const { code = '' } = error as NodeJS.ErrnoException
  return (
    (code === '' || code === 'GenericFailure' || code === 'InvalidArg') &&
    !/memory|alloc/i.test(error.message)
  )
}
