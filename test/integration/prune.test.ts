import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { manifestDirectory } from '../../src/files/log/path.ts'
import { type Pruned, prunedName } from '../../src/files/log/pruned.ts'
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
  return [
    [...at(0, 20, august), ...at(20, 30, yesterday)],
    at(30, 40, yesterday),
    at(40, 45, august),
  ]
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
  const again = await run('prune', '--older-than', '90d')
  assert.match(again.output, /nothing that can go is older/)
  assert.match(again.output, /stays: 2 files of orders\/0: of its last flush/)
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
  assert.equal(
    (JSON.parse(await readFile(path, 'utf8')) as typeof interrupted).files.complete,
    true,
  )
  assert.ok(
    (await dataFiles(root)).every(
      (file) => !file.includes('2019') || file.includes('0040-') || /4\d\.jsonl/.test(file),
    ),
  )
  assert.deepEqual((await readdir(root)).filter((name) => name.startsWith('type=')).sort(), [
    'type=a',
    'type=b',
  ])
})

test('indices of others stay, and are named', async (t) => {
  const prefix = indexPrefix(t)
  const root = await makeArchive(t, [{ tp, flushes: flushes() }])
  const run = (command: string, ...more: string[]) =>
    runArchiver(t, [command, '--archive-dir', root, '--index-prefix', prefix, ...more])
  assert.equal((await run('restore')).code, 0)
  const put = (index: string, document: object) =>
    elasticsearch('POST', `/${encodeURIComponent(index)}/_doc`, document)
  // Of Logstash, of an archive whose prefix begins with ours, and of another archive in an index of
  // ours.
  await put(`${prefix}invoices-2019.07.01`, { invoice: 1 })
  await put(`${prefix}eu-a-2019.08.01`, { kafka: { topic: tp.topic, partition: 0, offset: 1 } })
  await put(`${prefix}b-2019.08.01`, { kafka: { topic: 'another', partition: 0, offset: 1 } })
  await put(`${prefix}_rejected-2019.08.01`, {
    kafka: { topic: 'another', partition: 0, offset: 1 },
  })
  await elasticsearch('POST', `/${prefix}_rejected-2019.08.01/_close`)
  await elasticsearch('PUT', `/${prefix}hidden-2019.08.01`, {
    settings: { index: { hidden: true } },
  })
  await elasticsearch('PUT', `/${prefix}a-2019.08.02-v2`, {
    aliases: { [`${prefix}a-2019.08.02`]: {} },
  })
  for (const how of [['--dry-run'], ['--yes']]) {
    const { code, output } = await run('prune', '--older-than', '90d', ...how)
    assert.equal(code, 0, output)
    assert.match(output, new RegExp(`${prefix}a-2019.08.01 +index +\\d+ .*\\d{4}-\\d\\d-\\d\\d`))
    for (const name of ['invoices-2019.07.01', 'eu-a-2019.08.01', 'hidden-2019.08.01'])
      assert.match(
        output,
        new RegExp(`stays: index ${prefix}${name}: no record of this archive belongs there`),
      )
    assert.match(output, new RegExp(`stays: index ${prefix}_rejected-2019.08.01: it is closed`))
    assert.match(
      output,
      new RegExp(`stays: index ${prefix}b-2019.08.01: 1 of its documents are not of this archive`),
    )
  }
  const left = await elasticsearch<{ index: string }[]>(
    'GET',
    `/_cat/indices/${prefix}*?format=json&expand_wildcards=all&h=index`,
  )
  const names = left
    .map(({ index }) => index.slice(prefix.length))
    .filter((name) => name.includes('2019'))
  assert.deepEqual(names.sort(), [
    '_rejected-2019.08.01',
    'a-2019.08.02-v2',
    'b-2019.08.01',
    'eu-a-2019.08.01',
    'hidden-2019.08.01',
    'invoices-2019.07.01',
  ])
})

