import type { SourceEdit } from './source-edits.ts'

/**
 * Error codes of a partition in the answer to a fetch. After these the consumer looks for the
 * partition, or for its log, again (https://kafka.apache.org/protocol#protocol_error_codes):
 * OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER.
 */
const moved: readonly number[] = [1, 3, 5, 6]

/**
 * A broker answers for each partition, and kafkajs throws all of the answer away if one partition
 * has an error. A damaged length in the log, a failing disk or a topic without read permission
 * would end the consumer of all others. An error that is no reason to look elsewhere becomes the
 * `failure` of its partition.
 */
export const partitionErrorEdits: readonly SourceEdit[] = [
  {
    module: 'protocol/requests/fetch/v0/response',
    find: '.filter(partition => failure(partition.errorCode))',
    replace: `.filter(partition => {
        if (!failure(partition.errorCode)) return false
        if (${JSON.stringify(moved)}.includes(partition.errorCode)) return true
        partition.failure = createErrorFromCode(partition.errorCode)
        return false
      })`,
    times: 1,
  },
]
