import type { PartitionStatus, WorkerCounts } from '../pipeline/worker-status.ts'

/** What the metrics are read from, at every scrape. */
export interface MetricsParts {
  /** The consumer group, as the label of its lag. */
  readonly group: string
  /** The max number of partitions that have metrics of their own. */
  readonly maxPartitions: number
  readonly counts: () => WorkerCounts
  /** How long Kafka has not answered, in ms. */
  readonly silentMs: () => number
  readonly partitions: () => readonly PartitionStatus[]
  /** How long the oldest record of a partition has waited to be committed, in seconds. */
  readonly age: (partition: PartitionStatus) => number
  readonly sinks: readonly {
    readonly name: string
    readonly heldBytes: number
    readonly waiting: string | undefined
  }[]
  /** Undefined for a worker without files. */
  readonly files: { readonly openBuckets: number; readonly compactedFiles: number } | undefined
  readonly lostLogLines: () => number
}

/** One value, with its labels. */
type Sample = { readonly value: number } & Readonly<Record<string, string | number>>

export interface Metric {
  readonly name: string
  readonly help: string
  /** A counter only grows, and is counted elsewhere already. */
  readonly kind: 'counter' | 'gauge'
  readonly labels?: readonly string[]
  readonly read: (parts: MetricsParts) => readonly Sample[]
}

type Read = (parts: MetricsParts) => number

const counter = (name: string, help: string, read: Read): Metric => ({
  name,
  help,
  kind: 'counter',
  read: (parts) => [{ value: read(parts) }],
})

const gauge = (name: string, help: string, read: Read): Metric => ({
  ...counter(name, help, read),
  kind: 'gauge',
})

const counterPerSink = (
  name: string,
  help: string,
  read: (counts: WorkerCounts) => ReadonlyMap<string, number>,
): Metric => ({
  name,
  help,
  kind: 'counter',
  labels: ['sink'],
  read: ({ counts }) => [...read(counts())].map(([sink, value]) => ({ sink, value })),
})

const gaugePerSink = (
  name: string,
  help: string,
  read: (sink: MetricsParts['sinks'][number]) => number,
): Metric => ({
  name,
  help,
  kind: 'gauge',
  labels: ['sink'],
  read: ({ sinks }) => sinks.map((sink) => ({ sink: sink.name, value: read(sink) })),
})

/** A partition without a value has no sample. */
const gaugePerPartition = (
  name: string,
  help: string,
  read: (status: PartitionStatus, parts: MetricsParts) => number | undefined,
): Metric => ({
  name,
  help,
  kind: 'gauge',
  labels: ['topic', 'partition'],
  read: (parts) => {
    const partitions = parts.partitions()
    if (partitions.length > parts.maxPartitions) return []
    return partitions.flatMap((status) => {
      const { topic, partition } = status
      const value = read(status, parts)
      return value === undefined ? [] : [{ topic, partition, value }]
    })
  },
})

/** One sample for each topic that this worker has partitions of. */
const gaugePerTopic = (
  name: string,
  help: string,
  read: (status: PartitionStatus, parts: MetricsParts) => number,
  join: (sum: number, value: number) => number = (sum, value) => sum + value,
): Metric => ({
  name,
  help,
  kind: 'gauge',
  labels: ['topic'],
  read: (parts) => {
    const sums = new Map<string, number>()
    for (const status of parts.partitions())
      sums.set(status.topic, join(sums.get(status.topic) ?? 0, read(status, parts)))
    return [...sums].map(([topic, value]) => ({ topic, value }))
  },
})

const countOf = (holds: (status: PartitionStatus) => boolean) => (status: PartitionStatus) =>
  holds(status) ? 1 : 0

