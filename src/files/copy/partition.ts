import { randomBytes } from 'node:crypto'
import type { Staging } from '../../home/home.ts'
import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { sleep } from '../../runtime/retry.ts'
import { completeCompaction } from '../compact/completion.ts'
import { Unlike } from '../compact/merge.ts'
import { bytesOf } from '../compact/plan.ts'
import { HashedPieces } from '../log/chain.ts'
import { CommitLog } from '../log/commit-log.ts'
import { firstBehind, type LogListing, listLog } from '../log/log-listing.ts'
import {
  type Hashed,
  type Manifest,
  manifestPieces,
  type Origin,
  printManifest,
  readHashedManifest,
  readHashedOrigin,
} from '../log/manifest.ts'
import { compactedName, manifestDirectory, manifestName, originOf, stagingOf } from '../log/path.ts'
import type { Pruned } from '../log/pruned.ts'
import { rollForward } from '../log/roll-forward.ts'
import { EarlyFiles } from './early-files.ts'
import {
  type FilesContext,
  isFileGone,
  publishFiles,
  requirePublished,
  stageFiles,
} from './files.ts'
import { linkFor, manifestFor, originFor } from './manifests.ts'
import { copyNotes, finishPrune } from './notes.ts'
import { Apart, replaceWith } from './replace.ts'

/** What the copies of all partitions of an archive share. */
export interface CopyContext extends FilesContext {
  readonly log: Logger
}

/** What a copy did for one topic-partition. */
export interface CopiedPartition {
  readonly tp: TopicPartition
  /** The target has the log up to here. */
  readonly next: number
  /** Where the source's log ended when the copy ended: workers may have continued it. */
  readonly sourceNext: number
  /** Records that this run copied, and their files. */
  readonly records: number
  readonly files: number
  readonly bytes: number
}

/** How often in a row the source's log is listed again because something of it is gone. */
const maxTries = 20
/** A worker that has just committed still publishes: its files have `maxTries` times as long. */
const retryMs = 250

/**
 * Copies the log of a topic-partition, manifest by manifest in its order, and continues where the
 * target's log ends. So at any time the target has a prefix of the source's log: whatever stops a
 * copy, the next one goes on from there.
 *
 * The manifest of a flush is copied as a flush is written: its files are staged, it is created,
 * they are published. A compacted manifest may have ten thousand files of a gibibyte. So they are
 * published before it, a few at a time, and a copy that is repeated skips them: see `EarlyFiles`.
 *
 * The source may be in use. What its workers commit after the beginning is left to the next run.
 * If a compaction replaces what is copied, the copy looks up the manifest that holds the position
 * now. If that one begins below the position, it becomes a compaction of the target.
 *
 * @throws ArchiverError `DAMAGED` for a file that is not as its manifest says; `ARCHIVE_MISMATCH`
 *   if the target's log is no prefix of the source's; `MANIFEST_INVALID`; `ARCHIVE_UNUSABLE`.
 */
export async function copyPartition(
  context: CopyContext,
  tp: TopicPartition,
): Promise<CopiedPartition> {
  const { target } = context
  const staging = await target.stage(`${stagingOf(tp)}/copy-${randomBytes(4).toString('hex')}`)
  try {
    return await new PartitionCopy(context, tp, staging).run()
  } catch (error) {
    throw error instanceof Apart ? apart(context, tp, error) : error
  } finally {
    await staging.remove()
  }
}

function apart({ source, target }: CopyContext, tp: TopicPartition, { message }: Apart) {
  return new ArchiverError(
    'ARCHIVE_MISMATCH',
    `${target.title}: the log of ${partitionKey(tp)} ${message}: a worker continued it, or it is no copy of ${source.title}; copy to an empty place`,
    { ...tp },
  )
}

class PartitionCopy {
  readonly #context: CopyContext
  readonly #tp: TopicPartition
  readonly #staging: Staging
  readonly #sum = { records: 0, files: 0, bytes: 0 }
  /** The target's log ends here … */
  #position = 0
  /** … and this is what its next manifest has as `prev`. */
  #head = ''
  #pruned: Pruned | undefined
  readonly #early: EarlyFiles

