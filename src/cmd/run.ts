import { resolve } from 'node:path'
import { archivePlace, isInBucket } from '../config/archive.ts'
import type { RunOptions } from '../config/commands/run.ts'
import { elasticsearchConnection } from '../config/elasticsearch.ts'
import { flushIntervalMs } from '../config/files.ts'
import { kafkaConnection } from '../config/kafka.ts'
import { mysqlConnection } from '../config/mysql.ts'
import { everyTopicOptions } from '../config/topic-settings.ts'
import { topicChoice } from '../config/topics.ts'
import { httpToken, maxMetricPartitions, workerName } from '../config/worker.ts'
import { bucketUrl } from '../home/s3/address.ts'
import type { BucketSettings } from '../home/s3/settings.ts'
import { kafkaClient } from '../kafka/client.ts'
import type { KafkaConnection } from '../kafka/connection.ts'
import { KafkaSource } from '../kafka/source.ts'
import type { MonitorParts } from '../monitor/endpoint.ts'
import { StallWatch } from '../monitor/stall-watch.ts'
import { accountOf, StatusReporter } from '../monitor/status-line.ts'
import { Observations, observers } from '../pipeline/observer.ts'
import { Coordinator } from '../pipeline/offsets/coordinator.ts'
import type { Shutdown } from '../pipeline/shutdown.ts'
import type { Sink } from '../pipeline/sink.ts'
import { Worker, type WorkerOptions } from '../pipeline/worker.ts'
import { errorFields } from '../runtime/errors.ts'
import { createLogger, type Logger } from '../runtime/log.ts'
import { Proxies } from '../runtime/proxies.ts'
import { standardOutput } from '../runtime/standard-streams.ts'
import { createTerminal, type Terminal } from '../runtime/terminal.ts'
import { announceConnections } from './lib/connections.ts'
import { signalled, unlessStopped } from './lib/program.ts'
import { logRequests } from './run/bucket-requests.ts'
import { tuneGarbageCollection } from './run/garbage-collection.ts'
import type { Learning } from './run/learning.ts'
import { logProcessWarnings } from './run/process-warnings.ts'
import { createSinks, type RunSinks, type SinkConnections } from './run/sinks.ts'
import { startStatusDocuments } from './run/status-writer.ts'
import { letEventLoopGoFirst } from './run/thread-priority.ts'
import { TopicEncoders } from './run/topic-encoders.ts'

const connectTimeoutMs = 15_000
/** Share of the memory budget for records that were fetched and wait for the sinks. */
const fetchShare = 0.1

/** What the parts of a run share. */
interface Run {
  readonly options: RunOptions
  /** That of `--http-token` or `--http-token-file`. */
  readonly token: string | undefined
  readonly name: string
  readonly connections: SinkConnections & { readonly kafka: KafkaConnection }
  readonly log: Logger
  readonly terminal: Terminal
}

/**
 * Runs a worker, from its options to the account of what it did.
 * @throws ArchiverError for what makes a start impossible, and for what ended the run
 */
