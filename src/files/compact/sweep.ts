import type { Home, ReadableHome } from '../../home/home.ts'
import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { topicSegment } from '../../record/segment.ts'
import { inLanes } from '../../runtime/lanes.ts'
import { CommitLog } from '../log/commit-log.ts'
import type { ListedPartition } from '../log/manifest.ts'
import { archiveMarker, parseDataFileName } from '../log/path.ts'
import type { DamagedPartitions } from '../read/damaged-partitions.ts'

/** An upload that was begun and not completed, by the name of its file. */
export interface OpenUpload {
  readonly key: string
  readonly id: string
  /** By the store's clock; undefined if the store does not say. */
  readonly initiated: Date | undefined
}

/** What a home has that stages files as open uploads. */
export interface UploadingHome extends Pick<Home, 'remove'>, ReadableHome {
  /** Objects of starts that were killed while they proved the store. */
  probes(): AsyncIterable<{ readonly name: string; readonly written: Date | undefined }>
  /** All of them, whoever began them. */
  openUploads(): AsyncIterable<OpenUpload>
  /** Ends one; one that is gone is fine. */
  abortUpload(upload: OpenUpload): Promise<void>
}

/** What a sweep takes, and what it leaves. */
export interface SweepPlan {
  /** Of workers that are gone. */
  readonly dead: readonly OpenUpload[]
  /** Names of objects of starts that were killed. */
  readonly probes: readonly string[]
  /** Too young to know. */
  readonly young: number
  /** Of committed files: whoever opens the partition completes them. */
  readonly needed: number
  /** Of partitions whose log cannot be read. */
  readonly unknown: number
  /** Of no file of this archive. */
  readonly foreign: number
}

/**
 * Which open uploads nobody needs any more. A worker that dies before its commit leaves them, and
 * they cost money. One listing shows them all.
 *
 * An upload stays while it is younger than `before`, or while a manifest in force names it. So what
 * a live worker may still commit, and what is committed and not published, stays. If a worker was
 * frozen for longer than that and commits what was ended, its range is read from Kafka again, see
 * `write/refill.ts`.
 *
 * @param listed all partitions of the archive
 * @param before in ms: when an upload must have begun
 * @throws the home's error
 */
export async function planSweep(
  home: UploadingHome,
  listed: readonly ListedPartition[],
  damaged: DamagedPartitions,
  before: number,
): Promise<SweepPlan> {
  damaged.sound(listed)
  const logs = new Logs(home, listed, damaged)
  const dead: OpenUpload[] = []
  const left = { young: 0, needed: 0, unknown: 0, foreign: 0 }
  for await (const upload of home.openUploads()) {
    const { key, initiated } = upload
    const file = parseDataFileName(key.slice(key.lastIndexOf('/') + 1))
    const isOurs = file === undefined ? isProbe(key) : key.startsWith('type=')
    if (!isOurs) left.foreign++
    else if (initiated === undefined || initiated.getTime() >= before) left.young++
    else {
      const use = file === undefined ? 'none' : await logs.useOf(upload, file)
      if (use === 'none') dead.push(upload)
      else left[use]++
    }
  }
  const probes: string[] = []
  for await (const { name, written } of home.probes())
    if (written !== undefined && written.getTime() < before) probes.push(name)
  return { dead, probes, ...left }
}

/** What a start that was killed left of its proof of the store. */
function isProbe(key: string): boolean {
  return key.startsWith(`${archiveMarker}.probe-`)
}

/** The commit logs of an archive, opened once each. */
class Logs {
  readonly #home: UploadingHome
  readonly #partitions: ReadonlyMap<string, TopicPartition>
  readonly #damaged: DamagedPartitions
  readonly #logs = new Map<string, CommitLog>()

  constructor(home: UploadingHome, listed: readonly ListedPartition[], damaged: DamagedPartitions) {
    this.#home = home
    this.#damaged = damaged
    this.#partitions = new Map(
      listed.map(({ topic, partition }) => [
        partitionKey({ topic: topicSegment(topic), partition }),
        { topic, partition },
      ]),
    )
  }

  /** Whether a manifest in force names an upload. */
  async useOf(
    { key, id }: OpenUpload,
    file: TopicPartition & { readonly first: number },
  ): Promise<'needed' | 'unknown' | 'none'> {
    const tp = this.#partitions.get(partitionKey(file))
    // A partition without a log has no manifest that could name it.
    if (tp === undefined) return 'none'
    if (this.#damaged.has(tp)) return 'unknown'
    const use = await this.#damaged.attempt(tp, async () => {
      const manifest = await (await this.#logOf(tp)).covering(file.first)
      const isNamed = manifest?.files.some(
        (entry) => entry.path === key && 'upload' in entry && entry.upload.id === id,
      )
      return isNamed === true ? 'needed' : 'none'
    })
    return use ?? 'unknown'
  }

  async #logOf(tp: TopicPartition): Promise<CommitLog> {
    const known = this.#logs.get(partitionKey(tp))
    if (known !== undefined) return known
    const log = await CommitLog.open(this.#home, tp)
    this.#logs.set(partitionKey(tp), log)
    return log
  }
}

/** Ends the uploads of a plan, and removes its objects. */
export async function sweep(home: UploadingHome, { dead, probes }: SweepPlan): Promise<void> {
  await home.remove(probes)
  await inLanes(dead, (upload) => home.abortUpload(upload))
}
