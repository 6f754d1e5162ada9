import assert from 'node:assert/strict'
import { type CompactionOptions, compactPartition } from '../../src/files/compact/compaction.ts'
import { CommitLog } from '../../src/files/log/commit-log.ts'
import { manifestDirectory } from '../../src/files/log/path.ts'
import type { FilesSink } from '../../src/files/sink.ts'
import type { Home, ReadableHome } from '../../src/home/home.ts'
import type { OffsetRange, RecordBatch } from '../../src/record/record.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { checkPartition, type PartitionCheckOptions } from '../../src/verify/partition.ts'
import { strayFiles } from '../../src/verify/strays.ts'
import { makeBatch } from '../chaos/records.ts'
import { createFilesSink } from './files-sink.ts'
import { recordsIn, type TestArchive } from './test-archive.ts'

/** What the tests of compaction share: one partition, its records, and who acts upon it. */

export const tp = { topic: 'events', partition: 3 }
export const quiet = createLogger({ level: 'silent', stream: process.stderr })
export const msPerHour = 3_600_000
export const start = (Math.floor(Date.now() / msPerHour) - 16) * msPerHour

/** Two types, and an hour every nine records, some of them late. */
export const typeOf = (offset: number) => (offset % 3 === 0 ? 'b' : 'a')
export const timestampOf = (offset: number) =>
  start + Math.floor((offset % 7 === 0 ? offset / 2 : offset) / 9) * msPerHour

/** Records of the offsets `[from, next)`. */
export function batch(from: number, next: number) {
  return makeBatch(tp, from, next, typeOf, timestampOf)
}

export function newSink(home: Home, worker: string, log = quiet): FilesSink {
  return createFilesSink(home, { worker }, log)
}

/** Makes it an archive. */
export async function begin(archive: TestArchive): Promise<TestArchive> {
  const sink = newSink(archive.home(), 'first')
  await sink.start(() => {})
  await sink.stop()
  return archive
}

/**
 * Flushes `[from, next)` as a worker of its own that takes the partition over; `step` records a
 * flush.
 */
export async function flush(
  archive: TestArchive,
  from: number,
  next: number,
  step = 5,
): Promise<void> {
  const sink = newSink(archive.home(), `flushes-${from}`)
  await sink.open(tp, 0)
  for (let at = from; at < next; at += step) await write(sink, at, Math.min(next, at + step))
  await sink.close(tp)
}

/** Flushes a range. */
export async function write(sink: FilesSink, from: number, next: number): Promise<void> {
  const written = sink.write(batch(from, next))
  await sink.flush([tp])
  await written
}

/** The same; what came of it is a value: unhandled rejections end a test run. */
export async function writeForOutcome(
  sink: FilesSink,
  from: number,
  next: number,
): Promise<string> {
  const written = sink.write(batch(from, next)).then(
    () => 'acknowledged',
    (error: { code?: string }) => error.code ?? String(error),
  )
  await sink.flush([tp])
  return await written
}

const everythingIsOld = { compactAfterMs: 0, now: Date.now() + 1e9, limits: { minFolded: 1 } }

/** A pass that finds everything old enough. */
export function pass(
  archive: TestArchive,
  options: Partial<CompactionOptions> = {},
  worker = 'compacts',
) {
  const context = { home: archive.home(), worker, log: quiet }
  return compactPartition(context, tp, { ...everythingIsOld, ...options })
}

export function verifyOptions(home: ReadableHome): PartitionCheckOptions {
  return {
    home,
    tp,
    thoroughness: 'full',
    elasticsearch: undefined,
    kafka: undefined,
    onProgress: () => {},
  }
}

export function verify(home: ReadableHome) {
  return checkPartition(verifyOptions(home))
}

/**
 * Every offset below the end of the log is there once, and the end is not before what was
 * acknowledged.
 */
export async function assertWhole(archive: TestArchive, acknowledged: number): Promise<void> {
  const home = archive.home()
  const next = (await (await CommitLog.open(home, tp)).next()) ?? 0
  assert.ok(next >= acknowledged, `acknowledged up to ${acknowledged}, the log ends at ${next}`)
  const held = (await recordsIn(home)).map(({ offset }) => offset).sort((a, b) => a - b)
  assert.deepEqual(
    held,
    Array.from({ length: next }, (_, i) => i),
  )
  assert.deepEqual((await verify(home)).problems, [])
  for await (const path of strayFiles(home, [tp], undefined)) assert.fail(`${path} is a stray file`)
}

/**
 * Opens a partition as a worker does: what is lost is read from Kafka again, which has all records.
 * @param committed what the group has committed
 */
export async function openWhole(sink: FilesSink, committed?: number): Promise<number> {
  for (;;) {
    const { next, incomplete = [] } = await sink.open(tp, 0, committed)
    if (incomplete.length === 0) return next!
    for (const range of incomplete)
      assert.deepEqual(await sink.refill(tp, range, fromKafka(range), false), [])
  }
}

/** The records of a range in two batches, as Kafka gives them again. */
export async function* fromKafka({ from, next }: OffsetRange): AsyncGenerator<RecordBatch> {
  const middle = (from + next + 1) >> 1
  yield batch(from, middle)
  if (middle < next) yield batch(middle, next)
}

export async function manifestNames(archive: TestArchive): Promise<string[]> {
  return (await archive.home().list(manifestDirectory(tp))).sort()
}

/** True for the step that puts a merged file in its place. */
export const isCompactionRename = (call: string, [from]: readonly string[]) =>
  call === 'rename' && from!.includes('/compaction-')

/** True for the step that commits a compaction. */
export const isCompactionLink = (call: string, paths: readonly string[]) =>
  call === 'link' && paths.at(-1)!.includes('compacted-')

/** True for the directory that has the commit log of the partition. */
export function isLog(path: string): boolean {
  return path.endsWith(manifestDirectory(tp))
}
