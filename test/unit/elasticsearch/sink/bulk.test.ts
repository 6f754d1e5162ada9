import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PendingBatch } from '../../../../src/delivery/pending.ts'
import { IndexNames } from '../../../../src/elasticsearch/index-name.ts'
import {
  BulkQueue,
  type BulkRequest,
  documentId,
  indexOf,
  type Part,
} from '../../../../src/elasticsearch/sink/bulk.ts'
import { LineEncoder } from '../../../../src/record/line/encoder.ts'
import { lineStart, type RecordBatch } from '../../../../src/record/record.ts'

const names = new IndexNames('archive-')
const encoder = new LineEncoder({ from: 'value', path: ['type'] })

/** Records of a few types on both sides of midnight. */
const record = fc.record({
  type: fc.constantFrom('a', 'b', 'Größe'),
  hour: fc.integer({ min: 22, max: 25 }),
  size: fc.nat({ max: 400 }),
})

const batches = fc.array(fc.array(record, { minLength: 1, maxLength: 12 }), {
  minLength: 1,
  maxLength: 6,
})

function encode(
  partition: number,
  records: readonly { type: string; hour: number; size: number }[],
): RecordBatch {
  return encoder.encode({
    topic: 'events',
    partition,
    from: 0,
    next: records.length,
    records: records.map(({ type, hour, size }, offset) => ({
      offset,
      timestamp: hour * 3_600_000,
      key: null,
      headers: [],
      value: Buffer.from(JSON.stringify({ type, text: 'x'.repeat(size) })),
    })),
  })
}

function pendingOf(batch: RecordBatch): PendingBatch {
  return { batch, remaining: batch.count, closed: false, stored: () => {}, done: Promise.resolve() }
}

const idOf = ({ pending: { batch } }: Part, i: number) => documentId(batch, batch.offsets[i]!)

function* documentsOf(part: Part): Iterable<string> {
  for (let i = part.start; i < part.end; i++) yield idOf(part, i)
}

/**
 * Reads a body as Elasticsearch does and holds it against the parts that it is said to be made of.
 */
function checkRequest({ body, parts, documents }: BulkRequest, mostBytes: number): string[] {
  const lines = body.toString().split('\n')
  assert.equal(lines.pop(), '', 'a body ends with a line break')
  assert.equal(lines.length, documents * 2)
  assert.ok(
    documents === 1 || body.length <= mostBytes,
    `${body.length} bytes of at most ${mostBytes}`,
  )
  const ids: string[] = []
  let line = 0
  for (const part of parts) {
    assert.ok(part.start < part.end)
    for (let i = part.start; i < part.end; i++) {
      const { create } = JSON.parse(lines[line++]!) as {
        create: { _index: string; _id: string; pipeline?: string }
      }
      const { pipeline, ...place } = create
      assert.deepEqual(place, { _index: indexOf(names, part, i), _id: idOf(part, i) })
      assert.equal(pipeline, part.replacement === undefined ? undefined : '_none')
      const { batch } = part.pending
      const source =
        part.replacement?.source ?? batch.lines.subarray(lineStart(batch, i), batch.ends[i]!)
      assert.equal(`${lines[line++]}\n`, source.toString())
      ids.push(create._id)
    }
  }
  assert.equal(line, lines.length)
  return ids
}

const take = fc.record({
  limit: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 1, max: 10 })),
  held: fc.subarray(['archive-a-1970.01.01', 'archive-b-1970.01.01', 'archive-b-1970.01.02']),
  /** What comes of the request: stored, the same again, or some of its parts again one by one. */
  outcome: fc.constantFrom('stored', 'stored', 'again', 'split'),
})

test('every document is sent or held once, whatever is cut, held and tried again', () => {
  const conserves = fc.property(
    batches,
    fc.array(take, { maxLength: 20 }),
    fc.integer({ min: 300, max: 4000 }),
    (groups, takes, mostBytes) => {
      const queue = new BulkQueue(names, mostBytes)
      const waiting: string[] = []
      const push = (part: Part) => {
        queue.push(part)
        waiting.push(...documentsOf(part))
      }
      groups.forEach((records, partition) => {
        const pending = pendingOf(encode(partition, records))
        push({ pending, start: 0, end: pending.batch.count })
      })
      const stored: string[] = []
      const held: Part[] = []
      const step = ({
        limit,
        held: heldIndices,
        outcome,
      }: typeof take extends fc.Arbitrary<infer T> ? T : never) => {
        const isHeld =
          heldIndices.length === 0 ? undefined : (index: string) => heldIndices.includes(index)
        const request = queue.take(
          isHeld,
          (index, part) => {
            assert.ok(heldIndices.includes(index))
            assert.equal(index, indexOf(names, part, part.start))
            assert.equal(part.end, part.start + 1)
            held.push(part)
          },
          limit,
        )
        if (request === undefined) {
          assert.ok(queue.isEmpty)
          return
        }
        const ids = checkRequest(request, mostBytes)
        assert.ok(ids.length <= limit)
        if (outcome === 'stored') stored.push(...ids)
        else if (outcome === 'again') queue.pushFirst(request.parts)
        else {
          const single = request.parts.flatMap((part) =>
            Array.from(
              { length: part.end - part.start },
              (_, i): Part => ({ ...part, start: part.start + i, end: part.start + i + 1 }),
            ),
          )
          queue.pushFirst(single)
        }
      }
      for (const one of takes) step(one)
      const everything = { limit: Number.POSITIVE_INFINITY, held: [], outcome: 'stored' as const }
      queue.pushFirst(held.splice(0))
      while (!queue.isEmpty) step(everything)
      assert.equal(queue.bytes, 0)
      assert.deepEqual(stored.toSorted(), waiting.toSorted())
    },
  )
  fc.assert(conserves, { numRuns: 500 })
})

