import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  type Gap,
  type OffsetRange,
  partitionKey,
  type RecordBatch,
  type TopicPartition,
} from '../../record/record.ts'
import { ArchiverError, messageOf, systemCode } from '../../runtime/errors.ts'
import { faultPoint } from '../../runtime/fault.ts'
import { inLanes, inTurns } from '../../runtime/lanes.ts'
import type { Logger } from '../../runtime/log.ts'
import { completeCompaction } from '../compact/compaction.ts'
import {
  archiveTrouble,
  linkExclusively,
  makeDirectory,
  removeIfThere,
  syncPath,
  writeDurably,
} from '../fs/durable.ts'
import type { KnownDirectories } from '../fs/known-directories.ts'
import { removeStaging, requireDirectories } from '../fs/no-links.ts'
import { checkMarker } from '../log/archive.ts'
import { compactedOver, type KnownHeads, listLog } from '../log/log-listing.ts'
import {
  describeGaps,
  type Manifest,
  manifestFormat,
  manifestPieces,
  type Origin,
  printManifest,
  readOrigin,
} from '../log/manifest.ts'
import {
  manifestDirectory,
  manifestName,
  originName,
  parseCompactionStaging,
  spillName,
  stagingOf,
} from '../log/path.ts'
import { isThere, publishFlush, rollForward, tellMissing } from '../log/publish.ts'
import { Bucket, type BucketContext } from './bucket.ts'
import { BucketIndex, type HourBuckets } from './bucket-index.ts'
import { SpillFile } from './spill.ts'

/** What the writers of a sink share. */
export interface WriterContext extends BucketContext {
  readonly worker: string
  readonly directories: KnownDirectories
  readonly log: Logger
  /** What the group has committed for a partition, as far as this worker knows. */
  readonly committedOffset: (tp: TopicPartition) => number | undefined
  /** A range is flushed before it has more buckets, see `maxBuckets`. */
  readonly maxBuckets: number
  /** Milliseconds that only move forward. */
  readonly now: () => number
  /** Runs what reads all of a spill file; bounds the memory that takes. */
  readonly onSpilled: (task: () => Promise<void>) => Promise<void>
  /** A flush was committed, and took so long, in ms. */
  readonly flushed: (ms: number) => void
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * A range `[from, next)` whose records lie in staged files, and those who wait for it to be
 * committed.
 */
interface StagedRange {
  readonly from: number
  next: number
  readonly since: number
  lineBytes: number
  records: number
  /** In the order in which they were begun. */
  readonly buckets: Bucket[]
  readonly index: BucketIndex
  /** Where lines wait since memory was short. */
  spillFile: SpillFile | undefined
  readonly gaps: Gap[]
  readonly waiters: Waiter[]
}

/** Where the commit log of a partition stands. */
export interface LogPosition {
  readonly next: number
  readonly origin: number
  readonly committed: number | undefined
}

/**
 * The one writer of a topic-partition in this worker: stages records, and commits them range by
 * range.
 *
 * A flush is four steps, and a crash between any two of them leaves every record exactly once:
 *
 * 1. The staged files are complete and fsynced.
 * 2. The manifest of the range is written beside them, fsynced, and linked to `<from>.json`. That
 *    is the commit point, and the
 *    compare-and-swap: of two workers at the same position, one gets the name. A compaction frees names; so whoever got one looks
 *    whether a compacted manifest has its offset. That look cannot come too early: the name was freed after that manifest was there.
 * 3. The staged files are renamed to where readers look. Whoever takes over repeats this step for
 *    the last manifest.
 * 4. The range is acknowledged.
 *
 * **Invariant**: a manifest is linked only when the files of the one before it are all in place. So
 * only the last manifest of a log can name files that are still staged.
 */
export class PartitionWriter {
  readonly #context: WriterContext
  readonly #tp: TopicPartition
  readonly #staging: string
  readonly #opened: number
  #position: number
  #current: StagedRange | undefined
  #flushing: Promise<void> = Promise.resolve()
  #failure: ArchiverError | undefined
  #closed = false
  /**
   * A manifest that names files which are still staged may be linked. Then they are whoever's who
   * opens the partition next.
   */
  #mayNameStaged = false
  /** What others had staged when this writer opened, until it is removed. */
  #foreign: readonly string[]
  readonly #compacted: KnownHeads

  private constructor(
    context: WriterContext,
    tp: TopicPartition,
    position: number,
    staging: string,
    foreign: readonly string[],
    compacted: KnownHeads,
  ) {
    this.#context = context
    this.#tp = tp
    this.#opened = position
    this.#position = position
    this.#staging = staging
    this.#foreign = foreign
    this.#compacted = compacted
  }

