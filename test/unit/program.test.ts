import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { exitCodeOf, lineOf } from '../../src/cmd/program.ts'
import { ArchiverError } from '../../src/errors.ts'

const fixture = fileURLToPath(new URL('../helpers/program-fixture.ts', import.meta.url))

function start(t: TestContext, ...words: string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', fixture, ...words])
  t.after(() => child.kill('SIGKILL'))
  const ended = Promise.all([once(child, 'exit'), text(child.stderr)]).then(([[code], stderr]) => ({
    code: code as number | null,
    stderr,
  }))
  return { child, ended, ready: once(child.stdout, 'data') }
}

test('help, a good end, a mistake, a bug: exit code and what is said', { timeout: 60_000 }, async (t) => {
  const runs = Object.fromEntries(
    ['--help', 'done', 'usage', 'failed', 'bug'].map((word) => {
      const { child, ended } = start(t, word)
      return [word, Promise.all([text(child.stdout), ended])]
    }),
  )
  assert.deepEqual(await runs['--help'], ['help of the fixture\n', { code: 0, stderr: '' }])
  assert.deepEqual(await runs.done, ['done\n', { code: 0, stderr: '' }])
  assert.deepEqual(await runs.usage, ['', { code: 2, stderr: 'program-fixture: --topic: not so\n' }])
  assert.deepEqual(await runs.failed, ['', { code: 1, stderr: 'program-fixture: two lines in one\n' }])
  const [, bug] = (await runs.bug)!
  assert.equal(bug.code, 1)
  assert.match(bug.stderr, /^program-fixture: unexpected: TypeError: a bug\n {4}at /)
})

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
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

test('a second signal ends it at once', { timeout: 60_000 }, async (t) => {
  const { child, ended, ready } = start(t, 'hang')
  await ready
  child.kill('SIGTERM')
  const again = setInterval(() => child.kill('SIGTERM'), 300)
  t.after(() => clearInterval(again))
  assert.deepEqual(await ended, { code: 143, stderr: '' })
})

test('a reader that goes away ends it quietly', { timeout: 60_000 }, async (t) => {
  for (const word of ['flood', 'flood-unsignalled']) {
    const { child, ended, ready } = start(t, word)
    await ready
    child.stdout.destroy()
    assert.deepEqual(await ended, { code: 0, stderr: '' }, word)
  }
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