test('without trouble documents leave in the order they came', () => {
  const inOrder = fc.property(batches, fc.integer({ min: 300, max: 2000 }), (groups, mostBytes) => {
    const queue = new BulkQueue(names, mostBytes)
    const came: string[] = []
    let bytes = 0
    groups.forEach((records, partition) => {
      const pending = pendingOf(encode(partition, records))
      const part = { pending, start: 0, end: pending.batch.count }
      queue.push(part)
      bytes += pending.batch.lines.length
      came.push(...documentsOf(part))
    })
    assert.equal(queue.bytes, bytes)
    const left: string[] = []
    while (!queue.isEmpty)
      left.push(...checkRequest(queue.take(undefined, assert.fail)!, mostBytes))
    assert.deepEqual(left, came)
    assert.equal(queue.take(undefined, assert.fail), undefined)
  })
  fc.assert(inOrder, { numRuns: 300 })
})

test('what a partition that was given up had waiting is not sent', () => {
  const queue = new BulkQueue(names, 10_000)
  const records = [{ type: 'a', hour: 22, size: 10 }]
  const kept = pendingOf(encode(0, records))
  const given = pendingOf(encode(1, records))
  for (const pending of [given, kept, given]) queue.push({ pending, start: 0, end: 1 })
  given.closed = true
  assert.deepEqual(checkRequest(queue.take(undefined, assert.fail)!, 10_000), ['events+0+0'])
  assert.equal(queue.take(undefined, assert.fail), undefined)
  assert.equal(queue.bytes, 0)
})

test('a probe is sent to a held index; a replacement goes where it says, with what it says', () => {
  const queue = new BulkQueue(names, 10_000)
  const pending = pendingOf(encode(0, [{ type: 'a', hour: 22, size: 10 }]))
  queue.push({ pending, start: 0, end: 1, probe: true })
  assert.equal(checkRequest(queue.take(() => true, assert.fail)!, 10_000).length, 1)
  const replacement = {
    index: 'archive-_rejected-1970.01.01',
    source: Buffer.from('{"kept":true}\n'),
    rejection: { type: 'x', reason: 'y' },
    kind: 'x',
    valueOmitted: false,
  }
  queue.push({ pending, start: 0, end: 1, replacement })
  assert.equal(queue.bytes, replacement.source.length)
  const request = queue.take(undefined, assert.fail)!
  checkRequest(request, 10_000)
  assert.match(request.body.toString(), /_rejected/)
})

test('a document larger than a body has a body to itself', () => {
  const queue = new BulkQueue(names, 500)
  const sizes = [10, 3000, 10]
  const pending = pendingOf(
    encode(
      0,
      sizes.map((size) => ({ type: 'a', hour: 22, size })),
    ),
  )
  queue.push({ pending, start: 0, end: 3 })
  const counts: number[] = []
  while (!queue.isEmpty) {
    const request = queue.take(undefined, assert.fail)!
    checkRequest(request, 500)
    counts.push(request.documents)
  }
  assert.deepEqual(counts, [1, 1, 1])
})

test('a body that was given back makes room for the next; one in flight stays as it is', () => {
  const queue = new BulkQueue(names, 1000)
  const pending = pendingOf(
    encode(
      0,
      Array.from({ length: 40 }, () => ({ type: 'a', hour: 22, size: 100 })),
    ),
  )
  queue.push({ pending, start: 0, end: 40 })
  const first = queue.take(undefined, assert.fail)!
  const before = first.body.toString()
  const second = queue.take(undefined, assert.fail)!
  assert.notEqual(second.buffer, first.buffer)
  assert.equal(first.body.toString(), before)
  checkRequest(second, 1000)
  queue.give(first.buffer)
  const third = queue.take(undefined, assert.fail)!
  assert.equal(third.buffer, first.buffer)
  checkRequest(third, 1000)
  // A server that wants smaller bodies gets no larger ones for the sake of a buffer.
  queue.mostBytes = 500
  queue.give(third.buffer)
  const small = queue.take(undefined, assert.fail)!
  assert.notEqual(small.buffer, third.buffer)
  checkRequest(small, 500)
})

test('an action line names the templates of its numbers, until its index says that it has none', () => {
  const queue = new BulkQueue(names, 1_000_000)
  const values = [
    '{"type":"a","id":9007199254740993}',
    '{"type":"b","id":9007199254740993}',
    '{"type":"a","id":1}',
  ]
  const batch = encoder.encode({
    topic: 'events',
    partition: 0,
    from: 0,
    next: values.length,
    records: values.map((value, offset) => ({
      offset,
      timestamp: 0,
      key: null,
      headers: [],
      value: Buffer.from(value),
    })),
  })
  const taken = () => {
    queue.push({ pending: pendingOf(batch), start: 0, end: batch.count })
    const { body } = queue.take(undefined, assert.fail)!
    const actions = body
      .toString()
      .split('\n')
      .filter((_, i) => i % 2 === 0 && i < values.length * 2)
    return actions.map(
      (line) =>
        (JSON.parse(line) as { create: { dynamic_templates?: unknown } }).create.dynamic_templates,
    )
  }
  const named = { 'value.id': 'whole_numbers_beyond_double' }
  assert.deepEqual(taken(), [named, named, undefined])
  queue.nameNoTemplates('archive-a-1970.01.01')
  assert.deepEqual(taken(), [undefined, named, undefined])
})
