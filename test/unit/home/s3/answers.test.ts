import assert from 'node:assert/strict'
import { createServer, type OutgoingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { connectStore } from '../../../../src/home/s3/connection.ts'
import { isPassing } from '../../../../src/home/s3/errors.ts'
import { Objects } from '../../../../src/home/s3/objects.ts'
import { usualSettings } from '../../../../src/home/s3/settings.ts'
import { Uploads } from '../../../../src/home/s3/uploads.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'
import { createLogger } from '../../../../src/runtime/log.ts'

/** What answers in place of a store: proxies, load balancers, portals, other servers. */

process.env.AWS_ACCESS_KEY_ID ??= 'somebody'
process.env.AWS_SECRET_ACCESS_KEY ??= 'something'

interface Answer {
  readonly status: number
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string
}

/** Something at an address that answers every request so. */
async function answering(t: TestContext, { status, headers, body }: Answer) {
  const server = createServer((request, response) => {
    request.resume()
    response.writeHead(status, headers)
    response.end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const settings = { ...usualSettings, endpoint, bucket: 'archive', prefix: '', pathStyle: true }
  const log = createLogger({ level: 'silent', stream: process.stderr })
  const connection = await connectStore(settings, log, 0)
  t.after(() => connection.s3.destroy())
  const objects = new Objects(connection)
  return { objects, uploads: new Uploads(connection, objects) }
}

async function errorOf(task: Promise<unknown>): Promise<ArchiverError> {
  try {
    await task
  } catch (error) {
    assert.ok(error instanceof ArchiverError, String(error))
    return error
  }
  throw new assert.AssertionError({ message: 'there was no error' })
}

const page = { 'content-type': 'text/html' }
const stranger = /does not answer as an object store does \(.*\): check --s3-endpoint/

test('no operation takes a page with status 200 or 404 for its answer', async (t) => {
  const facts = { bytes: 1, sha256: 'x' }
  const key = 'k'
  for (const status of [200, 404]) {
    const { objects, uploads } = await answering(t, { status, headers: page, body: '<p>a</p>' })
    const tasks: readonly (() => Promise<unknown>)[] = [
      () => objects.findBucket(''),
      () => objects.putIfAbsent(key, Buffer.from('x')),
      () => objects.head(key),
      () => objects.isVisible(key),
      () => objects.get(key, 0, 10),
      () => objects.listPage(''),
      () => objects.remove([key]),
      () => objects.remove([key, 'l']),
      () => uploads.create(key, 'x'),
      () => uploads.uploadPart(key, 'id', 1, Buffer.from('x')),
      () => uploads.complete(key, { id: 'id', parts: [{ etag: 'e' }] }, facts),
      () => uploads.isOpen(key, 'id'),
      () => uploads.abort(key, 'id'),
      () => uploads.list('').next(),
    ]
    for (const task of tasks) {
      const error = await errorOf(task())
      assert.match(error.message, stranger, String(task))
      assert.equal(error.code, 'UNREACHABLE')
      assert.ok(isPassing(error.cause), String(task))
    }
  }
})

test('whatever else answers is named, and what it wants', async (t) => {
  const text = { 'content-type': 'text/plain' }
  const answers: readonly [Answer, RegExp, boolean][] = [
    [{ status: 204 }, stranger, true],
    [{ status: 502, headers: page, body: '<p>bad gateway</p>' }, stranger, true],
    [{ status: 404, headers: text, body: '404 page not found' }, stranger, true],
    [{ status: 400, headers: text, body: 'HTTP request to an HTTPS server' }, stranger, false],
    [{ status: 403, headers: page, body: '<p>no<br>' }, stranger, false],
    [
      { status: 200, headers: { 'content-type': 'application/json' }, body: '{"a":1}' },
      stranger,
      true,
    ],
    [
      {
        status: 301,
        headers: { ...page, location: 'https://store.example/archive?signed=secret' },
      },
      /redirects to https:\/\/store\.example\/archive: give --s3-endpoint/,
      false,
    ],
    [
      { status: 302, headers: { location: '/login' } },
      /redirects to http:\/\/127\.0\.0\.1:\d+\/login: give --s3-endpoint/,
      false,
    ],
  ]
  for (const [answer, message, passes] of answers) {
    const { objects } = await answering(t, answer)
    const error = await errorOf(objects.findBucket(''))
    assert.match(error.message, message)
    assert.equal(isPassing(error.cause), passes, error.message)
  }
})

test('a 404 is that of a store by its code or by its headers', async (t) => {
  const body = '<Error><Code>NoSuchKey</Code><Message>none</Message></Error>'
  const byCode = await answering(t, { status: 404, body })
  assert.equal(await byCode.objects.get('k', 0, 1), undefined)
  assert.equal(await byCode.objects.head('k'), undefined)
  const byHeader = await answering(t, { status: 404, headers: { 'x-amz-request-id': '1' } })
  assert.equal(await byHeader.objects.get('k', 0, 1), undefined)
  assert.equal(await byHeader.objects.head('k'), undefined)
})

test('a body that is the whole object, although a range was asked for, is cut to it', async (t) => {
  const whole = { status: 200, headers: { etag: '"e"' }, body: '0123456789' }
  const { objects } = await answering(t, whole)
  const piece = await objects.get('k', 3, 6)
  assert.equal(piece?.body.toString(), '345')
  assert.equal(piece.bytes, 10)
})

test('a listing that goes on, and says not where, is refused', async (t) => {
  const body = '<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>'
  const { objects } = await answering(t, { status: 200, body })
  const error = await errorOf(objects.listPage(''))
  assert.match(error.message, /ends a listing of bucket archive and does not say where it goes on/)
  const uploads =
    '<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>'
  const listed = await answering(t, { status: 200, body: uploads })
  await assert.rejects(listed.uploads.list('').next(), /does not say where it goes on/)
})
