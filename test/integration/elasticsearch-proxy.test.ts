import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ElasticsearchConnection } from '../../src/elasticsearch/connection.ts'
import type { ElasticsearchSinkOptions } from '../../src/elasticsearch/sink/options.ts'
import { startArchiver } from '../helpers/archiver.ts'
import { batchOf, type OpenSink, openSink, someDay } from '../helpers/elasticsearch-sink.ts'
import { type Refusal, type RefusingProxy, refusingProxy } from '../helpers/refusing-proxy.ts'
import {
  createTopic,
  elasticsearch,
  elasticsearchUrl,
  indexPrefix,
  produce,
  uniqueName,
  until,
} from '../helpers/servers.ts'

/** The real engine behind something that does not let every request through. */

interface Place extends OpenSink {
  readonly proxy: RefusingProxy
  readonly prefix: string
  readonly topic: string
}

async function place(
  t: TestContext,
  options: Partial<ElasticsearchSinkOptions> & {
    connection?: Partial<ElasticsearchConnection>
  } = {},
): Promise<Place> {
  const prefix = indexPrefix(t)
  const proxy = await refusingProxy(t, elasticsearchUrl)
  const open = await openSink(t, {
    nodes: [proxy.url],
    connection: { requestTimeoutMs: 30_000 },
    indexPrefix: prefix,
    rejectHoldMs: 1500,
    ...options,
  })
  return { ...open, proxy, prefix, topic: uniqueName('topic') }
}

interface Found {
  readonly _id: string
  readonly _source: Readonly<Record<string, unknown>> & {
    readonly kafka: { readonly offset: number }
    readonly error?: { readonly type: string; readonly reason: string }
  }
}

/** What the indices of a prefix hold, by offset: stored as they are, and rejected. */
async function held(
  prefix: string,
): Promise<{ stored: readonly number[]; rejects: readonly Found[] }> {
  await elasticsearch('POST', `/${prefix}*/_refresh?ignore_unavailable=true`)
  const search = async (pattern: string) => {
    const { hits } = await elasticsearch<{ hits: { hits: readonly Found[] } }>(
      'GET',
      `/${pattern}/_search?size=10000&ignore_unavailable=true`,
    )
    return [...hits.hits].sort((a, b) => a._source.kafka.offset - b._source.kafka.offset)
  }
  const rejects = await search(`${prefix}_rejected-*`)
  const stored = (await search(`${prefix}*,-${prefix}_rejected-*`)).map(
    ({ _source }) => _source.kafka.offset,
  )
  return { stored, rejects }
}

const marked = (body: Buffer) => body.includes('"attack":"<script')
const values = (
  count: number,
  offending: readonly number[],
  value = '{"type":"a","attack":"<script>"}',
) =>
  Array.from({ length: count }, (_, i) => (offending.includes(i) ? value : `{"type":"a","n":${i}}`))
const offsetsBut = (count: number, missing: readonly number[]) =>
  Array.from({ length: count }, (_, i) => i).filter((i) => !missing.includes(i))

