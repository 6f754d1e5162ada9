import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { errors, SniffingTransport } from '@elastic/elasticsearch'
import fc from 'fast-check'
import { Elasticsearch } from '../../../src/elasticsearch/client/client.ts'
import { RequestFailure } from '../../../src/elasticsearch/client/failure.ts'
import { oldIndices } from '../../../src/elasticsearch/prune.ts'
import { hitsIn, parseDocuments, sameUntil } from '../../../src/elasticsearch/read/raw-answer.ts'
import { DocumentReader } from '../../../src/elasticsearch/read/reader.ts'
import { readTypeFacts } from '../../../src/elasticsearch/read/type-facts.ts'
import { ValueReader } from '../../../src/elasticsearch/read/value-reader.ts'
import {
  type BulkItem,
  isUnrecognized,
  judgeItem,
  judgeRequest,
  kindOf,
  rejectionOf,
  sayableOf,
} from '../../../src/elasticsearch/sink/answer.ts'
import { mendMixedNumbers } from '../../../src/elasticsearch/sink/mixed-numbers.ts'
import { compareTemplates } from '../../../src/elasticsearch/templates/compare.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { createLogger } from '../../../src/runtime/log.ts'
import { answerLike, damagedBytes, fuzz } from '../../helpers/fuzz.ts'

interface Reply {
  readonly status: number
  readonly body: Buffer
}

type Request = { readonly method: string; readonly path: string }

/**
 * A client whose every request is answered by `reply`, judged as the transport judges an answer
 * that came.
 */
function answering(t: TestContext, reply: (request: Request) => Reply): Elasticsearch {
  const request = (
    params: Request,
    options: { readonly asStream?: boolean; readonly ignore?: readonly number[] },
  ) => {
    const { status, body } = reply(params)
    const meta = { statusCode: status, headers: {}, warnings: null, meta: {} } as never
    if (options.asStream === true && status < 400)
      return Promise.resolve({ statusCode: status, body: [body] })
    let parsed: unknown
    try {
      parsed = JSON.parse(body.toString('utf8')) as unknown
    } catch (error) {
      if (status < 400) return Promise.reject(new errors.DeserializationError(String(error), ''))
      parsed = body.toString('utf8')
    }
    if (status >= 400 && options.ignore?.includes(status) !== true) {
      return Promise.reject(
        new errors.ResponseError({ ...(meta as object), body: parsed } as never),
      )
    }
    return Promise.resolve({ statusCode: status, body: parsed })
  }
  const mocked = t.mock.method(SniffingTransport.prototype, 'request', ((
    ...args: Parameters<typeof request>
  ) => {
    // It keeps every call: a million of them fill the memory.
    if (mocked.mock.callCount() > 1000) mocked.mock.resetCalls()
    return request(...args)
  }) as never)
  return new Elasticsearch({
    nodes: ['http://localhost:1'],
    compression: false,
    requestTimeoutMs: 1000,
  })
}

/** Only these may come out of a reader. */
async function isTyped(work: () => unknown): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof ArchiverError) && !(error instanceof RequestFailure)) throw error
    assert.ok(error.message.length < 10_000, `a message of ${error.message.length} characters`)
  }
}

const causes = (depth: number): object =>
  depth === 0
    ? {}
    : { type: 'illegal_argument_exception', reason: 'r', caused_by: causes(depth - 1) }
const failed = {
  type: 'document_parsing_exception',
  reason: '[1:2] failed to parse',
  caused_by: causes(2),
}
const bulkAnswer = {
  errors: true,
  items: [
    { create: { status: 201 } },
    { create: { status: 400, error: failed } },
    { create: { status: 409, error: failed } },
  ],
}
const status = fc.constantFrom(200, 200, 200, 200, 200, 400, 403, 404, 413, 500)
const replyLike = (good: unknown): fc.Arbitrary<Reply> =>
  fc.record({ status, body: answerLike(good) })

test('fuzz: any bulk answer: an item a document, or a failure of the request', async (t) => {
  let reply: Reply
  const client = answering(t, () => reply)
  const signal = AbortSignal.timeout(2 ** 31 - 1)
  await fuzz(t, 2000, replyLike(bulkAnswer), (next) => {
    reply = next
    return isTyped(async () => {
      let items: readonly BulkItem[] | undefined
      try {
        items = await client.bulk(Buffer.from('{}\n'), 3, { timeoutMs: 1000, signal })
      } catch (error) {
        if (error instanceof RequestFailure) judgeRequest(error.status, error.type)
        throw error
      }
      for (const item of items ?? []) {
        const scope = judgeItem(item)
        isUnrecognized(item)
        if (scope !== 'stored' && scope !== 'exists') rejectionOf(item, 300)
        if (item.error !== undefined)
          assert.ok(kindOf(item.error).length + sayableOf(item.error, 300).length < 1e5)
      }
    })
  })
})

test('an error with causes without end is followed for a few', async (t) => {
  const depth = 200_000
  const opened = '{"type":"a","reason":"r","caused_by":'.repeat(depth)
  const body = Buffer.from(
    `{"errors":true,"items":[{"create":{"status":400,"error":${opened}{}${'}'.repeat(depth)}}}]}`,
  )
  const client = answering(t, () => ({ status: 200, body }))
  const items = await client.bulk(Buffer.from(''), 1, {
    timeoutMs: 1,
    signal: AbortSignal.timeout(10_000),
  })
  assert.equal(judgeItem(items![0]!), 'index')
  assert.ok(rejectionOf(items![0]!, 10).reason.length < 1000)
})

