import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { runArchiver } from '../helpers/archiver.ts'
import { createScenario, type Scenario, stagedFiles } from '../helpers/scenario.ts'
import { createTopic, produce, until } from '../helpers/servers.ts'
import { accountFor, dataFiles, offsetsOf, readDocuments, readFiles } from '../helpers/stores.ts'

const partitions = 2
const msPerHour = 3_600_000
const august = Date.UTC(2019, 7, 1, 3)
const nothing = { missing: [], duplicates: [], unexpected: [] }

/** Records of three types over three hours of 2019, in both partitions. */
function messages(from: number, next: number) {
  return [...offsetsOf(from, next)].map((i) => ({
    key: `k${i}`,
    value: JSON.stringify({ type: `object.${i % 3}`, i }),
    timestamp: august + (i % 3) * msPerHour + i,
    partition: i % partitions,
  }))
}

function expected(topic: string, count: number): Map<string, Iterable<number>> {
  return new Map(
    [...offsetsOf(0, partitions)].map((partition) => [
      `${topic}/${partition}`,
      offsetsOf(0, count / partitions),
    ]),
  )
}

/** Commands on the archive of a scenario. */
function commandsOn(t: TestContext, { root, prefix }: Scenario) {
  const here = ['--archive-dir', root]
  const succeed = async (argv: readonly string[]) => {
    const { code, output } = await runArchiver(t, argv)
    assert.equal(code, 0, output)
    return output
  }
  return {
    verify: (...more: string[]) => succeed(['verify', ...here, '--index-prefix', prefix, ...more]),
    compact: (...more: string[]) => succeed(['compact', ...here, ...more]),
    restore: (...more: string[]) =>
      succeed(['restore', ...here, '--index-prefix', prefix, ...more]),
    cat: (...more: string[]) => succeed(['cat', ...here, ...more]),
    ls: (...more: string[]) => succeed(['ls', ...here, ...more]),
  }
}

/** The files of each partition, type and hour. */
async function filesByHour(root: string): Promise<Map<string, number>> {
  const files = new Map<string, number>()
  for (const path of await dataFiles(root)) {
    const [stem] = /^.*\+\d+(?=\+)/.exec(path)!
    files.set(stem, (files.get(stem) ?? 0) + 1)
  }
  return files
}

async function manifestNames(root: string, topic: string, partition: number): Promise<string[]> {
  return (await readdir(join(root, '_manifests', topic, String(partition)))).sort()
}

