import { readFileSync } from 'node:fs'
import { ArchiverError, messageOf } from '../errors.ts'

/** What stands in a file with a secret, without the line break at its end. Throws ArchiverError `USAGE`. */
export function secretOf(flag: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined
  let secret: string
  try {
    secret = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new ArchiverError('USAGE', `${flag} ${file} cannot be read: ${messageOf(error)}`)
  }
  if (secret === '') throw new ArchiverError('USAGE', `${flag} ${file} is empty`)
  return secret
}
