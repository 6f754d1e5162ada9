import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Observer, SinkEvent } from '../pipeline/observer.ts'
import type { PartitionStatus, WorkerCounts } from '../pipeline/worker-status.ts'
import { LoopStalls } from '../runtime/loop-stalls.ts'

/**
 * What is asked at every scrape; nothing is counted twice, and nothing on the way of the records.
 */
export interface MetricsParts {
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
  readonly openBuckets: () => number
  readonly compactedFiles: () => number
  readonly lostLogLines: () => number
}

type Set = (value: number, labels?: Readonly<Record<string, string | number>>) => void

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const neverMs = 2 ** 31 - 1
const byPartition = ['topic', 'partition'] as const

/**
 * Everything that Prometheus is told, under names that begin with `archiver_`, and what prom-client
 * says of the process.
 */
export class Metrics implements Observer {
  readonly #registry = new Registry()
  readonly #flush: Histogram
  readonly #bulk: Histogram
  readonly #insert: Histogram
  readonly #retries: Counter
  readonly #rejected: Counter

  constructor() {
    const registers = [this.#registry]
    this.#flush = new Histogram({
      name: 'archiver_flush_duration_seconds',
      help: 'How long a flush of a partition took, from complete files to the committed manifest with its files in place.',
      buckets: seconds,
      registers,
    })
    this.#bulk = new Histogram({
      name: 'archiver_bulk_duration_seconds',
      help: 'How long Elasticsearch took to answer a bulk request.',
      buckets: seconds,
      registers,
    })
    this.#insert = new Histogram({
      name: 'archiver_insert_duration_seconds',
      help: 'How long MySQL took to answer an INSERT.',
      buckets: seconds,
      registers,
    })
    this.#retries = new Counter({
      name: 'archiver_retries_total',
      help: 'Requests or documents that a sink had to send again.',
      labelNames: ['sink'],
      registers,
    })
    this.#rejected = new Counter({
      name: 'archiver_rejected_records_total',
      help: 'Records that a sink refused as they are: in the rejected index of Elasticsearch, or in MySQL with an error_type.',
      labelNames: ['sink'],
      registers,
    })
  }

  done(sink: string, ms: number): void {
    const histogram = { files: this.#flush, mysql: this.#insert }[sink] ?? this.#bulk
    histogram.observe(ms / 1000)
  }

  happened(sink: string, event: SinkEvent, _reason: string, count: number): void {
    const counter = event === 'reject' ? this.#rejected : this.#retries
    counter.inc({ sink }, count)
  }

  /** Begins to tell about a worker and the process. */
  watch(parts: MetricsParts): void {
    const { counts, silentMs, partitions, age, sinks, openBuckets, compactedFiles, lostLogLines } =
      parts
    this.#watchProcess()
    for (const { name } of sinks) {
      this.#retries.inc({ sink: name }, 0)
      if (name !== 'files') this.#rejected.inc({ sink: name }, 0)
    }
    this.#counter('archiver_records_total', 'Records read from Kafka.', (set) =>
      set(counts().records),
    )
    this.#counter('archiver_bytes_total', 'Bytes of the lines of these records.', (set) =>
      set(counts().bytes),
    )
    this.#counter(
      'archiver_acknowledged_records_total',
      'Records that a sink made durable.',
      (set) => {
        for (const [sink, records] of counts().acknowledged) set(records, { sink })
      },
      ['sink'],
    )
    this.#counter(
      'archiver_acknowledged_bytes_total',
      'Bytes of the lines of these records.',
      (set) => {
        for (const [sink, bytes] of counts().acknowledgedBytes) set(bytes, { sink })
      },
      ['sink'],
    )
    this.#counter(
      'archiver_lost_offsets_total',
      'Offsets whose records are not archived: gone from Kafka before they were read, damaged, or too large.',
      (set) => set(counts().lostOffsets),
    )
    this.#counter(
      'archiver_oversized_records_total',
      'Records larger than --max-record-bytes, which are not archived.',
      (set) => set(counts().oversizedRecords),
    )
    this.#counter(
      'archiver_pauses_total',
      'How often a partition was paused because a sink was full.',
      (set) => set(counts().pauses),
    )
    this.#counter(
      'archiver_rebalances_total',
      'How often the group gave this worker other partitions.',
      (set) => set(counts().rebalances),
    )
    this.#counter(
      'archiver_fenced_total',
      'Flushes dropped because another worker had committed first.',
      (set) => set(counts().fenced),
    )
    this.#counter(
      'archiver_commit_failures_total',
      'Commits that the group refused or could not be asked for.',
      (set) => set(counts().commitFailures),
    )
    this.#counter(
      'archiver_group_offsets_missing_total',
      'Partitions whose group lost its offset, and whose archived records Kafka does not have any more to compare.',
      (set) => set(counts().missingGroupOffsets),
    )
    this.#counter(
      'archiver_compacted_files_total',
      'Small files of past hours that were merged into one.',
      (set) => set(compactedFiles()),
    )
    this.#counter('archiver_log_lines_lost_total', 'Log lines that could not be written.', (set) =>
      set(lostLogLines()),
    )
    const perPartition = (
      name: string,
      help: string,
      read: (status: PartitionStatus) => number | undefined,
    ) =>
      this.#gauge(
        name,
        help,
        (set) => {
          for (const status of partitions()) {
            const value = read(status)
            if (value !== undefined)
              set(value, { topic: status.topic, partition: status.partition })
          }
        },
        byPartition,
      )
    perPartition(
      'archiver_partition_lag',
      'Records of a partition that Kafka has and this worker has not read.',
      ({ lag }) => lag,
    )
    perPartition(
      'archiver_partition_position',
      'The next offset to read of a partition.',
      ({ position }) => position,
    )
    perPartition(
      'archiver_partition_committed_offset',
      'What the group was told of a partition.',
      ({ committed }) => committed,
    )
    perPartition(
      'archiver_partition_oldest_unacknowledged_seconds',
      'How long the oldest record read of a partition has waited to be committed.',
      age,
    )
    perPartition(
      'archiver_partition_waiting',
      '1 where a partition does not get on: paused, being opened, or stopped.',
      ({ waiting }) => (waiting === undefined ? 0 : 1),
    )
    perPartition(
      'archiver_partition_stopped',
      '1 where records were lost and a person must decide how a partition goes on.',
      ({ state }) => (state === 'stopped' ? 1 : 0),
    )
    perPartition(
      'archiver_partition_opening',
      '1 where a partition is being opened: nothing of it is read.',
      ({ state }) => (state === 'opening' ? 1 : 0),
    )
    this.#gauge('archiver_kafka_silent_seconds', 'How long Kafka has not answered.', (set) =>
      set(silentMs() / 1000),
    )
    this.#gauge('archiver_partitions', 'Partitions that this worker has.', (set) =>
      set(partitions().length),
    )
    this.#gauge(
      'archiver_sink_waiting',
      '1 while a sink does not get on: away, refused, no room.',
      (set) => {
        for (const { name, waiting } of sinks) set(waiting === undefined ? 0 : 1, { sink: name })
      },
      ['sink'],
    )
    this.#gauge(
      'archiver_held_bytes',
      'Bytes of records that a sink keeps in memory.',
      (set) => {
        for (const { name, heldBytes } of sinks) set(heldBytes, { sink: name })
      },
      ['sink'],
    )
    this.#gauge(
      'archiver_open_buckets',
      'Files that are being written: one for each partition, type and hour.',
      (set) => set(openBuckets()),
    )
  }

  /**
   * What prom-client says of any process, but for its histogram of the event loop: that wakes a
   * worker up a hundred times a second.
   */
  #watchProcess(): void {
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: neverMs })
    for (const figure of ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99']) {
      this.#registry.removeSingleMetric(`nodejs_eventloop_lag_${figure}_seconds`)
    }
    const stalls = new LoopStalls()
    this.#gauge(
      'archiver_event_loop_stall_seconds',
      'The longest stall of the event loop since the last scrape.',
      (set) => set(stalls.takeMs() / 1000),
    )
  }

  /** In the text format of Prometheus. */
  async print(): Promise<{ readonly type: string; readonly body: string }> {
    return { type: this.#registry.contentType, body: await this.#registry.metrics() }
  }

  #gauge(
    name: string,
    help: string,
    ask: (set: Set) => void,
    labelNames: readonly string[] = [],
  ): void {
    new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.#registry],
      collect() {
        this.reset()
        ask((value, labels = {}) => this.set({ ...labels }, value))
      },
    })
  }

  /** Values that are counted elsewhere already and only grow. */
  #counter(
    name: string,
    help: string,
    ask: (set: Set) => void,
    labelNames: readonly string[] = [],
  ): void {
    new Counter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.#registry],
      collect() {
        this.reset()
        ask((value, labels = {}) => this.inc({ ...labels }, value))
      },
    })
  }
}
