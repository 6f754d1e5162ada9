import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { deflateSync, gzipSync } from 'node:zlib'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import {
  AnswerTooLarge,
  maxAnswerBytes,
  RequestFailure,
} from '../../src/elasticsearch/client/failure.ts'
import { batchOf, openSink } from '../helpers/elasticsearch-sink.ts'
import { until } from '../helpers/servers.ts'
import { json, standIn } from '../helpers/stand-in-elasticsearch.ts'

/** Answers that do not end, or that are larger than any answer should be. */

const headers = { 'content-type': 'application/json', 'x-elastic-product': 'Elasticsearch' }

/**
 * Begins an answer at once, and goes on with a blank now and then, as some proxies do to keep a
 * connection.
 */
function drip(response: ServerResponse): true {
  response.writeHead(200, headers)
  response.write(' ')
  const timer = setInterval(() => response.write(' '), 50)
  response.on('close', () => clearInterval(timer))
  return true
}

test('an answer that drips ends at the deadline of the request as a whole', async (t) => {
  const server = await standIn(t)
  const client = new Elasticsearch({
    nodes: [server.url],
    compression: false,
    requestTimeoutMs: 400,
  })
  t.after(() => client.close())
  server.intercept = (_, response) => drip(response)
  const late = (error: unknown) =>
    error instanceof RequestFailure && error.message === 'no answer in time'
  await assert.rejects(client.request('GET', []), late)
  await assert.rejects(client.raw('POST', ['_search'], {}), late)
  const { signal } = new AbortController()
  const body = Buffer.from('{"create":{"_index":"i","_id":"1"}}\n{}\n')
  await assert.rejects(client.bulk(body, 1, { timeoutMs: 100, signal }), late)
  await assert.rejects(client.request('GET', [], { timeoutMs: 200, signal }), late)
  await assert.rejects(client.detect(), /no answer in time/)
})

test('a bulk request whose answer drips is logged, and sent again', async (t) => {
  const server = await standIn(t)
  const { write, sink, said } = await openSink(t, {
    nodes: [server.url],
    connection: { requestTimeoutMs: 400 },
  })
  server.trouble(2, (_, response) => drip(response))
  await write(batchOf('topic', ['{"type":"a"}']))
  assert.ok(said('warn').some((message) => message.includes('no answer in time')))
  assert.equal(server.documents.size, 1)
  assert.equal(sink.waiting, undefined)
})

test('an answer that is larger than any should be is not read to its end', async (t) => {
  const server = await standIn(t)
  const client = new Elasticsearch({
    nodes: [server.url],
    compression: false,
    requestTimeoutMs: 30_000,
  })
  t.after(() => client.close())
  let sent = 0
  const chunk = Buffer.alloc(2 ** 20, ' ')
  server.intercept = (_, response) => {
    response.writeHead(200, headers)
    const more = () => {
      while (!response.destroyed && sent < 4 * maxAnswerBytes) {
        sent += chunk.length
        if (!response.write(chunk)) {
          response.once('drain', more)
          return
        }
      }
      response.end()
    }
    more()
    return true
  }
  for (const ask of [
    () => client.request('GET', ['_x']),
    () => client.raw('POST', ['_search'], {}),
  ]) {
    sent = 0
    await assert.rejects(ask(), AnswerTooLarge)
    await until('the connection ended', () => sent < 2 * maxAnswerBytes)
  }
  // One that announces its size beforehand is not read at all.
  server.intercept = (_, response) => {
    response.writeHead(200, { ...headers, 'content-length': maxAnswerBytes + 1 })
    response.write(' ')
    return true
  }
  await assert.rejects(client.request('GET', ['_x']), AnswerTooLarge)
  server.intercept = (_, response) => json(response, 200, { version: { number: '9.5.3' } })
  await client.detect()
})

test('a compressed answer is as large as what it holds, and no larger than any', async (t) => {
  const server = await standIn(t)
  const client = new Elasticsearch({
    nodes: [server.url],
    compression: true,
    requestTimeoutMs: 30_000,
  })
  t.after(() => client.close())
  const zipped = (body: Buffer, encoding: string) => {
    server.intercept = (_, response) => {
      response.writeHead(200, { ...headers, 'content-encoding': encoding }).end(body)
      return true
    }
  }
  const before = process.memoryUsage().rss
  // 64 GiB of it would be 64 MiB.
  const bomb = Buffer.concat(Array<Buffer>(256).fill(gzipSync(Buffer.alloc(2 ** 20, ' '))))
  for (const encoding of ['gzip', 'GZIP']) {
    zipped(bomb, encoding)
    await assert.rejects(client.request('GET', ['_x']), AnswerTooLarge)
    await assert.rejects(client.raw('POST', ['_search'], {}), AnswerTooLarge)
  }
  zipped(deflateSync(Buffer.alloc(maxAnswerBytes + 1, ' ')), 'deflate')
  await assert.rejects(client.request('GET', ['_x']), AnswerTooLarge)
  assert.ok(process.memoryUsage().rss - before < 8 * maxAnswerBytes)
  const good = Buffer.from('{"hits":{"hits":[]}}')
  zipped(gzipSync(good), 'gzip')
  assert.deepEqual((await client.request('GET', ['_x'])).body, JSON.parse(good.toString()))
  assert.deepEqual(await client.raw('POST', ['_search'], {}), good)
  // Cut off, or nothing of the kind.
  for (const body of [gzipSync(good).subarray(0, 20), good]) {
    zipped(body, 'gzip')
    await assert.rejects(client.request('GET', ['_x']), RequestFailure)
    await assert.rejects(client.raw('POST', ['_search'], {}), RequestFailure)
  }
})
