import { createRequire } from 'node:module'
import type { Kafka as KafkaClass } from 'kafkajs'
import { brokerAddressEdits } from './repairs/broker-address.ts'
import { clockEdits } from './repairs/clocks.ts'
import { fetchSessionEdits, repairFetchSessions } from './repairs/fetch-sessions.ts'
import { repairFetchedBytes } from './repairs/fetched-bytes.ts'
import { repairFrames } from './repairs/frames.ts'
import { repairGrouping } from './repairs/grouping.ts'
import { joinEdits, repairJoin } from './repairs/join.ts'
import { repairLookups } from './repairs/linear-lookups.ts'
import { load as loadModule } from './repairs/modules.ts'
import { repairOffsetReset } from './repairs/offset-reset.ts'
import { partitionErrorEdits } from './repairs/partition-errors.ts'
import { repairPausedFetch } from './repairs/paused-fetch.ts'
import { repairRequestQueue } from './repairs/request-queue.ts'
import { withSourceEdits } from './repairs/source-edits.ts'
import { topicMapEdits } from './repairs/topic-maps.ts'

/**
 * The only door to kafkajs. It puts the repairs in place before kafkajs is loaded. kafkajs 2.2.4
 * has been the last version since 2023 and is pinned exactly. Each repair replaces one module,
 * method or text by its name, and fails loudly if that is not what it was written for. Nothing that
 * guards the data relies on them: the worker checks positions itself.
 */

function load(): unknown {
  repairFrames()
  repairGrouping()
  repairFetchedBytes()
  repairFetchSessions()
  repairJoin()
  repairLookups()
  repairOffsetReset()
  repairPausedFetch()
  repairRequestQueue()
  // kafkajs loads parts of a protocol when it first asks a broker; edits are for modules that are
  // loaded here.
  for (const { module } of partitionErrorEdits) loadModule(module)
  return createRequire(import.meta.url)('kafkajs')
}

/** kafkajs, repaired. */
export const kafkajs = withSourceEdits(
  [
    ...topicMapEdits,
    ...clockEdits,
    ...brokerAddressEdits,
    ...partitionErrorEdits,
    ...fetchSessionEdits,
    ...joinEdits,
  ],
  load,
) as {
  readonly Kafka: typeof KafkaClass
} & typeof import('kafkajs')
