import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { askWorker } from '../../../../src/cmd/status/ask-worker.ts'
import { statusSet } from '../../../../src/config/commands/status.ts'
import { readOptions } from '../../../../src/config/options.ts'

const workersOf = (text: string) =>
  readOptions(statusSet.options, { argv: ['--workers', text], env: {} }).workers

describe('--workers', () => {
  it('takes an address with its port, a port of this machine, and a URL', () => {
    assert.deepEqual(workersOf('w-1:9464, [::1]:9464, 9464, https://proxy/worker-1/'), [
      'http://w-1:9464',
      'http://[::1]:9464',
      'http://127.0.0.1:9464',
      'https://proxy/worker-1',
    ])
  })

  it('refuses what names no port, and shows no password', () => {
    for (const text of ['foo', 'foo:', 'w:9464,foo', 'foo:99999', '::1', 'foo/status', 'ftp://w:1'])
      assert.throws(() => workersOf(text), { code: 'USAGE', message: /--workers.*host:port/ }, text)
    assert.throws(
      () => workersOf('http://me:hunter2@w:9464'),
      ({ message }: Error) => /no user/.test(message) && !message.includes('hunter2'),
    )
  })
})

describe('a worker that is asked', () => {
  const worker = { worker: 'w', ready: true, reasons: [], sinks: [], partitions: [] }

  it('says its status, also behind a path', async (t) => {
    const paths: string[] = []
    const url = await serve(t, ({ url: path = '' }, response) => {
      paths.push(path)
      response.end(JSON.stringify(worker))
    })
    assert.deepEqual(await askWorker(url), worker)
    assert.deepEqual(await askWorker(`${url}/w-1`), worker)
    assert.deepEqual(paths, ['/status', '/w-1/status'])
  })

  it('is away: which one, and why', async (t) => {
    // `localhost` may have two addresses; then the error of the system has no message.
    const gone = (await serve(t, () => {}, true)).replace('127.0.0.1', 'localhost')
    const { error } = (await askWorker(gone)) as { error: string }
    assert.match(
      error,
      /^the worker at http:\/\/localhost:\d+ does not answer: .*ECONNREFUSED.*; is it running, and is --workers right\?$/,
    )
  })

  it('is another server', async (t) => {
    const answers: readonly [RequestListener, RegExp][] = [
      [(_, response) => response.end('<html>'), /is not the --http of a worker: .*not valid JSON/],
      [(_, response) => response.end('{}'), /is not the --http of a worker: the answer\.worker/],
      [
        (_, response) => response.writeHead(421).end('this name is not served here\nmore'),
        /: it answers 421, this name is not served here$/,
      ],
      [
        (_, response) => response.writeHead(302, { location: 'https://login/?a=b' }).end(),
        /redirects to "https:\/\/login\/" \(302\)/,
      ],
    ]
    for (const [listener, expected] of answers) {
      const { error } = (await askWorker(await serve(t, listener))) as { error: string }
      assert.match(error, expected)
    }
  })
})

/** A server until the test ends, or, with `isGone`, the address of one that has ended. */
async function serve(t: TestContext, listener: RequestListener, isGone = false): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () => new Promise((resolve) => server.close(resolve))
  if (isGone) await close()
  else t.after(close)
  return `http://127.0.0.1:${port}`
}