export async function run(options: RunOptions): Promise<void> {
  const proxies = new Proxies(process.env)
  const connections = {
    kafka: kafkaConnection(options, proxies),
    elasticsearch: elasticsearchConnection(options, proxies),
    mysql: mysqlConnection(options),
  }
  const token = httpToken(options)
  tuneGarbageCollection()
  const signal = signalled()
  const terminal = createTerminal(standardOutput)
  const log = createLogger({ level: options.logLevel, stream: terminal })
  standardOutput.reportLostLinesTo(log)
  logProcessWarnings(log)
  await letEventLoopGoFirst(log)
  announceConnections({ ...connections, bucket: bucketOf(options, proxies) }, log)
  const encoders = new TopicEncoders(options, log)
  const run: Run = { options, token, name: workerName(), connections, log, terminal }
  const source = kafkaSource(run)
  await unlessStopped(source.connect())
  let sinks: RunSinks | undefined
  let shutdown: Shutdown | undefined
  let isStarting = true
  try {
    if (signal.aborted) return
    const observations = new Observations()
    const monitor = await loadMonitor(options)
    const coordinator = new Coordinator(sinkNames(run))
    sinks = await createSinks(options, connections, {
      worker: run.name,
      clusterId: source.clusterId,
      coordinator,
      observer: observers(observations, ...(monitor === undefined ? [] : [monitor.metrics])),
      log,
    })
    const learning = await loadLearning(run)
    const worker = new Worker({
      source,
      sinks: sinks.all,
      encoder: encoders,
      missingTypes: encoders,
      watch: learning,
      coordinator,
      log,
      options: workerOptions(options),
    })
    shutdown = worker.shutdown
    shutdown.beginAt(signal)
    // Files start last: if a server does not answer, no directory is made.
    for (const sink of sinks.all.toReversed()) {
      const start = sink.start(() => worker.roomFreed())
      // What files make to prove their home, they remove again.
      await (sink === sinks.files ? start : unlessStopped(start))
    }
    isStarting = false
    logStart(run, source.topics())
    logUnusedSettings(run, source.topics())
    const monitoring = await startMonitoring(run, {
      worker,
      sinks,
      observations,
      monitor,
      learning,
    })
    try {
      await work(run, worker, sinks.all, signal)
    } finally {
      await monitoring.stop()
    }
  } catch (error) {
    if (!signal.aborted) throw error
    // What was given up says so in the log, and is no failure.
    if (shutdown?.isExpired === true) return
    if (!isStarting || error === signal.reason) throw error
    log.info(
      { event: 'start_stopped', reason: String(signal.reason), ...errorFields(error) },
      'stopped before the start was over',
    )
  } finally {
    terminal.close()
    for (const sink of sinks?.all ?? []) await sink.stop()
    await source.stop()
    shutdown?.done()
  }
}

function bucketOf(options: RunOptions, proxies: Proxies): BucketSettings | undefined {
  const place = options.files ? archivePlace(options, proxies) : undefined
  return place !== undefined && 'bucket' in place ? place.bucket : undefined
}

function kafkaSource({ options, name, connections, log }: Run): KafkaSource {
  const client = { clientId: `archiver-${name}`, log }
  return new KafkaSource(
    {
      kafka: kafkaClient(connections.kafka, client),
      impatient: kafkaClient(connections.kafka, { ...client, retry: { retries: 2 } }),
      brokers: options.brokers,
      group: options.group,
      topics: topicChoice(options)!,
      excluded: options.topicsExcludeRegex,
      sessionTimeoutMs: options.sessionTimeout,
      heartbeatIntervalMs: options.heartbeatInterval,
      groupInstanceId: options.groupInstanceId,
      topicsRefreshMs: options.topicsRefresh * 1000,
      connectTimeoutMs,
      maxRecordBytes: options.maxRecordBytes,
      memoryLimit: options.memoryBudget * fetchShare,
      rackId: options.rackId,
    },
    log,
  )
}

function sinkNames({ options, connections }: Run): string[] {
  return [
    ...(options.files ? ['files'] : []),
    ...(connections.elasticsearch === undefined ? [] : ['elasticsearch']),
    ...(connections.mysql === undefined ? [] : ['mysql']),
  ]
}

function workerOptions(options: RunOptions): WorkerOptions {
  return {
    untilEnd: options.untilEnd,
    startAt: options.startAt,
    onGap: options.onGap,
    memoryBudget: options.memoryBudget,
    commitIntervalMs: options.commitInterval,
    drainTimeoutMs: Math.min(15_000, Math.floor(options.sessionTimeout / 3)),
    shutdownTimeoutMs: options.shutdownTimeout * 1000,
  }
}

function logStart({ options, name, connections, log }: Run, topics: readonly string[]): void {
  const { elasticsearch, mysql } = connections
  log.info(
    {
      event: 'worker_started',
      worker: name,
      group: options.group,
      ...(options.groupInstanceId === undefined
        ? {}
        : { group_instance_id: options.groupInstanceId }),
      brokers: options.brokers,
      ...(options.topicsRegex === undefined ? {} : { topics_regex: options.topicsRegex.source }),
      ...(options.topicsExcludeRegex === undefined
        ? {}
        : { topics_exclude_regex: options.topicsExcludeRegex.source }),
      topics,
      ...(options.files ? { archive: archiveTitle(options) } : {}),
      ...(elasticsearch === undefined
        ? {}
        : {
            elasticsearch: elasticsearch.cloudId === undefined ? elasticsearch.nodes : 'cloud id',
            index_prefix: options.indexPrefix,
          }),
      ...(mysql === undefined
        ? {}
        : { mysql: `${mysql.host}:${mysql.port}/${mysql.database}`, table: options.mysqlTable }),
      until_end: options.untilEnd,
      memory_budget_bytes: options.memoryBudget,
    },
    'archiving started',
  )
  if (options.files && isInBucket(options.archiveDir)) logRequests(options, log)
}