/** What Prometheus reads of a worker, besides what sinks observe and what prom-client measures. */
export const metrics: readonly Metric[] = [
  counter('archiver_records_total', 'Records read from Kafka.', ({ counts }) => counts().records),
  counter(
    'archiver_bytes_total',
    'Bytes of the lines of these records.',
    ({ counts }) => counts().bytes,
  ),
  counterPerSink(
    'archiver_acknowledged_records_total',
    'Records that a sink made durable.',
    ({ acknowledged }) => acknowledged,
  ),
  counterPerSink(
    'archiver_acknowledged_bytes_total',
    'Bytes of the lines of these records.',
    ({ acknowledgedBytes }) => acknowledgedBytes,
  ),
  counter(
    'archiver_lost_offsets_total',
    'Offsets whose records are not archived: gone from Kafka before they were read, damaged, or too large.',
    ({ counts }) => counts().lostOffsets,
  ),
  counter(
    'archiver_oversized_records_total',
    'Records larger than --max-record-bytes, which are not archived.',
    ({ counts }) => counts().oversizedRecords,
  ),
  counter(
    'archiver_pauses_total',
    'Times that a partition was paused because a sink was full.',
    ({ counts }) => counts().pauses,
  ),
  counter(
    'archiver_rebalances_total',
    'Times that the group gave this worker other partitions.',
    ({ counts }) => counts().rebalances,
  ),
  counter(
    'archiver_fenced_total',
    'Flushes dropped because another worker had committed first.',
    ({ counts }) => counts().fenced,
  ),
  counter(
    'archiver_commit_failures_total',
    'Commits that the group refused or did not answer.',
    ({ counts }) => counts().commitFailures,
  ),
  counter(
    'archiver_group_offsets_missing_total',
    'Partitions whose group lost its offset, and whose archived records Kafka no longer has for a comparison.',
    ({ counts }) => counts().missingGroupOffsets,
  ),
  counter(
    'archiver_compacted_files_total',
    'Small files of past hours that were merged into one.',
    ({ files }) => files?.compactedFiles ?? 0,
  ),
  counter(
    'archiver_log_lines_lost_total',
    'Log lines that could not be written.',
    ({ lostLogLines }) => lostLogLines(),
  ),
  {
    name: 'archiver_group_lag',
    help: 'Records of all partitions of this worker that Kafka has and it has not read. The sum over the workers is the lag of the group.',
    kind: 'gauge',
    labels: ['group'],
    read: ({ group, partitions }) => [
      { group, value: partitions().reduce((sum, { lag = 0 }) => sum + lag, 0) },
    ],
  },
  gaugePerTopic(
    'archiver_topic_partitions',
    'Partitions of a topic that this worker has.',
    () => 1,
  ),
  gaugePerTopic(
    'archiver_topic_lag',
    'Records of these partitions that Kafka has and this worker has not read.',
    ({ lag = 0 }) => lag,
  ),
  gaugePerTopic(
    'archiver_topic_oldest_unacknowledged_seconds',
    'How long the oldest record read of these partitions has waited to be committed.',
    (status, { age }) => age(status),
    Math.max,
  ),
  gaugePerTopic(
    'archiver_topic_waiting_partitions',
    'How many of these partitions make no progress (paused, opening or stopped).',
    countOf(({ waiting }) => waiting !== undefined),
  ),
  gaugePerTopic(
    'archiver_topic_stopped_partitions',
    'How many of these partitions are stopped, after records were lost, until a person decides.',
    countOf(({ state }) => state === 'stopped'),
  ),
  gaugePerTopic(
    'archiver_topic_opening_partitions',
    'How many of these partitions are being opened, so that none of their records are read.',
    countOf(({ state }) => state === 'opening'),
  ),
  gaugePerPartition(
    'archiver_partition_lag',
    'Records of a partition that Kafka has and this worker has not read.',
    ({ lag }) => lag,
  ),
  gaugePerPartition(
    'archiver_partition_position',
    'The next offset to read of a partition.',
    ({ position }) => position,
  ),
  gaugePerPartition(
    'archiver_partition_committed_offset',
    'The offset of a partition that is committed to the group.',
    ({ committed }) => committed,
  ),
  gaugePerPartition(
    'archiver_partition_oldest_unacknowledged_seconds',
    'How long the oldest record read of a partition has waited to be committed.',
    (status, { age }) => age(status),
  ),
  gaugePerPartition(
    'archiver_partition_waiting',
    '1 while a partition makes no progress (paused, opening or stopped).',
    ({ waiting }) => (waiting === undefined ? 0 : 1),
  ),
  gaugePerPartition(
    'archiver_partition_stopped',
    '1 after records were lost, until a person decides how the partition continues.',
    ({ state }) => (state === 'stopped' ? 1 : 0),
  ),
  gaugePerPartition(
    'archiver_partition_opening',
    '1 while a partition is being opened and none of its records are read.',
    ({ state }) => (state === 'opening' ? 1 : 0),
  ),
  gauge(
    'archiver_kafka_silent_seconds',
    'How long Kafka has not answered.',
    ({ silentMs }) => silentMs() / 1000,
  ),
  gauge(
    'archiver_partitions',
    'Partitions that this worker has.',
    ({ partitions }) => partitions().length,
  ),
  gauge(
    'archiver_paused_partitions',
    'Partitions of this worker that an operator paused.',
    ({ partitions }) => partitions().filter(({ paused }) => paused === true).length,
  ),
  gaugePerSink(
    'archiver_sink_waiting',
    '1 while a sink makes no progress: its server is away or refuses, or there is no room.',
    ({ waiting }) => (waiting === undefined ? 0 : 1),
  ),
  gaugePerSink(
    'archiver_held_bytes',
    'Bytes of records that a sink keeps in memory.',
    ({ heldBytes }) => heldBytes,
  ),
  gauge(
    'archiver_open_buckets',
    'Files that are being written: one for each partition, type and hour.',
    ({ files }) => files?.openBuckets ?? 0,
  ),
]
