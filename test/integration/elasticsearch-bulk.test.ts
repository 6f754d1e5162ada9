import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { batchOf, openSink, someDay } from '../helpers/elasticsearch-sink.ts'
import { until } from '../helpers/servers.ts'
import {
  errorBody,
  json,
  operationsOf,
  send,
  standIn,
  type Trouble,
} from '../helpers/stand-in-elasticsearch.ts'

/**
 * What a request meets on its way, and what must come of it: every document there once, nothing
 * rejected.
 */
const troubles: Readonly<Record<string, Trouble>> = {
  '429 for the whole request': (_, response) =>
    json(
      response,
      429,
      errorBody(
        429,
        'es_rejected_execution_exception',
        'rejected execution of coordinating operation',
      ),
    ),
  '503 for the whole request': (_, response) =>
    json(response, 503, errorBody(503, 'unavailable', 'no master')),
  '502 of a proxy': (_, response) => send(response, 502, 'text/html', '<html>Bad Gateway</html>'),
  '401: credentials that are changed in the meantime': (_, response) =>
    json(
      response,
      401,
      errorBody(401, 'security_exception', 'unable to authenticate user [archiver]'),
    ),
  'a page of a proxy with status 200': (_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' })
    response.end('<html>Please sign in</html>')
    return true
  },
  'a page with status 200 that says it is Elasticsearch': (_, response) =>
    send(response, 200, 'text/html', '<html>'),
  'JSON that is no answer to a bulk request': (_, response) => json(response, 200, { took: 1 }),
  'an answer that is cut off': (_, response) =>
    send(response, 200, 'application/json', '{"errors":false,"items":[{"create":{"status":2'),
  'an answer with errors that is cut off': (_, response) =>
    send(response, 200, 'application/json', '{"errors":true,"items":[{"create":{"status":2'),
  'fewer bytes than announced': (_, response) => {
    response.writeHead(200, {
      'content-type': 'application/json',
      'x-elastic-product': 'Elasticsearch',
      'content-length': '1000',
    })
    response.write('{"errors":false,"items":[')
    response.destroy()
    return true
  },
  'a connection that breaks before the answer': (_, response) => {
    response.destroy()
    return true
  },
  'one item too few': (_, response) =>
    json(response, 200, {
      errors: true,
      items: [{ create: { status: 201 } }, { create: { status: 201 } }],
    }),
  'one item too few, and no errors': (_, response) =>
    json(response, 200, { errors: false, items: [{ create: { status: 201 } }] }),
  'an item without a status': ({ body }, response) =>
    json(response, 200, { errors: true, items: operationsOf(body).map(() => ({ create: {} })) }),
  'items that are put off, each of them': ({ body }, response) =>
    json(response, 200, {
      errors: true,
      items: operationsOf(body).map(() => ({
        create: {
          status: 429,
          error: { type: 'es_rejected_execution_exception', reason: 'queue full' },
        },
      })),
    }),
}

describe('sent again until it is stored', { concurrency: true }, () => {
  for (const [name, trouble] of Object.entries(troubles)) {
    test(name, async (t) => {
      const server = await standIn(t)
      const { write, sink, said, counts } = await openSink(t, { nodes: [server.url] })
      server.trouble(2, trouble)
      const values = Array.from({ length: 3 }, (_, i) => `{"type":"a","n":${i}}`)
      await write(batchOf('topic', values))
      assert.deepEqual(
        [...server.documents.keys()],
        values.map((_, i) => `archive-a-${someDay}/topic+0+${i}`),
      )
      assert.equal(counts.rejected, 0)
      assert.ok(counts.retries >= 1)
      assert.equal(sink.waiting, undefined)
      assert.ok(said('info').some((message) => message.startsWith('sink_recovered:')))
      const complaints = [...said('warn'), ...said('error')]
      assert.ok(complaints.length >= 1 && complaints.length <= 2, complaints.join('\n'))
    })
  }
})

test('an answer that comes too late is not the end: what was stored answers 409 and is recognised', async (t) => {
  const server = await standIn(t)
  const { write, counts, sumOf } = await openSink(t, {
    nodes: [server.url],
    connection: { requestTimeoutMs: 300 },
  })
  server.trouble(1, async ({ body }, response) => {
    for (const { index, id, source } of operationsOf(body))
      server.documents.set(`${index}/${id}`, source)
    await delay(600)
    return json(response, 200, { errors: false, items: [] })
  })
  await write(batchOf('topic', ['{"type":"a"}', '{"type":"b"}']))
  assert.equal(server.documents.size, 2)
  assert.equal(sumOf('records_present'), 2)
  assert.equal(counts.rejected, 0)
})