const total = { value: 3, relation: 'eq' }
const hit = { _index: 'archive-a-2026.01.01', _id: 'events+2+7', fields: { 'kafka.offset': [7] } }
const search = {
  _scroll_id: 'abc',
  hits: { total, hits: [hit, { ...hit, _source: { a: '"_source":', b: [{}] } }] },
  aggregations: {
    offsets: { buckets: [{ key: 7, doc_count: 2 }] },
    first: { value: 1 },
    last: { value: 2 },
    types: { buckets: [{ key: 'a' }] },
    fields: { buckets: [{ key: 'value.n', indices: { buckets: [{ key: 'archive-a' }] } }] },
    f0: {
      doc_count: 2,
      count: 2,
      sum: 3,
      distinct: { value: 2 },
      min: 1,
      max: 2,
      range: { min: 1, max: 2 },
      spread: { values: { '5.0': 1 } },
    },
  },
}
const caps = {
  indices: ['archive-a'],
  fields: {
    'value.n': { double: { type: 'double' } },
    'value.s': { keyword: { type: 'keyword' } },
  },
}
const cat = [{ index: 'archive-a-2026.01.01', 'pri.store.size': '4000' }]
const documents = { docs: [{ _index: 'i', _id: 'a', found: true, _source: { n: 1 } }] }
const templates = {
  index_templates: [
    {
      name: 'x',
      index_template: {
        index_patterns: ['archive-*'],
        priority: 900,
        composed_of: ['y'],
        version: 1,
      },
    },
  ],
  component_templates: [{ name: 'x', component_template: { version: 1, template: {} } }],
  template: { settings: {} },
  policy: { policy: { _meta: { version: 1 } } },
}
const goodOf = (path: string): unknown => {
  if (path.includes('_field_caps')) return caps
  if (path.includes('_cat')) return cat
  if (path.includes('_count')) return { count: 3 }
  if (path.includes('_mget')) return documents
  return path.includes('template') || path.includes('_ilm') ? templates : search
}

const tp = { topic: 'events', partition: 2 }
const range = { from: 0, next: 100 }
const log = createLogger({ level: 'silent', stream: process.stderr })
const uses: Readonly<Record<string, (client: Elasticsearch) => Promise<unknown>>> = {
  count: (client) => new DocumentReader(client, 'archive-').count(tp, range),
  offsets: (client) => new DocumentReader(client, 'archive-').offsets(tp, range),
  held: (client) => new DocumentReader(client, 'archive-').held(tp, [1, 2], 'archive-a'),
  places: (client) => new DocumentReader(client, 'archive-').places(tp, range, 10),
  get: async (client) => {
    const answer = await new DocumentReader(client, 'archive-').get([{ index: 'i', id: 'a' }])
    sameUntil(answer, [Buffer.from('{"n":1}')])
    return parseDocuments(answer)
  },
  scan: async (client) => {
    for await (const { hits } of new DocumentReader(client, 'archive-').scan(undefined))
      assert.ok(hits.length > 0)
  },
  facts: (client) => readTypeFacts(client, 'archive-', 'a'),
  values: async (client) => {
    const reader = new ValueReader(client, 'archive-')
    const records = { type: { name: 'a', reserved: false }, hour: 1, topics: undefined }
    await reader.fieldTypes(records)
    await reader.total(records)
    await reader.stats(records, ['value.n'])
    await reader.rejected(records)
  },
  mend: (client) => mendMixedNumbers(client, 'archive-', log),
  prune: (client) =>
    oldIndices(client, 'archive-', Date.now(), {
      names: new Set(['archive-a-2026.01.01']),
      topics: ['events'],
    }),
  templates: (client) => compareTemplates(client, 'archive-'),
  detect: (client) => client.detect(),
}

for (const [name, use] of Object.entries(uses)) {
  test(`fuzz: ${name}: answers of anybody are read, or refused as no answer of Elasticsearch`, async (t) => {
    let replies: readonly Reply[]
    let asked = 0
    const ended: Reply = { status: 200, body: Buffer.from('{"hits":{"hits":[]}}') }
    const client = answering(t, ({ path }) => {
      const reply = replies[asked++ % replies.length]!
      if (asked > 50) return ended
      // Some are good, so that the questions behind them are asked.
      return reply.body.length === 0
        ? { status: 200, body: Buffer.from(JSON.stringify(goodOf(path))) }
        : reply
    })
    const good: Reply = { status: 200, body: Buffer.alloc(0) }
    const some = [search, caps, cat, documents, templates, { version: { number: '9.5.3' } }].map(
      replyLike,
    )
    await fuzz(
      t,
      200,
      fc.array(fc.oneof(fc.constant(good), ...some), { minLength: 1, maxLength: 4 }),
      (next) => {
        replies = next
        asked = 0
        return isTyped(() => use(client))
      },
    )
  })
}

test('fuzz: documents are cut out of any bytes', async (t) => {
  const good = Buffer.from(JSON.stringify(search))
  await fuzz(t, 2000, damagedBytes(fc.constant(good)), (answer) =>
    isTyped(() => {
      for (const { id, source } of hitsIn(answer))
        assert.ok(id.length <= answer.length && source.length >= 2)
    }),
  )
})

test('an answer that ends within an id or a source is refused', () => {
  for (const cut of [
    '{"hits":{"hits":[{"_id":"a","_source":{"b":1',
    '{"hits":{"hits":[{"_source":{},"_id":"ab',
  ]) {
    assert.throws(() => [...hitsIn(Buffer.from(cut))], { code: 'UNREACHABLE' }, cut)
  }
  assert.throws(() => [...hitsIn(Buffer.from('"hits":[{"_id":"a\\x","_source":{}'))], {
    code: 'UNREACHABLE',
  })
})