describe('documents that something in front of Elasticsearch refuses', { concurrency: 4 }, () => {
  const refusals: Readonly<Record<string, Refusal>> = {
    'by a reset of the connection': 'reset',
    'with status 400': { status: 400 },
    'with status 403': { status: 403 },
    'with status 406': { status: 406 },
    'with status 501': { status: 501 },
    'with status 502': { status: 502 },
    'with a page and status 200': { status: 200 },
  }
  for (const [name, refusal] of Object.entries(refusals)) {
    test(`${name}, for their content`, async (t) => {
      const { write, sink, proxy, prefix, topic, log, counts } = await place(t)
      proxy.refusal = refusal
      proxy.refuses = marked
      const offending = [0, 123, 124, 499]
      await write(batchOf(topic, values(500, offending)))
      const { stored, rejects } = await held(prefix)
      assert.deepEqual(stored, offsetsBut(500, offending))
      assert.deepEqual(
        rejects.map(({ _source: { kafka, value_omitted, value_text, error } }) => ({
          offset: kafka.offset,
          value_omitted,
          value_text,
          type: error?.type,
        })),
        offending.map((offset) => ({
          offset,
          value_omitted: true,
          value_text: undefined,
          type: 'request_refused',
        })),
      )
      assert.equal(sink.waiting, undefined)
      assert.equal(counts.rejected, 4)
      const named = log.filter(
        ({ level, offset, msg }) => level === 'error' && offset !== undefined && msg !== '',
      )
      assert.deepEqual(
        named.map(({ topic, partition, offset, type, index }) => ({
          topic,
          partition,
          offset,
          type,
          index,
        })),
        offending.map((offset) => ({
          topic,
          partition: 0,
          offset,
          type: 'a',
          index: `${prefix}a-${someDay}`,
        })),
      )
      // Each is found by halving, tried a few times alone, and the client tries a lost connection
      // twice.
      assert.ok(proxy.refused < 150, `${proxy.refused} requests refused`)
    })
  }

  test('for the size of their requests: 4,000 small ones pass and one of 1.5 MB does not, as the limit is 1 MB', async (t) => {
    const { write, proxy, prefix, topic, log } = await place(t)
    proxy.refuses = (body) => body.length > 1_000_000
    const big = `{"type":"a","big":"${'z '.repeat(750_000)}"}`
    await write(
      batchOf(topic, [...values(4000, []).map((one) => one.padEnd(500)), big, ...values(10, [])]),
    )
    const { stored, rejects } = await held(prefix)
    assert.deepEqual(stored, offsetsBut(4011, [4000]))
    assert.deepEqual(
      rejects.map(({ _source }) => [_source.kafka.offset, _source.value_omitted]),
      [[4000, true]],
    )
    const [named] = log.filter(({ offset, level }) => level === 'error' && offset === 4000)
    assert.ok(Number(named?.bytes) > 1_500_000, JSON.stringify(named))
  })

  test('by never answering: only while other documents of the index are stored', async (t) => {
    const connection = { requestTimeoutMs: 1000 }
    const { write, sink, proxy, prefix, topic } = await place(t, { rejectHoldMs: 0, connection })
    proxy.refusal = 'stall'
    proxy.refuses = marked
    const written = write(batchOf(topic, values(20, [7])))
    await until('the document is named', () => sink.waiting?.includes('offset 7') === true)
    // It may be a shard that does not answer, so nothing is blamed yet.
    const { refused } = proxy
    await until('four more tries', () => proxy.refused >= refused + 4)
    assert.deepEqual((await held(prefix)).rejects, [])
    let next = 0
    const others = setInterval(() => {
      void write(batchOf(topic, ['{"type":"a"}'], { partition: 1, from: next++ }))
    }, 200)
    await written
    clearInterval(others)
    const { rejects } = await held(prefix)
    assert.deepEqual(
      rejects.map(({ _source }) => _source.kafka.offset),
      [7],
    )
  })

  test('are named while they wait, and others pass meanwhile', async (t) => {
    const { write, sink, proxy, prefix, topic } = await place(t, { rejectHoldMs: 600_000 })
    proxy.refuses = marked
    const written = write(batchOf(topic, values(200, [77]), { from: 1000 }))
    await until('the document is named', () => sink.waiting?.includes('offset 1077') === true)
    assert.match(
      sink.waiting!,
      new RegExp(
        `^offset 1077 of ${topic}/0 \\(\\d+ bytes, type a, for ${prefix}a-${someDay}\\) does not get through`,
      ),
    )
    await write(batchOf(topic, values(3000, []), { partition: 1 }))
    assert.match(sink.waiting!, /offset 1077/)
    // Mended: it is stored as it is.
    proxy.refuses = () => false
    await written
    const { stored, rejects } = await held(prefix)
    assert.equal(stored.length, 3200)
    assert.deepEqual(rejects, [])
    assert.equal(sink.waiting, undefined)
  })

  test('whose rejects are refused as well: named, waited for without a storm, stored once they pass', async (t) => {
    const { write, sink, proxy, prefix, topic, log } = await place(t, { rejectHoldMs: 0 })
    // A rule about the offset, which what is kept of a document has as well.
    proxy.refuses = (body) => body.includes('"offset":42,')
    const written = write(batchOf(topic, values(100, [])))
    await until(
      'the reject was refused',
      () => sink.waiting?.includes('nor does its reject') === true,
      60_000,
    )
    const { refused } = proxy
    await delay(3000)
    assert.ok(proxy.refused - refused <= 8, `${proxy.refused - refused} refused in three seconds`)
    await write(batchOf(topic, values(100, []), { from: 100 }))
    assert.ok(log.some(({ level, event }) => level === 'error' && event === 'reject_stuck'))
    assert.equal((await held(prefix)).stored.length, 199)
    proxy.refuses = () => false
    await written
    const { stored, rejects } = await held(prefix)
    assert.equal(stored.length + rejects.length, 200)
  })
})