  /**
   * Takes the partition over: completes the last flush of whoever had it before, and finds or makes
   * its origin.
   *
   * @param fallback the origin, where archiving of this partition has not begun.
   * @throws ArchiverError `MANIFEST_INVALID`, `ARCHIVE_UNUSABLE`.
   */
  static async open(
    context: WriterContext,
    tp: TopicPartition,
    fallback: number,
  ): Promise<{ writer: PartitionWriter; position: LogPosition }> {
    try {
      await checkMarker(context.root)
      await makeDirectory(context.root, manifestDirectory(tp))
      await makeDirectory(context.root, stagingOf(tp))
      // Before the manifest is read, or it could be staging of a worker that went on from there:
      // see `#removeForeign`.
      const staged = await readdir(join(context.root, stagingOf(tp)))
      // A compacted manifest may name what a compaction staged; `completeCompaction` knows when
      // that is over.
      const foreign = staged.filter((name) => parseCompactionStaging(name) === undefined)
      // Never the same name twice, so that a range staged again does not meet what a failed try
      // left.
      const staging = `${stagingOf(tp)}/${context.worker}-${randomBytes(3).toString('hex')}`
      await makeDirectory(context.root, staging)
      const known: KnownHeads = new Map()
      const last = await rollForward(context, tp, known)
      await completeOrWarn(context, tp)
      const origin = await readOrCreateOrigin(context, tp, fallback, staging)
      const next = last?.next ?? origin.offset
      const writer = new PartitionWriter(context, tp, next, staging, foreign, known)
      return { writer, position: { next, origin: origin.offset, committed: last?.committed } }
    } catch (error) {
      throw await archiveTrouble(context.root, error)
    }
  }

  /**
   * Settles when the records are committed. The batch may begin before where the partition was
   * taken over.
   */
  write(batch: RecordBatch): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    // Below where the partition was taken over everything is committed; after that, batches come in
    // order.
    if (batch.next <= this.#opened) return Promise.resolve()
    if (batch.from > this.#position || batch.next <= this.#position) {
      return Promise.reject(
        new ArchiverError(
          'INTERNAL',
          `${partitionKey(this.#tp)}: files stand at ${this.#position} and were given [${batch.from}, ${batch.next})`,
        ),
      )
    }
    const committed: Promise<void>[] = []
    for (let staged = 0; ; ) {
      const range = this.#range()
      const from = range.next
      const start = staged
      staged = this.#stage(range, batch, start)
      // A record that would begin one bucket too many begins the next range.
      const next = staged < batch.count ? batch.offsets[staged]! : batch.next
      takeGaps(range, batch.gaps, { from, next })
      if (staged > 0)
        range.lineBytes += batch.ends[staged - 1]! - (start === 0 ? 0 : batch.ends[start - 1]!)
      range.next = next
      this.#position = next
      committed.push(
        new Promise<void>((resolve, reject) => range.waiters.push({ resolve, reject })),
      )
      if (staged === batch.count) break
      void this.flush()
    }
    return committed.length === 1 ? committed[0]! : Promise.all(committed).then(() => {})
  }

