import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import { Part, portIsTaken } from '../../stack/part.ts'

const silent = { update: () => {}, say: () => {} }

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/**
 * A part whose server is a small Node program, so that what is tested is how a process is started,
 * known and stopped.
 */
async function createPart(t: TestContext, program?: string): Promise<Part> {
  const dir = mkdtempSync(join(tmpdir(), 'archiver-stack-part-'))
  const port = await freePort()
  const script = join(dir, 'server.cjs')
  writeFileSync(
    script,
    program ?? `require('node:net').createServer((s) => s.end()).listen(${port}, '127.0.0.1')`,
  )
  const part = new Part({
    name: 'kafka',
    title: 'The part',
    address: `127.0.0.1:${port}`,
    ports: [{ port, flag: '--kafka-port' }],
    memory: 0,
    marker: script,
    pidFile: join(dir, 'pid'),
    logFile: join(dir, 'server.log'),
    outputFile: join(dir, 'output.log'),
    prepare: async () => ({
      program: process.execPath,
      args: [script],
      cwd: dir,
      env: process.env,
      daemonizes: false,
    }),
    ask: async (signal) => {
      const socket = connect({ port, host: '127.0.0.1', signal })
      await once(socket, 'connect')
      socket.destroy()
    },
  })
  t.after(async () => {
    await part.kill()
    rmSync(dir, { recursive: true, force: true })
  })
  return part
}

it('a part is started once, answers, and is stopped', async (t) => {
  const part = await createPart(t)
  assert.equal((await part.status()).pid, undefined)
  assert.equal(await part.start(silent), true)
  const { pid, answers } = await part.status()
  assert.equal(answers, true)
  assert.equal(await part.start(silent), false)
  assert.equal(part.pid, pid)
  assert.equal(await part.stop(silent), true)
  assert.equal(part.pid, undefined)
  assert.equal(await part.stop(silent), false)
})

it('a part that was killed is started again, and a frozen one is stopped', async (t) => {
  const part = await createPart(t)
  await part.start(silent)
  const first = part.pid
  assert.equal(await part.kill(), true)
  assert.equal(part.pid, undefined)
  assert.equal(await part.start(silent), true)
  assert.notEqual(part.pid, first)
  assert.equal(part.signal('SIGSTOP'), true)
  assert.equal(await part.stop(silent), true)
})

it('a pid file that names a process of another program is not trusted', async (t) => {
  const part = await createPart(t)
  const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  t.after(() => stranger.kill('SIGKILL'))
  await once(stranger, 'spawn')
  writeFileSync(part.definition.pidFile, String(stranger.pid))
  assert.equal(part.pid, undefined)
  assert.equal(part.signal('SIGKILL'), false)
  assert.equal(stranger.exitCode ?? stranger.signalCode, null)
})

it('a start that fails says why and where the log is', async (t) => {
  const part = await createPart(t, "throw new Error('the disk is full')")
  await assert.rejects(part.start(silent), {
    name: 'StackError',
    message:
      /^The part did not start: Error: the disk is full \(log: .*server\.log\).*docker compose up/,
  })
})

it('a port that something else listens on is refused by name', async (t) => {
  const part = await createPart(t)
  const { port } = part.definition.ports[0]!
  assert.equal(await portIsTaken(port), false)
  const other = createServer().listen(port, '127.0.0.1')
  t.after(() => void other.close())
  await once(other, 'listening')
  assert.equal(await portIsTaken(port), true)
  await assert.rejects(part.start(silent), {
    name: 'StackError',
    message: new RegExp(`^Port ${port}.*--kafka-port`),
  })
})
