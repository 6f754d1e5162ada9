import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Admin } from 'kafkajs'
import { defaultCacheDir } from '../../stack/settings.ts'
import { Expected, isClean, type StoreAccount } from '../chaos/account.ts'
import { type PlainEnd, type PlainRecord, readKafka } from '../chaos/plain-consumer.ts'
import { type ChainAccount, checkChains, documentsHeld, filesHeld } from '../chaos/stores.ts'
import type { RunningArchiver } from './archiver.ts'
import { committedAndEnds, type Scenario } from './scenario.ts'
import { brokers, elasticsearchUrl, until } from './servers.ts'

/**
 * What is in Kafka, read by a Java consumer, held against what is in the files and in
 * Elasticsearch: see `test/chaos/account.ts`.
 */

const day = Date.UTC(2026, 0, 15)

/** Messages of three hours and two types; one in fifty is no JSON. */
export function messages(count: number, first = 0) {
  return Array.from({ length: count }, (_, i) => ({
    key: `key-${(first + i) % 7}`,
    value:
      (first + i) % 50 === 3
        ? 'no JSON'
        : JSON.stringify({ type: i % 3 === 0 ? 'a' : 'b', n: first + i }),
    timestamp: day + ((first + i) % 3) * 3_600_000,
  }))
}

interface Found {
  readonly files: StoreAccount
  readonly elasticsearch: StoreAccount
  readonly chains: ChainAccount
  readonly problems: readonly string[]
}

/** Compares every record of the topics with both stores. */
export async function compare(
  { root, prefix }: Scenario,
  topics: readonly string[],
  compacted: readonly string[] = [],
  known?: readonly (PlainRecord | PlainEnd)[],
): Promise<Found> {
  const problems: string[] = []
  const expected = new Expected({ indexPrefix: prefix, compacted })
  if (known === undefined)
    await expected.read(readKafka(defaultCacheDir, brokers.join(','), topics))
  else for (const item of known) expected.take(item)
  const files = await expected.account('files', filesHeld(root, problems))
  const documents = documentsHeld(elasticsearchUrl, prefix, expected.partitions)
  return {
    files,
    elasticsearch: await expected.account('elasticsearch', documents),
    chains: await checkChains(root, expected),
    problems,
  }
}

/** @throws if a record is missing, doubled or changed in one of the stores. */
export async function assertExactlyOnce(
  scenario: Scenario,
  topics: readonly string[],
  compacted: readonly string[] = [],
  known?: readonly (PlainRecord | PlainEnd)[],
): Promise<Found> {
  const found = await compare(scenario, topics, compacted, known)
  assert.ok(isClean(found.files), JSON.stringify(found.files))
  assert.ok(isClean(found.elasticsearch), JSON.stringify(found.elasticsearch))
  assert.deepEqual([...found.chains.problems, ...found.problems], [])
  return found
}

/** What Kafka has of a topic, for more than one comparison. */
export async function recordsOf(topic: string): Promise<(PlainRecord | PlainEnd)[]> {
  const items: (PlainRecord | PlainEnd)[] = []
  for await (const item of readKafka(defaultCacheDir, brokers.join(','), [topic])) items.push(item)
  return items
}

/** Waits until the group has committed the end of every partition. */
export async function untilCommitted(
  t: TestContext,
  { group }: Scenario,
  topics: readonly string[],
  deadlineMs = 90_000,
): Promise<void> {
  await until(
    `lag 0 of ${topics.join(', ')}`,
    async () => {
      try {
        const offsets = [...(await committedAndEnds(t, group, topics)).values()]
        return offsets.length > 0 && offsets.every(({ committed, end }) => committed === end)
      } catch (error) {
        // A broker that has just come back may lead nothing yet.
        if ((error as { retriable?: boolean }).retriable === true) return false
        throw error
      }
    },
    deadlineMs,
  )
}

/** Stops workers with SIGTERM, which each ends with its exit code. */
export async function endCleanly(workers: readonly RunningArchiver[]): Promise<void> {
  for (const { child } of workers) child.kill('SIGTERM')
  for (const { ended, output } of workers) assert.equal(await ended, 143, output())
}

/** As retention does, of partition 0. */
export async function deleteRecords(admin: Admin, topic: string, before: number): Promise<void> {
  // kafkajs's admin knows where a topic's leaders are once it has asked for something of it.
  await admin.fetchTopicOffsets(topic)
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(before) }] })
}
