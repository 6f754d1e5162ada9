import { randomBytes } from 'node:crypto'
import { MayBeCreated, type Staging, StagingGone } from '../../home/home.ts'
import { LF } from '../../record/ascii.ts'
import { LineHead } from '../../record/line/head.ts'
import {
  type Gap,
  lineStart,
  type OffsetRange,
  partitionKey,
  type RecordBatch,
  rangeOf,
  type TopicPartition,
} from '../../record/record.ts'
import { hourOf } from '../../record/time.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { inTurns } from '../../runtime/lanes.ts'
import { sleep } from '../../runtime/retry.ts'
import { describeCompacted } from '../compact/compacted-manifest.ts'
import { completeCompaction } from '../compact/completion.ts'
import { typeOf } from '../log/commit-log.ts'
import { listLog } from '../log/log-listing.ts'
import { type Manifest, type ManifestFile, manifestPieces } from '../log/manifest.ts'
import { compactedName, compactionStaging, manifestDirectory, stagingOf } from '../log/path.ts'
import type { Incomplete } from '../log/roll-forward.ts'
import { readBlocks } from '../read/members.ts'
import type { WriterContext } from './partition-writer.ts'
import { StagedRange } from './staged-range.ts'

/** How a refill is fed, and what it may do. */
export interface Refill {
  /** The records of the range that Kafka still has, in order. */
  readonly batches: AsyncIterable<RecordBatch>
  /** Commit also if Kafka has not all of the lost records any more. */
  readonly acceptsLoss: boolean
  /** The files' memory is full. */
  readonly isFull: () => boolean
}

const lookAgainMs = 50

/**
 * Writes the files of a committed range again that are nowhere. Their records come from Kafka: the
 * group has not committed them, so Kafka has them, unless retention was faster.
 *
 * The new files are those of the next compacted generation at the same offset, with the entries of
 * the files that are there. So the name of that generation decides between two workers that do the
 * same, and a reader never sees a record twice. **Nobody can publish the lost files any more**: for
 * each, `Home.publish` has ended what it would be published from. A new file has the name of the
 * lost one, because its records are the same.
 *
 * Killed at any step, it is repeated: before the manifest nothing is visible; after it whoever
 * opens the partition completes the generation, as any compaction.
 *
 * @returns the offsets that are lost for good. If there are some, and the caller does not accept a
 *   loss, nothing is written.
 * @throws ArchiverError `FENCED` if others were faster; `GAP` if Kafka's records are not those that
 *   are lost.
 */
export async function refill(
  context: WriterContext,
  tp: TopicPartition,
  incomplete: Incomplete,
  { batches, acceptsLoss, isFull }: Refill,
): Promise<readonly Gap[]> {
  const { home, worker, memory } = context
  const { manifest, missing } = incomplete
  const generation = (manifest.generation ?? 0) + 1
  const unique = `${worker}-${randomBytes(3).toString('hex')}`
  const directory = compactionStaging({ from: manifest.from, generation }, unique)
  const staging = await home.stage(`${stagingOf(tp)}/${directory}`)
  const range = new StagedRange(context, staging, manifest.from)
  let isMine = true
  try {
    const staged = await stage(range, missing, { batches, isFull })
    memory.closeBuckets(range.buckets.length)
    try {
      await range.complete(tp)
    } finally {
      await range.drop()
      memory.bucketsClosed(range.buckets.length)
    }
    const found = await inTurns(range.buckets, (bucket) => bucket.manifestFile())
    const isWhole = isAllThere(tp, missing, found)
    const gaps = isWhole ? [] : await lostOffsets(context, manifest, missing, staged)
    if (!isWhole && !acceptsLoss) return gaps
    const content = describeCompacted(context, tp, {
      ...manifest,
      generation,
      committed: manifest.committed,
      closed: manifest.closed ?? false,
      unmerged: manifest.unmerged ?? 0,
      omittedGaps: manifest.omitted_gaps ?? 0,
      gaps: [...manifest.gaps, ...gaps].sort((a, b) => a.from - b.from),
      files: [
        ...manifest.files.filter((file) => !missing.includes(file)),
        ...found.map((file) => ({ ...file, replaces: [] })),
      ],
      prev: manifest.prev,
      head: incomplete.head,
    })
    await commit(context, tp, staging, content, () => {
      isMine = false
    })
    return gaps
  } catch (error) {
    // Who completes a generation removes what slower workers stage for the same one.
    const isOvertaken =
      error instanceof StagingGone &&
      !(await isInForce(context, tp, manifest.from, manifest.generation ?? 0))
    throw isOvertaken ? overtaken(tp, manifest.from) : await home.explain(error)
  } finally {
    if (isMine) await staging.remove()
  }
}

/** Stages the records of the lost files. Returns their offsets. */
async function stage(
  range: StagedRange,
  missing: readonly ManifestFile[],
  { batches, isFull }: Pick<Refill, 'batches' | 'isFull'>,
): Promise<number[]> {
  const lost = new Set(missing.map(keyOf))
  const offsets: number[] = []
  for await (const batch of batches) {
    const wanted = recordsOf(batch, lost)
    batch.free?.()
    if (wanted.count > 0) range.take(wanted, 0)
    for (const offset of wanted.offsets) offsets.push(offset)
    if (!isFull()) continue
    range.spill()
    while (isFull()) await sleep(lookAgainMs)
  }
  return offsets
}

