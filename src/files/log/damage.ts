import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'

/** The damage of one partition that an error is about; undefined for any other error. */
export function damageOf(tp: TopicPartition, error: unknown): ArchiverError | undefined {
  if (error instanceof ArchiverError) {
    return error.code === 'MANIFEST_INVALID' || error.code === 'DAMAGED' ? error : undefined
  }
  // Only errors of the file system name a path.
  const isOfFiles = error instanceof Error && 'path' in error && typeof error.path === 'string'
  return isOfFiles
    ? new ArchiverError('ARCHIVE_UNUSABLE', `${partitionKey(tp)}: ${messageOf(error)}`, {}, error)
    : undefined
}