test('another record under the same id is a reject that says so', async (t) => {
  const server = await standIn(t)
  server.documents.set(`archive-a-${someDay}/topic+0+0`, '{"kafka":{"timestamp":5},"value":1}')
  const { write, sink, said, counts } = await openSink(t, { nodes: [server.url] })
  const batch = batchOf('topic', ['{"type":"a","n":1}', '{"type":"a","n":2}'])
  await write(batch)
  const reject = JSON.parse(
    server.documents.get(`archive-_rejected-${someDay}/topic+0+0`)!,
  ) as Record<string, unknown>
  assert.deepEqual((reject.error as { type: string }).type, 'id_collision')
  assert.equal(reject.value_text, '{"type":"a","n":1}')
  assert.equal(counts.rejected, 1)
  assert.equal(
    server.documents.get(`archive-a-${someDay}/topic+0+0`),
    '{"kafka":{"timestamp":5},"value":1}',
  )
  assert.equal(
    said('warn').filter((message) => message.includes('another record under this id')).length,
    1,
  )

  // A replay finds its own reject and adds none.
  await sink.open(batch)
  await sink.write(batch)
  assert.equal(server.documents.size, 3)

  // A third record of the same id is not taken for the second.
  await write(batchOf('topic', ['{"type":"a","n":3}'], { timestamp: 1_564_629_783_001 }))
  assert.equal(server.documents.size, 4)
  const third = server.documents.get(`archive-_rejected-${someDay}/topic+0+0+1564629783001`)
  assert.match(third!, /"value_text":"{\\"type\\":\\"a\\",\\"n\\":3}"/)
})

test('413: halves down to one document, remembers the limit, keeps what is too large as a reject', async (t) => {
  const server = await standIn(t)
  const limit = 20_000
  let refused = 0
  server.intercept = ({ path, bytes }, response) => {
    if (path !== '/_bulk' || bytes <= limit) return false
    refused++
    return send(response, 413, 'text/plain', '')
  }
  const { write, counts, events } = await openSink(t, { nodes: [server.url] })
  const huge = `{"type":"huge","text":"${'x'.repeat(30_000)}"}`
  const values = Array.from({ length: 200 }, (_, i) =>
    i === 77 ? huge : `{"type":"a","text":"${'y'.repeat(500)}"}`,
  )
  await write(batchOf('topic', values))
  assert.equal(server.documents.size, 200)
  const reject = JSON.parse(
    server.documents.get(`archive-_rejected-${someDay}/topic+0+77`)!,
  ) as Record<string, unknown>
  assert.equal((reject.error as { type: string }).type, 'request_too_large')
  assert.equal(reject.value_omitted, true)
  assert.equal(counts.rejected, 1)
  const learnt = refused
  await write(batchOf('topic', values.with(77, values[0]!), { from: 200 }))
  assert.equal(refused, learnt, 'the limit was forgotten')
  assert.equal(events('request_too_large').length, 1)
})

test('a value that is omitted where there are no files is an error that names the record', async (t) => {
  for (const hasFiles of [false, true]) {
    const server = await standIn(t)
    server.intercept = ({ path, bytes }, response) =>
      path === '/_bulk' && bytes > 20_000 && send(response, 413, 'text/plain', '')
    const { write, log } = await openSink(t, { nodes: [server.url], hasFiles })
    await write(
      batchOf('topic', ['{"type":"a"}', `{"type":"a","text":"${'x'.repeat(30_000)}"}`], {
        from: 7,
      }),
    )
    const errors = log.filter(({ level }) => level === 'error')
    assert.deepEqual(
      errors.map(({ topic, partition, offset }) => [topic, partition, offset]),
      hasFiles ? [] : [['topic', 0, 8]],
    )
    if (!hasFiles)
      assert.deepEqual([errors[0]?.event, errors[0]?.sink], ['value_omitted', 'elasticsearch'])
  }
})

