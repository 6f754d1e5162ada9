import { CommitLog } from '../files/log/commit-log.ts'
import { damageOf } from '../files/log/damage.ts'
import type { Manifest } from '../files/log/manifest.ts'
import {
  archiveMarker,
  manifestsDirectory,
  parseDataFileName,
  stagingDirectory,
} from '../files/log/path.ts'
import type { ReadableHome } from '../home/home.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'
import { topicSegment } from '../record/segment.ts'
import type { HashedNames } from './hashed-names.ts'

const own = new Set([archiveMarker, manifestsDirectory, stagingDirectory, 'lost+found'])

/**
 * Everything in an archive that no manifest names, as paths relative to the root. `topics`: only
 * files whose names have one of these. Each file is looked up in the manifest that covers its first
 * offset, so memory does not grow with the archive.
 *
 * @param named files that a manifest names, for certain: nothing is looked up for them. A bucket
 *   would send a request for each file, as neighbours in a listing are of different manifests.
 */
export async function* strayFiles(
  home: ReadableHome,
  partitions: readonly TopicPartition[],
  topics: readonly string[] | undefined,
  named?: HashedNames,
): AsyncGenerator<string> {
  const finder = new Finder(home, partitions)
  const wanted = topics === undefined ? undefined : new Set(topics.map(topicSegment))
  const isWanted = (name: string) => {
    const topic = parseDataFileName(name)?.topic
    return wanted === undefined || (topic !== undefined && wanted.has(topic))
  }
  for await (const path of home.walk('', isEntered)) {
    const segments = path.split('/')
    const name = segments.at(-1)!
    if (segments.length === 1 && isOwn(name)) continue
    // Beside the types lies what names no topic.
    if (segments.length === 1 ? wanted !== undefined : !isWanted(name)) continue
    if (named?.has(path) === true) continue
    const isData = segments.length > levels.length
    if (!(isData && (await finder.isCommitted(path, name)))) yield path
  }
}

/** What the directories above data files begin with. */
const levels = ['type=', 'dt=', 'hr=']

function isEntered(directory: string): boolean {
  const segments = directory.split('/')
  return (
    segments.length <= levels.length &&
    segments.every((segment, i) => segment.startsWith(levels[i]!))
  )
}

function isOwn(name: string): boolean {
  return own.has(name) || name.startsWith(`${archiveMarker}.`)
}

class Finder {
  readonly #home: ReadableHome
  readonly #partitions: ReadonlyMap<string, TopicPartition>
  readonly #logs = new Map<string, CommitLog>()

  constructor(home: ReadableHome, partitions: readonly TopicPartition[]) {
    this.#home = home
    this.#partitions = new Map(
      partitions.map((tp) => [
        partitionKey({ topic: topicSegment(tp.topic), partition: tp.partition }),
        tp,
      ]),
    )
  }

  async #logOf(key: string, tp: TopicPartition): Promise<CommitLog> {
    let log = this.#logs.get(key)
    if (log === undefined) {
      log = await CommitLog.open(this.#home, tp)
      this.#logs.set(key, log)
    }
    return log
  }

  async isCommitted(path: string, name: string): Promise<boolean> {
    const parsed = parseDataFileName(name)
    if (parsed === undefined) return false
    const key = partitionKey(parsed)
    const tp = this.#partitions.get(key)
    if (tp === undefined) return false
    try {
      const log = await this.#logOf(key, tp)
      if (await isIn(log, parsed.first, path)) return true
      // A worker may have committed it since the log was listed, or removed it because it was
      // merged.
      await log.refresh()
      return (await isIn(log, parsed.first, path)) || (await this.#home.stat(path)) === undefined
    } catch (error) {
      // What a damaged manifest names is unknown. The verdict on its partition reports the damage.
      if (damageOf(tp, error) === undefined) throw error
      return true
    }
  }
}

/** The paths that manifests name, as long as they are remembered. */
const named = new WeakMap<Manifest, ReadonlySet<string>>()

async function isIn(log: CommitLog, first: number, path: string): Promise<boolean> {
  const manifest = await log.covering(first)
  if (manifest === undefined) return false
  let paths = named.get(manifest)
  if (paths === undefined) {
    // Until a compaction is completed, what it replaces is still there.
    paths = new Set(manifest.files.flatMap((file) => [file.path, ...(file.replaces ?? [])]))
    named.set(manifest, paths)
  }
  return paths.has(path)
}