describe('an Elasticsearch that is away', { concurrency: 4 }, () => {
  const ways: Readonly<Record<string, (body: Buffer, path: string) => boolean>> = {
    'for every request': () => true,
    'for bulk requests alone': (_, path) => path.startsWith('/_bulk'),
  }
  for (const [name, refuses] of Object.entries(ways)) {
    for (const refusal of ['reset', { status: 403 }] as const) {
      const how = refusal === 'reset' ? 'reset' : 'refused with a page'
      test(`${name}, ${how}: no document is to blame, and no storm begins`, async (t) => {
        const { write, sink, proxy, prefix, topic, said } = await place(t, { rejectHoldMs: 0 })
        proxy.refusal = refusal
        proxy.refuses = refuses
        const written = write(batchOf(topic, values(1000, [])))
        await until('the sink says why it waits', () => sink.waiting !== undefined)
        await delay(4000)
        // Two tries of each request and of the one that is known to be good, at growing intervals.
        assert.ok(proxy.refused < 40, `${proxy.refused} requests in four seconds`)
        assert.doesNotMatch(sink.waiting ?? '', /offset/)
        proxy.refuses = () => false
        await written
        const { stored, rejects } = await held(prefix)
        assert.equal(stored.length, 1000)
        assert.deepEqual(rejects, [])
        assert.ok(!said('error').some((message) => message.startsWith('document_stuck:')))
      })
    }
  }

  test('while a document is looked for: the search goes on where it was, and blames no other', async (t) => {
    const { write, sink, proxy, prefix, topic } = await place(t, { rejectHoldMs: 1000 })
    let away = false
    proxy.refuses = (body) => away || marked(body)
    const written = write(batchOf(topic, values(400, [111])))
    const flicker = setInterval(() => {
      away = !away
    }, 700)
    await until(
      'the document is named',
      () => sink.waiting?.includes('offset 111') === true,
      60_000,
    )
    await delay(2000)
    clearInterval(flicker)
    away = false
    await written
    const { stored, rejects } = await held(prefix)
    assert.deepEqual(stored, offsetsBut(400, [111]))
    assert.deepEqual(
      rejects.map(({ _source }) => _source.kafka.offset),
      [111],
    )
  })

  test('while a document is looked for, so requests get smaller: what has no room in them is sent, though nothing else is', async (t) => {
    const { write, proxy, prefix, topic } = await place(t, {
      rejectHoldMs: 0,
      bulkBytes: 400_000,
    })
    proxy.refusal = { status: 403 }
    let away = false
    let shrinks = false
    proxy.refuses = (body, path) => {
      // All records are in the search by then: this is its first half.
      if (path.startsWith('/_bulk') && marked(body) && proxy.refused === 3 && !shrinks) {
        shrinks = true
        away = true
      }
      return away || marked(body)
    }
    const written = write(
      batchOf(
        topic,
        values(400, [111]).map((value) => value.padEnd(600)),
      ),
    )
    await until('requests have become small', () => proxy.refused >= 10, 60_000)
    away = false
    await written
    const { stored, rejects } = await held(prefix)
    assert.deepEqual(stored, offsetsBut(400, [111]))
    assert.equal(rejects.length, 1)
  })
})

test('a worker behind such a proxy: /readyz names the document, then it is a reject and all is archived', async (t) => {
  const proxy = await refusingProxy(t, elasticsearchUrl)
  const prefix = indexPrefix(t)
  const topic = await createTopic(t)
  await produce(
    t,
    topic,
    values(30, [12]).map((value) => ({ value })),
  )
  proxy.refuses = marked
  const worker = startArchiver(t, [
    ...[
      'run',
      '--topics',
      topic,
      '--group',
      uniqueName('group'),
      '--no-files',
      '--no-status-documents',
    ],
    ...[
      '--elasticsearch',
      proxy.url,
      '--index-prefix',
      prefix,
      '--reject-hold',
      '0.1',
      '--http',
      '127.0.0.1:0',
    ],
  ])
  let address = ''
  await until('the endpoint', () => {
    address = /"address":"(http:[^"]+)"/.exec(worker.output())?.[1] ?? ''
    return address !== ''
  })
  await until('/readyz names the document', async () => {
    const answer = await fetch(new URL('/readyz', address))
    return answer.status === 503 && (await answer.text()).includes(`offset 12 of ${topic}/0`)
  })
  await until('it is a reject', async () => (await held(prefix)).rejects.length === 1, 60_000)
  await until(
    '/readyz is well',
    async () => (await fetch(new URL('/readyz', address))).status === 200,
  )
  assert.equal((await held(prefix)).stored.length, 29)
})