test('a document that breaks its whole request is found and rejected alone', async (t) => {
  const server = await standIn(t)
  server.intercept = ({ path, body }, response) =>
    path === '/_bulk' && body.includes('"poison":1')
      ? json(response, 400, errorBody(400, 'illegal_argument_exception', 'Malformed content'))
      : false
  const { write, counts } = await openSink(t, { nodes: [server.url] })
  await write(
    batchOf(
      'topic',
      Array.from({ length: 100 }, (_, i) => `{"type":"a","${i === 31 ? 'poison' : 'n'}":1}`),
    ),
  )
  assert.equal(counts.rejected, 1)
  assert.ok(server.documents.has(`archive-_rejected-${someDay}/topic+0+31`))
  assert.equal(server.documents.size, 100)
})

/**
 * Whole requests that are refused whatever is in them: a setting of the server, or what a proxy
 * makes of them.
 */
const refusedWhatever: Readonly<Record<string, Trouble>> = {
  'a server that takes no index names in a bulk request': (_, response) =>
    json(
      response,
      400,
      errorBody(400, 'illegal_argument_exception', 'explicit index in bulk is not allowed'),
    ),
  'a proxy that takes nothing at all': (_, response) => send(response, 413, 'text/plain', ''),
}

for (const [name, trouble] of Object.entries(refusedWhatever)) {
  test(`${name} is waited for: no document is to blame`, async (t) => {
    const server = await standIn(t)
    server.intercept = (request, response) =>
      request.path === '/_bulk' && trouble(request, response)
    const { write, sink, said, counts } = await openSink(t, {
      nodes: [server.url],
      bulkBytes: 20_000,
    })
    const values = Array.from(
      { length: 500 },
      (_, i) => `{"type":"a","n":${i},"text":"${'y'.repeat(200)}"}`,
    )
    const written = write(batchOf('topic', values))
    await until('the sink says why it waits', () => sink.waiting !== undefined)
    assert.ok(said('error').some((message) => message.startsWith('sink_waiting:')))
    const requests = server.bulks().length
    assert.ok(requests < 100, `${requests} requests before it noticed`)
    await until('tries that are refused as well', () => server.bulks().length > requests + 20)
    server.intercept = undefined
    await written
    assert.equal(counts.rejected, 0)
    assert.deepEqual(
      [...server.documents.keys()].filter((key) => key.includes('_rejected')),
      [],
    )
    assert.equal(server.documents.size, 500)
    assert.equal(sink.waiting, undefined)
    // Bodies become as large as they were: nothing was learnt of them.
    server.requests.length = 0
    for (let i = 1; i < 10; i++) await write(batchOf('topic', values, { from: i * 500 }))
    assert.ok(server.bulks().some(({ bytes }) => bytes > 15_000))
  })
}

test('a document that breaks its request is a reject where it is the only one, too', async (t) => {
  const server = await standIn(t)
  server.intercept = ({ path, body }, response) =>
    path === '/_bulk' && body.includes('"poison":1')
      ? json(response, 400, errorBody(400, 'illegal_argument_exception', 'Malformed content'))
      : false
  const { write, said, counts } = await openSink(t, { nodes: [server.url] })
  await write(batchOf('topic', ['{"type":"a","poison":1}']))
  const reject = server.documents.get(`archive-_rejected-${someDay}/topic+0+0`)!
  assert.equal((JSON.parse(reject) as { value_text: string }).value_text, '{"type":"a","poison":1}')
  assert.equal(counts.rejected, 1)
  assert.equal(said('warn').length, 1)
  assert.deepEqual(said('error'), [])
})

test('an unrecognized error to everything: rejects wait for their index and keep their text', async (t) => {
  const server = await standIn(t)
  const unheardOf = { status: 400, error: { type: 'x_new_exception', reason: 'never seen' } }
  server.intercept = ({ path, body }, response) =>
    path === '/_bulk' &&
    json(response, 200, {
      errors: true,
      items: operationsOf(body).map(() => ({ create: unheardOf })),
    })
  const { write, sink } = await openSink(t, { nodes: [server.url], rejectHoldMs: 200 })
  const written = write(batchOf('topic', ['{"type":"a","n":1}', '{"type":"a","n":2}']))
  await until('the rejected index is held', () => sink.waiting?.includes('_rejected-') === true)
  const requests = server.bulks().length
  await delay(1500)
  assert.ok(server.bulks().length - requests <= 4, 'it must not spin')
  server.intercept = undefined
  await written
  for (const n of [1, 2]) {
    const reject = server.documents.get(`archive-_rejected-${someDay}/topic+0+${n - 1}`)!
    assert.equal((JSON.parse(reject) as { value_text: string }).value_text, `{"type":"a","n":${n}}`)
  }
})

