import { randomBytes } from 'node:crypto'
import { chown, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Admin } from 'kafkajs'
import { createKafka } from '../../src/kafka/client.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { usualParts } from '../../stack/settings.ts'
import type { Stack } from '../../stack/stack-control.ts'
import { Expected, isClean, type StoreAccount } from './account.ts'
import { Breaker } from './breaker.ts'
import { ChaosBucket, type StoreName } from './bucket.ts'
import { ClockFile } from './clock-file.ts'
import { CommitWatch } from './commit-watch.ts'
import { Disk, diskBytes } from './disk.ts'
import { GlobReader } from './glob-reader.ts'
import { Load, type LoadTopic } from './load.ts'
import { readKafka } from './plain-consumer.ts'
import { type FaultKind, makePlan } from './plan.ts'
import { maxRecordBytes, Poison, refusedMark } from './poison.ts'
import { BreakableProxy } from './proxy.ts'
import {
  askMysql,
  type ChainAccount,
  checkChains,
  documentsHeld,
  filesHeld,
  rowsHeld,
} from './stores.ts'
import { endDeadlineMs, Workers } from './workers.ts'

export interface ChaosOptions {
  readonly stack: Stack
  /** For the archive and the logs of the workers. */
  readonly dir: string
  readonly seconds: number
  readonly workers: number
  /** How many of them are static members of the group. */
  readonly staticMembers: number
  readonly kinds: readonly FaultKind[]
  /** MySQL as a third store. */
  readonly mysql?: boolean
  /** The archive is in a bucket of this store, not in a directory. */
  readonly bucket?: StoreName
  readonly seed: number
  /** Records a second. */
  readonly rate: number
  /** Mean time between two faults, in ms. */
  readonly everyMs: number
  readonly awayMs?: number
  readonly sessionTimeoutMs: number
  readonly flushIntervalSeconds: number
  /** Hours are merged so soon: all records are of hours long past. 0: never. */
  readonly compactAfterSeconds: number
  /** How long the workers may take for what is left once all is well, in seconds. */
  readonly drainSeconds: number
  /** Leaves archive, indices and topics. */
  readonly keep: boolean
}

/** What a run found. */
export interface ChaosAccount {
  readonly seed: number
  readonly records: number
  readonly faults: number
  readonly faultsByAction: Readonly<Record<string, number>>
  readonly workersStarted: number
  readonly diedAtFaultPoints: number
  readonly failedStarts: number
  readonly survivedWithoutLog: number
  readonly brokenBulkRequests: number
  readonly refusedRequests: number
  readonly drainedSeconds: number
  /** The longest time that a committed offset stood lower than it had been, in seconds. */
  readonly longestRegressionSeconds: number
  readonly files: StoreAccount
  readonly elasticsearch: StoreAccount
  readonly mysql: StoreAccount | undefined
  /** How often a reader listed the files of a bucket meanwhile. */
  readonly listings: number | undefined
  readonly chains: ChainAccount
  /**
   * Everything that is wrong apart from records: workers that ended by themselves, lag that stayed,
   * files as a whole.
   */
  readonly problems: readonly string[]
}

/** Whether a run proves what it should. */
export function isProven(account: ChaosAccount): boolean {
  const { files, elasticsearch, mysql, chains, problems } = account
  return (
    isClean(files) &&
    isClean(elasticsearch) &&
    (mysql === undefined || isClean(mysql)) &&
    chains.problems.length === 0 &&
    chains.lost === 0 &&
    problems.length === 0
  )
}

/** Where a run reports its progress. */
export interface ChaosProgress {
  readonly say: (line: string) => void
  readonly status: (line: string) => void
}

const types = ['object.one', 'object.two', 'object.three', 'Order placed/v2']
const unprivileged = 65_534
/** How long the first worker may take until it archives. */
const firstStartMs = 90_000

/**
 * Breaks things by the plan of the seed while records come, heals all, lets the workers finish, and
 * takes account.
 */
