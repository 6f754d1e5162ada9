import { dashboardObject } from '../dashboard.ts'
import { statusDataView as dataView, dateWidth } from '../data-views.ts'
import { byTime, count, number, statistic, table, top, xy } from '../lens.ts'
import type { SavedObject } from '../saved-object.ts'
import { operationsId, overviewId } from './overview.ts'

/** Twice the time between status documents, and a little. */
const now = '90s'

const whatToLookFor = (
  indexPrefix: string,
) => `**What to look for** · [What is in the archive? → Overview](#/view/${overviewId(indexPrefix)})
- **Lag** that grows: producers write faster than the workers read.
- **Oldest wait** far above the flush interval: a sink is away or full; see *What the workers wait for*.
- **Retries** pass. **Rejected** records and **lost offsets** want a person.`

const wholeNumber = { format: { id: 'number' } } as const
const seconds = { format: { id: 'number', params: { decimals: 1, suffix: ' s' } } } as const
const bytes = { format: { id: 'bytes', params: { decimals: 1 } } } as const

/** The dashboard «Archiver operations», from the documents that `run` writes. */
export function operationsDashboard(indexPrefix: string): SavedObject {
  const workers = 'kind : worker'
  const sinks = 'kind : sink'
  const partitions = 'kind : partition'
  const events = 'kind : event'
  const byWorker = top('worker', 'Worker', { size: 20, by: 'n' })
  // A worker writes every half-minute: in shorter intervals, its rates would jump between nothing
  // and twice as much.
  const time = byTime('1m')
  const lastSeen = statistic('max', '@timestamp', 'Last seen', { date: true })
  return dashboardObject({
    id: operationsId,
    title: 'Archiver operations',
    description:
      'What the workers do: how fast they are, how far behind, what they wait for, and what went wrong.',
    from: 'now-1h',
    to: 'now',
    refreshEvery: 30,
    controls: [
      { id: 'control-group', field: 'group', title: 'Group', dataView },
      { id: 'control-worker', field: 'worker', title: 'Worker', dataView },
      { id: 'control-topic', field: 'topic', title: 'Topic', dataView },
    ],
    rows: [
      {
        height: 8,
        panels: [
          {
            id: 'workers',
            title: 'Workers',
            width: 4,
            chart: number({
              dataView,
              query: workers,
              columns: {
                n: statistic('unique_count', 'worker', 'Workers', { ...wholeNumber, last: now }),
              },
              value: 'n',
              subtitle: 'now',
            }),
          },
          {
            id: 'records',
            title: 'Records',
            width: 5,
            chart: number({
              dataView,
              query: workers,
              columns: { n: statistic('sum', 'records', 'Records', wholeNumber) },
              value: 'n',
              subtitle: 'read',
            }),
          },
          {
            id: 'oldest',
            title: 'Oldest wait',
            width: 6,
            chart: number({
              dataView,
              query: workers,
              columns: {
                n: statistic('max', 'oldest_unacknowledged_s', 'Oldest wait', {
                  ...seconds,
                  last: now,
                }),
              },
              value: 'n',
              subtitle: 'unacknowledged, now',
            }),
          },
          {
            id: 'rejected',
            title: 'Rejected',
            width: 5,
            chart: number({
              dataView,
              query: `${events} and event : reject`,
              columns: { n: statistic('sum', 'count', 'Rejected', wholeNumber) },
              value: 'n',
              subtitle: 'by Elasticsearch',
            }),
          },
          {
            id: 'lost',
            title: 'Lost offsets',
            width: 5,
            chart: number({
              dataView,
              query: `${events} and event : gap`,
              columns: { n: statistic('sum', 'count', 'Lost offsets', wholeNumber) },
              value: 'n',
              subtitle: 'gone unread',
            }),
          },
          { id: 'what-to-look-for', width: 23, markdown: whatToLookFor(indexPrefix) },
        ],
      },
      {
        height: 11,
        panels: [
          {
            id: 'records-per-worker',
            title: 'Records read per second, by worker',
            width: 24,
            chart: xy({
              dataView,
              query: workers,
              columns: {
                worker: byWorker,
                time,
                n: statistic('sum', 'records', 'Records/s', { ...wholeNumber, perSecond: true }),
              },
              as: 'area_stacked',
              x: 'time',
              y: ['n'],
              split: 'worker',
              legend: 'bottom',
            }),
          },
          {
            id: 'records-per-sink',
            title: 'Records acknowledged per second, by sink',
            width: 24,
            chart: xy({
              dataView,
              query: sinks,
              columns: {
                sink: top('sink', 'Sink', { by: 'n' }),
                time,
                n: statistic('sum', 'records', 'Records/s', { ...wholeNumber, perSecond: true }),
              },
              as: 'line',
              x: 'time',
              y: ['n'],
              split: 'sink',
              legend: 'bottom',
            }),
          },
        ],
      },
      {
        height: 11,
        panels: [
          {
            id: 'lag',
            title: 'Lag per partition',
            width: 24,
            description: 'Records in Kafka that were not read yet.',
            chart: xy({
              dataView,
              query: partitions,
              columns: {
                partition: top('topic_partition', 'Partition', { size: 12, by: 'n' }),
                time,
                n: statistic('max', 'lag', 'Lag', wholeNumber),
              },
              as: 'line',
              x: 'time',
              y: ['n'],
              split: 'partition',
            }),
          },
          {
            id: 'oldest-over-time',
            title: 'Oldest unacknowledged record, by worker',
            width: 24,
            description:
              'How long the oldest record that was read has waited until every sink held it.',
            chart: xy({
              dataView,
              query: workers,
              columns: {
                worker: byWorker,
                time,
                n: statistic('max', 'oldest_unacknowledged_s', 'Oldest', seconds),
              },
              as: 'line',
              x: 'time',
              y: ['n'],
              split: 'worker',
              legend: 'bottom',
            }),
          },
        ],
      },
      {
        height: 11,
        panels: [
          {
            id: 'bytes-per-sink',
            title: 'Bytes acknowledged per second, by sink',
            width: 16,
            chart: xy({
              dataView,
              query: sinks,
              columns: {
                sink: top('sink', 'Sink', { by: 'n' }),
                time,
                n: statistic('sum', 'bytes', 'Bytes/s', { ...bytes, perSecond: true }),
              },
              as: 'line',
              x: 'time',
              y: ['n'],
              split: 'sink',
              legend: 'bottom',
            }),
          },
          {
            id: 'latency',
            title: 'Latency of bulk requests and flushes',
            width: 16,
            description: 'Average time of a bulk request (elasticsearch) and of a flush (files).',
            chart: xy({
              dataView,
              query: sinks,
              columns: {
                sink: top('sink', 'Sink', { by: 'n' }),
                time,
                n: statistic('average', 'latency_ms.mean', 'Latency', {
                  format: { id: 'number', params: { decimals: 0, suffix: ' ms' } },
                }),
              },
              as: 'line',
              x: 'time',
              y: ['n'],
              split: 'sink',
              legend: 'bottom',
            }),
          },
          {
            id: 'memory',
            title: 'Memory of the workers',
            width: 16,
            chart: xy({
              dataView,
              query: workers,
              columns: {
                time,
                rss: statistic('max', 'memory.rss_bytes', 'Process', bytes),
                held: statistic('max', 'memory.held_bytes', 'Records on their way', bytes),
                budget: statistic('max', 'memory.budget_bytes', 'Budget for records', bytes),
              },
              as: 'line',
              x: 'time',
              y: ['rss', 'held', 'budget'],
              legend: 'bottom',
            }),
          },
        ],
      },
      {
        height: 11,
        panels: [
          {
            id: 'events',
            title: 'Retries, rejects, pauses and gaps',
            width: 20,
            chart: xy({
              dataView,
              query: events,
              columns: {
                event: top('event', 'Event', { by: 'n' }),
                time,
                n: statistic('sum', 'count', 'How often', wholeNumber),
              },
              as: 'bar_stacked',
              x: 'time',
              y: ['n'],
              split: 'event',
              legend: 'bottom',
            }),
          },
          {
            id: 'reasons',
            title: 'Why',
            width: 28,
            chart: table({
              dataView,
              query: events,
              columns: {
                event: top('event', 'Event', { by: 'n' }),
                reason: top('reason', 'Reason', { size: 20, by: 'n' }),
                n: statistic('sum', 'count', 'How often', wholeNumber),
                last: lastSeen,
              },
              sortBy: 'n',
              widths: { event: 110, n: 110, last: dateWidth },
            }),
          },
        ],
      },
      {
        height: 12,
        panels: [
          {
            id: 'partition-table',
            title: 'Partitions',
            width: 26,
            chart: table({
              dataView,
              query: partitions,
              columns: {
                topic: top('topic', 'Topic', { size: 50 }),
                partition: top('partition', 'Partition', { size: 100, dataType: 'number' }),
                lag: statistic('max', 'lag', 'Lag now', { ...wholeNumber, last: now }),
                position: statistic('max', 'position', 'Read up to'),
                committed: statistic('max', 'committed', 'Committed'),
                last: lastSeen,
              },
              widths: { partition: 90, last: dateWidth },
            }),
          },
          {
            id: 'waiting',
            title: 'What the workers wait for',
            width: 22,
            chart: table({
              dataView,
              query: 'waiting : *',
              columns: {
                reason: top('waiting', 'Reason', { size: 20, by: 'n' }),
                n: count('Seen'),
                last: lastSeen,
              },
              sortBy: 'n',
              widths: { n: 90, last: dateWidth },
            }),
          },
        ],
      },
      {
        height: 9,
        panels: [
          {
            id: 'worker-table',
            title: 'Workers',
            width: 48,
            chart: table({
              dataView,
              query: workers,
              columns: {
                worker: top('worker', 'Worker', { size: 50, by: 'last' }),
                last: lastSeen,
                partitions: statistic('max', 'partitions', 'Partitions now', {
                  ...wholeNumber,
                  last: now,
                }),
                records: statistic('sum', 'records', 'Records', wholeNumber),
                cpu: statistic('average', 'cpu_share', 'CPU (of a core)', {
                  format: { id: 'percent' },
                }),
                rss: statistic('max', 'memory.rss_bytes', 'Most memory', bytes),
                delay: statistic('max', 'event_loop_delay_ms', 'Longest stall', {
                  format: { id: 'number', params: { decimals: 0, suffix: ' ms' } },
                }),
                rebalances: statistic('sum', 'rebalances', 'Rebalances', wholeNumber),
                fenced: statistic('sum', 'fenced', 'Races lost', wholeNumber),
              },
              sortBy: 'last',
              widths: { last: dateWidth },
            }),
          },
        ],
      },
    ],
  })
}
