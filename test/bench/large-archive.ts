import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import PQueue from 'p-queue'
import { claimArchive } from '../../src/files/log/archive.ts'
import { newNonce } from '../../src/files/log/chain.ts'
import { type Manifest, type ManifestFile, printManifest } from '../../src/files/log/manifest.ts'
import {
  dataFileName,
  hourDirectory,
  manifestDirectory,
  manifestName,
  originOf,
  stagedName,
  stagingOf,
} from '../../src/files/log/path.ts'
import { S3Home } from '../../src/home/s3/home.ts'
import type { BucketSettings } from '../../src/home/s3/settings.ts'
import { Store } from '../../src/home/s3/store.ts'
import type { TopicPartition } from '../../src/record/record.ts'
import { inLanes } from '../../src/runtime/lanes.ts'
import { homeAt, stagedAt } from '../helpers/home.ts'
import { resetOffsets } from '../helpers/reset-offsets.ts'
import type { Archive, Context } from './context.ts'
import { silentLog } from './servers.ts'
import { emptyPlace, inPages, withBucket } from './store.ts'

/** An archive as many days of work leave it, whose last owner died before it published. */

const wantedManifests = 10_000
const filesPerManifest = 10
const msPerHour = 3_600_000
const firstHour = Math.floor(Date.parse('2026-01-01T00:00:00Z') / msPerHour)
const deadWorker = 'dead-1-bench'

/** Where the large archive is made. */
export interface Place {
  readonly archive: Archive
  readonly format: 1 | 2
  claim(): Promise<void>
  write(path: string, bytes: string | Buffer): Promise<void>
  /** Leaves a file as its writer does that dies before it is published. */
  stage(tp: TopicPartition, file: DataFile): Promise<ManifestFile>
  /** Waits until all is written. */
  settle(): Promise<void>
  /** Removes all that was written. */
  remove(): Promise<void>
  /** What two listings of the logs take, in seconds, if that is a cost worth naming. */
  twoListings(partitions: readonly TopicPartition[]): Promise<number | undefined>
}

export type DataFile = Omit<ManifestFile, 'staged' | 'upload'>

const content = gzipSync('{"made":"by the benchmark"}\n')
const sha256 = createHash('sha256').update(content).digest('hex')

export async function directoryPlace(context: Context, clusterId: string): Promise<Place> {
  const archive = context.archive('large')
  const root = archive.directory
  const known = new Set<string>()
  const write = async (path: string, bytes: string | Buffer) => {
    const directory = dirname(join(root, path))
    if (!known.has(directory)) mkdirSync(directory, { recursive: true })
    known.add(directory)
    writeFileSync(join(root, path), bytes)
  }
  return {
    archive,
    format: 1,
    claim: async () => claimArchive(homeAt(root), clusterId, archive.group),
    write,
    stage: async (tp, file) => {
      const staged = stagedPlace(tp, file)
      await write(stagedAt(staged), content)
      return { ...file, ...staged }
    },
    settle: async () => {},
    remove: () => context.deleteArchive(archive, { files: true, elasticsearch: false }),
    twoListings: async () => undefined,
  }
}

function stagedPlace(tp: TopicPartition, { first }: DataFile) {
  return { staged: `${stagingOf(tp)}/${deadWorker}/${stagedName(first)}` }
}

/** Objects are written by a hundred requests at once. */
export async function bucketPlace(context: Context, clusterId: string): Promise<Place> {
  const archive = context.bucketArchive('large')
  const settings = archive.bucket!
  const store = await Store.open(settings, silentLog, 60_000)
  const key = (name: string) => `${settings.prefix}/${name}`
  const writes = new PQueue({ concurrency: 64 })
  const written: string[] = []
  return {
    archive,
    format: 2,
    claim: async () => {
      const options = { scratchDir: tmpdir(), log: silentLog, patienceMs: 60_000 }
      await using home = await S3Home.open(settings, options)
      await claimArchive(home, clusterId, archive.group)
    },
    write: async (path, bytes) => {
      await writes.onSizeLessThan(1000)
      written.push(key(path))
      void writes.add(() => store.objects.put(key(path), Buffer.from(bytes)))
    },
    stage: async (_, file) => {
      // As the first round left it, published.
      await store.objects.remove([key(file.path)])
      const id = await store.uploads.create(key(file.path), sha256)
      const { etag } = await store.uploads.uploadPart(key(file.path), id, 1, content)
      return { ...file, upload: { id, parts: [etag] } }
    },
    settle: () => writes.onIdle(),
    remove: async () => {
      // Without a listing: S3Proxy walks all files of a prefix for each page of it.
      await inLanes(inPages(written), (keys) => store.objects.remove(keys))
      await emptyPlace(settings)
      store.close()
    },
    twoListings: async (partitions) => {
      const options = { scratchDir: tmpdir(), log: silentLog, patienceMs: 60_000 }
      await using home = await S3Home.open(settings, options)
      const startedAt = performance.now()
      await Promise.all(
        partitions.map(async (tp) => {
          for (let i = 0; i < 2; i++) await home.list(manifestDirectory(tp))
        }),
      )
      return (performance.now() - startedAt) / 1000
    },
  }
}