export async function runChaos(
  options: ChaosOptions,
  progress: ChaosProgress,
): Promise<ChaosAccount> {
  const { stack, seconds, seed, rate } = options
  const name = `chaos-${seed}-${randomBytes(3).toString('hex')}`
  const indexPrefix = `${name}-`
  const topics: readonly LoadTopic[] = [
    { name: `${name}-a`, partitions: 4, transactional: false },
    { name: `${name}-b`, partitions: 3, transactional: false },
    { name: `${name}-compacted`, partitions: 2, transactional: false },
    { name: `${name}-transactions`, partitions: 2, transactional: true },
  ]
  const runDir = join(options.dir, name)
  await mkdir(runDir, { recursive: true })
  const isRoot = process.getuid?.() === 0
  const disk = new Disk(join(runDir, 'archive'), diskBytes(seconds))
  if (options.kinds.includes('disk')) await disk.mount()
  await mkdir(disk.path, { recursive: true })
  if (isRoot) await chown(disk.path, unprivileged, unprivileged)
  const hasMysql = options.mysql === true
  const table = name.replaceAll('-', '_')
  await stack.start(...(hasMysql ? [...usualParts, 'mariadb' as const] : usualParts))
  await using bucket =
    options.bucket === undefined ? undefined : await ChaosBucket.start(stack, options.bucket, name)
  const root = bucket?.root ?? disk.path
  const proxy = new BreakableProxy(stack.elasticsearchUrl, refusedMark)
  const proxyUrl = await proxy.start()
  const kafka = createKafka({
    brokers: [stack.brokers],
    clientId: 'chaos',
    log: createLogger({ level: 'silent', stream: process.stderr }),
    retry: { retries: 2 },
  })
  const admin = kafka.admin()
  const clock = new ClockFile(join(runDir, 'clock'))
  await clock.shift(0)
  const workers = new Workers({
    staticMembers: options.staticMembers,
    argv: [
      ...workerArguments(options, { name, topics, proxyUrl, table }),
      ...(bucket === undefined
        ? ['--archive-dir', disk.path]
        : [...bucket.arguments, '--scratch-dir', disk.path]),
    ],
    logDir: runDir,
    clockFile: clock.path,
    restartMs: 1000,
    ...(isRoot ? { uid: unprivileged } : {}),
  })
  const load = new Load({ kafka, seed, topics, types, rate, seconds })
  const problems: string[] = []
  try {
    await admin.connect()
    await createTopics(admin, topics)
    const plan = makePlan({ ...options, seconds })
    progress.say(
      `seed ${seed}: ${plan.length} faults in ${seconds} s, ${rate} records/s in ${topics.length} topics, ${options.workers} workers, ${options.staticMembers} static, logs in ${runDir}`,
    )
    if (options.kinds.includes('disk') && !disk.isMounted)
      progress.say(
        'no tmpfs may be mounted here: the disk is only forbidden, never full or read-only',
      )
    const watch = new CommitWatch(admin, name, topics)
    await workers.begin(options.workers, firstStartMs)
    watch.start()
    load.start()
    const reader = bucket === undefined ? undefined : new GlobReader(bucket, problems)
    reader?.start()
    const poison = new Poison(kafka, topics[0]!.name)
    const breaker = new Breaker({
      ...{ stack, proxy, bucket, disk, workers, poison, clock, problems, progress },
    })
    await breaker.run(
      plan,
      seconds,
      () =>
        `${breaker.executed} of ${plan.length} faults, ${load.sent} records sent, ${workers.live.length} workers`,
      progress.status,
    )
    proxy.heal()
    bucket?.heal()
    workers.scale(options.workers)
    await workers.disarm()
    await load.stop()
    progress.say(`healed; ${load.sent} records sent (${load.aborted} aborted); waiting for lag 0`)
    const drainStarted = performance.now()
    const behind = await watch.untilDrained(options.drainSeconds, progress.status)
    const drainedSeconds = (performance.now() - drainStarted) / 1000
    if (behind.length > 0)
      problems.push(
        `lag stays after ${options.drainSeconds} s: ${behind.join(', ')}`,
        `the last worker that could not begin: ${workers.lastFailedStart}`,
      )
    await watch.stop()
    await workers.stop(endDeadlineMs)
    await reader?.stop()
    problems.push(...workers.unexpectedEnds)

    progress.status('reading Kafka')
    const expected = new Expected({
      indexPrefix,
      compacted: topics.filter((topic) => isCompacted(topic)).map((topic) => topic.name),
      mysql: hasMysql,
      maxRecordBytes,
      refusedMark,
    })
    await expected.read(
      readKafka(
        stack.settings.cacheDir,
        stack.brokers,
        topics.map((topic) => topic.name),
      ),
      (records) => progress.status(`reading Kafka: ${records} records`),
    )
    const files = await expected.account('files', filesHeld(root, problems), (records) =>
      progress.status(`reading files: ${records} records`),
    )
    const elasticsearch = await expected.account(
      'elasticsearch',
      documentsHeld(stack.elasticsearchUrl, indexPrefix, expected.partitions),
      (records) => progress.status(`reading Elasticsearch: ${records} documents`),
    )
    const mysql = hasMysql
      ? await expected.account('mysql', rowsHeld(stack.mysqlUrl, table), (records) =>
          progress.status(`reading MySQL: ${records} rows`),
        )
      : undefined
    progress.status('reading manifests')
    const chains = await checkChains(root, expected)
    return {
      seed,
      records: expected.records,
      faults: breaker.executed,
      faultsByAction: Object.fromEntries([...breaker.byAction].sort()),
      workersStarted: workers.starts,
      diedAtFaultPoints: workers.diedAtFaultPoint,
      failedStarts: workers.failedStarts,
      survivedWithoutLog: workers.mutedSurvived,
      brokenBulkRequests: proxy.broken,
      refusedRequests: proxy.refused,
      drainedSeconds,
      longestRegressionSeconds: watch.longestRegressionSeconds,
      files,
      elasticsearch,
      mysql,
      listings: reader?.listings,
      chains,
      problems,
    }
  } finally {
    await workers.abandon()
    await load.stop()
    await proxy.stop()
    if (!options.keep) {
      // Only tidying up.
      await admin.deleteTopics({ topics: topics.map((topic) => topic.name) }).catch(() => {})
      await deleteIndices(stack.elasticsearchUrl, indexPrefix)
      if (hasMysql)
        await askMysql(stack.mysqlUrl, `DROP TABLE IF EXISTS ${table}, ${table}_rejected`)
      await disk.unmount()
      await rm(disk.path, { recursive: true, force: true })
    }
    await admin.disconnect()
  }
}

