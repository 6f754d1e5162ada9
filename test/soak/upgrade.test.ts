import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { useStack } from '../chaos/stack.ts'
import { type RunningArchiver, startProgram } from '../helpers/archiver.ts'
import { createScenario } from '../helpers/scenario.ts'
import { createProducer, createTopic, temporaryDirectory, until } from '../helpers/servers.ts'
import { accountFor, offsetsOf, readFiles } from '../helpers/stores.ts'

useStack()

const root = fileURLToPath(new URL('../..', import.meta.url))
/** The last version whose workers know only the eager protocol. */
const before = 'd5d29e2'
const partitions = 6

const git = (...words: readonly string[]) => execFileSync('git', ['-C', root, ...words])

function hasVersionBefore(): boolean {
  try {
    git('cat-file', '-e', `${before}^{commit}`)
    return true
  } catch {
    return false
  }
}

const owned = ({ log }: RunningArchiver) =>
  log().findLast(({ event }) => event === 'group_joined')?.count as number | undefined

test('a group is upgraded worker by worker while records come: none is missing, none is there twice', {
  skip: hasVersionBefore() ? false : `no commit ${before} here, as in a shallow clone`,
}, async (t) => {
  const old = join(await temporaryDirectory(t), 'before')
  git('worktree', 'add', '--detach', old, before)
  t.after(() => git('worktree', 'remove', '--force', old))
  symlinkSync(join(root, 'node_modules'), join(old, 'node_modules'))
  const topic = await createTopic(t, { stem: 'upgrade', partitions })
  const scenario = await createScenario(t)
  const start = (tree: string) =>
    startProgram(t, [
      join(tree, 'bin/archiver.mjs'),
      ...scenario.argv,
      ...['--topics', topic, '--no-elasticsearch', '--flush-interval', '1'],
    ])
  const producer = await createProducer(t)
  let sent = 0
  let isSending = true
  const sending = (async () => {
    while (isSending) {
      const n = sent++
      await producer.send({
        topic,
        messages: Array.from({ length: partitions }, (_, partition) => ({
          partition,
          value: JSON.stringify({ type: 'a', n }),
        })),
      })
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })()
  const untilShared = (workers: readonly RunningArchiver[]) =>
    until(
      'all partitions are shared',
      () => workers.every((worker) => owned(worker) === partitions / workers.length),
      40_000,
    )
  const workers = [start(old), start(old), start(old)]
  await untilShared(workers)
  for (let i = 0; i < workers.length; i++) {
    workers[i]!.child.kill('SIGTERM')
    assert.equal(await workers[i]!.ended, 143)
    workers[i] = start(root)
    await untilShared(workers)
  }
  // An old one comes back, as in a deployment that is rolled back, and goes.
  const late = start(old)
  await until('the old one has a share', () => (owned(late) ?? 0) > 0, 40_000)
  late.child.kill('SIGTERM')
  assert.equal(await late.ended, 143)
  await untilShared(workers)
  isSending = false
  await sending
  await until(
    'all is archived',
    async () => (await readFiles(scenario.root)).length >= sent * partitions,
  )
  for (const worker of workers) worker.child.kill('SIGTERM')
  for (const worker of workers) assert.equal(await worker.ended, 143)
  const expected = Array.from(
    { length: partitions },
    (_, partition) => [`${topic}/${partition}`, offsetsOf(0, sent)] as const,
  )
  assert.deepEqual(accountFor(new Map(expected), await readFiles(scenario.root)), {
    missing: [],
    duplicates: [],
    unexpected: [],
  })
})
