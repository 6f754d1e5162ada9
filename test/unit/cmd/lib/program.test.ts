import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, truncateSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { exitCodeOf, lineOf } from '../../../../src/cmd/lib/program.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'
import { temporaryDirectory, until } from '../../../helpers/servers.ts'

const fixture = fileURLToPath(new URL('../../../helpers/program-fixture.ts', import.meta.url))

/** As a shell gives it. A second signal may come when Node no longer handles any. It ends then. */
function statusOf(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + constants.signals[signal!]
}

function start(t: TestContext, ...words: string[]) {
  // Below nohup a program passes SIGHUP over, and these tests may run below it.
  const env = { ...process.env, _: process.execPath }
  const child = spawn(process.execPath, [fixture, ...words], { env })
  t.after(() => child.kill('SIGKILL'))
  const ended = Promise.all([once(child, 'exit'), text(child.stderr)]).then(
    ([[code, signal], stderr]) => ({ code: statusOf(code, signal), stderr }),
  )
  return { child, ended, ready: once(child.stdout, 'data') }
}

test('help, a good end, a mistake, a bug: exit code and output', {
  timeout: 60_000,
}, async (t) => {
  const runs = Object.fromEntries(
    ['--help', 'done', 'usage', 'failed', 'escape', 'bug'].map((word) => {
      const { child, ended } = start(t, word)
      return [word, Promise.all([text(child.stdout), ended])]
    }),
  )
  assert.deepEqual(await runs['--help'], ['help of the fixture\n', { code: 0, stderr: '' }])
  assert.deepEqual(await runs.done, ['done\n', { code: 0, stderr: '' }])
  assert.deepEqual(await runs.usage, [
    '',
    { code: 2, stderr: 'program-fixture: --topic: not so\n' },
  ])
  assert.deepEqual(await runs.escape, [
    '',
    { code: 1, stderr: 'program-fixture: a title \\u001b]0;PWN\\u0007 of others\n' },
  ])
  assert.deepEqual(await runs.failed, [
    '',
    { code: 1, stderr: 'program-fixture: two lines in one\n' },
  ])
  const [, bug] = (await runs.bug)!
  assert.equal(bug.code, 1)
  assert.match(bug.stderr, /^program-fixture: unexpected: TypeError: a bug\n {4}at /)
})

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
  ['SIGHUP', 129],
  ['SIGQUIT', 131],
] as const) {
  test(`${signal} ends it cleanly with ${code}; relayed twice at once it is still one`, {
    timeout: 60_000,
  }, async (t) => {
    const { child, ended, ready } = start(t, 'wait')
    await ready
    child.kill(signal)
    child.kill(signal)
    assert.deepEqual(await ended, { code, stderr: `cleaned up after ${signal}\n` })
  })
}

test('SIGUSR1 opens no debugger, and neither it nor SIGUSR2 ends the process', {
  timeout: 60_000,
}, async (t) => {
  const { child, ended, ready } = start(t, 'wait')
  await ready
  child.kill('SIGUSR1')
  child.kill('SIGUSR2')
  await delay(200)
  child.kill('SIGTERM')
  assert.deepEqual(await ended, { code: 143, stderr: 'cleaned up after SIGTERM\n' })
})

test('a second signal ends it at once', { timeout: 60_000 }, async (t) => {
  const { child, ended, ready } = start(t, 'hang')
  await ready
  child.kill('SIGTERM')
  const again = setInterval(() => child.kill('SIGTERM'), 300)
  t.after(() => clearInterval(again))
  assert.deepEqual(await ended, { code: 143, stderr: '' })
})

test('a reader that goes away ends a command that gives data, quietly, as SIGPIPE would', {
  timeout: 60_000,
}, async (t) => {
  for (const word of ['flood', 'flood-unsignalled']) {
    const { child, ended, ready } = start(t, word, 'data')
    await ready
    child.stdout.destroy()
    assert.deepEqual(await ended, { code: 141, stderr: '' }, word)
  }
})

/** Runs the fixture in a shell, whose redirections are those of `command`; `$P` is the fixture. */
async function inShell(t: TestContext, command: string): Promise<string> {
  const child = spawn('bash', ['-c', `exec 2>&1; ${command}`], {
    env: { ...process.env, P: `${process.execPath} ${fixture}` },
  })
  t.after(() => child.kill('SIGKILL'))
  return await text(child.stdout)
}

const cannot = (what: string) => `program-fixture: standard output cannot be written: ${what}\n`

