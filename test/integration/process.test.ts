import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { delimiter } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { brokers, createTopic, produce, temporaryDirectory, until } from '../helpers/servers.ts'
import { readFiles } from '../helpers/stores.ts'

/**
 * A worker as a process: who started it may go, signals stop it after a flush, and its log may
 * fail.
 */

const checkout = fileURLToPath(new URL('../../', import.meta.url))
const archiver = [process.execPath, 'bin/archiver.mjs']
const records = 100

async function place(t: TestContext): Promise<{ root: string; topic: string; words: string[] }> {
  const topic = await createTopic(t, { stem: 'process' })
  const values = Array.from({ length: records }, (_, i) => ({
    value: JSON.stringify({ type: 'a', i }),
  }))
  await produce(t, topic, values)
  const root = await temporaryDirectory(t)
  const words = [
    'run',
    '--topics',
    topic,
    '--group',
    topic,
    '--archive-dir',
    root,
    '--no-elasticsearch',
  ]
  return { root, topic, words: [...words, '--brokers', brokers.join(',')] }
}

/** Starts a worker that has no reason to flush, and waits until it has read everything. */
async function startIdle(
  t: TestContext,
  command: readonly string[],
  words: readonly string[],
  log: number | 'ignore' = 'ignore',
): Promise<{ child: ChildProcess; port: number }> {
  const [program, ...before] = command
  const port = 20_000 + Math.floor(Math.random() * 10_000)
  const argv = [...before, ...words, '--flush-interval', '600', '--http', String(port)]
  const path = [`${checkout}node_modules/.bin`, process.env.PATH].join(delimiter)
  const child = spawn(program!, argv, {
    cwd: checkout,
    stdio: ['ignore', log, log],
    env: {
      ...process.env,
      // Below nohup a worker ignores SIGHUP, and these tests may run below it.
      _: process.execPath,
      PATH: path,
      // npx keeps a link to this checkout there.
      npm_config_cache: await temporaryDirectory(t),
    },
  })
  t.after(() => {
    for (const pid of processesOf(words)) process.kill(pid, 'SIGKILL')
  })
  await until('all is read', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/status`).catch(() => undefined)
    const status = (await answer?.json()) as { records: number } | undefined
    return status?.records === records
  })
  return { child, port }
}

/** The worker and what is above it, by the name of its topic. */
function processesOf(words: readonly string[]): number[] {
  const { stdout } = spawnSync('pgrep', ['-f', words.join(' ')], { encoding: 'utf8' })
  return stdout
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map(Number)
}

for (const [signal, code] of [
  ['SIGHUP', 129],
  ['SIGQUIT', 131],
] as const) {
  test(`${signal} flushes, commits and ends with ${code}`, async (t) => {
    const { root, words } = await place(t)
    const { child: worker } = await startIdle(t, archiver, words)
    worker.kill(signal)
    assert.deepEqual(await once(worker, 'exit'), [code, null])
    assert.equal((await readFiles(root)).length, records)
  })
}

for (const command of [
  ['npx', 'archiver'],
  ['npx', 'tsx', 'src/cmd/archiver.ts'],
]) {
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    test(`a worker below ${command.join(' ')} flushes and ends when npx gets ${signal}`, async (t) => {
      const { root, words } = await place(t)
      const { child: npx } = await startIdle(t, command, words)
      npx.kill(signal)
      await until('no process is left', () => processesOf(words).length === 0)
      assert.equal((await readFiles(root)).length, records)
    })
  }
}

test('a worker whose log disk is full archives, counts the lines, and ends well', async (t) => {
  const { root, words } = await place(t)
  const full = openSync('/dev/full', 'w')
  t.after(() => closeSync(full))
  const { child, port } = await startIdle(t, archiver, [...words, '--status-interval', '1'], full)
  await until('lost lines are counted', async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    return /^archiver_log_lines_lost_total [1-9]/m.test(metrics)
  })
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [143, null])
  assert.equal((await readFiles(root)).length, records)
})
