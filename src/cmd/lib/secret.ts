import { readSecretFile } from '../../runtime/secret-file.ts'

/**
 * What a file with a secret holds, without the line break at its end. Throws ArchiverError `USAGE`.
 */
export function secretOf(flag: string, file: string | undefined): string | undefined {
  return file === undefined ? undefined : readSecretFile(flag, file)
}
