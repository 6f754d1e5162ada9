import { readFileSync } from 'node:fs'
import { ArchiverError, messageOf } from './errors.ts'

/**
 * The secret in a file: its content without one line break at its end; undefined without a file.
 * `flag` names the option in messages.
 * @throws ArchiverError `USAGE` for a file that cannot be read, is empty, or is not UTF-8
 */
export function readSecretFile(flag: string, file: string): string
export function readSecretFile(flag: string, file: string | undefined): string | undefined
export function readSecretFile(flag: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    throw new ArchiverError(
      'USAGE',
      `${flag} ${file} cannot be read: ${messageOf(error)}`,
      {},
      error,
    )
  }
  let secret: string
  try {
    secret = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
      .decode(bytes)
      .replace(/\r?\n$/, '')
  } catch {
    throw new ArchiverError('USAGE', `${flag} ${file} is not UTF-8`)
  }
  if (secret === '') throw new ArchiverError('USAGE', `${flag} ${file} is empty`)
  return secret
}
