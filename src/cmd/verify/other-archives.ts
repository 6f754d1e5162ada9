import type { Elasticsearch } from '../../elasticsearch/client/client.ts'
import { IndexNames } from '../../elasticsearch/index-name.ts'
import { nestedArchives, visibleTemplates } from '../../elasticsearch/templates/conflicts.ts'
import { typesByDay } from '../../files/compact/prune.ts'
import { DamagedPartitions } from '../../files/read/damaged-partitions.ts'
import type { ReadableHome } from '../../home/home.ts'
import type { TopicPartition } from '../../record/record.ts'
import { unknownHour } from '../../record/time.ts'

/**
 * Patterns of other archives on the cluster whose prefix begins with ours. A new archive of that
 * kind is refused at its start, but earlier versions and `--no-templates` do not refuse it. A
 * pattern that could match an index of one of our types is left out.
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
  // The caller reports damaged partitions.
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