/** What Kafka has of a partition. */
export interface PartitionBounds extends TopicPartition {
  readonly low: number
  readonly high: number
}

/** The log of one partition of the large archive. */
export interface MadeLog {
  readonly tp: TopicPartition
  readonly low: number
  readonly step: number
  readonly count: number
  /** The hash of the manifest before the last one. */
  readonly head: string
}

/** Everything but the last flush of each partition: ten small files a flush. */
export async function makeArchive(
  place: Place,
  bounds: readonly PartitionBounds[],
): Promise<readonly MadeLog[]> {
  await place.claim()
  const logs: MadeLog[] = []
  for (const { topic, partition, low, high } of bounds) {
    const tp = { topic, partition }
    const wanted = wantedManifests / bounds.length
    const step = Math.max(1, Math.floor((high - low) / wanted))
    const count = Math.min(wanted, Math.floor((high - low) / step))
    const origin = printManifest({
      ...common(place, tp),
      offset: low,
      ...(place.format === 1 ? {} : { nonce: newNonce() }),
    })
    await place.write(originOf(tp), origin)
    let head = hashOf(origin)
    for (let i = 0; i < count - 1; i++) {
      const files: ManifestFile[] = []
      for (const file of filesOf(tp, low + i * step, step, i)) {
        await place.write(file.path, content)
        const gone = { upload: { id: 'completed', parts: ['"completed"'] } }
        files.push({ ...file, ...(place.format === 1 ? stagedPlace(tp, file) : gone) })
      }
      head = await writeManifest(place, { tp, low, step, count, head }, i, files)
    }
    logs.push({ tp, low, step, count, head })
  }
  await place.settle()
  return logs
}

/** The last flush of each partition: committed and not published. */
export async function stageLast(
  context: Context,
  place: Place,
  logs: readonly MadeLog[],
): Promise<void> {
  // The dead worker had committed: else the last record would be held against Kafka's.
  const committed = new Map<number, number>()
  for (const log of logs) {
    const { tp, low, step, count } = log
    committed.set(tp.partition, low + count * step)
    if (place.archive.bucket !== undefined) await emptyBehind(place.archive.bucket, log)
    const files: ManifestFile[] = []
    for (const file of filesOf(tp, low + (count - 1) * step, step, count - 1))
      files.push(await place.stage(tp, file))
    await writeManifest(place, log, count - 1, files)
  }
  await place.settle()
  await resetOffsets(context.servers.kafka, place.archive.group, logs[0]!.tp.topic, committed)
}

/** What the worker of the round before has flushed. */
async function emptyBehind(
  settings: BucketSettings,
  { tp, low, step, count }: MadeLog,
): Promise<void> {
  const prefix = `${settings.prefix}/${manifestDirectory(tp)}/`
  await withBucket(settings, async ({ objects }) => {
    const after = `${prefix}${manifestName(low + (count - 1) * step)}`
    const page = await objects.listPage(prefix, { after })
    const flushes = page.objects.filter(({ key }) => /\/\d{20}\.json$/.test(key))
    await objects.remove(flushes.map(({ key }) => key))
  })
}

async function writeManifest(
  place: Place,
  { tp, low, step, head }: MadeLog,
  i: number,
  files: readonly ManifestFile[],
): Promise<string> {
  const from = low + i * step
  const manifest: Manifest = {
    ...common(place, tp),
    from,
    next: from + step,
    ...(place.format === 1 ? {} : { nonce: newNonce(), prev: head }),
    records: files.length,
    files,
    gaps: [],
  }
  const text = printManifest(manifest)
  await place.write(`${manifestDirectory(tp)}/${manifestName(from)}`, text)
  return hashOf(text)
}

function common({ format }: Place, tp: TopicPartition) {
  return { ...tp, format, worker: deadWorker, written: new Date(0).toISOString() }
}

function filesOf(tp: TopicPartition, from: number, step: number, i: number): DataFile[] {
  return Array.from({ length: Math.min(filesPerManifest, step) }, (_, file) => {
    const first = from + file
    const name = `object.${file + 1}`
    const hour = firstHour + Math.floor(i / 60)
    return {
      path: `${hourDirectory({ name, reserved: false }, hour)}/${dataFileName(tp, first, first)}`,
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
  })
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Files and manifests of all logs together. */
export function sizeOf(logs: readonly MadeLog[]): { files: number; manifests: number } {
  const manifests = logs.reduce((sum, { count }) => sum + count, 0)
  const files = logs.reduce(
    (sum, { count, step }) => sum + count * Math.min(filesPerManifest, step),
    0,
  )
  return { files, manifests }
}
