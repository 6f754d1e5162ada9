import assert from 'node:assert/strict'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { manifestDirectory, manifestName, originName } from '../../src/files/log/path.ts'
import { august, makeArchive, manifestsOf, putManifest, records } from '../helpers/archive.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { committedAndEnds, createScenario } from '../helpers/scenario.ts'
import { createTopic, indexPrefix, produce, until } from '../helpers/servers.ts'
import { offsetsOf } from '../helpers/stores.ts'

const good = { topic: 'alpha', partition: 0 }
const badOrigin = { topic: 'beta', partition: 0 }
const badManifest = { topic: 'gamma', partition: 0 }
/** Long ago, so that prune and compact find something to do. */
const made = records(0, 30).map((record) => ({ ...record, timestamp: august }))
const flushes = [made.slice(0, 10), made.slice(10, 20), made.slice(20)]

test('a damaged partition is named by every command, which does its work on the others and ends with 1', async (t) => {
  const root = await makeArchive(
    t,
    [good, badOrigin, badManifest].map((tp) => ({ tp, flushes })),
  )
  await writeFile(join(root, manifestDirectory(badOrigin), originName), '{"format":1,"to')
  const [first] = await manifestsOf(root, badManifest)
  const [file, ...others] = first!.files
  await putManifest(root, { ...first!, files: [{ ...file!, path: '../victim.txt' }, ...others] })
  await writeFile(join(root, '../victim.txt'), 'somebody else’s')
  const dir = ['--archive-dir', root]
  const prefix = indexPrefix(t)
  const toEngine = ['--index-prefix', prefix, '--log-level', 'error']
  const commands: readonly [argv: readonly string[], says: RegExp, knowsOrigin?: boolean][] = [
    [['ls', '--by', 'partition', ...dir], /alpha\/0 +30/],
    [['status', '--no-kafka', ...dir], /alpha\/0 +30/],
    [['verify', '--no-kafka', '--no-elasticsearch', ...dir], /ok {3}alpha\/0 {2}offsets 0 to 30/],
    [
      ['restore', '--to', 'elasticsearch', ...dir, ...toEngine],
      /restored \d+ records to elasticsearch/,
    ],
    [['compact', '--compact-after', '1s', '--dry-run', ...dir], /alpha\/0 +6 +2/],
    [['prune', '--older-than', '30d', '--no-elasticsearch', '--yes', ...dir], /alpha\/0 +4 files/],
  ]
  for (const [argv, says] of commands) {
    const { code, output } = await runArchiver(t, argv)
    const what = `${argv[0]}:\n${output}`
    assert.equal(code, 1, what)
    assert.match(output, says, what)
    for (const path of [
      join(manifestDirectory(badOrigin), originName),
      ...(argv[0] === 'status' ? [] : [join(manifestDirectory(badManifest), manifestName(0))]),
    ]) {
      assert.ok(output.includes(path), `${path} in ${what}`)
    }
    assert.doesNotMatch(output, /unexpected|\n {4}at /, what)
  }
  const left = await readdir(join(root, '..'))
  assert.ok(left.includes('victim.txt'))

  const cat = await runArchiver(t, ['cat', '--type', 'b', ...dir])
  assert.equal(cat.code, 0, cat.output)
  const one = await runArchiver(t, ['cat', '--offset', '3', '--topic', 'beta', ...dir])
  assert.equal(one.code, 1, one.output)
  assert.ok(one.output.includes(originName), one.output)
})

test('a worker archives the other partitions, and names the damaged one', async (t) => {
  const topic = await createTopic(t, { stem: 'damaged', partitions: 2 })
  const { root, group, start, untilEnd } = await createScenario(t)
  const both = (from: number, next: number) =>
    [...offsetsOf(from, next)].flatMap((i) =>
      [0, 1].map((partition) => ({
        key: `k${i}`,
        value: JSON.stringify({ type: 'a', i }),
        partition,
      })),
    )
  await produce(t, topic, both(0, 10))
  assert.equal((await untilEnd('--topics', topic)).code, 0)
  const origin = join(manifestDirectory({ topic, partition: 1 }), originName)
  await writeFile(join(root, origin), '{"format":1,"to')
  await produce(t, topic, both(10, 20))
  const worker = start('--topics', topic, '--flush-interval', '0.2', '--commit-interval', '50')
  await worker.says(origin)
  const committed = async () => await committedAndEnds(t, group, [topic])
  await until(
    'the sound partition',
    async () => (await committed()).get(`${topic}/0`)!.committed === 20,
  )
  worker.child.kill('SIGTERM')
  assert.equal(await worker.ended, 143, worker.output())
  assert.equal((await committed()).get(`${topic}/1`)!.committed, 10)
})
