import { resolve } from 'node:path'
import { checkRunOptions, type RunOptions, typeSource, workerName } from '../config/config.ts'
import { FilesSink } from '../files/sink.ts'
import { openHome } from '../home/open-home.ts'
import { KafkaSource } from '../kafka/source.ts'
import { StallWatch } from '../monitor/stall-watch.ts'
import type { startStatusDocuments } from '../monitor/status-documents.ts'
import { accountOf, StatusReporter } from '../monitor/status-line.ts'
import { MissingTypes } from '../pipeline/missing-types.ts'
import { Observations, type Observer, observers } from '../pipeline/observer.ts'
import { Coordinator } from '../pipeline/offsets/coordinator.ts'
import type { Sink } from '../pipeline/sink.ts'
import { Worker } from '../pipeline/worker.ts'
import { LineEncoder } from '../record/line/encoder.ts'
import { withoutCredentials } from '../runtime/address.ts'
import { createLogger, type Logger } from '../runtime/log.ts'
import { standardOutput } from '../runtime/standard-streams.ts'
import { createTerminal, type Terminal } from '../runtime/terminal.ts'
import { warnOfClearText } from './lib/cleartext.ts'
import { kafkaClient } from './lib/kafka-client.ts'
import { logProcessWarnings } from './lib/process-warnings.ts'
import { signalled } from './lib/program.ts'
import { tellProxies } from './lib/proxy-notice.ts'
import { letEventLoopGoFirst } from './lib/thread-priority.ts'
import { keepYoungGenerationSmall } from './lib/young-generation.ts'

const connectTimeoutMs = 15_000
const mib = 2 ** 20
/** Of the memory budget; the rest is for what is being fetched, compressed and sent. */
const filesShare = 0.5
const elasticsearchShare = 0.15
const mysqlShare = 0.15
/** What was fetched and waits for the sinks. */
const fetchShare = 0.1

/**
 * The worker, from its options to its account.
 * @throws ArchiverError for what makes a start impossible, and for what ended the run.
 */
export async function run(options: RunOptions): Promise<void> {
  checkRunOptions(options)
  keepYoungGenerationSmall()
  const signal = signalled()
  const terminal = createTerminal(standardOutput)
  const log = createLogger({ level: options.logLevel, stream: terminal })
  standardOutput.reportLostLinesTo(log)
  logProcessWarnings(log)
  await letEventLoopGoFirst(log)
  warnOfClearText(options, log)
  tellProxies(options, log)
  const worker = workerName()
  const client = { clientId: `archiver-${worker}`, log }
  const source = new KafkaSource(
    {
      kafka: kafkaClient(options, client),
      firstContact: kafkaClient(options, { ...client, retry: { retries: 2 } }),
      brokers: options.brokers,
      group: options.group,
      topics: options.topicsRegex ?? options.topics!,
      sessionTimeoutMs: options.sessionTimeout,
      topicsRefreshMs: options.topicsRefresh * 1000,
      connectTimeoutMs,
      maxRecordBytes: options.maxRecordBytes,
      memoryLimit: options.memoryBudget * fetchShare,
      rackId: options.rackId,
    },
    log,
  )
  await source.connect()
  let sinks: readonly Sink[] = []
  try {
    const coordinator = new Coordinator(sinkNames(options))
    const observations = new Observations()
    const monitoring = await loadMonitoring(options)
    const observer = observers(
      observations,
      ...(monitoring === undefined ? [] : [monitoring.metrics]),
    )
    sinks = await createSinks(options, worker, source.clusterId, coordinator, observer, log)
    const archiver = new Worker({
      source,
      sinks,
      encoder: new LineEncoder(typeSource(options), options),
      missingTypes: new MissingTypes(typeSource(options), log),
      coordinator,
      log,
      options: {
        untilEnd: options.untilEnd,
        startAt: options.startAt,
        onGap: options.onGap,
        memoryBudget: options.memoryBudget,
        commitIntervalMs: options.commitInterval,
        drainTimeoutMs: Math.min(15_000, Math.floor(options.sessionTimeout / 3)),
        shutdownTimeoutMs: options.shutdownTimeout * 1000,
      },
    })
    // Files last: where a server does not answer, no directory is made.
    for (const sink of sinks.toReversed()) await sink.start(() => archiver.roomFreed())
    log.info(describeStart(options, worker, source.topics()))
    const monitor = await monitoring?.serve({ name: worker, worker: archiver, sinks }, log)
    const stalls = new StallWatch(
      {
        flushIntervalMs: options.files ? options.flushInterval * 1000 : 0,
        requestTimeoutMs: 1000 * Math.max(options.elasticsearchTimeout, options.mysqlTimeout),
      },
      { status: () => archiver.status(), sinks, log },
    )
    stalls.start()
    const status = await startStatus(
      options,
      { name: worker, worker: archiver, sinks, observations },
      log,
    )
    try {
      await work(archiver, sinks, terminal, log, options, signal)
    } finally {
      stalls.stop()
      await status?.stop()
      await monitor?.close()
    }
  } finally {
    terminal.close()
    for (const sink of sinks) await sink.stop()
    await source.stop()
  }
}

