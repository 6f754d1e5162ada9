import type { RunOptions } from '../../config/commands/run.ts'
import { flushIntervalMs } from '../../config/files.ts'
import { requestsPerDay } from '../../home/s3/cost.ts'
import type { Logger } from '../../runtime/log.ts'

/** Requests to a bucket cost money, and the flush interval decides how many there are. */
export function logRequests(options: RunOptions, log: Logger): void {
  const intervalMs = flushIntervalMs(options)
  const ofOneFile = requestsPerDay(intervalMs, 1)
  log.info(
    {
      event: 'bucket_requests_estimated',
      flush_interval_s: intervalMs / 1000,
      requests_per_partition_and_day: ofOneFile,
      more_for_each_further_type: requestsPerDay(intervalMs, 2) - ofOneFile,
    },
    'requests to the bucket while records come',
  )
}
