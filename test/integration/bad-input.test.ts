import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { startArchiver } from '../helpers/archiver.ts'
import { createScenario } from '../helpers/scenario.ts'
import { createTopic, elasticsearch, produce, testKafka, uniqueName } from '../helpers/servers.ts'

/** One clear line on standard error that has the texts, the exit code, within the time. */
async function refuses(
  t: Parameters<typeof startArchiver>[0],
  argv: readonly string[],
  exitCode: number,
  ...texts: readonly string[]
): Promise<void> {
  const startedAt = performance.now()
  const archiver = startArchiver(t, argv)
  assert.equal(await archiver.ended, exitCode, archiver.output())
  const seconds = (performance.now() - startedAt) / 1000
  assert.ok(seconds < 30, `${seconds} s`)
  const lines = archiver
    .errors()
    .split('\n')
    .filter((line) => line !== '')
  assert.equal(lines.length, 1, archiver.errors())
  assert.ok(lines[0]!.startsWith('archiver: '), lines[0])
  for (const text of texts) assert.ok(lines[0]!.includes(text), `${lines[0]}: has no "${text}"`)
  assert.doesNotMatch(lines[0]!, /\bat .*\.ts:\d+/, 'no stack')
}

const isThere = (path: string) =>
  readdir(path).then(
    () => true,
    () => false,
  )

async function hasIndices(prefix: string): Promise<boolean> {
  return (
    Object.keys(await elasticsearch('GET', `/${prefix}*?allow_no_indices=true`, undefined, [404]))
      .length > 0
  )
}

test('a wrong option, a missing one, a wrong command: exit code 2', async (t) => {
  const { root, argv } = await createScenario(t)
  await refuses(
    t,
    [...argv, '--topics', 'a', '--gzip-level', '12'],
    2,
    '--gzip-level',
    '"12"',
    '1 to 9',
  )
  await refuses(t, argv, 2, '--topics', '--topics-regex')
  await refuses(t, ['arhcive', '--topics', 'a'], 2, 'arhcive', 'run')
  assert.ok(!(await isThere(root)))
})

test('a broker that is not there', async (t) => {
  const { root, prefix, argv } = await createScenario(t)
  await refuses(
    t,
    [...argv, '--topics', 'a', '--brokers', '127.0.0.1:1'],
    1,
    '127.0.0.1:1',
    '--brokers',
  )
  assert.ok(!(await isThere(root)))
  assert.ok(!(await hasIndices(prefix)))
})

test('an engine that is not there', async (t) => {
  const topic = await createTopic(t)
  await produce(t, topic, [{ value: '{}' }])
  const { root, group, argv } = await createScenario(t)
  await refuses(
    t,
    [...argv, '--topics', topic, '--elasticsearch', 'http://127.0.0.1:1'],
    1,
    '127.0.0.1:1',
    '--elasticsearch',
  )
  if (await isThere(root))
    assert.ok(
      (await readdir(root)).every((name) => name.startsWith('_')),
      'no records',
    )
  const admin = testKafka().admin()
  await admin.connect()
  const groups = (await admin.listGroups()).groups.map(({ groupId }) => groupId)
  await admin.disconnect()
  assert.ok(!groups.includes(group), 'it never joined')
})

test('a topic that does not exist, with one that does', async (t) => {
  const topic = await createTopic(t)
  const missing = uniqueName('missing')
  const { root, argv } = await createScenario(t)
  await refuses(
    t,
    [...argv, '--topics', `${topic},${missing}`, '--until-end'],
    1,
    missing,
    '--topics',
  )
  assert.ok(!(await isThere(root)))
})

test('an archive directory that is a file, lies below one, or has something else in it', async (t) => {
  const topic = await createTopic(t)
  const { root, prefix, argv } = await createScenario(t)
  const withTopic = [...argv, '--topics', topic, '--until-end']
  await writeFile(root, 'a file')
  await refuses(t, withTopic, 1, root, 'there is a file in the place of a directory')
  await refuses(
    t,
    [
      ...withTopic.filter((word) => word !== root && word !== '--archive-dir'),
      '--archive-dir',
      join(root, 'below'),
    ],
    1,
    root,
  )
  assert.equal(await readFile(root, 'utf8'), 'a file')
  const home = join(dirname(root), 'home')
  await mkdir(home)
  await writeFile(join(home, 'photo.jpg'), '')
  await refuses(
    t,
    [
      ...withTopic.filter((word) => word !== root && word !== '--archive-dir'),
      '--archive-dir',
      home,
    ],
    1,
    home,
    'not empty',
  )
  assert.deepEqual(await readdir(home), ['photo.jpg'])
  assert.ok(!(await hasIndices(prefix)))
})

test('the archive of another group, or of another cluster', async (t) => {
  const topic = await createTopic(t)
  await produce(t, topic, [{ value: '{}' }])
  const { root, group, argv, untilEnd } = await createScenario(t)
  assert.equal((await untilEnd('--topics', topic)).code, 0)
  const before = await readdir(root, { recursive: true })
  const other = uniqueName('other')
  const ofOther = argv.map((word) => (word === group ? other : word))
  await refuses(t, [...ofOther, '--topics', topic, '--until-end'], 1, root, group, other)
  const marker = join(root, '_archive.json')
  const identity = JSON.parse(await readFile(marker, 'utf8')) as Record<string, unknown>
  await writeFile(marker, JSON.stringify({ ...identity, cluster_id: 'another' }))
  await refuses(t, [...argv, '--topics', topic, '--until-end'], 1, root, 'another', '--archive-dir')
  assert.deepEqual(await readdir(root, { recursive: true }), before)
})
