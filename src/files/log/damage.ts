import type { TopicPartition } from '../../record/record.ts'
import { ArchiverError, isDamage, messageOf } from '../../runtime/errors.ts'
import { describeFileError, pathIn } from '../../runtime/file-errors.ts'

/** The damage of one partition that an error is about; undefined for any other error. */
export function damageOf(
  { topic, partition }: TopicPartition,
  error: unknown,
): ArchiverError | undefined {
  if (isDamage(error)) return error
  if (error instanceof ArchiverError || pathIn(error) === undefined) return undefined
  const why = describeFileError(error) ?? messageOf(error)
  return new ArchiverError('ARCHIVE_UNUSABLE', why, { topic, partition }, error)
}
