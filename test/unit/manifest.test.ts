import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { ArchiverError } from '../../src/errors.ts'
import { archiveFormat, claimArchive, readIdentity } from '../../src/files/archive.ts'
import {
  listManifests,
  type Manifest,
  manifestFormat,
  printManifest,
  readLastManifest,
  readManifest,
  readOrigin,
} from '../../src/files/manifest.ts'
import { manifestDirectory, manifestName, originName } from '../../src/files/path.ts'
import { temporaryDirectory } from '../helpers/servers.ts'

const tp = { topic: 'events', partition: 3 }

function manifest(from: number, next: number): Manifest {
  return {
    format: manifestFormat,
    ...tp,
    from,
    next,
    worker: 'w',
    written: '2019-08-01T03:23:03.000Z',
    records: next - from,
    files: [],
    gaps: [],
  }
}

async function write(root: string, name: string, content: unknown): Promise<void> {
  const path = join(root, manifestDirectory(tp), name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, typeof content === 'string' ? content : printManifest(content as Manifest))
}

const hasCode =
  (code: string, ...texts: readonly string[]) =>
  (error: unknown) => {
    assert.ok(error instanceof ArchiverError, String(error))
    assert.equal(error.code, code)
    for (const text of texts) assert.ok(error.message.includes(text), `${error.message}: has no "${text}"`)
    return true
  }

test('a manifest is read as it was written, the last by its offset, and nothing else is taken for one', async (t) => {
  const root = await temporaryDirectory(t)
  assert.equal(await readManifest(root, tp, 0), undefined)
  assert.equal(await readLastManifest(root, tp), undefined)
  assert.deepEqual(await listManifests(root, tp), [])
  for (const [from, next] of [
    [0, 9],
    [9, 10],
    [10, 200],
  ] as const) {
    await write(root, manifestName(from), manifest(from, next))
  }
  await write(root, originName, { format: 1, ...tp, offset: 0, worker: 'w', written: '' })
  for (const other of ['00000000000000000999.json.w.new', '999.json', 'notes.txt']) await write(root, other, '{')
  assert.deepEqual(await listManifests(root, tp), [0, 9, 10])
  assert.deepEqual(await readLastManifest(root, tp), manifest(10, 200))
  assert.equal((await readOrigin(root, tp))?.offset, 0)
  assert.equal(await readOrigin(root, { topic: 'events', partition: 4 }), undefined)
})

test('a manifest that cannot be trusted is an error that names the file', async (t) => {
  const root = await temporaryDirectory(t)
  const wrong: Readonly<Record<string, unknown>> = {
    'it is not JSON': '{"format":1,',
    'its format is 2': { ...manifest(5, 9), format: 2 },
    'it is of other/3': { ...manifest(5, 9), topic: 'other' },
    'its range [6, 9)': { ...manifest(5, 9), from: 6 },
    'its range [5, 5)': manifest(5, 5),
    'its range [5, 9.5)': manifest(5, 9.5),
    'does not fit its name': { ...manifest(5, 9), files: 'none' },
  }
  for (const [why, content] of Object.entries(wrong)) {
    await write(root, manifestName(5), content)
    await assert.rejects(readManifest(root, tp, 5), hasCode('MANIFEST_INVALID', why, manifestName(5)), why)
    await assert.rejects(readLastManifest(root, tp), hasCode('MANIFEST_INVALID'), why)
  }
  await write(root, originName, { ...manifest(5, 9) })
  await assert.rejects(readOrigin(root, tp), hasCode('MANIFEST_INVALID', originName, 'no offset'))
})

test('an archive belongs to one cluster and one group', async (t) => {
  const root = join(await temporaryDirectory(t), 'deep', 'archive')
  await claimArchive(root, 'cluster', 'group')
  await claimArchive(root, 'cluster', 'group')
  const identity = await readIdentity(root)
  assert.equal(identity?.format, archiveFormat)
  assert.equal(identity?.cluster_id, 'cluster')
  await assert.rejects(claimArchive(root, 'other', 'group'), hasCode('ARCHIVE_MISMATCH', 'cluster', 'other', root))
  await assert.rejects(claimArchive(root, 'cluster', 'other'), hasCode('ARCHIVE_MISMATCH', 'group group', 'other'))
  await writeFile(join(root, '_archive.json'), JSON.stringify({ ...identity, format: 2 }))
  await assert.rejects(claimArchive(root, 'cluster', 'group'), hasCode('ARCHIVE_MISMATCH', 'format 2'))
  await writeFile(join(root, '_archive.json'), '{')
  await assert.rejects(claimArchive(root, 'cluster', 'group'), hasCode('ARCHIVE_MISMATCH', 'cannot be read'))
})

test('a directory with anything else in it is not made an archive', async (t) => {
  const root = await temporaryDirectory(t)
  await writeFile(join(root, 'photo.jpg'), '')
  await assert.rejects(
    claimArchive(root, 'cluster', 'group'),
    hasCode('ARCHIVE_MISMATCH', 'not empty', '--archive-dir'),
  )
  assert.equal(await readIdentity(root), undefined)
})

test('of many workers that claim an empty directory at once, all get the same archive', async (t) => {
  const root = await temporaryDirectory(t)
  await Promise.all(Array.from({ length: 8 }, () => claimArchive(root, 'cluster', 'group')))
  assert.equal((await readIdentity(root))?.group, 'group')
})

test('a file in the place of the directory is named', async (t) => {
  const root = join(await temporaryDirectory(t), 'file')
  await writeFile(root, '')
  await assert.rejects(claimArchive(root, 'cluster', 'group'), hasCode('ARCHIVE_UNUSABLE', root, 'a file stands'))
})