  /** The range that is staged, begun if there is none. */
  #range(): StagedRange {
    this.#current ??= {
      from: this.#position,
      next: this.#position,
      since: this.#context.now(),
      lineBytes: 0,
      records: 0,
      buckets: [],
      index: new BucketIndex(),
      spillFile: undefined,
      gaps: [],
      waiters: [],
    }
    return this.#current
  }

  /**
   * Stages records from `start` on. Returns the record that would begin one bucket too many, or
   * `count`.
   */
  #stage(range: StagedRange, batch: RecordBatch, start: number): number {
    // The bucket of each type of the batch for the hour seen last: most records follow one of the
    // same hour.
    const hourOfType = new Int32Array(batch.types.length).fill(-2)
    const bucketOfType = new Array<Bucket>(batch.types.length)
    const bucketsOfType = batch.types.map((type) => range.index.of(type))
    for (let i = start; i < batch.count; i++) {
      if (batch.offsets[i]! < range.next) continue
      const typeIndex = batch.typeIndexes[i]!
      const hour = batch.hours[i]!
      if (hourOfType[typeIndex] !== hour) {
        const present = bucketsOfType[typeIndex]!.get(hour)
        if (present === undefined && range.buckets.length >= this.#context.maxBuckets) return i
        hourOfType[typeIndex] = hour
        bucketOfType[typeIndex] = present ?? this.#begin(range, bucketsOfType[typeIndex]!, batch, i)
      }
      bucketOfType[typeIndex]!.append(batch, i)
      range.records++
    }
    return batch.count
  }

  /** Begins the bucket of record `i`. */
  #begin(range: StagedRange, bucketsOfType: HourBuckets, batch: RecordBatch, i: number): Bucket {
    const type = batch.types[batch.typeIndexes[i]!]!
    const hour = batch.hours[i]!
    const bucket = new Bucket(this.#context, this.#staging, type, hour, batch.offsets[i]!)
    bucketsOfType.set(hour, bucket)
    range.buckets.push(bucket)
    this.#context.memory.bucketOpened()
    return bucket
  }

  /** Lets the lines in memory wait on the disk. */
  spill(): void {
    const range = this.#current
    if (range === undefined) return
    range.spillFile ??= new SpillFile(
      join(this.#context.root, this.#staging, spillName(range.from)),
      {
        buffers: this.#context.buffers,
        written: (bytes) => this.#context.memory.spilled(bytes),
      },
    )
    for (const bucket of range.buckets) bucket.spill(range.spillFile)
    range.spillFile.endWave()
  }

  /**
   * When the oldest record that is not being flushed was staged, in ms of `now`; undefined where
   * there is none.
   */
  get stagedSince(): number | undefined {
    return this.#current?.since
  }

  /** Bytes of the lines that are staged and not being flushed. */
  get stagedBytes(): number {
    return this.#current?.lineBytes ?? 0
  }

  get openBuckets(): number {
    return this.#current?.buckets.length ?? 0
  }

  /**
   * Commits all that is staged. Settles when that is done or failed; a failure reaches those who
   * wrote.
   */
  flush(): Promise<void> {
    const range = this.#current
    if (range === undefined || this.#failure !== undefined) return this.#flushing
    this.#current = undefined
    const { memory } = this.#context
    memory.closeBuckets(range.buckets.length)
    this.#flushing = this.#flushing
      .then(() => this.#commitOrFail(range))
      .finally(() => memory.bucketsClosed(range.buckets.length))
    return this.#flushing
  }

  async #commitOrFail(range: StagedRange): Promise<void> {
    if (this.#failure === undefined && !this.#closed) {
      try {
        await this.#commit(range)
        for (const { resolve } of range.waiters) resolve()
        return
      } catch (error) {
        // The chain is broken here: nothing that was staged after this range can be committed
        // either.
        this.#failure = await this.#explain(range, error)
      }
    }
    await this.#discard(range)
  }

  /**
   * Staged files that vanished are trouble of the disk, or were removed by who committed this range
   * first.
   */
  async #explain({ from }: StagedRange, error: unknown): Promise<ArchiverError> {
    const { root } = this.#context
    try {
      const path = join(root, manifestDirectory(this.#tp), manifestName(from))
      const isTaken = async () => (await isThere(path)) || (await this.#isCompacted(from))
      if (!this.#mayNameStaged && (await isTaken())) return fenced(this.#tp, from)
    } catch {
      // The first error says what is wrong.
    }
    return archiveTrouble(root, error)
  }

  async #discard(range: StagedRange): Promise<void> {
    await Promise.all(range.buckets.map((bucket) => bucket.drop()))
    await range.spillFile?.drop()
    if (this.#failure !== undefined && !this.#closed)
      for (const { reject } of range.waiters) reject(this.#failure)
    await this.#discardCurrent()
  }

  async #discardCurrent(): Promise<void> {
    const range = this.#current
    if (range === undefined) return
    this.#current = undefined
    const { memory } = this.#context
    memory.closeBuckets(range.buckets.length)
    try {
      await this.#discard(range)
    } finally {
      memory.bucketsClosed(range.buckets.length)
    }
  }

  async #commit(range: StagedRange): Promise<void> {
    const { root, worker, directories, onFile, log, now, flushed } = this.#context
    const tp = this.#tp
    const startedAt = now()
    await this.#complete(range)
    const files = await inTurns(range.buckets, (bucket) => bucket.manifestFile(tp))
    await directories.make(
      files.map(({ path }) => dirname(path)),
      onFile,
    )
    await syncPath(join(root, this.#staging))
    faultPoint('files.synced')

    const committed = this.#context.committedOffset(tp)
    const manifest: Manifest = {
      format: manifestFormat,
      topic: tp.topic,
      partition: tp.partition,
      from: range.from,
      next: range.next,
      worker,
      written: new Date().toISOString(),
      records: range.records,
      files,
      ...describeGaps(range.gaps),
      ...(committed === undefined ? {} : { committed }),
    }
    const beside = join(root, this.#staging, manifestName(range.from))
    await writeDurably(beside, manifestPieces(manifest))
    faultPoint('files.manifest-written')
    const path = join(root, manifestDirectory(tp), manifestName(range.from))
    await requireDirectories(root, [manifestDirectory(tp)])
    this.#mayNameStaged = true
    if (!(await this.#link(beside, path))) {
      this.#mayNameStaged = false
      throw fenced(tp, range.from)
    }
    faultPoint('files.linked')
    if (await this.#isCompacted(range.from)) {
      // Void from the beginning, whoever saw it.
      await removeIfThere(path)
      this.#mayNameStaged = false
      throw fenced(tp, range.from)
    }
    const missing = await publishFlush(this.#context, manifest)
    this.#mayNameStaged = false
    if (missing.length > 0) {
      // Where this worker was frozen, others have put the files in place, and merged them since.
      if (await this.#isCompacted(range.from)) throw fenced(tp, range.from)
      tellMissing(log, tp, missing)
    }
    await removeIfThere(beside)
    log.debug(
      {
        topic: tp.topic,
        partition: tp.partition,
        from: range.from,
        next: range.next,
        records: range.records,
        files: files.length,
      },
      'flushed',
    )
    flushed(now() - startedAt)
    await this.#removeForeign()
  }

  async #complete({ buckets, spillFile }: StagedRange): Promise<void> {
    const complete = () => inLanes(buckets, (bucket) => bucket.complete())
    if (spillFile === undefined) return await complete()
    await this.#context.onSpilled(() => {
      spillFile.readInOrder()
      return complete()
    })
    await spillFile.drop()
  }

  async #link(beside: string, path: string): Promise<boolean> {
    try {
      return await linkExclusively(beside, path)
    } catch (error) {
      // Removed by who committed here while this worker was frozen: what is not there was not
      // linked.
      if (systemCode(error) === 'ENOENT' && !(await isThere(beside))) this.#mayNameStaged = false
      throw error
    }
  }

  async #isCompacted(offset: number): Promise<boolean> {
    return (
      compactedOver(await listLog(this.#context.root, this.#tp, this.#compacted), offset) !==
      undefined
    )
  }

  /**
   * Removes what others had staged when this writer opened. Only after its first own manifest:
   * until then a worker that was merely frozen could still commit what it staged; from then on the
   * name that it would need is taken. What was staged later is not touched: it may be the next
   * owner's, if this worker was frozen here.
   */
  async #removeForeign(): Promise<void> {
    const names = this.#foreign
    this.#foreign = []
    for (const name of names) {
      await removeStaging(this.#context.root, join(stagingOf(this.#tp), name))
    }
  }

  /**
   * Gives the partition up: waits for a flush that is under way, forgets the rest. Those who wait
   * for it wait for ever.
   */
  async close(): Promise<void> {
    this.#closed = true
    await this.#flushing
    await this.#discardCurrent()
    if (this.#mayNameStaged) return
    try {
      await removeStaging(this.#context.root, this.#staging)
    } catch (error) {
      this.#context.log.debug(
        `staging of ${partitionKey(this.#tp)} stays behind: ${messageOf(error)}`,
      )
    }
  }
}

/** The part of some gaps that lies in a range. */
function takeGaps(staged: StagedRange, gaps: readonly Gap[], { from, next }: OffsetRange): void {
  for (const gap of gaps) {
    const part = { ...gap, from: Math.max(gap.from, from), next: Math.min(gap.next, next) }
    if (part.from < part.next) staged.gaps.push(part)
  }
}

/** What a compaction left unfinished does not keep a partition from being archived. */
async function completeOrWarn(context: WriterContext, tp: TopicPartition): Promise<void> {
  try {
    await completeCompaction(context, tp)
  } catch (error) {
    context.log.warn(
      { topic: tp.topic, partition: tp.partition },
      `${partitionKey(tp)}: an unfinished compaction cannot be completed: ${messageOf(error)}; the next one tries again`,
    )
  }
}

function fenced(tp: TopicPartition, offset: number): ArchiverError {
  return new ArchiverError(
    'FENCED',
    `${partitionKey(tp)}: another worker committed at offset ${offset} first; what was staged here is dropped`,
    { topic: tp.topic, partition: tp.partition, offset },
  )
}

/**
 * The origin is created exclusively, before the first record is read; who loses takes the winner's.
 */
async function readOrCreateOrigin(
  context: WriterContext,
  tp: TopicPartition,
  offset: number,
  staging: string,
): Promise<Origin> {
  const present = await readOrigin(context.root, tp)
  if (present !== undefined) return present
  const origin: Origin = {
    format: manifestFormat,
    topic: tp.topic,
    partition: tp.partition,
    offset,
    worker: context.worker,
    written: new Date().toISOString(),
  }
  const beside = join(context.root, staging, originName)
  await writeDurably(beside, printManifest(origin))
  faultPoint('files.origin-written')
  const won = await linkExclusively(beside, join(context.root, manifestDirectory(tp), originName))
  faultPoint('files.origin-linked')
  await removeIfThere(beside)
  if (won) return origin
  const winner = await readOrigin(context.root, tp)
  if (winner === undefined) {
    throw new ArchiverError(
      'ARCHIVE_UNUSABLE',
      `${partitionKey(tp)}: ${originName} exists and cannot be read`,
    )
  }
  return winner
}
