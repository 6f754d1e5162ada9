import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { IndexNames } from '../../../../src/elasticsearch/index-name.ts'
import type { BulkItem } from '../../../../src/elasticsearch/sink/answer.ts'
import type { HoldReason } from '../../../../src/elasticsearch/sink/held-indices.ts'
import {
  type Content,
  type Part,
  partAs,
  partOf,
  rejectOf,
} from '../../../../src/elasticsearch/sink/part.ts'
import {
  answered,
  type Circumstances,
  isTaken,
  refusalsOf,
  trippedReason,
  type Verdict,
  verdictOf,
} from '../../../../src/elasticsearch/sink/verdicts.ts'
import { LineEncoder } from '../../../../src/record/line/encoder.ts'
import { pendingBatch } from '../../../helpers/pending-batch.ts'

const names = new IndexNames('archive-')
const index = 'archive-a-1970.01.01'
const holdMs = 60_000

function partWith(values: readonly string[]): Part {
  const records = values.map((value, offset) => ({
    offset,
    timestamp: 0,
    key: null,
    headers: [],
    value: Buffer.from(value),
  }))
  const encoder = new LineEncoder({ from: 'value', path: ['type'] })
  const next = values.length
  return partOf(
    pendingBatch(encoder.encode({ topic: 't', partition: 0, from: 0, next, records })).pending,
  )
}

const record = partWith(['{"type":"a"}'])
const rejected = (valueOmitted: boolean, is: 'reject' | 'trial' = 'reject'): Part => {
  const { pending } = record
  const rejection = { type: 'x', reason: 'y' }
  const reject = rejectOf(names, pending.batch, 0, rejection, { valueOmitted })
  const content: Content = is === 'trial' ? { is, reject, insteadOf: record } : { is, reject }
  return partAs(pending, 0, content)
}

const items = {
  stored: { status: 201 },
  exists: { status: 409, error: { type: 'version_conflict_engine_exception', reason: 'there' } },
  busy: { status: 429, error: { type: 'es_rejected_execution_exception', reason: 'full' } },
  shards: { status: 503, error: { type: 'unavailable_shards_exception', reason: 'none' } },
  closed: { status: 400, error: { type: 'index_closed_exception', reason: 'closed' } },
  unrecognized: { status: 400, error: { type: 'x_new_exception', reason: 'never seen' } },
  malformed: { status: 400, error: { type: 'document_parsing_exception', reason: "'x' is no y" } },
  template: {
    status: 400,
    error: {
      type: 'mapper_parsing_exception',
      reason:
        "Can't find dynamic template for dynamic template name [whole_numbers_beyond_double] of field",
    },
  },
} satisfies Record<string, BulkItem>
type Item = keyof typeof items

const nothing: Circumstances = {
  reasonOf: () => undefined,
  isExpired: () => false,
  tripped: new Map(),
  holdMs,
  quotes: false,
}
const closed: HoldReason = { is: 'index', message: 'closed' }
const refusals: HoldReason = { is: 'refusals', message: 'most', kind: 'k', maxMs: holdMs }

function verdict(item: Item, part = record, circumstances: Partial<Circumstances> = {}): string {
  const [document] = answered(names, [part], () => items[item])
  const found = verdictOf(document!, { ...nothing, ...circumstances })
  return found.is === 'hold' ? `hold: ${found.reason.is}` : found.is
}

test('a record, its reject, a reject without a value and a trial: each answer has one verdict', () => {
  const expected: Readonly<Record<Item, readonly [string, string, string, string]>> = {
    stored: ['stored', 'stored', 'stored', 'stored'],
    exists: ['conflict', 'conflict', 'conflict', 'conflict'],
    busy: ['retry', 'retry', 'retry', 'retry'],
    template: ['rename', 'rename', 'rename', 'rename'],
    shards: ['hold: index', 'hold: index', 'hold: index', 'hold: index'],
    closed: ['hold: index', 'hold: index', 'hold: index', 'hold: index'],
    // A reject has no mapped fields: the rejected index is at fault.
    unrecognized: ['hold: unrecognized', 'hold: index', 'hold: index', 'hold: index'],
    // Nothing is left to leave out of a reject without a value.
    malformed: ['reject', 'reject', 'hold: index', 'reject'],
  }
  for (const item of Object.keys(expected) as Item[]) {
    const parts = [record, rejected(false), rejected(true), rejected(false, 'trial')]
    const found = parts.map((part) => verdict(item, part))
    assert.deepEqual(found, expected[item], item)
  }
})

