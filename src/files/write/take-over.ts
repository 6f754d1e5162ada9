import { hash, randomBytes } from 'node:crypto'
import { type Home, type Staging, StagingGone } from '../../home/home.ts'
import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { ArchiverError, errorFields } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { type CompletionContext, completeCompaction } from '../compact/completion.ts'
import { checkMarker } from '../log/archive.ts'
import { newNonce } from '../log/chain.ts'
import type { KnownHeads } from '../log/log-listing.ts'
import { type Hashed, type Origin, printManifest, readHashedOrigin } from '../log/manifest.ts'
import { originName, originOf, parseCompactionStaging, stagingOf } from '../log/path.ts'
import { type Incomplete, rollForward } from '../log/roll-forward.ts'

/** What taking a partition over needs. */
export interface TakeOverContext {
  readonly home: Home
  readonly worker: string
  readonly log: Logger
}

/** The position of a partition's commit log. */
export interface LogPosition {
  readonly next: number
  readonly origin: number
  readonly committed: number | undefined
  /** Committed ranges with files that are nowhere, in ascending order. */
  readonly incomplete: readonly Incomplete[]
}

/** A partition that this worker believes it owns. */
export interface TakenPartition {
  readonly tp: TopicPartition
  readonly position: LogPosition
  /** Used by this writer alone. */
  readonly staging: Staging
  /** The staging directories of others at the take-over, until they are removed. */
  readonly foreign: string[]
  readonly known: KnownHeads
  /** What the next manifest has as `prev`; changes with each commit. */
  head: string | undefined
}

/**
 * Takes a partition over: completes the last flush of whoever had it before, and finds or makes its
 * origin.
 *
 * @param fallback the origin, if archiving of this partition has not begun.
 * @param committed what the group has committed, if it has an offset.
 * @throws ArchiverError `MANIFEST_INVALID`, `ARCHIVE_UNUSABLE`.
 */
export async function takeOver(
  context: TakeOverContext,
  tp: TopicPartition,
  fallback: number,
  committed?: number,
): Promise<TakenPartition> {
  const { home, worker } = context
  try {
    await checkMarker(home)
    // Before the manifest is read. Later, it could be staging of a worker that continues from
    // there: see `removeForeign` in `commit.ts`.
    const staged = await home.list(stagingOf(tp))
    const foreign = staged
      // A compacted manifest may name what a compaction staged; `completeCompaction` removes it.
      .filter((name) => parseCompactionStaging(name) === undefined)
      .map((name) => `${stagingOf(tp)}/${name}`)
    const known: KnownHeads = new Map()
    const last = await rollForward(context, tp, known, committed)
    const compacted = await completeOrWarn(context, tp)
    const incomplete = [...(last?.incomplete ?? []), ...compacted].sort(
      (a, b) => a.manifest.from - b.manifest.from,
    )
    // After the manifest is read. So a worker that finds this directory at its own take-over is at
    // `next` or behind it, and removes the directory only after that position is taken.
    // The name is new each time, so a range that is staged again does not meet leftovers of a
    // failed try.
    const unique = `${worker}-${randomBytes(3).toString('hex')}`
    const staging = await home.stage(`${stagingOf(tp)}/${unique}`)
    const origin =
      (await readHashedOrigin(home, tp)) ?? (await createOrigin(context, tp, fallback, staging))
    const { offset } = origin.content
    const next = last?.next ?? offset
    const position = { next, origin: offset, committed: last?.committed, incomplete }
    const head = last === undefined ? origin.sha256 : last.head
    return { tp, position, staging, foreign, known, head }
  } catch (error) {
    throw await home.explain(error)
  }
}

/** An unfinished compaction does not stop archiving. */
async function completeOrWarn(
  context: CompletionContext,
  tp: TopicPartition,
): Promise<readonly Incomplete[]> {
  try {
    return await completeCompaction(context, tp)
  } catch (error) {
    context.log.warn(
      {
        event: 'compaction_unfinished',
        topic: tp.topic,
        partition: tp.partition,
        ...errorFields(error),
      },
      'leaving an unfinished compaction to the next pass',
    )
    return []
  }
}

/** Creates the origin exclusively, before the first record is read. A loser takes the winner's. */
async function createOrigin(
  { home, worker }: TakeOverContext,
  tp: TopicPartition,
  offset: number,
  staging: Staging,
): Promise<Hashed<Origin>> {
  const origin: Origin = {
    format: home.manifestFormat,
    topic: tp.topic,
    partition: tp.partition,
    offset,
    worker,
    written: new Date().toISOString(),
    ...(home.manifestFormat === 1 ? {} : { nonce: newNonce() }),
  }
  const text = printManifest(origin)
  try {
    await staging.sync([originOf(tp)])
    if (await staging.create(originOf(tp), [text], 'origin'))
      return { content: origin, sha256: hash('sha256', text) }
  } catch (error) {
    // Others made the origin, and have committed since.
    if (!(error instanceof StagingGone)) throw error
  }
  const winner = await readHashedOrigin(home, tp)
  if (winner !== undefined) return winner
  throw new ArchiverError(
    'ARCHIVE_UNUSABLE',
    `${partitionKey(tp)}: ${originName} exists and cannot be read`,
  )
}