/** What a command says and its exit code, for its word, its kind of output and where that goes. */
const endings: readonly (readonly [command: string, said: string])[] = [
  // Without a reader the verdict is the same.
  ['{ $P verdict report; echo $? >&2; } | head -1', 'line 0\n0\n'],
  ['{ $P bad-verdict report; echo $? >&2; } | head -1', 'line 0\nprogram-fixture: not proven\n1\n'],
  ['$P verdict report >&-; echo $?', '0\n'],
  ['$P bad-verdict report 1>&- 2>&-; echo $?', '1\n'],
  // It was to be kept, and is not: that is not done.
  ['$P verdict report > /dev/full; echo $?', `${cannot('ENOSPC: no space left on device')}1\n`],
  ['$P bad-verdict report > /dev/full 2> /dev/full; echo $?', '1\n'],
  ['$P usage report > /dev/full 2> /dev/full; echo $?', '2\n'],
  ['$P done data > /dev/full; echo $?', `${cannot('ENOSPC: no space left on device')}1\n`],
  ['$P flood data > /dev/full; echo $?', `${cannot('ENOSPC: no space left on device')}1\n`],
  ['$P --help > /dev/full; echo $?', `${cannot('ENOSPC: no space left on device')}1\n`],
  // The kernel takes the first half of a write and refuses the next: one `write(2)` alone says
  // nothing.
  [
    'f=$(mktemp); (ulimit -f 8; $P verdict data > $f; echo $?); rm $f',
    `${cannot('EFBIG: file too large')}1\n`,
  ],
  [
    'f=$(mktemp); (ulimit -f 8; $P one-write data > $f; echo $?); rm $f',
    `${cannot('EFBIG: file too large')}1\n`,
  ],
  // Standard error is for people: without it the work is the same.
  ['$P done data 2>&-; echo $?', 'done\n0\n'],
  ['$P done data 2> /dev/full; echo $?', 'done\n0\n'],
]

for (const [command, said] of endings) {
  test(`exit code of ${command}`, { timeout: 60_000 }, async (t) => {
    assert.equal(await inShell(t, command), said)
  })
}

test('a log that cannot be written costs lines, which are counted, and changes nothing', {
  timeout: 60_000,
}, async (t) => {
  const full = openSync('/dev/full', 'w')
  t.after(() => closeSync(full))
  for (const target of [full, 'pipe'] as const) {
    const words = [fixture, 'logs', 'log']
    const child = spawn(process.execPath, words, { stdio: ['ignore', target, 'pipe'] })
    t.after(() => child.kill('SIGKILL'))
    child.stdout?.once('data', () => child.stdout!.destroy())
    let said = ''
    child.stderr!.setEncoding('utf8').on('data', (more: string) => {
      said += more
    })
    await until('hundreds of lines are lost', () => /^\d00 [2-9]\d\d$/m.test(said))
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [143, null])
    assert.match(said, /^lost \d{3,}$/m)
  }
})

test('a log whose reader stops reading holds no more than its bound, and says what was lost when it reads on', {
  timeout: 60_000,
}, async (t) => {
  const child = spawn(process.execPath, [fixture, 'logs', 'log'])
  t.after(() => child.kill('SIGKILL'))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (more: string) => {
    said += more
  })
  await until('lines are lost', () => /^\d+ [1-9]\d*$/m.test(said))
  const exited = once(child, 'exit')
  const found = text(child.stdout)
  await delay(300)
  child.kill('SIGTERM')
  const told = (await found).split('\n').filter((line) => line.includes('log_lines_lost'))
  const lines = told.map((line) => (JSON.parse(line) as { lines: number }).lines)
  const [, lost] = /^lost (\d+)$/m.exec(said) ?? []
  assert.equal(
    lines.reduce((sum, count) => sum + count, 0),
    Number(lost),
  )
  assert.deepEqual(await exited, [143, null])
})

test('a log file whose disk was full goes on with a line of its own once there is room', {
  timeout: 60_000,
}, async (t) => {
  const path = join(await temporaryDirectory(t), 'log')
  // A file of at most 8 KiB, as a disk that is full: a write takes what fits, the next one fails.
  const command = `ulimit -f 8; exec ${process.execPath} ${fixture} logs log >> ${path}`
  const child = spawn('bash', ['-c', command], { stdio: ['ignore', 'ignore', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (more: string) => {
    said += more
  })
  await until('lines are lost', () => /^\d+ [1-9]\d*$/m.test(said))
  truncateSync(path)
  await until('the log goes on', () => readFileSync(path, 'utf8').includes('log_lines_lost'))
  child.kill('SIGTERM')
  await once(child, 'exit')
  const [cut, ...lines] = readFileSync(path, 'utf8').replace(/\n$/, '').split('\n')
  assert.equal(cut, '')
  // The file is full again soon.
  const [first, second] = lines
    .slice(0, 2)
    .map((line) => JSON.parse(line) as { msg: string; lines?: number })
  assert.equal(first!.msg, 'archiving')
  assert.ok(second!.lines! >= 1)
})

test('warnings of Node are log lines', { timeout: 60_000 }, async (t) => {
  const { child, ended } = start(t, 'warns', 'log')
  const line = JSON.parse(await text(child.stdout)) as {
    level: string
    event: string
    err: { message: string }
  }
  assert.deepEqual(
    [line.level, line.event, line.err.message],
    ['warn', 'node_warning', 'a leak \x1b[31m'],
  )
  assert.deepEqual(await ended, { code: 0, stderr: '' })
})

test('only what a signal caused is silent', () => {
  const stopped = AbortSignal.abort('SIGINT')
  const abort = new DOMException('stopped', 'AbortError')
  assert.equal(lineOf(abort, stopped), undefined)
  assert.equal(lineOf('SIGINT', stopped), undefined)
  assert.equal(exitCodeOf(abort, stopped), 130)
  assert.match(lineOf(abort, undefined) ?? '', /^unexpected: /)
  assert.equal(exitCodeOf(abort, undefined), 1)
  const failure = new ArchiverError('UNREACHABLE', 'Kafka is away')
  assert.equal(lineOf(failure, stopped), 'Kafka is away')
  assert.equal(exitCodeOf(failure, stopped), 1)
})
