import assert from 'node:assert/strict'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runArchiver, startArchiver } from '../helpers/archiver.ts'
import { createTopic, produce, temporaryDirectory, uniqueName, until } from '../helpers/servers.ts'

/** Settings of single topics, in a worker. */

test('topics with settings of their own have their own types and flush intervals', async (t) => {
  const stem = uniqueName('settings')
  const [fast, slow] = [
    await createTopic(t, { stem: `${stem}-fast` }),
    await createTopic(t, { stem: `${stem}-slow` }),
  ]
  for (const topic of [fast, slow])
    await produce(t, topic, [{ value: '{"type":"by-type","kind":"by-kind"}' }])
  const directory = await temporaryDirectory(t)
  const root = join(directory, 'archive')
  const file = join(directory, 'archiver.yaml')
  writeFileSync(
    file,
    [
      'topics:',
      `  '${stem}-fast.*': { type-path: kind, flush-interval: 0.5 }`,
      `  '${stem}-slow.*': {}`,
      '  nothing: { type-path: x }',
      'flush-interval: 600',
    ].join('\n'),
  )
  const argv = ['--config', file, '--group', stem, '--archive-dir', root, '--no-elasticsearch']
  const worker = startArchiver(t, ['run', ...argv])
  const types = () =>
    existsSync(root) ? readdirSync(root).filter((name) => name.startsWith('type=')) : []
  await until('the fast topic is flushed', () => types().includes('type=by-kind'))
  assert.deepEqual(types(), ['type=by-kind'])
  const unused = worker.log().filter(({ event }) => event === 'topic_settings_unused')
  assert.deepEqual(
    unused.map(({ pattern }) => pattern),
    ['nothing'],
  )
  worker.child.kill('SIGTERM')
  assert.equal(await worker.ended, 143)
  assert.deepEqual(types().sort(), ['type=by-kind', 'type=by-type'])
  const verify = await runArchiver(t, ['verify', ...argv])
  assert.match(verify.output, /^proven: 2 partitions, 2 records/m)
})
