import { type ArchiveValues, archivePlace, isInBucket } from '../../config/archive.ts'
import type { ArchiveRoot } from '../../config/s3.ts'
import type { Home } from '../../home/home.ts'
import { openHome } from '../../home/open-home.ts'
import { createLogger, type Logger } from '../../runtime/log.ts'
import { Proxies } from '../../runtime/proxies.ts'
import { standardError } from '../../runtime/standard-streams.ts'

/**
 * The archive that the options of a command name. A command without a log of its own says on
 * standard error what it waits for.
 *
 * @throws ArchiverError `USAGE`.
 */
export function openArchive(
  values: ArchiveValues,
  log: Logger = createLogger({ level: 'warn', stream: standardError }),
): Promise<Home> {
  return openHome(archivePlace(values, proxiesTo(values.archiveDir)), log)
}

/** The proxies on the way to a place. @throws ArchiverError `USAGE` */
export function proxiesTo(root: ArchiveRoot): Proxies | undefined {
  return isInBucket(root) ? new Proxies(process.env) : undefined
}
