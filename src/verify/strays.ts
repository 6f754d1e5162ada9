import { join } from 'node:path'
import { CommitLog, namesIn } from '../files/log/commit-log.ts'
import { damageOf } from '../files/log/damage.ts'
import type { Manifest } from '../files/log/manifest.ts'
import {
  archiveMarker,
  manifestsDirectory,
  parseDataFileName,
  stagingDirectory,
} from '../files/log/path.ts'
import { isThere } from '../files/log/publish.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'
import { topicSegment } from '../record/segment.ts'

const own = new Set([archiveMarker, manifestsDirectory, stagingDirectory, 'lost+found'])

/**
 * Everything in an archive that no manifest names, path by path relative to the root. `topics`:
 * only files that say they are of these. Each file is looked up in the manifest that covers its
 * first offset, so memory does not grow with the archive.
 */
export async function* strayFiles(
  root: string,
  partitions: readonly TopicPartition[],
  topics: readonly string[] | undefined,
): AsyncGenerator<string> {
  const finder = new Finder(root, partitions)
  const wanted = topics === undefined ? undefined : new Set(topics.map(topicSegment))
  const isWanted = (name: string) => {
    const topic = parseDataFileName(name)?.topic
    return wanted === undefined || (topic !== undefined && wanted.has(topic))
  }
  for (const type of await namesIn(root)) {
    if (own.has(type) || type.startsWith(`${archiveMarker}.`)) continue
    if (!type.startsWith('type=')) {
      if (wanted === undefined) yield type
      continue
    }
    for (const day of await namesIn(join(root, type))) {
      if (!day.startsWith('dt=')) {
        if (isWanted(day)) yield `${type}/${day}`
        continue
      }
      for (const hour of await namesIn(join(root, type, day))) {
        const directory = `${type}/${day}/${hour}`
        if (!hour.startsWith('hr=')) {
          if (isWanted(hour)) yield directory
          continue
        }
        for (const name of await namesIn(join(root, directory))) {
          if (isWanted(name) && !(await finder.isCommitted(`${directory}/${name}`, name)))
            yield `${directory}/${name}`
        }
      }
    }
  }
}

class Finder {
  readonly #root: string
  readonly #partitions: ReadonlyMap<string, TopicPartition>
  readonly #logs = new Map<string, CommitLog>()

  constructor(root: string, partitions: readonly TopicPartition[]) {
    this.#root = root
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
      log = await CommitLog.open(this.#root, tp)
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
      return (await isIn(log, parsed.first, path)) || !(await isThere(join(this.#root, path)))
    } catch (error) {
      // What a damaged manifest names is not known; its partition's own verdict says that it is
      // damaged.
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
