import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { claimArchive, readIdentity } from '../../../../src/files/log/archive.ts'
import { listLog } from '../../../../src/files/log/log-listing.ts'
import {
  type Manifest,
  printManifest,
  readCompactedHead,
  readManifest,
  readOrigin,
} from '../../../../src/files/log/manifest.ts'
import {
  compactedName,
  manifestDirectory,
  manifestName,
  originName,
} from '../../../../src/files/log/path.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'
import { homeAt } from '../../../helpers/home.ts'
import { temporaryDirectory } from '../../../helpers/servers.ts'

const tp = { topic: 'events', partition: 3 }

function manifest(from: number, next: number): Manifest {
  return {
    format: 1,
    ...tp,
    from,
    next,
    worker: 'w',
    written: '2019-08-01T03:23:03.000Z',
    records: 0,
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
    for (const text of texts)
      assert.ok(error.message.includes(text), `${error.message}: has no "${text}"`)
    return true
  }

test('a manifest is read as it was written, and nothing else is taken for one', async (t) => {
  const root = await temporaryDirectory(t)
  assert.equal(await readManifest(homeAt(root), tp, 0), undefined)
  assert.deepEqual((await listLog(homeAt(root), tp)).entries, [])
  for (const [from, next] of [
    [0, 9],
    [9, 10],
    [10, 200],
  ] as const) {
    await write(root, manifestName(from), manifest(from, next))
  }
  await write(root, originName, { format: 1, ...tp, offset: 0, worker: 'w', written: '' })
  for (const other of ['00000000000000000999.json.w.new', '999.json', 'notes.txt'])
    await write(root, other, '{')
  assert.deepEqual((await listLog(homeAt(root), tp)).entries, [
    { from: 0 },
    { from: 9 },
    { from: 10 },
  ])
  assert.deepEqual(await readManifest(homeAt(root), tp, 10), manifest(10, 200))
  assert.equal((await readOrigin(homeAt(root), tp))?.offset, 0)
  assert.equal(await readOrigin(homeAt(root), { topic: 'events', partition: 4 }), undefined)
})

test('of compacted manifests the highest generation is in force, and makes void what begins inside its range', async (t) => {
  const root = await temporaryDirectory(t)
  const compacted = (from: number, next: number, generation: number, closed = false) => {
    const { files, gaps, ...head } = manifest(from, next)
    return { ...head, generation, committed: from, closed, unmerged: 2, gaps, files }
  }
  for (const from of [0, 9, 10, 40, 200, 250])
    await write(root, manifestName(from), manifest(from, from + 9))
  await write(root, compactedName({ from: 0, generation: 9 }), compacted(0, 10, 9))
  await write(root, compactedName({ from: 0, generation: 10 }), compacted(0, 40, 10, true))
  await write(root, compactedName({ from: 40, generation: 1 }), compacted(40, 200, 1))
  for (const other of [
    'compacted-0-1.json',
    `${compactedName({ from: 200, generation: 1 })}.new`,
  ]) {
    await write(root, other, '{')
  }
  const listing = await listLog(homeAt(root), tp)
  assert.deepEqual(
    listing.entries.map(({ from, compacted }) => [from, compacted?.generation, compacted?.next]),
    [
      [0, 10, 40],
      [40, 1, 200],
      [200, undefined, undefined],
      [250, undefined, undefined],
    ],
  )
  assert.deepEqual(listing.voidFlushes, [0, 9, 10, 40])
  assert.deepEqual(listing.voidCompacted, [{ from: 0, generation: 9 }])
  assert.deepEqual(listing.entries[0]!.compacted, {
    from: 0,
    generation: 10,
    next: 40,
    committed: 0,
    closed: true,
    unmerged: 2,
  })
})

test('the head of a compacted manifest is read without its list, and held to its name', async (t) => {
  const root = await temporaryDirectory(t)
  const name = { from: 5, generation: 2 }
  const path = compactedName(name)
  assert.equal(await readCompactedHead(homeAt(root), tp, name), undefined)
  const { files, gaps, ...head } = manifest(5, 9)
  const whole = printManifest({ ...head, generation: 2, gaps, files })
  // What lies behind the head may be anything: it is not looked at.
  await write(root, path, whole.replace(' "files": []', ` "files": [${'{},'.repeat(10_000)}`))
  assert.equal((await readCompactedHead(homeAt(root), tp, name))?.next, 9)
  // Written by other hands, the lists first.
  await write(root, path, { files, gaps, ...head, generation: 2 })
  assert.equal((await readCompactedHead(homeAt(root), tp, name))?.next, 9)
  for (const wrong of [
    '{',
    { ...head, generation: 3, gaps, files },
    { ...head, generation: 2, from: 6, gaps, files },
  ]) {
    await write(root, path, wrong)
    await assert.rejects(
      readCompactedHead(homeAt(root), tp, name),
      hasCode('MANIFEST_INVALID', path),
    )
  }
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
    await assert.rejects(
      readManifest(homeAt(root), tp, 5),
      hasCode('MANIFEST_INVALID', why, manifestName(5)),
      why,
    )
  }
  await write(root, originName, { ...manifest(5, 9) })
  await assert.rejects(
    readOrigin(homeAt(root), tp),
    hasCode('MANIFEST_INVALID', originName, 'no offset'),
  )
})

test('an archive belongs to one cluster and one group', async (t) => {
  const root = join(await temporaryDirectory(t), 'deep', 'archive')
  await claimArchive(homeAt(root), 'cluster', 'group')
  await claimArchive(homeAt(root), 'cluster', 'group')
  const identity = await readIdentity(homeAt(root))
  assert.equal(identity?.format, 1)
  assert.equal(identity?.cluster_id, 'cluster')
  await assert.rejects(
    claimArchive(homeAt(root), 'other', 'group'),
    hasCode('ARCHIVE_MISMATCH', 'cluster', 'other', root),
  )
  await assert.rejects(
    claimArchive(homeAt(root), 'cluster', 'other'),
    hasCode('ARCHIVE_MISMATCH', 'group group', 'other'),
  )
  await writeFile(join(root, '_archive.json'), JSON.stringify({ ...identity, format: 2 }))
  await assert.rejects(
    claimArchive(homeAt(root), 'cluster', 'group'),
    hasCode('ARCHIVE_MISMATCH', 'format 2'),
  )
  await writeFile(join(root, '_archive.json'), '{')
  await assert.rejects(
    claimArchive(homeAt(root), 'cluster', 'group'),
    hasCode('ARCHIVE_MISMATCH', 'cannot be read'),
  )
})

test('a directory with anything else in it is not made an archive', async (t) => {
  const root = await temporaryDirectory(t)
  await writeFile(join(root, 'photo.jpg'), '')
  await assert.rejects(
    claimArchive(homeAt(root), 'cluster', 'group'),
    hasCode('ARCHIVE_MISMATCH', 'not empty', '--archive-dir'),
  )
  assert.equal(await readIdentity(homeAt(root)), undefined)
})

test('of many workers that claim an empty directory at once, all get the same archive', async (t) => {
  const root = await temporaryDirectory(t)
  await Promise.all(Array.from({ length: 8 }, () => claimArchive(homeAt(root), 'cluster', 'group')))
  assert.equal((await readIdentity(homeAt(root)))?.group, 'group')
})

test('a file in the place of the directory is named', async (t) => {
  const root = join(await temporaryDirectory(t), 'file')
  await writeFile(root, '')
  await assert.rejects(
    claimArchive(homeAt(root), 'cluster', 'group'),
    hasCode('ARCHIVE_UNUSABLE', root, 'a file in the place'),
  )
})