async function work(
  archiver: Worker,
  sinks: readonly Sink[],
  terminal: Terminal,
  log: Logger,
  options: RunOptions,
  signal: AbortSignal,
): Promise<void> {
  const reporter = new StatusReporter({
    worker: archiver,
    sinks,
    terminal,
    log,
    intervalMs: options.statusInterval * 1000,
  })
  const startedAt = performance.now()
  const onStop = () =>
    log.info(`${String(signal.reason)}: flushing, committing and leaving the group`)
  signal.addEventListener('abort', onStop)
  try {
    await archiver.run(signal)
  } finally {
    signal.removeEventListener('abort', onStop)
    reporter.stop()
    const seconds = (performance.now() - startedAt) / 1000
    const { message, details } = accountOf(archiver, seconds)
    log.info(details, message)
  }
}

function sinkNames({ files, elasticsearch, mysql }: RunOptions): string[] {
  return [
    ...(files ? ['files'] : []),
    ...(elasticsearch === undefined ? [] : ['elasticsearch']),
    ...(mysql === undefined ? [] : ['mysql']),
  ]
}

/** Node's HTTP and prom-client take as long to load as a whole worker: only `--http` needs them. */
async function loadMonitoring({ http, httpNames }: RunOptions) {
  if (http === undefined) return undefined
  const [{ Metrics }, { serveMonitor }] = await Promise.all([
    import('../monitor/metrics.ts'),
    import('../monitor/endpoint.ts'),
  ])
  const metrics = new Metrics()
  const address = { ...http, names: httpNames ?? [] }
  return {
    metrics,
    serve: (parts: Omit<Parameters<typeof serveMonitor>[1], 'metrics'>, log: Logger) =>
      serveMonitor(address, { ...parts, metrics }, log),
  }
}

async function startStatus(
  options: RunOptions,
  parts: Parameters<typeof startStatusDocuments>[1],
  log: Logger,
): Promise<ReturnType<typeof startStatusDocuments>> {
  if (options.elasticsearch === undefined) return undefined
  return (await import('../monitor/status-documents.ts')).startStatusDocuments(options, parts, log)
}

/** Their clients take half a second to load: only those that are used are. */
async function createSinks(
  options: RunOptions,
  worker: string,
  clusterId: string,
  coordinator: Coordinator,
  observer: Observer,
  log: Logger,
): Promise<readonly Sink[]> {
  const sinks: Sink[] = []
  if (options.files) {
    sinks.push(
      new FilesSink(
        {
          home: await openHome(options.archiveDir),
          clusterId,
          group: options.group,
          worker,
          gzipLevel: options.gzipLevel,
          flushIntervalMs: options.flushInterval * 1000,
          flushBytes: options.flushBytes,
          memoryLimit: options.memoryBudget * filesShare,
          committedOffset: (tp) => coordinator.committedOffset(tp),
          compactAfterMs: options.compactAfter,
          compactMaxBytes: options.compactMaxBytes,
          observer,
        },
        log,
      ),
    )
  }
  if (options.elasticsearch !== undefined) {
    const { ElasticsearchSink } = await import('../elasticsearch/sink/sink.ts')
    const { elasticsearchClient, elasticsearchSinkOptions } = await import(
      './lib/elasticsearch-client.ts'
    )
    sinks.push(
      new ElasticsearchSink(
        elasticsearchClient(options.elasticsearch, options, observer),
        elasticsearchSinkOptions(options, {
          memoryLimit: options.memoryBudget * elasticsearchShare,
          hasFiles: options.files,
          logSamples: options.logSamples,
        }),
        log,
      ),
    )
  }
  if (options.mysql !== undefined) {
    const { MysqlSink } = await import('../mysql/sink.ts')
    const { mysqlClient, mysqlSinkOptions } = await import('./lib/mysql-client.ts')
    sinks.push(
      new MysqlSink(
        mysqlClient(options.mysql, options),
        mysqlSinkOptions(options, {
          memoryLimit: options.memoryBudget * mysqlShare,
          hasFiles: options.files,
          logSamples: options.logSamples,
          observer,
        }),
        log,
      ),
    )
  }
  return sinks
}

function describeStart(options: RunOptions, worker: string, topics: readonly string[]): string {
  const into: string[] = []
  if (options.files) into.push(`files in ${resolve(options.archiveDir)}`)
  if (options.elasticsearch !== undefined) {
    into.push(
      `Elasticsearch at ${options.elasticsearchCloudId === undefined ? options.elasticsearch.map(withoutCredentials).join(', ') : 'the cloud id'} (${options.indexPrefix}*)`,
    )
  }
  if (options.mysql !== undefined)
    into.push(`MySQL at ${withoutCredentials(options.mysql)} (${options.mysqlTable})`)
  const from =
    options.topicsRegex === undefined
      ? `topics ${topics.join(', ')}`
      : `topics that match ${String(options.topicsRegex)} (now ${topics.join(', ') || 'none'})`
  const end = options.untilEnd ? ', until the end as it is now' : ''
  return `archiving ${from} of ${options.brokers.join(', ')} as group ${options.group} into ${new Intl.ListFormat('en-GB').format(into)}${end}; memory for records ${Math.round(options.memoryBudget / mib)} MiB; worker ${worker}`
}