test('a refusal waits with an index that is held for refusals, or that trips the breaker now', () => {
  const tripped = new Map([[index, refusals]])
  assert.equal(verdict('malformed', record, { tripped }), 'hold: refusals')
  assert.equal(verdict('malformed', record, { reasonOf: () => refusals }), 'hold: refusals')
  assert.equal(verdict('malformed', record, { reasonOf: () => closed }), 'reject')
  assert.equal(verdict('malformed', rejected(false), { tripped }), 'reject', 'another index')
})

test('what was held for its max time is rejected at once, and only that', () => {
  const isExpired = (of: string, kind: string) =>
    of === index && (kind.startsWith('x_new') || kind.startsWith('document_parsing'))
  const tripped = new Map([[index, refusals]])
  assert.equal(verdict('unrecognized', record, { isExpired }), 'reject')
  assert.equal(verdict('malformed', record, { isExpired, tripped }), 'reject')
  assert.equal(verdict('closed', record, { isExpired }), 'hold: index')
})

test('words for people quote a record only if they may', () => {
  const [document] = answered(names, [record], () => items.unrecognized)
  const wordsWith = (quotes: boolean) => {
    const found = verdictOf(document!, { ...nothing, quotes })
    assert.equal(found.is, 'hold')
    return found.is === 'hold' ? found.reason.message : ''
  }
  assert.equal(wordsWith(false), 'x_new_exception')
  assert.equal(wordsWith(true), 'x_new_exception: never seen')
  const kind = 'document_parsing_exception: failed to parse'
  const [sayable, whole] = [false, true].map(
    (quotes) => trippedReason(kind, { holdMs, quotes }).message,
  )
  assert.equal(sayable, 'most of its documents are refused (document_parsing_exception)')
  assert.equal(whole, `most of its documents are refused (${kind})`)
})

test('the breaker counts records with fields: neither rejects, nor values that are refused for what they are', () => {
  const parts = [
    partWith(['{"type":"a"}', '42', '{"type":"a","x":1}', '{"type":"a"}']),
    rejected(false),
  ]
  const malformed = [false, true, true, false, true]
  const documents = answered(names, parts, (n) =>
    malformed[n] === true ? items.malformed : items.stored,
  )
  const counted = [...refusalsOf(documents)].map(([of, { stored, refused }]) => [
    of,
    stored,
    [...refused],
  ])
  assert.deepEqual(counted, [[index, 2, [['document_parsing_exception: … is no y', 1]]]])
})

test('a probe is taken if none of its documents waits; after refusals, if no more than half do', () => {
  const verdicts = fc.array(
    fc.constantFrom<Verdict>(
      { is: 'stored' },
      { is: 'conflict' },
      { is: 'retry', error: undefined },
      { is: 'hold', reason: closed },
      { is: 'reject', rejection: { type: 'x', reason: 'y' }, kind: 'x' },
    ),
    { minLength: 1, maxLength: 20 },
  )
  fc.assert(
    fc.property(verdicts, (verdicts) => {
      const waiting = verdicts.filter(({ is }) => is === 'retry' || is === 'hold').length
      assert.equal(isTaken(verdicts, closed), waiting === 0)
      assert.equal(isTaken(verdicts, refusals), waiting <= verdicts.length / 2)
    }),
  )
})

test('documents are answered in the order in which they were sent', () => {
  const parts = [partWith(['{"type":"a"}', '{"type":"b"}', '{"type":"a"}']), rejected(false)]
  const sent = [{ ...parts[0]!, start: 1 }, parts[1]!]
  const documents = answered(names, sent, (n) => ({ status: 200 + n }))
  assert.deepEqual(
    documents.map(({ i, index, item }) => [i, index, item.status]),
    [
      [1, 'archive-b-1970.01.01', 200],
      [2, 'archive-a-1970.01.01', 201],
      [0, 'archive-_rejected-1970.01.01', 202],
    ],
  )
})
