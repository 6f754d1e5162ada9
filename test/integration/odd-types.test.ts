import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IndexNames } from '../../src/elasticsearch/index-name.ts'
import { documentId } from '../../src/elasticsearch/sink/part.ts'
import { hourOf } from '../../src/record/time.ts'
import { august, type MadeUpRecord, makeArchive } from '../helpers/archive.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { elasticsearch, indexPrefix, temporaryDirectory, uniqueName } from '../helpers/servers.ts'
import { readDocuments } from '../helpers/stores.ts'

const types = [
  'plain',
  '*',
  'other',
  'a b',
  '../x/y',
  '..',
  '.',
  'a,b',
  '%2f',
  'a%2fb',
  '<x>',
  '<x-{now/d}>',
  '-x',
  '+',
  '#?',
  'order ',
  '_untyped',
]
const records: readonly MadeUpRecord[] = types.map((type, offset) => ({
  offset,
  type,
  timestamp: august + offset,
}))

test('types that look like wildcards, lists, paths or dates are names to every command', async (t) => {
  const prefix = indexPrefix(t)
  const topic = uniqueName('restore-odd')
  const root = await makeArchive(t, [{ tp: { topic, partition: 0 }, flushes: [records] }])
  const archiver = async (command: string, ...more: string[]) => {
    const { code, output } = await runArchiver(t, [command, '--index-prefix', prefix, ...more])
    assert.equal(code, 0, output)
    return output
  }
  const restore = () => archiver('restore', '--archive-dir', root)
  const verify = () => archiver('verify', '--archive-dir', root, '--no-kafka', '--deep')

  assert.match(await restore(), /restored 17 records/)
  await verify()
  const documents = await readDocuments(prefix)
  const indexOf = (type: string) =>
    documents.find(({ line }) => JSON.parse(line).type === type)!.place
  const remove = (type: string) => elasticsearch('DELETE', `/${encodeURIComponent(indexOf(type))}`)
  for (const type of ['*', 'a,b', '<x>']) {
    await t.test(
      `the index of type ${type} is deleted: restore makes it again, and nothing else`,
      async () => {
        await remove(type)
        assert.match(await restore(), /restored 1 record to elasticsearch.*; 16 records/)
      },
    )
  }
  await t.test('all but one are deleted', async () => {
    for (const type of types.slice(1)) await remove(type)
    assert.match(await restore(), /restored 16 records to elasticsearch.*; 1 record/)
    assert.deepEqual(await readDocuments(prefix), documents)
  })
  await verify()

  await t.test('a type that messages call _untyped is restored by a name of its own', async () => {
    await remove('_untyped')
    await assert.rejects(
      archiver('restore', '--archive-dir', root, '--type', '_untyped'),
      /no record of type _untyped/,
    )
    assert.match(
      await archiver('restore', '--archive-dir', root, '--type', '%5Funtyped'),
      /restored 1 record to/,
    )
    await verify()
  })

  await t.test('a dashboard of the type', async () => {
    const out = `${await temporaryDirectory(t)}/star.ndjson`
    await archiver('dashboard', '--type', '*', '--out', out)
    await archiver('dashboard', '--type', 'order ', '--out', out)
    await archiver('dashboard', '--type', '%5Funtyped', '--out', out)
    await assert.rejects(
      archiver('dashboard', '--type', '?', '--out', out),
      /no record of type "\?"/,
    )
  })

  await t.test('prune removes the indices of the day, and says how many', async () => {
    const { code, output } = await runArchiver(t, [
      'prune',
      ...[
        '--archive-dir',
        root,
        '--index-prefix',
        prefix,
        '--older-than',
        '8d',
        '--no-files',
        '--yes',
      ],
    ])
    assert.equal(code, 0, output)
    assert.deepEqual(await readDocuments(prefix), [])
  })
})

test('documents that an earlier version put elsewhere are found by restore and by verify', async (t) => {
  const prefix = indexPrefix(t)
  const topic = uniqueName('former-index')
  const type = '\ud800'
  const flush = [0, 1, 2].map((offset) => ({ offset, type, timestamp: august + offset }))
  const root = await makeArchive(t, [{ tp: { topic, partition: 0 }, flushes: [flush] }])
  const archiver = (command: string, ...more: string[]) =>
    runArchiver(t, [command, '--archive-dir', root, '--index-prefix', prefix, ...more])
  assert.match((await archiver('restore')).output, /restored 3 records/)
  const [current, former] = new IndexNames(prefix).every(
    { name: type, reserved: false },
    hourOf(august),
  )
  assert.ok(former !== undefined)
  const documentAt = (action: string, offset: number) =>
    `/${encodeURIComponent(former)}/${action}/${encodeURIComponent(documentId({ topic, partition: 0 }, offset))}?refresh=true`
  const documents = await readDocuments(prefix)
  await elasticsearch('DELETE', `/${encodeURIComponent(current!)}`)
  for (const { offset, line } of documents)
    await elasticsearch('PUT', documentAt('_create', offset), JSON.parse(line))

  assert.match((await archiver('restore')).output, /restored 0 records/)
  const whole = await archiver('verify', '--no-kafka', '--deep')
  assert.equal(whole.code, 0, whole.output)

  await elasticsearch('POST', documentAt('_update', 1), { doc: { value: { n: 77 } } })
  const changed = await archiver('verify', '--no-kafka', '--deep')
  assert.equal(changed.code, 1, changed.output)
  assert.match(changed.output, /document-changed.* is not the line of offset 1/)
})
