import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { compactPartition } from '../../../../src/files/compact/compaction.ts'
import { planPrune, pruneFiles } from '../../../../src/files/compact/prune.ts'
import { readBlocks } from '../../../../src/files/read/members.ts'
import {
  openRegular,
  removeStaging,
  requireDirectories,
} from '../../../../src/home/posix/no-links.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'
import { createLogger } from '../../../../src/runtime/log.ts'
import { checkPartition } from '../../../../src/verify/partition.ts'
import { makeBatch } from '../../../chaos/records.ts'
import { makeArchive, records } from '../../../helpers/archive.ts'
import { createFilesSink } from '../../../helpers/files-sink.ts'
import { homeAt } from '../../../helpers/home.ts'
import { temporaryDirectory } from '../../../helpers/servers.ts'
import { dataFiles } from '../../../helpers/stores.ts'

const tp = { topic: 'events', partition: 0 }
const log = createLogger({ level: 'silent', stream: process.stderr })

/** An archive of four flushes beside a directory that is not its own. */
async function createShare(t: TestContext): Promise<{ root: string; outside: string }> {
  const flushes = [records(0, 10), records(10, 20), records(20, 30), records(30, 40)]
  const root = await makeArchive(t, [{ tp, flushes }])
  const outside = await temporaryDirectory(t)
  await writeFile(join(outside, 'keep.txt'), 'keep')
  await mkdir(join(outside, 'home'))
  await writeFile(join(outside, 'home', 'data.part'), 'keep too')
  return { root, outside }
}

/** Everything below a directory, with what is in its files. */
async function contentOf(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const lines = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name)
    return `${path} ${entry.isFile() ? await readFile(path, 'base64') : ''}`
  })
  return (await Promise.all(lines)).sort()
}

/** Moves a directory of the archive outside, and puts a link in its place. */
async function linkAway(root: string, outside: string, directory: string): Promise<void> {
  await rename(join(root, directory), join(outside, 'moved'))
  await symlink(join(outside, 'moved'), join(root, directory))
}

/** Takes the partition over and flushes ten records. */
async function write(root: string): Promise<void> {
  const sink = createFilesSink(root, { clusterId: 'test-cluster', group: 'test-group' })
  try {
    await sink.open(tp, 0)
    const written = sink.write(makeBatch(tp, 40, 50))
    await Promise.all([sink.flush([tp]), written])
  } finally {
    await sink.stop()
  }
}

const actions: Readonly<Record<string, (root: string) => Promise<unknown>>> = {
  write,
  compact: (root) => {
    const context = { home: homeAt(root), worker: 'compacts', log }
    return compactPartition(context, tp, {
      compactAfterMs: 0,
      now: Date.now() + 1e9,
      limits: { minFolded: 1 },
    })
  },
  prune: async (root) => {
    const plan = await planPrune(homeAt(root), tp, Date.now())
    if (plan !== undefined) await pruneFiles(homeAt(root), plan)
  },
}

const directories = {
  'the commit log of the partition': '_manifests/events/0',
  'that of the topic': '_manifests/events',
  'all commit logs': '_manifests',
  'staging of the partition': '_staging/events/0',
  'all staging': '_staging',
  'a type': 'type=a',
  'a day': 'type=a/dt=2019-08-01',
  'an hour': 'type=a/dt=2019-08-01/hr=03',
}

for (const [name, directory] of Object.entries(directories)) {
  test(`a link in the place of the directory of ${name} is followed by nobody`, async (t) => {
    for (const [what, act] of Object.entries(actions)) {
      const { root, outside } = await createShare(t)
      await linkAway(root, outside, directory)
      const before = await contentOf(outside)
      let failure: unknown
      await act(root).catch((error: unknown) => {
        failure = error
      })
      assert.deepEqual(await contentOf(outside), before, what)
      // A prune looks at no staging; the types of what is written are those of the batch.
      if (what === 'prune' && directory.startsWith('_staging')) continue
      assert.ok(failure instanceof ArchiverError, `${what}: ${failure}`)
      assert.equal(failure.code, 'ARCHIVE_UNUSABLE', what)
      assert.match(failure.message, /is a symbolic link and should be a directory/, what)
      assert.ok(failure.message.includes(join(root, directory)), failure.message)
    }
  })
}

test('a type whose directory becomes a link after the first flush gets no file outside', async (t) => {
  const { root, outside } = await createShare(t)
  const sink = createFilesSink(root, { clusterId: 'test-cluster', group: 'test-group' })
  t.after(() => sink.stop())
  await sink.open(tp, 0)
  const first = sink.write(makeBatch(tp, 40, 50))
  await Promise.all([sink.flush([tp]), first])
  await linkAway(root, outside, 'type=a')
  const before = await contentOf(outside)
  const second = sink.write(makeBatch(tp, 50, 60))
  await sink.flush([tp])
  await assert.rejects(second, /is a symbolic link/)
  assert.deepEqual(await contentOf(outside), before)
})