/** A pattern with a typing error changes nothing, and nobody would see it. */
function logUnusedSettings({ options, log }: Run, topics: readonly string[]): void {
  for (const { pattern, matches } of options.topicSettings ?? []) {
    if (!topics.some((topic) => matches.test(topic)))
      log.warn({ event: 'topic_settings_unused', pattern }, 'no topic matches these settings yet')
  }
}

function maxFlushIntervalMs(options: RunOptions): number {
  return Math.max(...everyTopicOptions(options).map(flushIntervalMs))
}

function archiveTitle({ archiveDir }: RunOptions): string {
  return typeof archiveDir === 'string' ? resolve(archiveDir) : bucketUrl(archiveDir)
}

/**
 * The metrics and their endpoint. Node's HTTP and prom-client take as long to load as the rest of a
 * worker, so they are loaded only for `--http`.
 */
async function loadMonitor({ http, httpNames }: RunOptions) {
  if (http === undefined) return undefined
  const [{ Metrics }, { serveMonitor }] = await Promise.all([
    import('../monitor/metrics.ts'),
    import('../monitor/endpoint.ts'),
  ])
  const metrics = new Metrics()
  const address = { ...http, names: httpNames ?? [] }
  return {
    metrics,
    serve: (parts: Omit<MonitorParts, 'metrics'>, log: Logger) =>
      serveMonitor(address, { ...parts, metrics }, log),
  }
}

/** `--learn` is off in most workers, and then costs nothing. */
async function loadLearning({ options, connections: { elasticsearch }, log }: Run) {
  if (!options.learn || elasticsearch === undefined) return undefined
  const { startLearning } = await import('./run/learning.ts')
  const { indexPrefix, learnInterval } = options
  const intervalMs = learnInterval * 1000
  return startLearning({ connection: elasticsearch, indexPrefix, intervalMs, log })
}

interface Monitored {
  readonly worker: Worker
  readonly sinks: RunSinks
  readonly observations: Observations
  readonly monitor: Awaited<ReturnType<typeof loadMonitor>>
  readonly learning: Learning | undefined
}

/** Starts everything that reports on the worker and takes no part in its work. */
async function startMonitoring(
  run: Run,
  { worker, sinks: { all: sinks, files }, observations, monitor, learning }: Monitored,
): Promise<{ stop(): Promise<void> }> {
  const { options, token, name, log } = run
  const endpoint = await monitor?.serve(
    {
      name,
      worker,
      sinks,
      files,
      group: options.group,
      maxMetricPartitions: maxOf(options),
      token,
    },
    log,
  )
  const stalls = new StallWatch(
    {
      flushIntervalMs: options.files ? maxFlushIntervalMs(options) : 0,
      requestTimeoutMs: 1000 * Math.max(options.elasticsearchTimeout, options.mysqlTimeout),
    },
    { status: () => worker.status(), sinks, log },
  )
  stalls.start()
  const documents = await startStatusDocuments(run, {
    worker,
    sinks,
    observations,
    memoryBudget: options.memoryBudget,
    takeProposals: learning?.takeProposals,
  })
  return {
    stop: async () => {
      stalls.stop()
      // Before the last status documents, which have what it proposes last.
      await learning?.stop()
      await documents?.stop()
      await endpoint?.close()
    },
  }
}

function maxOf({ metricsPartitions }: RunOptions): number {
  if (metricsPartitions === 'auto') return maxMetricPartitions
  return metricsPartitions === 'on' ? Number.POSITIVE_INFINITY : 0
}

async function work(run: Run, worker: Worker, sinks: readonly Sink[], signal: AbortSignal) {
  const { options, terminal, log } = run
  const intervalMs = options.statusInterval * 1000
  const reporter = new StatusReporter({ worker, sinks, terminal, log, intervalMs })
  const startedAt = performance.now()
  const onStop = () =>
    log.info(
      { event: 'worker_stopping', reason: String(signal.reason) },
      'stopping: flushing, committing and leaving the group',
    )
  signal.addEventListener('abort', onStop)
  try {
    await worker.run(signal)
  } finally {
    signal.removeEventListener('abort', onStop)
    reporter.stop()
    log.info(accountOf(worker, (performance.now() - startedAt) / 1000), 'stopped')
  }
}