  constructor(context: CopyContext, tp: TopicPartition, staging: Staging) {
    this.#staging = staging
    this.#tp = tp
    this.#early = new EarlyFiles(context.target, tp)
    this.#context = {
      ...context,
      copied: (bytes) => {
        this.#sum.files++
        this.#sum.bytes += bytes
        context.copied(bytes)
      },
    }
  }

  async run(): Promise<CopiedPartition> {
    const { source, signal } = this.#context
    const tp = this.#tp
    await this.#findPosition()
    const goal = await this.#sourceEnd()
    if (this.#position > goal)
      throw new Apart(`reaches offset ${this.#position}, and the source ${goal}`)
    this.#pruned = await copyNotes(this.#context, tp)
    let listing = await listLog(source, tp)
    for (let tries = 0; this.#position < goal; ) {
      signal?.throwIfAborted()
      if (await this.#advance(listing, tries === maxTries)) {
        tries = 0
        continue
      }
      if (tries++ === maxTries) throw this.#invalid(`no manifest holds offset ${this.#position}`)
      listing = await listLog(source, tp)
      this.#pruned = await copyNotes(this.#context, tp)
    }
    await finishPrune(this.#context, tp, this.#pruned)
    return { tp, next: this.#position, sourceNext: await this.#sourceEnd(), ...this.#sum }
  }

  #invalid(why: string): ArchiverError {
    return new ArchiverError(
      'MANIFEST_INVALID',
      `${this.#context.source.title}: ${partitionKey(this.#tp)}: ${why}; run verify on it`,
      { ...this.#tp },
    )
  }

  async #sourceEnd(): Promise<number> {
    const next = await (await CommitLog.open(this.#context.source, this.#tp)).next()
    if (next === undefined) throw this.#invalid('origin.json is gone')
    return next
  }

  /** Completes what an earlier run began, and makes the origin if there is none. */
  async #findPosition(): Promise<void> {
    const { source, target, log } = this.#context
    const tp = this.#tp
    const origin = await readHashedOrigin(source, tp)
    if (origin === undefined) throw this.#invalid('origin.json is gone')
    const completion = { home: target, log }
    await completeCompaction(completion, tp)
    const end = await rollForward(completion, tp)
    const own = (await readHashedOrigin(target, tp)) ?? (await this.#createOrigin(origin.content))
    const { offset } = own.content
    if (offset !== origin.content.offset)
      throw new Apart(
        `begins at offset ${offset}, and that of the source at ${origin.content.offset}`,
      )
    this.#position = end?.next ?? offset
    this.#head = (end === undefined ? own.sha256 : end.head) ?? ''
    await this.#early.find(this.#position)
  }

  async #createOrigin(origin: Origin): Promise<Hashed<Origin>> {
    const { target } = this.#context
    const name = originOf(this.#tp)
    const content = originFor(target.manifestFormat, origin)
    await this.#staging.sync([name])
    await this.#staging.create(name, [printManifest(content)], 'origin')
    // If another copy was faster, it is the same origin, with another nonce.
    return (await readHashedOrigin(target, this.#tp))!
  }

  /**
   * Copies the manifest that holds the position.
   * @returns false if the source's log has to be listed again.
   */
  async #advance({ entries }: LogListing, isLastTry: boolean): Promise<boolean> {
    const { source } = this.#context
    const entry = entries[firstBehind(entries, this.#position) - 1]
    if (entry === undefined) return false
    const { from, compacted } = entry
    const read = await readHashedManifest(source, this.#tp, from, compacted?.generation)
    if (read === undefined || read.content.next <= this.#position) return false
    if (from < this.#position && compacted === undefined)
      throw new Apart(
        `ends at offset ${this.#position}, inside ${manifestName(from)} of the source`,
      )
    try {
      await this.#early.keepOnly(read.content, this.#position)
      if (from < this.#position) await this.#replace(read)
      else await this.#append(read)
      await this.#early.forget()
    } catch (error) {
      if (!(isFileGone(error) && !isLastTry)) throw this.#explain(error)
      if (await this.#isOnItsWay(read.content, error)) await sleep(retryMs, this.#context.signal)
      return false
    }
    this.#position = read.content.next
    return true
  }

  /** True if whoever committed a file has yet to publish it. */
  async #isOnItsWay({ files }: Manifest, error: unknown): Promise<boolean> {
    if (!(error instanceof Unlike)) return false
    const file = files.find(({ path }) => path === error.path)
    return file !== undefined && (await this.#context.source.isStaged(file))
  }

  #explain(error: unknown): unknown {
    if (!(error instanceof Unlike) && !isFileGone(error)) return error
    const { source } = this.#context
    const what = error instanceof Unlike ? error.message : (error as Error).message
    const advice = isFileGone(error)
      ? 'if its worker died before it could publish it, start a worker there or run compact'
      : 'restore this file from a copy of the archive'
    return new ArchiverError(
      'DAMAGED',
      `${source.title}: ${what}; ${advice}, then run copy again`,
      { ...this.#tp },
      error,
    )
  }

  async #append(read: Hashed<Manifest>): Promise<void> {
    const { target } = this.#context
    const { content: manifest } = read
    const tp = this.#tp
    await this.#requireRoom(bytesOf(manifest.files))
    const { from, generation } = manifest
    const isCompacted = generation !== undefined
    const of = { tp, staging: this.#staging, pruned: this.#pruned, early: this.#early }
    const files = await (isCompacted ? publishFiles : stageFiles)(this.#context, of, manifest)
    const link = linkFor(target.manifestFormat, this.#head, read)
    const content = new HashedPieces(
      manifestPieces(manifestFor(target.manifestFormat, manifest, files, link)),
    )
    const last = isCompacted ? compactedName({ from, generation }) : manifestName(from)
    const name = `${manifestDirectory(tp)}/${last}`
    if (!(await this.#staging.create(name, content, 'files')))
      throw new Apart(`got a manifest at offset ${from} from somebody else`)
    this.#head = link?.head ?? content.sha256!
    if (!isCompacted) await requirePublished(target, files, this.#pruned)
    this.#sum.records += manifest.records
  }

  async #replace(read: Hashed<Manifest>): Promise<void> {
    const head = await replaceWith(
      this.#context,
      { tp: this.#tp, position: this.#position, pruned: this.#pruned, early: this.#early },
      read,
    )
    this.#head = head ?? ''
    this.#sum.records += read.content.records
  }

  async #requireRoom(bytes: number): Promise<void> {
    const { target } = this.#context
    const space = await target.space()
    if (space === undefined || space.free >= bytes) return
    throw new ArchiverError(
      'ARCHIVE_UNUSABLE',
      `${target.title} has ${space.free} bytes free, and the next files of ${partitionKey(this.#tp)} have ${bytes}: make room, then run copy again`,
      { root: target.title },
    )
  }
}
