import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import type { Admin } from 'kafkajs'
import { claimArchive } from '../../src/files/log/archive.ts'
import { type Manifest, type ManifestFile, printManifest } from '../../src/files/log/manifest.ts'
import {
  dataFileName,
  hourDirectory,
  manifestDirectory,
  manifestName,
  originName,
  stagedName,
  stagingOf,
} from '../../src/files/log/path.ts'
import type { TopicPartition } from '../../src/record/record.ts'
import { homeAt, stagedAt } from '../helpers/home.ts'
import { resetOffsets } from '../helpers/reset-offsets.ts'
import { startNode } from './child.ts'
import { type Archive, type Context, thisProgram } from './context.ts'
import type { Data } from './data.ts'
import { atMost, type Result } from './run.ts'
import { median } from './statistics.ts'

const wantedManifests = 10_000
const filesPerManifest = 10
const msPerHour = 3_600_000
const firstHour = Math.floor(Date.parse('2026-01-01T00:00:00Z') / msPerHour)
const deadWorker = 'dead-1-bench'

/** Seconds since the start of the process. */
interface Times {
  readonly joined: number
  /** The last partition is open and read. */
  readonly opened: number
}

/**
 * How long a worker takes to begin where a large archive lies, whose last owner died between
 * committing and publishing its last files, compared with an empty directory.
 */
export async function takeOver(context: Context, data: Data): Promise<Result> {
  const bounds = await logBounds(context, data)
  const empty: Times[] = []
  const large: Times[] = []
  let made = { files: 0, manifests: 0 }
  for (let round = 0; round < context.options.rounds; round++) {
    const emptyArchive = context.archive('empty')
    empty.push(await begin(context, data, emptyArchive))
    await context.deleteArchive(emptyArchive, { files: true, elasticsearch: false })

    const archive = context.archive('large')
    context.say(`round ${round + 1}/${context.options.rounds}  making a large archive`)
    made = await makeArchive(context, data, archive, bounds)
    large.push(await begin(context, data, archive))
    await context.deleteArchive(archive, { files: true, elasticsearch: false })
    const { joined, opened } = large.at(-1)!
    context.say(
      `round ${round + 1}/${context.options.rounds}  joined after ${joined.toFixed(2)} s, open after ${opened.toFixed(2)} s`,
    )
  }
  const of = (times: readonly Times[], figure: (time: Times) => number) => median(times.map(figure))
  const describe = (times: readonly Times[]) =>
    `joined after ${of(times, ({ joined }) => joined)!.toFixed(2)} s, all partitions open after ${of(times, ({ opened }) => opened)!.toFixed(2)} s`
  const size = `${made.files.toLocaleString('en-US')} files and ${made.manifests.toLocaleString('en-US')} manifests`
  return {
    title: `start and take-over with ${size}`,
    summaries: [],
    goals: [
      atMost(
        2,
        'seconds from the start of the process until all partitions are open',
        of(large, ({ opened }) => opened),
      ),
      atMost(
        2,
        'seconds from joining until all partitions are open',
        of(large, ({ joined, opened }) => opened - joined),
      ),
    ],
    notes: [`empty directory: ${describe(empty)}`, `large archive: ${describe(large)}`],
  }
}

interface PartitionBounds extends TopicPartition {
  readonly low: number
  readonly high: number
}

function logBounds(context: Context, { topic }: Data): Promise<readonly PartitionBounds[]> {
  return withAdmin(context, async (admin) =>
    (await admin.fetchTopicOffsets(topic)).map(({ partition, low, high }) => ({
      topic,
      partition,
      low: Number(low),
      high: Number(high),
    })),
  )
}

