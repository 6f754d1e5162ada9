import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { describe, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isHangupIgnored } from '../../../../src/cmd/lib/hangup.ts'
import {
  isWrapper,
  type ProcessFacts,
  readProcess,
  wrappersOf,
} from '../../../../src/cmd/lib/wrappers.ts'
import { until } from '../../../helpers/servers.ts'

const own = ['/app/src/cmd/archiver.ts', 'run', '--topics', 'a b', '--group', 'g']

test('wrappers wait for the command and for nothing else', () => {
  const line = "tsx src/cmd/archiver.ts run --topics 'a b' --group g"
  const wrappers = [
    ['npm exec tsx src/cmd/archiver.ts run --topics a b --group g'],
    ['npm run archiver run --topics a b'],
    ['/usr/bin/node', '/usr/lib/node_modules/npm/bin/npx-cli.js', 'archiver'],
    ['node', '/x/yarn.js', 'archiver'],
    ['pnpm', 'archiver'],
    ['sh', '-c', line],
    ['/bin/sh', '-c', `cd /x && ${line}`],
    ['/bin/bash', '-ec', `cd /x; ${line} > log 2>&1`],
    ['/bin/bash', '-c', `${line} &> log`],
    ['sh', '-c', "archiver run --password 'a&b'"],
    ['sh', '-c', '"$@"; true', 'sh', 'node', ...own],
    ['bash', '-c', 'ulimit -n 300; "$@" 2>&1 | tee log', 'bash', 'node', ...own],
    ['/x/node/bin/node', '/x/node_modules/.bin/tsx', 'src/cmd/archiver.ts'],
    ['node', '/x/node_modules/tsx/dist/cli.mjs', 'src/cmd/archiver.ts'],
    ['timeout', '20', 'node', '--import', 'tsx', 'src/cmd/archiver.ts', ...own.slice(1)],
    ['tini', '--', 'node', '/app/dist/cmd/archiver.js', ...own.slice(1)],
  ]
  for (const words of wrappers) assert.equal(isWrapper(words, own), true, words.join(' '))
  const others = [
    ['sh', '-c', `${line} &`],
    ['sh', '-c', `${line} & exit`],
    ['sh', '-c', '"$@" & exit', 'sh', 'node', ...own],
    ['sh', '-c', 'work "$1"', 'sh', 'something else'],
    ['sh', '-c', `nohup ${line} > log 2>&1 &`],
    ['bash', '-c', `(setsid ${line})`],
    ['bash', '-c', `${line} & disown`],
    ['nohup', 'node', ...own],
    ['setsid', 'node', ...own],
    ['bash'],
    ['-bash'],
    ['bash', './start.sh'],
    ['sh', '-c', '. ./lib.sh; work'],
    ['/sbin/init'],
    ['/usr/lib/systemd/systemd', '--user'],
    ['node', 'test/run.js'],
    ['sshd: user@pts/0'],
    [''],
  ]
  for (const words of others) assert.equal(isWrapper(words, own), false, words.join(' '))
})

test('the wrappers of a process end at the first ancestor that is none', () => {
  const facts = (pid: number, parent: number, ...words: string[]): ProcessFacts => ({
    pid,
    parent,
    startedAt: '1',
    words,
  })
  const above = new Map(
    [
      facts(40, 30, 'node', '/x/.bin/tsx', 'archiver.ts'),
      facts(30, 20, 'sh', '-c', 'tsx archiver.ts run'),
      facts(20, 10, 'npm exec tsx'),
      facts(10, 5, 'bash'),
      facts(5, 1, 'npm exec something else'),
    ].map((one) => [one.pid, one]),
  )
  const pids = wrappersOf(40, own, (pid) => above.get(pid)).map(({ pid }) => pid)
  assert.deepEqual(pids, [40, 30, 20])
})

const fixture = fileURLToPath(new URL('../../../helpers/program-fixture.ts', import.meta.url))
const bin = fileURLToPath(new URL('../../../../node_modules/.bin/', import.meta.url))
const node = process.execPath

/**
 * Starts the fixture by a command line of bash, whose first line of output is the pid of what is to
 * be killed.
 */
async function startBy(
  t: TestContext,
  command: string,
): Promise<{ shell: ChildProcess; pids: () => number[] }> {
  const mark = `mark-${process.pid}-${Math.random().toString(36).slice(2)}`
  const shell = spawn('bash', ['-c', command.replaceAll('$C', `${fixture} wait log ${mark}`)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  })
  const pids = () =>
    spawnSync('pgrep', ['-f', `program-fixture.*${mark}`], { encoding: 'utf8' })
      .stdout.split('\n')
      .filter((line) => line !== '')
      .map(Number)
  t.after(() => {
    for (const pid of pids()) process.kill(pid, 'SIGKILL')
  })
  await once(shell.stdout!, 'data')
  return { shell, pids }
}

describe('real processes', { concurrency: 6 }, () => {
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    for (const [name, command] of [
      ['sh -c', `exec sh -c '${node} $C; echo'`],
      ['tsx', 'exec tsx $C'],
      ['npx', 'exec npx tsx $C'],
      ['timeout', `exec timeout 60 ${node} $C`],
    ] as const) {
      test(`nothing is left when ${name} gets ${signal}`, { timeout: 120_000 }, async (t) => {
        const { shell, pids } = await startBy(t, command)
        assert.ok(pids().length > 1)
        shell.kill(signal)
        await until('all are gone', () => pids().length === 0)
      })
    }
  }

  for (const [name, command] of [
    ['a job in the background', `${node} $C & read`],
    ['a job below nohup', `nohup ${node} $C & read`],
    ['a job of sh -c', `sh -c '${node} $C &'; read`],
    ['a job in a session of its own', `setsid ${node} $C & read`],
  ] as const) {
    test(`${name} lives on without the shell that started it`, { timeout: 60_000 }, async (t) => {
      const { shell, pids } = await startBy(t, command)
      shell.stdin!.end()
      await once(shell, 'exit')
      // Longer than it takes to see that a wrapper is gone.
      await new Promise((resolve) => setTimeout(resolve, 2500))
      const [pid] = pids()
      assert.notEqual(readProcess(pid!), undefined)
      process.kill(pid!, 'SIGTERM')
      await until('it is gone', () => pids().length === 0)
    })
  }

  test('under nohup a command ignores SIGHUP, but not SIGTERM', { timeout: 60_000 }, async (t) => {
    for (const command of [`nohup ${node} $C & wait`, `nohup sh -c '${node} $C; :'`]) {
      const { pids } = await startBy(t, command)
      const worker = () => pids().filter((pid) => /node$/.test(readProcess(pid)?.words[0] ?? ''))
      process.kill(worker()[0]!, 'SIGHUP')
      await new Promise((resolve) => setTimeout(resolve, 500))
      assert.equal(worker().length, 1, command)
      process.kill(worker()[0]!, 'SIGTERM')
      await until('it is gone', () => worker().length === 0)
    }
  })
})

test('what nohup leaves behind is recognized', () => {
  assert.equal(isHangupIgnored({ _: '/usr/bin/nohup' }), true)
  assert.equal(isHangupIgnored({ _ARCHIVER_SIGHUP: 'ignored' }), true)
  assert.equal(isHangupIgnored({ _: '/usr/bin/node' }), false)
  assert.equal(isHangupIgnored({}), false)
})
