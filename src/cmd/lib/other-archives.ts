import type { Elasticsearch } from '../../elasticsearch/client/client.ts'
import { IndexNames } from '../../elasticsearch/index-name.ts'
import { nestedArchives, visibleTemplates } from '../../elasticsearch/templates/conflicts.ts'
import { typesByDay } from '../../files/compact/prune.ts'
import { DamagedPartitions } from '../../files/read/damaged-partitions.ts'
import type { ReadableHome } from '../../home/home.ts'
import type { TopicPartition } from '../../record/record.ts'
import { unknownHour } from '../../record/time.ts'

/**
 * Patterns of other archives on the cluster whose prefix begins with ours. New ones are refused at
 * their start; earlier versions, and `--no-templates`, let them be. What could be an index of a
 * type of ours is not among them.
 */
export async function otherArchives(
  client: Elasticsearch,
  indexPrefix: string,
  home: ReadableHome,
  partitions: readonly TopicPartition[],
): Promise<string[]> {
  const present = await visibleTemplates(client)
  if (nestedArchives(present, indexPrefix, () => false).length === 0) return []
  const names = new IndexNames(indexPrefix)
  const own = new Set<string>()
  // Whoever asks tells what is damaged.
  const damaged = new DamagedPartitions(() => {})
  for (const tp of partitions) {
    await damaged.attempt(tp, async () => {
      for await (const { type } of typesByDay(home, tp)) own.add(names.of(type, unknownHour))
    })
  }
  return nestedArchives(present, indexPrefix, (literal) =>
    [...own].some((name) => name.startsWith(literal)),
  )
}