/** Starts a worker, waits until every partition is open, stops it. */
async function begin(context: Context, data: Data, archive: Archive): Promise<Times> {
  const startedAt = Date.now()
  const words = context.workerWords(archive, data.topic, { files: true, elasticsearch: false }, [
    '--log-level',
    'debug',
  ])
  const running = await startNode(join(thisProgram.root, 'src/cmd/archiver.ts'), words, {
    cwd: thisProgram.root,
  })
  const deadline = startedAt + 60_000
  const openings = () =>
    running
      .output()
      .split('\n')
      .filter((line) => line.includes('"event":"partition_opened"'))
  while (openings().length < data.partitions && Date.now() < deadline) await sleep(20)
  running.kill('SIGTERM')
  const { output } = await running.ended
  const opened = openings()
  if (opened.length < data.partitions)
    throw new Error(`not all partitions were opened within a minute:\n${output}`)
  const joined = output.split('\n').find((line) => line.includes('joined the group'))!
  const since = (line: string) =>
    (Date.parse((JSON.parse(line) as { time: string }).time) - startedAt) / 1000
  return { joined: since(joined), opened: since(opened.at(-1)!) }
}

/**
 * An archive as many days of work leave it: ten small files a flush. The last flush of each
 * partition is committed and not published.
 */
async function makeArchive(
  context: Context,
  { topic }: Data,
  archive: Archive,
  bounds: readonly PartitionBounds[],
): Promise<{ files: number; manifests: number }> {
  const root = archive.directory
  await claimArchive(homeAt(root), await clusterId(context), archive.group)
  const content = gzipSync('{"made":"by the benchmark"}\n')
  const sha256 = createHash('sha256').update(content).digest('hex')
  const known = new Set<string>()
  const write = (path: string, bytes: string | Buffer) => {
    const directory = dirname(join(root, path))
    if (!known.has(directory)) mkdirSync(directory, { recursive: true })
    known.add(directory)
    writeFileSync(join(root, path), bytes)
  }
  let files = 0
  let manifests = 0
  // The dead worker had committed: else the last record would be held against Kafka's.
  const committed = new Map<number, number>()
  for (const { partition, low, high } of bounds) {
    const tp = { topic, partition }
    const wanted = wantedManifests / bounds.length
    const step = Math.max(1, Math.floor((high - low) / wanted))
    const count = Math.min(wanted, Math.floor((high - low) / step))
    const common = {
      topic,
      partition,
      format: 1,
      worker: deadWorker,
      written: new Date(0).toISOString(),
    }
    committed.set(partition, low + count * step)
    write(join(manifestDirectory(tp), originName), printManifest({ ...common, offset: low }))
    for (let i = 0; i < count; i++) {
      const from = low + i * step
      const entries = Array.from(
        { length: Math.min(filesPerManifest, step) },
        (_, file): ManifestFile => {
          const first = from + file
          const name = `object.${file + 1}`
          const hour = firstHour + Math.floor(i / 60)
          return {
            path: `${hourDirectory({ name, reserved: false }, hour)}/${dataFileName(tp, first, first)}`,
            staged: `${stagingOf(tp)}/${deadWorker}/${stagedName(first)}`,
            type: name,
            records: 1,
            first,
            last: first,
            bytes: content.length,
            line_bytes: 28,
            sha256,
            min_timestamp: hour * msPerHour,
            max_timestamp: hour * msPerHour,
          }
        },
      )
      for (const file of entries) write(i === count - 1 ? stagedAt(file) : file.path, content)
      const manifest: Manifest = {
        ...common,
        from,
        next: from + step,
        records: entries.length,
        files: entries,
        gaps: [],
      }
      write(join(manifestDirectory(tp), manifestName(from)), printManifest(manifest))
      files += entries.length
      manifests++
    }
  }
  await resetOffsets(context.servers.kafka, archive.group, topic, committed)
  return { files, manifests }
}

function clusterId(context: Context): Promise<string> {
  return withAdmin(context, async (admin) => (await admin.describeCluster()).clusterId)
}

async function withAdmin<T>(context: Context, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = context.servers.kafka.admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}