function isCompacted({ name }: LoadTopic): boolean {
  return name.endsWith('-compacted')
}

async function createTopics(admin: Admin, topics: readonly LoadTopic[]): Promise<void> {
  await admin.createTopics({
    waitForLeaders: true,
    topics: topics.map((topic) => ({
      topic: topic.name,
      numPartitions: topic.partitions,
      replicationFactor: 1,
      // Small segments, or nothing would be compacted within the run.
      configEntries: isCompacted(topic)
        ? [
            { name: 'cleanup.policy', value: 'compact' },
            { name: 'segment.bytes', value: String(2 ** 20) },
            { name: 'min.cleanable.dirty.ratio', value: '0.1' },
          ]
        : [],
    })),
  })
}

function workerArguments(
  options: ChaosOptions,
  run: {
    name: string
    topics: readonly LoadTopic[]
    proxyUrl: string
    table: string
  },
): string[] {
  return [
    'run',
    ...['--brokers', options.stack.brokers],
    ...['--topics', run.topics.map(({ name }) => name).join(',')],
    ...['--group', run.name],
    ...['--elasticsearch', run.proxyUrl],
    ...(options.mysql === true
      ? ['--mysql', options.stack.mysqlUrl, '--mysql-table', run.table, '--mysql-timeout', '5']
      : []),
    ...['--index-prefix', `${run.name}-`],
    ...['--session-timeout', String(options.sessionTimeoutMs)],
    ...['--flush-interval', String(options.flushIntervalSeconds)],
    ...['--compact-after', `${options.compactAfterSeconds}s`],
    ...['--flush-bytes', '4MiB'],
    // Small enough that lines spill and partitions pause while a worker catches up.
    ...['--memory-budget', '32MiB'],
    ...['--elasticsearch-timeout', '10'],
    ...['--commit-interval', '500'],
    ...['--shutdown-timeout', '20'],
    ...['--topics-refresh', '10'],
    ...['--status-interval', '5'],
    ...['--max-record-bytes', String(maxRecordBytes)],
    // An oversized record is a gap to go on behind; every other gap counts as a loss in the
    // account.
    ...['--on-gap', 'continue'],
    // 6 s.
    ...['--reject-hold', '0.1'],
    ...['--log-level', 'debug'],
  ]
}

async function deleteIndices(url: string, prefix: string): Promise<void> {
  const names = (
    await (await fetch(`${url}/_cat/indices/${prefix}*?h=index&expand_wildcards=all`)).text()
  )
    .split('\n')
    .filter((name) => name.startsWith(prefix))
  for (let i = 0; i < names.length; i += 50)
    await fetch(`${url}/${names.slice(i, i + 50).join(',')}`, { method: 'DELETE' })
  const { index_templates } = (await (await fetch(`${url}/_index_template/${prefix}*`)).json()) as {
    index_templates?: { name: string }[]
  }
  for (const { name } of index_templates ?? [])
    await fetch(`${url}/_index_template/${name}`, { method: 'DELETE' })
}