test('of foreign staging only what this program names is removed, file by file', async (t) => {
  const { root, outside } = await createShare(t)
  const staging = join(root, '_staging', 'events', '0')
  await mkdir(join(staging, 'other-worker-0a1b2c', 'nested'), { recursive: true })
  await writeFile(join(staging, 'other-worker-0a1b2c', 'nested', 'x.part'), 'keep')
  await writeFile(join(staging, 'other-worker-0a1b2c', '00000000000000000040.part'), 'goes')
  await writeFile(join(staging, 'other-worker-0a1b2c', 'notes.txt'), 'keep')
  await mkdir(join(staging, 'dead-worker-ffffff'))
  for (const name of ['1.part', '1.spill', '1.json'])
    await writeFile(join(staging, 'dead-worker-ffffff', name), 'goes')
  await symlink(join(outside, 'keep.txt'), join(staging, 'dead-worker-ffffff', '2.part'))
  await mkdir(join(staging, 'backup'))
  await writeFile(join(staging, 'backup', '1.part'), 'keep')
  await symlink(join(outside, 'home'), join(staging, 'link-worker-abcdef'))
  const before = await contentOf(outside)
  await write(root)
  assert.deepEqual(await contentOf(outside), before)
  assert.deepEqual((await readdir(staging, { recursive: true })).sort(), [
    'backup',
    'backup/1.part',
    'link-worker-abcdef',
    // What the link points to.
    'link-worker-abcdef/data.part',
    'other-worker-0a1b2c',
    'other-worker-0a1b2c/nested',
    'other-worker-0a1b2c/nested/x.part',
    'other-worker-0a1b2c/notes.txt',
  ])
  assert.equal(await removeStaging(root, '_staging/events/0/gone-abcdef'), undefined)
})

const strangers: Readonly<
  Record<string, (path: string, outside: string) => Promise<unknown> | unknown>
> = {
  'a FIFO': (path) => execFileSync('mkfifo', [path]),
  'a directory': (path) => mkdir(path),
  'a symbolic link': async (path, outside) => {
    await cp(`${path}.was`, join(outside, 'copy'))
    await symlink(join(outside, 'copy'), path)
  },
}

for (const [kind, make] of Object.entries(strangers)) {
  test(`${kind} in the place of a data file or manifest is one problem of verify, and nobody waits for it`, async (t) => {
    const verify = async (root: string) => {
      const options = {
        home: homeAt(root),
        tp,
        elasticsearch: undefined,
        kafka: undefined,
        onProgress: () => {},
      }
      return (await checkPartition({ ...options, thoroughness: 'full' })).problems
    }
    const { root, outside } = await createShare(t)
    const [path] = await dataFiles(root)
    const replace = async (name: string) => {
      await rename(join(root, name), join(root, `${name}.was`))
      await make(join(root, name), outside)
    }
    await replace(path!)
    const problems = await verify(root)
    const unreadable = problems.filter((problem) => problem.kind === 'file-unreadable')
    assert.equal(unreadable.length, 1)
    assert.match(unreadable[0]!.message, new RegExp(`it is ${kind}, not a regular file`))
    assert.ok(problems.every((problem) => problem.path === path || problem.kind === 'line-missing'))
    await assert.rejects(
      async () => {
        for await (const _ of readBlocks(homeAt(root), path!)) assert.fail('read')
      },
      new RegExp(`DAMAGED|it is ${kind}, not a regular file`),
    )
    await assert.rejects(
      openRegular(join(root, path!)),
      new RegExp(`it is ${kind}, not a regular file`),
    )
    // It is left as it is, and its neighbours wait for it.
    await actions.compact!(root)
    assert.ok(!(await lstat(join(root, path!))).isFile())
    await rm(join(root, path!), { recursive: true })
    await rename(join(root, `${path}.was`), join(root, path!))
    await actions.compact!(root)
    const { names, manifest } = await firstManifest(root)
    assert.ok(names.includes('origin.json'))
    await replace(manifest)
    await assert.rejects(write(root), new RegExp(`it is ${kind}, not a regular file`))
  })
}

async function firstManifest(root: string): Promise<{ names: string[]; manifest: string }> {
  const names = (await readdir(join(root, '_manifests/events/0'))).sort()
  return { names, manifest: `_manifests/events/0/${names[0]}` }
}

test('directories that are not there yet are fine; a file in the place of one is named', async (t) => {
  const root = await temporaryDirectory(t)
  await requireDirectories(root, ['a/b/c', 'a'])
  await mkdir(join(root, 'a'))
  await writeFile(join(root, 'a', 'b'), '')
  await assert.rejects(
    requireDirectories(root, ['a/b/c']),
    /a\/b is a file and should be a directory/,
  )
})

test('a link to the root that is changed while a worker is at work changes nothing for it', async (t) => {
  const { root, outside } = await createShare(t)
  const link = join(outside, 'archive')
  await symlink(root, link)
  const sink = createFilesSink(link, { clusterId: 'test-cluster', group: 'test-group' })
  t.after(() => sink.stop())
  await sink.start(() => {})
  await sink.open(tp, 0)
  await rm(link)
  await symlink(join(outside, 'home'), link)
  const before = await contentOf(join(outside, 'home'))
  const written = sink.write(makeBatch(tp, 40, 50))
  await Promise.all([sink.flush([tp]), written])
  assert.deepEqual(await contentOf(join(outside, 'home')), before)
  assert.equal((await dataFiles(root)).length, 9)
})

test('the root itself may be a link', async (t) => {
  const { root, outside } = await createShare(t)
  await symlink(root, join(outside, 'archive'))
  await write(join(outside, 'archive'))
  await actions.compact!(join(outside, 'archive'))
  assert.equal((await dataFiles(root)).length, 3)
})
