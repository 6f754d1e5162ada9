import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { lstat, mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeArchive, records } from '../helpers/archive.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { createScenario } from '../helpers/scenario.ts'
import { createTopic, produce, temporaryDirectory } from '../helpers/servers.ts'
import { dataFiles } from '../helpers/stores.ts'

const tp = { topic: 'events', partition: 0 }
const prefix = 'compaction-hostile-'

/** The commands that work on an archive, each as a user types it. */
const commands: Readonly<Record<string, readonly string[]>> = {
  verify: ['verify', '--no-kafka', '--no-elasticsearch'],
  ls: ['ls'],
  cat: ['cat'],
  compact: ['compact', '--compact-after', '0'],
  prune: ['prune', '--older-than', '1d', '--yes', '--no-elasticsearch'],
  restore: ['restore', '--to', 'elasticsearch', '--index-prefix', prefix],
}

async function contentOf(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const lines = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name)
    return `${path} ${entry.isFile() ? await readFile(path, 'base64') : ''}`
  })
  return (await Promise.all(lines)).sort()
}

interface Hostility {
  /** Changes the archive; `outside` is not its own. */
  readonly change: (root: string, outside: string) => Promise<unknown> | unknown
  readonly says: RegExp
  /** The commands that come across it. */
  readonly met: readonly string[]
}

async function linkAway(root: string, outside: string, directory: string): Promise<void> {
  await rename(join(root, directory), join(outside, 'moved'))
  await symlink(join(outside, 'moved'), join(root, directory))
}

async function putFifo(path: string): Promise<void> {
  await rename(path, `${path}.was`).catch(() => {})
  execFileSync('mkfifo', [path])
}

const log = '_manifests/events/0'
const every = Object.keys(commands)

const hostilities: Readonly<Record<string, Hostility>> = {
  'a commit log that is a link': {
    change: (root, outside) => linkAway(root, outside, log),
    says: /_manifests\/events\/0 is a symbolic link and should be a directory/,
    // `cat` reads the data files by their names.
    met: every.filter((command) => command !== 'cat'),
  },
  'a type that is a link': {
    change: (root, outside) => linkAway(root, outside, 'type=a'),
    says: /type=a is a symbolic link and should be a directory/,
    met: ['verify', 'cat', 'compact', 'prune'],
  },
  'a FIFO as a manifest': {
    change: (root) => putFifo(join(root, log, '00000000000000000010.json')),
    says: /00000000000000000010\.json: it is a FIFO, not a regular file/,
    met: ['verify', 'ls', 'compact', 'prune', 'restore'],
  },
  'a FIFO as a data file': {
    change: async (root) => putFifo(join(root, (await dataFiles(root))[0]!)),
    says: /it is a FIFO, not a regular file/,
    met: ['verify', 'cat'],
  },
  'a FIFO as _archive.json': {
    change: (root) => putFifo(join(root, '_archive.json')),
    says: /_archive\.json cannot be read: it is a FIFO/,
    met: every,
  },
}

for (const [name, { change, says, met }] of Object.entries(hostilities)) {
  test(`${name}: every command that meets it says so in a line and ends with 1, and nothing outside is touched`, async (t) => {
    const outcomes = met.map(async (command) => {
      const root = await makeArchive(t, [
        { tp, flushes: [records(0, 10), records(10, 20), records(20, 30)] },
      ])
      const outside = await temporaryDirectory(t)
      await writeFile(join(outside, 'keep.txt'), 'keep')
      await change(root, outside)
      const before = await contentOf(outside)
      const { code, output } = await runArchiver(t, [...commands[command]!, '--archive-dir', root])
      assert.equal(code, 1, `${command}: ${output}`)
      assert.match(output, says, command)
      assert.doesNotMatch(output, /\n {4}at /, `${command} prints no stack`)
      assert.deepEqual(await contentOf(outside), before, command)
    })
    await Promise.all(outcomes)
  })
}

test('run removes nothing behind a link in staging, and its files and directories are private', async (t) => {
  const topic = await createTopic(t, { stem: 'compaction-modes', partitions: 1 })
  const { root, start, untilEnd } = await createScenario(t)
  const messages = (from: number) =>
    Array.from({ length: 20 }, (_, i) => ({
      value: JSON.stringify({ type: 'a', i: from + i }),
      partition: 0,
    }))
  await produce(t, topic, messages(0))
  assert.equal((await untilEnd('--topics', topic)).code, 0)
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  assert.ok(entries.length > 8)
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name)
    const { mode } = await lstat(path)
    const expected = (entry.isDirectory() ? 0o750 : 0o640) & ~process.umask()
    assert.equal((mode & 0o777).toString(8), expected.toString(8), path)
  }
  const outside = await temporaryDirectory(t)
  await mkdir(join(outside, 'victim'))
  for (const file of ['one.part', 'two.txt']) await writeFile(join(outside, 'victim', file), 'keep')
  const staging = join(root, '_staging', topic, '0')
  await rename(staging, `${staging}.was`)
  await symlink(join(outside, 'victim'), staging)
  const before = await contentOf(outside)
  await produce(t, topic, messages(20))
  const worker = start('--topics', topic)
  await worker.says('is a symbolic link and should be a directory')
  worker.child.kill('SIGTERM')
  await worker.ended
  assert.deepEqual(await contentOf(outside), before)
})