test('what an ingest pipeline drops is not taken for stored: it is kept as a reject, past all pipelines', async (t) => {
  const server = await standIn(t)
  // The minimal distribution has no processors; a `create` of a dropped document answers 200 and
  // "noop".
  server.trouble(1, ({ body }, response) => {
    const operations = operationsOf(body)
    const dropped = ({ source }: { source: string }) => source.includes('"debug":true')
    for (const one of operations)
      if (!dropped(one)) server.documents.set(`${one.index}/${one.id}`, one.source)
    const items = operations.map((one) => ({ create: { status: dropped(one) ? 200 : 201 } }))
    return json(response, 200, { errors: false, items })
  })
  const { write, said, counts } = await openSink(t, { nodes: [server.url] })
  const values = Array.from({ length: 10 }, (_, i) => `{"type":"a","debug":${i === 3 || i === 5}}`)
  await write(batchOf('topic', values))
  assert.equal(server.documents.size, 10)
  const kept = [...server.documents.keys()].filter((key) => !key.includes('_rejected'))
  assert.equal(kept.length, 8)
  assert.equal(counts.rejected, 2)
  const reject = JSON.parse(
    server.documents.get(`archive-_rejected-${someDay}/topic+0+3`)!,
  ) as Record<string, unknown>
  assert.deepEqual(reject.error, {
    type: 'dropped_by_pipeline',
    reason: 'an ingest pipeline of the index dropped the document',
  })
  assert.equal(reject.value_text, values[3])
  assert.equal(said('warn').length, 1, 'said once')
  const actions = server.bulks().map(({ body }) => body.split('\n')[0]!)
  assert.doesNotMatch(actions[0]!, /pipeline/)
  assert.match(actions.at(-1)!, /^\{"create":\{"pipeline":"_none","_index":"archive-_rejected-/)
})

test('a bulk request asks only for what is needed to judge its answer', async (t) => {
  const server = await standIn(t)
  const { write } = await openSink(t, { nodes: [server.url], shardTimeoutMs: 3000 })
  await write(batchOf('topic', ['{"type":"a"}']))
  const [{ query }] = server.bulks() as [(typeof server.requests)[number]]
  assert.equal(
    query.get('filter_path'),
    'errors,items.*.error,items.*.status,items.*.failure_store',
  )
  assert.equal(query.get('timeout'), '3000ms')
})

test('fewer requests and smaller ones come back to a server that says 429, and nothing comes while it waits', async (t) => {
  const server = await standIn(t)
  const times: number[] = []
  let busy = false
  server.intercept = async ({ path }, response) => {
    if (path !== '/_bulk') return false
    times.push(performance.now())
    // As long as this, so that requests meet each other.
    await delay(20)
    return (
      busy && json(response, 429, errorBody(429, 'es_rejected_execution_exception', 'too much'))
    )
  }
  const { write, counts } = await openSink(t, {
    nodes: [server.url],
    bulkBytes: 100_000,
    bulkConcurrency: 8,
  })
  const values = Array.from({ length: 4000 }, () => `{"type":"a","text":"${'y'.repeat(200)}"}`)
  await write(batchOf('topic', values))
  busy = true
  server.requests.length = 0
  const written = write(batchOf('topic', values, { from: 4000 }))
  await until('the first ones came back', () => counts.retries > 0)
  const mostBefore = server.mostAtOnce
  server.mostAtOnce = 0
  await until('tries after those that were in flight', () => server.bulks().length >= 6)
  assert.ok(server.mostAtOnce < mostBefore, `${server.mostAtOnce} at once after ${mostBefore}`)
  const [last, before] = [server.bulks().at(-1)!, server.bulks()[0]!]
  assert.ok(last.bytes < before.bytes, `${last.bytes} after ${before.bytes}`)
  const [later, latest] = times.slice(-2) as [number, number]
  assert.ok(latest - later > 200, `${latest - later} ms apart`)
  busy = false
  await written
  assert.equal(server.documents.size, 8000)
})

test('a partition that is given up leaves nothing behind: no memory, no requests, no acknowledgement', async (t) => {
  const server = await standIn(t)
  const { sink } = await openSink(t, { nodes: [server.url], bulkBytes: 10_000 })
  server.intercept = ({ path }, response) =>
    path === '/_bulk' && json(response, 503, errorBody(503, 'unavailable', 'away'))
  const [given, kept] = [
    { topic: 'given', partition: 0 },
    { topic: 'kept', partition: 0 },
  ]
  await sink.open(given)
  await sink.open(kept)
  let acknowledged = false
  const values = Array.from({ length: 1000 }, () => `{"type":"a","text":"${'y'.repeat(200)}"}`)
  void sink.write(batchOf('given', values)).then(() => {
    acknowledged = true
  })
  const flushed = sink.flush([given])
  const written = sink.write(batchOf('kept', ['{"type":"a"}']))
  await until('a try', () => server.bulks().length > 1)
  await sink.close(given)
  await flushed
  assert.equal(sink.pressure(given), 0)
  assert.ok(sink.heldBytes < 500)
  server.intercept = undefined
  await written
  await sink.flush([kept])
  assert.equal(acknowledged, false)
  assert.ok([...server.documents.keys()].filter((key) => key.includes('/given+')).length < 200)
})

test('stop() ends requests in flight and retries, and settles', async (t) => {
  const server = await standIn(t)
  const { sink, write } = await openSink(t, { nodes: [server.url], bulkBytes: 1000 })
  server.intercept = ({ path }) => (path === '/_bulk' ? new Promise<boolean>(() => {}) : false)
  let settled = false
  void write(
    batchOf(
      'topic',
      Array.from({ length: 100 }, () => `{"type":"a","text":"${'y'.repeat(200)}"}`),
    ),
  ).then(() => {
    settled = true
  })
  await until('requests in flight', () => server.bulks().length >= 2)
  const startedAt = performance.now()
  await sink.stop()
  assert.ok(performance.now() - startedAt < 1000)
  assert.equal(settled, false)
})

test('thousands of requests leave no listener on the signal that they share', async (t) => {
  const server = await standIn(t)
  const client = new Elasticsearch({
    nodes: [server.url],
    compression: false,
    requestTimeoutMs: 10_000,
  })
  t.after(() => client.close())
  await client.detect()
  const { signal } = new AbortController()
  for (let i = 0; i < 50; i++) {
    const body = Buffer.from(`{"create":{"_index":"i","_id":"${i}"}}\n{}\n`)
    assert.equal(await client.bulk(body, 1, { timeoutMs: 1000, signal }), undefined)
  }
  assert.ok(getEventListeners(signal, 'abort').length <= 1)
})

test('a large request that fails does not hold the process up: heartbeats have to go on', async (t) => {
  const server = await standIn(t)
  const clientOf = async (requestTimeoutMs: number) => {
    const client = new Elasticsearch({ nodes: [server.url], compression: false, requestTimeoutMs })
    t.after(() => client.close())
    await client.detect()
    return client
  }
  const [impatient, patient] = [await clientOf(1000), await clientOf(30_000)]
  const troubles: readonly (readonly [Elasticsearch, Trouble, RegExp])[] = [
    [impatient, () => new Promise<boolean>(() => {}), /no answer in time/],
    [
      patient,
      (_, response) =>
        json(response, 429, errorBody(429, 'es_rejected_execution_exception', 'full')),
      /\(429\): full/,
    ],
    [
      patient,
      (_, response) => !response.destroy().writable,
      /other side closed|socket hang up|ECONNRESET/,
    ],
  ]
  const body = Buffer.alloc(5e6, '{"create":{"_index":"i","_id":"1"}}\n{}\n')
  const loop = monitorEventLoopDelay()
  loop.enable()
  for (const [client, trouble, message] of troubles) {
    server.intercept = (request, response) =>
      request.path === '/_bulk' ? trouble(request, response) : false
    await assert.rejects(
      client.bulk(body, 1, { timeoutMs: 1000, signal: new AbortController().signal }),
      message,
    )
  }
  loop.disable()
  // Without any failure it is some 100 ms; if the client copies the request into its error, half
  // a minute.
  assert.ok(loop.max < 5e9, `the event loop stood still for ${Math.round(loop.max / 1e6)} ms`)
})

test('of two nodes one is dead: it starts, and every document is stored', async (t) => {
  const [server, dead] = [await standIn(t), await standIn(t)]
  await dead.stop()
  const { write, counts } = await openSink(t, { nodes: [dead.url, server.url], bulkBytes: 2000 })
  await write(
    batchOf(
      'topic',
      Array.from({ length: 100 }, (_, i) => `{"type":"a","n":${i}}`),
    ),
  )
  assert.equal(server.documents.size, 100)
  assert.equal(counts.retries, 0)
})

test('a node that dies while documents flow is survived', async (t) => {
  const [first, second] = [await standIn(t), await standIn(t)]
  const { write } = await openSink(t, { nodes: [first.url, second.url], bulkBytes: 2000 })
  const values = Array.from({ length: 200 }, (_, i) => `{"type":"a","n":${i}}`)
  await write(batchOf('topic', values))
  assert.ok(first.bulks().length > 0 && second.bulks().length > 0, 'both nodes get requests')
  const written = write(batchOf('topic', values, { from: 200 }))
  await first.stop()
  await written
  const all = new Set([...first.documents.keys(), ...second.documents.keys()])
  assert.equal(all.size, 400)
})

test('requests are compressed where that is asked for, and connections are kept', async (t) => {
  const server = await standIn(t)
  const sockets = new Set<string>()
  server.intercept = ({ headers }) => {
    assert.equal(headers.connection, 'keep-alive')
    sockets.add(String(headers.host))
    return false
  }
  const { write } = await openSink(t, { nodes: [server.url], connection: { compression: true } })
  await write(
    batchOf(
      'topic',
      Array.from({ length: 500 }, () => `{"type":"a","text":"${'y'.repeat(200)}"}`),
    ),
  )
  const [bulk] = server.bulks()
  assert.equal(bulk!.headers['content-encoding'], 'gzip')
  assert.ok(bulk!.bytes < 20_000)
  assert.equal(server.documents.size, 500)
})

test('an answer that takes much longer than usual lowers the number of requests in flight', async (t) => {
  const server = await standIn(t)
  let pace = 2
  server.intercept = async ({ path }) => {
    if (path === '/_bulk') await delay(pace)
    return false
  }
  const { write } = await openSink(t, { nodes: [server.url], bulkBytes: 1000, bulkConcurrency: 2 })
  const values = Array.from({ length: 100 }, () => `{"type":"a","text":"${'y'.repeat(200)}"}`)
  await write(batchOf('topic', values))
  assert.equal(server.mostAtOnce, 2)
  pace = 1200
  const slow = write(batchOf('topic', values.slice(0, 12), { from: 100 }))
  await slow
  server.mostAtOnce = 0
  pace = 2
  await write(batchOf('topic', values.slice(0, 20), { from: 200 }))
  assert.equal(server.mostAtOnce, 1)
})

test('an API key and headers of the user go with every request', async (t) => {
  const server = await standIn(t)
  const headers = { 'x-proxy-key': 'let me in' }
  const { write } = await openSink(t, {
    nodes: [server.url],
    connection: { apiKey: 'a2V5', headers },
  })
  await write(batchOf('topic', ['{"type":"a"}']))
  assert.ok(server.requests.length >= 2)
  for (const { headers } of server.requests) {
    assert.equal(headers.authorization, 'ApiKey a2V5')
    assert.equal(headers['x-proxy-key'], 'let me in')
    assert.match(headers.accept!, /compatible-with=[89]/)
  }
})

test('what is no Elasticsearch, and one that is too old, end the start with what is wrong', async (t) => {
  const server = await standIn(t)
  const client = new Elasticsearch({
    nodes: [server.url],
    compression: false,
    requestTimeoutMs: 1000,
  })
  t.after(() => client.close())
  server.intercept = ({ path }, response) =>
    path === '/' && json(response, 200, { version: { number: '7.17.29' } })
  await assert.rejects(client.detect(), {
    code: 'UNREACHABLE',
    message: `Elasticsearch at ${server.url} is 7.17.29; 8 and 9 are supported`,
  })
  server.intercept = (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end('{"version":{"number":"2.19.0","distribution":"other"}}')
    return true
  }
  await assert.rejects(client.detect(), {
    code: 'UNREACHABLE',
    message:
      /^Elasticsearch at http:\/\/127.* what answers is not Elasticsearch \(no header X-Elastic-Product\)/,
  })
})

test('a cloud id names the place instead of nodes', async (t) => {
  const cloudId = `name:${Buffer.from('localhost:1$elasticsearch-of-a-test$').toString('base64')}`
  const client = new Elasticsearch({
    nodes: [],
    cloudId,
    apiKey: 'a2V5',
    compression: false,
    requestTimeoutMs: 1000,
  })
  t.after(() => client.close())
  await assert.rejects(client.detect(), /^ArchiverError: Elasticsearch at the cloud id given: /)
})
