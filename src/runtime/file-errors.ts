import { systemCode } from './errors.ts'

/** Errors of the file system for people, by the system's code. */
const troubles: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left',
  EDQUOT: 'the quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: `permission denied to user id ${process.getuid?.() ?? 'unknown'}`,
  EPERM: 'not permitted',
  EIO: 'input/output error',
  EMFILE: 'too many open files in this process (see ulimit -n)',
  ENFILE: 'too many open files on this machine',
  EFBIG: 'the file size limit is reached (see ulimit -f)',
  EXDEV:
    'staging and archive lie on different file systems; keep the whole archive directory on one',
  ENOTDIR: 'there is a file in the place of a directory',
  ELOOP: 'there is a symbolic link in the place of a file; it is not followed',
  ENXIO: 'there is a FIFO or a socket in the place of a file',
  ESTALE: 'the network file system lost the directory',
}

/** What an error of the file system means, by its code; undefined for a code without words. */
export function wordsOf(code: string | undefined): string | undefined {
  return code === undefined ? undefined : troubles[code]
}

/** The path that an error is about. Of the system's errors, only those of files name one. */
export function pathIn(error: unknown): string | undefined {
  return error instanceof Error && 'path' in error && typeof error.path === 'string'
    ? error.path
    : undefined
}

/**
 * An error of the file system in words, with its path; undefined for any other error, and for a
 * code that a bug may cause as well (a file that is not there).
 */
export function describeFileError(error: unknown): string | undefined {
  const words = wordsOf(systemCode(error))
  const path = pathIn(error)
  return words === undefined || path === undefined ? undefined : `${words}: ${path}`
}