test('a reindexed day behind an alias is named, also if no record of the archive belongs there', async (t) => {
  const prefix = indexPrefix(t)
  const root = await makeArchive(t, [{ tp, flushes: flushes() }])
  for (const day of ['2019.08.01', '2019.07.01'])
    await elasticsearch('PUT', `/${prefix}a-${day}-v2`, { aliases: { [`${prefix}a-${day}`]: {} } })
  const { code, output } = await runArchiver(t, [
    ...[
      'prune',
      '--archive-dir',
      root,
      '--index-prefix',
      prefix,
      '--older-than',
      '90d',
      '--no-files',
    ],
  ])
  assert.equal(code, 0, output)
  assert.match(
    output,
    new RegExp(`stays: index ${prefix}a-2019.08.01-v2: it stands in for ${prefix}a-2019.08.01`),
  )
  assert.match(
    output,
    new RegExp(`stays: index ${prefix}a-2019.07.01-v2: no record of this archive belongs into `),
  )
})

test('an interrupted prune widens no later one, and --finish completes it', async (t) => {
  const at = (days: number) => Date.now() - days * msPerDay
  const root = await makeArchive(t, [
    { tp, flushes: [10, 5, 0, 0].map((days, offset) => [{ offset, timestamp: at(days) }]) },
  ])
  const interrupted: { files: Pruned } = {
    files: { before: at(3), committed_until: 3, complete: false },
  }
  await writeFile(join(root, manifestDirectory(tp), prunedName), JSON.stringify(interrupted))
  const here = ['--archive-dir', root, '--no-elasticsearch']
  const run = (...words: string[]) => runArchiver(t, [...words, ...here])
  const offsets = async () =>
    (await readFiles(root)).map(({ offset }) => offset).sort((a, b) => a - b)
  const pruned = await run('prune', '--older-than', '8d', '--yes')
  assert.equal(pruned.code, 0, pruned.output)
  assert.match(
    pruned.output,
    new RegExp(`orders/0 +1 file +1 .*${new Date(at(8)).toISOString().slice(0, 10)}`),
  )
  assert.match(
    pruned.output,
    /stays: 1 file of orders\/0, although .* asked for everything before .* --finish/,
  )
  assert.deepEqual(await offsets(), [1, 2, 3])
  // What was not removed is there as before.
  assert.equal((await run('cat')).output.trim().split('\n').length, 3)
  assert.equal((await run('verify', '--no-kafka')).code, 0)
  const finished = await run('prune', '--finish', '--yes')
  assert.equal(finished.code, 0, finished.output)
  assert.deepEqual(await offsets(), [2, 3])
  assert.match((await run('prune', '--finish')).output, /no prune was interrupted/)
  assert.equal((await run('prune', '--finish', '--older-than', '8d')).code, 2)
})

test('a prune of a nearer day leaves a finished one finished', async (t) => {
  const prefix = indexPrefix(t)
  const at = (days: number) => Date.now() - days * msPerDay
  const root = await makeArchive(t, [
    { tp, flushes: [20, 10, 5, 0].map((days, offset) => [{ offset, timestamp: at(days) }]) },
  ])
  const run = (command: string, ...more: string[]) =>
    runArchiver(t, [command, '--archive-dir', root, '--index-prefix', prefix, ...more])
  await run('restore')
  const index = `${prefix}a-${new Date(at(20)).toISOString().slice(0, 10).replaceAll('-', '.')}`
  assert.equal((await run('prune', '--older-than', '8d', '--no-files')).code, 0)
  // Of a day that is gone, records come late.
  await run('restore', '--until', new Date(at(15)).toISOString())
  const narrower = await run('prune', '--older-than', '15d', '--no-files')
  assert.match(narrower.output, new RegExp(`${index} +index +1 `))
  assert.match((await run('prune', '--finish', '--no-files')).output, /no prune was interrupted/)
})

test('what makes no sense is one line', async (t) => {
  const root = await makeArchive(t, [{ tp, flushes: flushes() }])
  const refused = async (words: RegExp, ...argv: string[]) => {
    const { code, output } = await runArchiver(t, [
      'prune',
      '--archive-dir',
      root,
      '--no-elasticsearch',
      ...argv,
    ])
    assert.equal(code, 2, output)
    assert.match(output, words)
  }
  await refused(/--older-than or --finish is needed/)
  await refused(/1d or more/, '--older-than', '2h')
  await refused(/such as 90d/, '--older-than', '90')
})
