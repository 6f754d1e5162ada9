import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { manifestDirectory } from '../../src/files/path.ts'
import { type Pruned, prunedName } from '../../src/files/pruned.ts'
import { makeArchive, records } from '../helpers/archive.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { elasticsearch, indexPrefix } from '../helpers/servers.ts'
import { dataFiles, readDocuments, readFiles } from '../helpers/stores.ts'

const msPerDay = 86_400_000
const tp = { topic: 'orders', partition: 0 }

/** Records of August 2019, of yesterday, and of August 2019 again that came later. */
function flushes() {
  const at = (from: number, next: number, timestamp: number) =>
    records(from, next).map((record) => ({ ...record, timestamp: timestamp + record.offset }))
  const yesterday = Date.now() - msPerDay
  const august = Date.UTC(2019, 7, 1, 23)
  return [[...at(0, 20, august), ...at(20, 30, yesterday)], at(30, 40, yesterday), at(40, 45, august)]
}

test('old days go from both stores, as shown before, and verify knows', async (t) => {
  const prefix = indexPrefix(t)
  const root = await makeArchive(t, [{ tp, flushes: flushes() }])
  const run = (command: string, ...more: string[]) =>
    runArchiver(t, [command, '--archive-dir', root, '--index-prefix', prefix, ...more])
  assert.equal((await run('restore')).code, 0)

  const shown = await run('prune', '--older-than', '90d', '--dry-run')
  assert.equal(shown.code, 0, shown.output)
  assert.match(shown.output, /orders\/0 +2 files +20 /)
  assert.match(shown.output, new RegExp(`${prefix}a-2019.08.01 +index `))
  assert.equal((await readFiles(root)).length, 45)
  assert.equal((await readDocuments(prefix)).length, 45)

  const pruned = await run('prune', '--older-than', '90d')
  assert.equal(pruned.code, 0, pruned.output)
  // The records that came last, whatever their timestamps, wait for the next prune in the files.
  assert.deepEqual(
    (await readFiles(root)).map(({ offset }) => offset).sort((a, b) => a - b),
    Array.from({ length: 25 }, (_, i) => 20 + i),
  )
  assert.deepEqual(
    (await readDocuments(prefix)).map(({ offset }) => offset),
    Array.from({ length: 20 }, (_, i) => 20 + i),
  )
  for (const how of [[], ['--deep'], ['--fast']]) {
    const verified = await run('verify', '--no-kafka', ...how)
    assert.equal(verified.code, 0, verified.output)
    assert.match(verified.output, /20 records of them pruned/)
  }
  assert.match((await run('prune', '--older-than', '90d')).output, /nothing is older/)
  const day = `${prefix}a-${new Date(Date.now() - msPerDay).toISOString().slice(0, 10).replaceAll('-', '.')}`
  await elasticsearch('DELETE', `/${day}/_doc/orders+0+31`)
  const lost = await run('verify', '--no-kafka')
  assert.equal(lost.code, 1)
  assert.match(lost.output, /document-missing: offset 31:/)
})

test('a prune of files that was interrupted is finished by the next', async (t) => {
  const root = await makeArchive(t, [{ tp, flushes: flushes() }])
  const path = join(root, manifestDirectory(tp), prunedName)
  const interrupted: { files: Pruned } = {
    files: { before: Date.now() - 30 * msPerDay, committed_until: 40, complete: false },
  }
  await writeFile(path, JSON.stringify(interrupted))
  const here = ['--archive-dir', root, '--no-elasticsearch']
  const verified = await runArchiver(t, ['verify', ...here, '--no-kafka'])
  assert.equal(verified.code, 0, verified.output)
  const { code, output } = await runArchiver(t, ['prune', ...here, '--older-than', '90d'])
  assert.equal(code, 0, output)
  assert.equal((await readFiles(root)).length, 25)
  assert.equal((JSON.parse(await readFile(path, 'utf8')) as typeof interrupted).files.complete, true)
  assert.ok(
    (await dataFiles(root)).every(
      (file) => !file.includes('2019') || file.includes('0040-') || /4\d\.jsonl/.test(file),
    ),
  )
  assert.deepEqual((await readdir(root)).filter((name) => name.startsWith('type=')).sort(), ['type=a', 'type=b'])
})

test('what makes no sense is one line', async (t) => {
  const root = await makeArchive(t, [{ tp, flushes: flushes() }])
  const refused = async (words: RegExp, ...argv: string[]) => {
    const { code, output } = await runArchiver(t, ['prune', '--archive-dir', root, '--no-elasticsearch', ...argv])
    assert.equal(code, 2, output)
    assert.match(output, words)
  }
  await refused(/--older-than is needed/)
  await refused(/1d or more/, '--older-than', '2h')
  await refused(/such as 90d/, '--older-than', '90')
})