test('hours become one file each, late records add one and are taken in; verify proves it before and after', async (t) => {
  const topic = await createTopic(t, { stem: 'compact', partitions })
  const scenario = await createScenario(t)
  const { root, prefix, untilEnd } = scenario
  const { verify, compact, cat, ls, restore } = commandsOn(t, scenario)
  const inSmallFlushes = ['--topics', topic, '--flush-bytes', '4096', '--compact-after', '0']
  await produce(t, topic, messages(0, 600))
  assert.equal((await untilEnd(...inSmallFlushes)).code, 0)
  // A fetch is one batch at least: several runs make several flushes whatever the broker gives at
  // once.
  for (let i = 1; i < 4; i++) {
    await produce(t, topic, messages(i * 600, (i + 1) * 600))
    assert.equal((await untilEnd(...inSmallFlushes)).code, 0)
  }
  const lines = (await readFiles(root)).map(({ line }) => line).sort()
  const hours = await filesByHour(root)
  assert.equal(hours.size, partitions * 3)
  assert.ok([...hours.values()].every((files) => files >= 4))
  await verify()
  const rows = await ls('--by', 'hour', '--json')

  assert.match(await compact('--dry-run', '--compact-after', '0'), /partition +files +would become/)
  assert.deepEqual(await filesByHour(root), hours)
  assert.match(await compact(), /nothing to compact/, 'all of it was written just now')
  const [first, second] = (await compact('--compact-after', '0', '--json')).trim().split('\n')
  assert.deepEqual(
    [first!, second!].map((line) => (JSON.parse(line) as { merged_files: number }).merged_files),
    [3, 3],
  )
  assert.ok([...(await filesByHour(root)).values()].every((files) => files === 1))
  assert.deepEqual(await manifestNames(root, topic, 0), [
    'compacted-00000000000000000000-1.json',
    'origin.json',
  ])
  assert.deepEqual((await readFiles(root)).map(({ line }) => line).sort(), lines)
  assert.deepEqual(await stagedFiles(root), [])
  for (const how of ['--deep', '--fast']) await verify(how)
  const total = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { records: number }).records)
  assert.deepEqual(total(await ls('--by', 'hour', '--json')), total(rows))
  const found = await cat('--topic', topic, '--partition', '1', '--offset', '777')
  assert.equal((JSON.parse(found) as { kafka: { offset: number } }).kafka.offset, 777)
  assert.equal((await cat('--type', 'object.1')).trim().split('\n').length, 800)

  await produce(t, topic, messages(2400, 2418))
  assert.equal((await untilEnd(...inSmallFlushes)).code, 0)
  assert.ok([...(await filesByHour(root)).values()].every((files) => files === 2))
  await compact('--compact-after', '0')
  assert.ok([...(await filesByHour(root)).values()].every((files) => files === 1))
  assert.deepEqual(await manifestNames(root, topic, 0), [
    'compacted-00000000000000000000-2.json',
    'origin.json',
  ])
  await verify('--deep')
  assert.deepEqual(accountFor(expected(topic, 2418), await readFiles(root)), nothing)
  assert.deepEqual(accountFor(expected(topic, 2418), await readDocuments(prefix)), nothing)
  assert.match(await restore(), /restored 0 records .* 2,418 records were there already/)
})

test('run compacts by itself while it archives and verify reads', async (t) => {
  const topic = await createTopic(t, { stem: 'compacts', partitions })
  const scenario = await createScenario(t)
  const { root, start } = scenario
  const { verify } = commandsOn(t, scenario)
  const argv = [
    '--topics',
    topic,
    '--flush-interval',
    '0.1',
    '--compact-after',
    '1s',
    '--log-level',
    'debug',
  ]
  const workers = [start(...argv), start(...argv)]
  let sent = 0
  for (let round = 0; round < 6; round++) {
    await produce(t, topic, messages(sent, sent + 300))
    sent += 300
    await until('an archive', async () => (await dataFiles(root).catch(() => [])).length > 0)
    const proven = verify()
    const end = sent / partitions
    await until('all of it in the files', async () => {
      const ends = (await dataFiles(root).catch(() => [])).map(
        (path) => Number(/(\d{20})\.jsonl\.gz$/.exec(path)![1]) + 1,
      )
      return ends.filter((offset) => offset === end).length >= partitions
    })
    await proven
  }
  await until(
    'one file for each partition, type and hour',
    async () => [...(await filesByHour(root)).values()].every((files) => files === 1),
    60_000,
  )
  await until(
    'manifests folded',
    async () => (await manifestNames(root, topic, 0)).length === 2,
    60_000,
  )
  assert.ok(workers.some(({ log }) => log().some(({ msg }) => msg === 'compacted')))
  for (const { child } of workers) child.kill('SIGTERM')
  for (const worker of workers) assert.equal(await worker.ended, 143, worker.output())
  assert.deepEqual(
    workers.flatMap(({ log }) => log().filter(({ level }) => level === 'error')),
    [],
  )
  assert.deepEqual(accountFor(expected(topic, sent), await readFiles(root)), nothing)
  await verify('--deep')
  assert.deepEqual(
    (await dataFiles(root)).filter((path) => dirname(path).startsWith('_')),
    [],
  )
  assert.deepEqual(await readdir(join(root, '_staging', topic, '0')), [])
})
