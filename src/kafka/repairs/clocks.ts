import type { SourceEdit } from './source-edits.ts'

/**
 * Modules of kafkajs that measure time by the wall clock: when a heartbeat is due, how long a
 * request may take, how old metadata is. If that clock is set back by an hour, heartbeats stop for
 * that hour; if it is set forward, every request times out. These modules get the monotonic clock.
 *
 * The other uses are for people and for records: the time of a log line and of an instrumentation
 * event, and the timestamp of a record that has none.
 */
const measuring: Readonly<Record<string, number>> = {
  'consumer/runner': 5,
  'consumer/consumerGroup': 7,
  'consumer/offsetManager/index': 4,
  'cluster/brokerPool': 2,
  'network/requestQueue/index': 4,
  'network/requestQueue/socketRequest': 4,
}

export const clockEdits: readonly SourceEdit[] = Object.entries(measuring).map(
  ([module, times]) => ({
    module,
    find: 'Date.now()',
    replace: 'performance.now()',
    times,
  }),
)
