import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type RunningArchiver, runArchiver, startArchiver } from './archiver.ts'
import { indexPrefix, temporaryDirectory, testKafka, uniqueName, withAdmin } from './servers.ts'

/** An archive, an index prefix and a group of a test's own, and the archiver that fills them. */
export interface Scenario {
  readonly root: string
  readonly prefix: string
  readonly group: string
  /** The arguments of `archiver run` for these. */
  readonly argv: readonly string[]
  readonly start: (...more: readonly string[]) => RunningArchiver
  /** Runs until the end offsets as they are now. */
  readonly untilEnd: (...more: readonly string[]) => ReturnType<typeof runArchiver>
}

export async function createScenario(t: TestContext): Promise<Scenario> {
  const root = join(await temporaryDirectory(t), 'archive')
  const prefix = indexPrefix(t)
  const group = uniqueName('group')
  t.after(async () => {
    const admin = testKafka().admin()
    await admin.connect()
    // The group need not have come into being.
    await admin.deleteGroups([group]).catch(() => {})
    await admin.disconnect()
  })
  const argv = [
    'run',
    '--archive-dir',
    root,
    '--index-prefix',
    prefix,
    '--group',
    group,
    '--session-timeout',
    '6000',
  ]
  return {
    root,
    prefix,
    group,
    argv,
    start: (...more) => startArchiver(t, [...argv, ...more]),
    untilEnd: (...more) => runArchiver(t, [...argv, '--until-end', ...more]),
  }
}

/** The offset that the group has committed and the end of the log, by `topic/partition`. */
export async function committedAndEnds(
  t: TestContext,
  group: string,
  topics: readonly string[],
): Promise<Map<string, { readonly committed: number; readonly end: number }>> {
  const admin = await withAdmin(t)
  const found = new Map<string, { committed: number; end: number }>()
  for (const topic of topics) {
    const ends = new Map(
      (await admin.fetchTopicOffsets(topic)).map(({ partition, high }) => [
        partition,
        Number(high),
      ]),
    )
    const [offsets] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    for (const { partition, offset } of offsets!.partitions) {
      found.set(`${topic}/${partition}`, { committed: Number(offset), end: ends.get(partition)! })
    }
  }
  return found
}

/** What lies in the staging directory: after a clean end nothing. */
export async function stagedFiles(root: string): Promise<string[]> {
  const entries = await readdir(join(root, '_staging'), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}
