import { resolve } from 'node:path'
import type { Logger } from '../runtime/log.ts'
import type { Home } from './home.ts'
import type { ArchivePlace } from './place.ts'
import { PosixHome } from './posix.ts'

/** How long a command waits for a store that does not answer, and a worker at its start, in ms. */
const patienceMs = 30_000

/**
 * The home in this place. Nothing is looked at yet: that it is no archive, or cannot be used, comes
 * of the first call. Who keeps files in a directory never loads what speaks to a bucket.
 *
 * @throws ArchiverError `USAGE` if nothing says in which region a bucket is.
 */
export async function openHome(place: ArchivePlace, log: Logger): Promise<Home> {
  if ('directory' in place) return new PosixHome(resolve(place.directory))
  const { S3Home } = await import('./s3/home.ts')
  return S3Home.open(place.bucket, { scratchDir: place.scratchDir, log, patienceMs })
}
