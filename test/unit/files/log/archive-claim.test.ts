import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { claimArchive, readIdentity } from '../../../../src/files/log/archive.ts'
import { homeAt } from '../../../helpers/home.ts'

test('workers that begin on an empty directory at the same moment all get the archive', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'archive-claim-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  for (let round = 0; round < 60; round++) {
    const root = join(directory, `${round}`)
    const claims = Array.from({ length: 6 }, async (_, i) => {
      // Each begins some steps of the others later.
      for (let step = 0; step < i * round; step++) await Promise.resolve()
      if (i > 2) await readdir(directory)
      await claimArchive(homeAt(root), 'cluster', 'group')
    })
    await Promise.all(claims)
    assert.equal((await readIdentity(homeAt(root)))?.group, 'group')
    assert.deepEqual((await readdir(root)).sort(), ['_archive.json', '_manifests', '_staging'])
  }
})

test('a directory with something else in it is refused', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'archive-claim-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  await writeFile(join(root, 'notes.txt'), '')
  await assert.rejects(claimArchive(homeAt(root), 'cluster', 'group'), {
    code: 'ARCHIVE_MISMATCH',
    message: /is not empty/,
  })
})
