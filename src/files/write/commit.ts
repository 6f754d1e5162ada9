import { MayBeCreated } from '../../home/home.ts'
import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { faultPoint } from '../../runtime/fault.ts'
import { inTurns } from '../../runtime/lanes.ts'
import { HashedPieces, newNonce } from '../log/chain.ts'
import { compactedOver } from '../log/log-listing.ts'
import { describeGaps, type Manifest, type ManifestFile, manifestPieces } from '../log/manifest.ts'
import { manifestDirectory, manifestName } from '../log/path.ts'
import type { StagedRange } from './staged-range.ts'
import type { TakenPartition, TakeOverContext } from './take-over.ts'

/** What a commit needs. */
export interface CommitContext extends TakeOverContext {
  /** The committed offset of the group for a partition, as far as this worker knows. */
  readonly committedOffset: (tp: TopicPartition) => number | undefined
  /** Milliseconds that only move forward. */
  readonly now: () => number
  /** A flush was committed after this many ms. */
  readonly flushed: (ms: number) => void
}

/**
 * Who removes staged files: the writer that staged them (`writer`). While a manifest may name them,
 * it is the next one who opens the partition and publishes them first (`log`).
 */
export type StagingOwner = 'writer' | 'log'

/** The result of a commit. */
export type CommitOutcome =
  | { readonly is: 'committed' }
  | { readonly is: 'failed'; readonly error: ArchiverError; readonly owner: StagingOwner }

/**
 * A flush. It is four steps, and a crash between any two of them leaves every record exactly once:
 *
 * 1. The staged files are complete and durable.
 * 2. The manifest of the range is created as `<from>.json`. That is the commit point, and the
 *    compare-and-swap: of two workers at the same position, one gets the name. A compaction frees
 *    names, so the winner checks whether a compacted manifest covers its offset. This check cannot
 *    come too early: the name was freed after that manifest was there.
 * 3. The staged files are published. The next owner repeats this step for the last manifest.
 * 4. The range is acknowledged, by the caller.
 */
export async function commitRange(
  context: CommitContext,
  partition: TakenPartition,
  range: StagedRange,
): Promise<CommitOutcome> {
  const { home, log, now, flushed } = context
  const { tp, staging, known } = partition
  const { topic } = tp
  const startedAt = now()
  let owner: StagingOwner = 'writer'
  try {
    await range.complete(tp)
    const files = await inTurns(range.buckets, (bucket) => bucket.manifestFile())
    await staging.sync(files.map(({ path }) => path))
    faultPoint('files.synced')

    const manifest = describeRange(context, partition, range, files)
    const name = nameOf(tp, range)
    const content = new HashedPieces(manifestPieces(manifest))
    if (!(await staging.create(name, content, 'files'))) throw fenced(tp, range.from)
    owner = 'log'
    if ((await compactedOver(home, tp, range.from, known)) !== undefined) {
      // It was void from the beginning, even if somebody read it.
      await home.remove([name])
      owner = 'writer'
      throw fenced(tp, range.from)
    }

    partition.head = content.sha256

    const missing = await home.publish(files, 'files')
    if (missing.length > 0) {
      // While this worker was frozen, others published the files and have merged them since, or
      // they have read them from Kafka again.
      const isOthers = (await compactedOver(home, tp, range.from, known)) !== undefined
      if (!isOthers) throw lost(tp, missing)
      owner = 'writer'
      throw fenced(tp, range.from)
    }
    owner = 'writer'
    const { from, next, records } = range
    log.debug(
      {
        event: 'range_flushed',
        topic,
        partition: tp.partition,
        from,
        next,
        records,
        files: files.length,
      },
      'flushed',
    )
    flushed(now() - startedAt)
    await removeForeign(context, partition)
    return { is: 'committed' }
  } catch (error) {
    if (error instanceof MayBeCreated) owner = 'log'
    return { is: 'failed', error: await explain(context, partition, range, error, owner), owner }
  }
}

function nameOf(tp: TopicPartition, { from }: StagedRange): string {
  return `${manifestDirectory(tp)}/${manifestName(from)}`
}

function describeRange(
  { home, worker, committedOffset }: CommitContext,
  { tp, head }: TakenPartition,
  { from, next, records, gaps }: StagedRange,
  files: readonly ManifestFile[],
): Manifest {
  const committed = committedOffset(tp)
  return {
    format: home.manifestFormat,
    topic: tp.topic,
    partition: tp.partition,
    from,
    next,
    worker,
    written: new Date().toISOString(),
    ...(home.manifestFormat === 1 || head === undefined ? {} : { nonce: newNonce(), prev: head }),
    records,
    files,
    ...describeGaps(gaps),
    ...(committed === undefined ? {} : { committed }),
  }
}

/**
 * Removes what others had staged when the partition was taken over. Only after the first own
 * manifest. Until then, a worker that was merely frozen could still commit what it staged. From
 * then on, the name that it would need is taken. Younger staging stays: if this worker was frozen
 * here, it may be the next owner's.
 */
async function removeForeign({ home }: CommitContext, { foreign }: TakenPartition): Promise<void> {
  await home.removeStaging(foreign.splice(0))
}

/** Staged files vanish because of the disk, or because somebody else committed this range first. */
async function explain(
  { home }: CommitContext,
  { tp, known }: TakenPartition,
  range: StagedRange,
  error: unknown,
  owner: StagingOwner,
): Promise<ArchiverError> {
  const isTaken = async () =>
    (await home.stat(nameOf(tp, range))) !== undefined ||
    (await compactedOver(home, tp, range.from, known)) !== undefined
  try {
    if (owner === 'writer' && (await isTaken())) return fenced(tp, range.from)
  } catch {
    // The first error says what is wrong.
  }
  return home.explain(error)
}

/** It is not acknowledged, so whoever opens the partition reads it from Kafka again. */
function lost(tp: TopicPartition, missing: readonly ManifestFile[]): ArchiverError {
  const names = missing.map(({ path }) => path)
  return new ArchiverError(
    'DAMAGED',
    `${partitionKey(tp)}: ${names[0]} was lost between its commit and its publication (${names.length} such files)`,
    { topic: tp.topic, partition: tp.partition, paths: names },
  )
}

function fenced(tp: TopicPartition, offset: number): ArchiverError {
  return new ArchiverError(
    'FENCED',
    `${partitionKey(tp)}: another worker committed at offset ${offset} first; what was staged here is dropped`,
    { topic: tp.topic, partition: tp.partition, offset },
  )
}