/** A flush has one file for each type and hour. */
function keyOf(file: ManifestFile): string {
  const { name, reserved } = typeOf(file)
  return `${hourOf(file.min_timestamp)}/${reserved}/${name}`
}

/** The records of some types and hours. The others are in files that are there. */
function recordsOf(batch: RecordBatch, keys: ReadonlySet<string>): RecordBatch {
  const kept: number[] = []
  for (let i = 0; i < batch.count; i++) {
    const { name, reserved } = batch.types[batch.typeIndexes[i]!]!
    if (keys.has(`${batch.hours[i]}/${reserved}/${name}`)) kept.push(i)
  }
  const lines = Buffer.concat(
    kept.map((i) => batch.lines.subarray(lineStart(batch, i), batch.ends[i]!)),
  )
  let end = 0
  const { topic, partition, from, next, types } = batch
  return {
    ...{ topic, partition, from, next, types, lines, gaps: [] },
    count: kept.length,
    ends: Uint32Array.from(kept, (i) => {
      end += batch.ends[i]! - lineStart(batch, i)
      return end
    }),
    offsets: Float64Array.from(kept, (i) => batch.offsets[i]!),
    timestamps: Float64Array.from(kept, (i) => batch.timestamps[i]!),
    hours: Int32Array.from(kept, (i) => batch.hours[i]!),
    typeIndexes: Uint32Array.from(kept, (i) => batch.typeIndexes[i]!),
  }
}

/**
 * True if all lost records were found again, false if some were not.
 * @throws ArchiverError `GAP` if others were found.
 */
function isAllThere(
  tp: TopicPartition,
  missing: readonly ManifestFile[],
  found: readonly ManifestFile[],
): boolean {
  const lostOf = new Map(missing.map((file) => [keyOf(file), file]))
  for (const file of found) {
    const lost = lostOf.get(keyOf(file))
    const isPart =
      lost !== undefined &&
      file.records <= lost.records &&
      file.first >= lost.first &&
      file.last <= lost.last &&
      file.min_timestamp >= lost.min_timestamp &&
      file.max_timestamp <= lost.max_timestamp
    if (isPart) continue
    throw new ArchiverError(
      'GAP',
      `${partitionKey(tp)}: ${lost?.path ?? file.path} is lost, and Kafka's records at its offsets are other ones: the topic was recreated, or the worker takes the type from elsewhere now`,
      { path: lost?.path ?? file.path },
    )
  }
  const count = (files: readonly ManifestFile[]) =>
    files.reduce((sum, { records }) => sum + records, 0)
  return count(found) === count(missing)
}

/**
 * The offsets that neither a file that is there has, nor Kafka. If the manifest does not list all
 * its gaps, the unlisted ones between them count, too: nobody knows better.
 */
async function lostOffsets(
  { home }: WriterContext,
  { files, gaps }: Manifest,
  missing: readonly ManifestFile[],
  staged: readonly number[],
): Promise<Gap[]> {
  const known: OffsetRange[] = [...gaps, ...staged.map((offset) => rangeOf(offset))]
  const head = new LineHead()
  for (const { path } of files.filter((file) => !missing.includes(file))) {
    for await (const block of readBlocks(home, path)) {
      for (let start = 0; start < block.length; start = block.indexOf(LF, start) + 1) {
        head.read(block, start)
        known.push(rangeOf(head.offset))
      }
    }
  }
  const end = Math.max(...missing.map(({ last }) => last)) + 1
  let position = Math.min(...missing.map(({ first }) => first))
  const lost: Gap[] = []
  for (const { from, next } of [...known.sort((a, b) => a.from - b.from), rangeOf(end)]) {
    const before = Math.min(from, end)
    if (before > position) lost.push({ from: position, next: before, reason: 'file-lost' })
    position = Math.max(position, next)
  }
  return lost
}

/** True if this generation is in force at its offset; generation 0 is the manifest of a flush. */
async function isInForce(
  { home }: WriterContext,
  tp: TopicPartition,
  from: number,
  generation: number,
): Promise<boolean> {
  const { entries } = await listLog(home, tp)
  return entries.some(
    (entry) => entry.from === from && (entry.compacted?.generation ?? 0) === generation,
  )
}

/** The commit point, and what follows. Calls `committed` once a manifest may name the staging. */
async function commit(
  context: WriterContext,
  tp: TopicPartition,
  staging: Staging,
  manifest: Manifest,
  committed: () => void,
): Promise<void> {
  await staging.sync(manifest.files.map(({ path }) => path))
  const { from, generation } = manifest as Manifest & { readonly generation: number }
  if (!(await isInForce(context, tp, from, generation - 1))) throw overtaken(tp, from)
  const name = `${manifestDirectory(tp)}/${compactedName({ from, generation })}`
  try {
    if (!(await staging.create(name, manifestPieces(manifest), 'compaction')))
      throw overtaken(tp, from)
  } catch (error) {
    if (error instanceof MayBeCreated) committed()
    throw error
  }
  committed()
  // Publishes what is in force, and removes this manifest if it was void from the beginning.
  await completeCompaction(context, tp)
  if (!(await isInForce(context, tp, from, generation))) throw overtaken(tp, from)
}

function overtaken(tp: TopicPartition, from: number): ArchiverError {
  return new ArchiverError(
    'FENCED',
    `${partitionKey(tp)}: another worker completed the range of offset ${from} first`,
    { topic: tp.topic, partition: tp.partition, offset: from },
  )
}
