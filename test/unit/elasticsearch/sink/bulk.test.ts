import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PartQueue } from '../../../../src/delivery/part-queue.ts'
import { IndexNames } from '../../../../src/elasticsearch/index-name.ts'
import { BulkBuilder, type BulkRequest } from '../../../../src/elasticsearch/sink/bulk.ts'
import {
  bytesOfPart,
  documentId,
  indexOf,
  type Part,
  partAs,
  partOf,
  rejectIn,
} from '../../../../src/elasticsearch/sink/part.ts'
import { LineEncoder } from '../../../../src/record/line/encoder.ts'
import { lineStart, type RecordBatch } from '../../../../src/record/record.ts'
import { pendingBatch } from '../../../helpers/pending-batch.ts'

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

/** All records of a batch, and a builder with a queue to put them in. */
const wholeOf = (batch: RecordBatch): Part => partOf(pendingBatch(batch).pending)
const newQueue = () => new PartQueue<Part>(bytesOfPart)

const idOf = ({ pending: { batch } }: Part, i: number) => documentId(batch, batch.offsets[i]!)

function* documentsOf(part: Part): Iterable<string> {
  for (let i = part.start; i < part.end; i++) yield idOf(part, i)
}

/**
 * Reads a body as Elasticsearch does and holds it against the parts that it is said to be made of.
 */
function checkRequest({ body, parts, documents }: BulkRequest, maxBytes: number): string[] {
  const lines = body.toString().split('\n')
  assert.equal(lines.pop(), '', 'a body ends with a line break')
  assert.equal(lines.length, documents * 2)
  assert.ok(
    documents === 1 || body.length <= maxBytes,
    `${body.length} bytes of at most ${maxBytes}`,
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
      assert.equal(pipeline, rejectIn(part) === undefined ? undefined : '_none')
      const { batch } = part.pending
      const source =
        rejectIn(part)?.source ?? batch.lines.subarray(lineStart(batch, i), batch.ends[i]!)
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
    (groups, takes, maxBytes) => {
      const queue = newQueue()
      const builder = new BulkBuilder(names)
      const waiting: string[] = []
      groups.forEach((records, partition) => {
        const part = wholeOf(encode(partition, records))
        queue.push(part)
        waiting.push(...documentsOf(part))
      })
      const stored: string[] = []
      const aside: Part[] = []
      const step = ({
        limit,
        held: heldIndices,
        outcome,
      }: typeof take extends fc.Arbitrary<infer T> ? T : never) => {
        const held = {
          has: (index: string) => heldIndices.includes(index),
          putAside: (index: string, part: Part) => {
            assert.ok(heldIndices.includes(index))
            assert.equal(index, indexOf(names, part, part.start))
            assert.equal(part.end, part.start + 1)
            aside.push(part)
          },
        }
        const request = builder.build(queue, {
          maxBytes,
          limit,
          held: heldIndices.length === 0 ? undefined : held,
        })
        if (request === undefined) {
          assert.ok(queue.isEmpty)
          return
        }
        const ids = checkRequest(request, maxBytes)
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
      queue.pushFirst(aside.splice(0))
      while (!queue.isEmpty) step(everything)
      assert.equal(queue.bytes, 0)
      assert.deepEqual(stored.toSorted(), waiting.toSorted())
    },
  )
  fc.assert(conserves, { numRuns: 500 })
})

test('without trouble documents leave in the order they came', () => {
  const inOrder = fc.property(batches, fc.integer({ min: 300, max: 2000 }), (groups, maxBytes) => {
    const queue = newQueue()
    const builder = new BulkBuilder(names)
    const came: string[] = []
    let bytes = 0
    groups.forEach((records, partition) => {
      const part = wholeOf(encode(partition, records))
      queue.push(part)
      bytes += part.pending.batch.lines.length
      came.push(...documentsOf(part))
    })
    assert.equal(queue.bytes, bytes)
    const left: string[] = []
    while (!queue.isEmpty) left.push(...checkRequest(builder.build(queue, { maxBytes })!, maxBytes))
    assert.deepEqual(left, came)
    assert.equal(builder.build(queue, { maxBytes }), undefined)
  })
  fc.assert(inOrder, { numRuns: 300 })
})

test('what a partition that was given up had waiting is not sent', () => {
  const queue = newQueue()
  const builder = new BulkBuilder(names)
  const records = [{ type: 'a', hour: 22, size: 10 }]
  const kept = wholeOf(encode(0, records))
  const { pending, close } = pendingBatch(encode(1, records))
  const given = partOf(pending)
  for (const part of [given, kept, given]) queue.push(part)
  close()
  const maxBytes = 10_000
  assert.deepEqual(checkRequest(builder.build(queue, { maxBytes })!, maxBytes), ['events+0+0'])
  assert.equal(builder.build(queue, { maxBytes }), undefined)
  assert.equal(queue.bytes, 0)
})

test('a reject goes where it says, with what it says, past all pipelines', () => {
  const queue = newQueue()
  const builder = new BulkBuilder(names)
  const { pending } = wholeOf(encode(0, [{ type: 'a', hour: 22, size: 10 }]))
  const reject = {
    index: 'archive-_rejected-1970.01.01',
    source: Buffer.from('{"kept":true}\n'),
    rejection: { type: 'x', reason: 'y' },
    kind: 'x',
    valueOmitted: false,
    idSuffix: '',
  }
  queue.push(partAs(pending, 0, { is: 'reject', reject }))
  assert.equal(queue.bytes, reject.source.length)
  const request = builder.build(queue, { maxBytes: 10_000 })!
  checkRequest(request, 10_000)
  assert.match(request.body.toString(), /_rejected/)
  queue.push(partAs(pending, 0, { is: 'reject', reject: { ...reject, idSuffix: '+5' } }))
  const { body } = builder.build(queue, { maxBytes: 10_000 })!
  assert.match(body.toString(), /"_id":"events\+0\+0\+5"/)
})

test('a document larger than a body has a body to itself', () => {
  const queue = newQueue()
  const builder = new BulkBuilder(names)
  const sizes = [10, 3000, 10]
  const records = sizes.map((size) => ({ type: 'a', hour: 22, size }))
  queue.push(wholeOf(encode(0, records)))
  const counts: number[] = []
  while (!queue.isEmpty) {
    const request = builder.build(queue, { maxBytes: 500 })!
    checkRequest(request, 500)
    counts.push(request.documents)
  }
  assert.deepEqual(counts, [1, 1, 1])
})

test('a body that was given back makes room for the next; one in flight stays as it is', () => {
  const queue = newQueue()
  const builder = new BulkBuilder(names)
  const records = Array.from({ length: 40 }, () => ({ type: 'a', hour: 22, size: 100 }))
  queue.push(wholeOf(encode(0, records)))
  const next = (maxBytes = 1000) => builder.build(queue, { maxBytes })!
  const first = next()
  const before = first.body.toString()
  const second = next()
  assert.notEqual(second.buffer, first.buffer)
  assert.equal(first.body.toString(), before)
  checkRequest(second, 1000)
  builder.give(first.buffer)
  const third = next()
  assert.equal(third.buffer, first.buffer)
  checkRequest(third, 1000)
  // A server that wants smaller bodies gets no larger ones for the sake of a buffer.
  builder.give(third.buffer)
  const small = next(500)
  assert.notEqual(small.buffer, third.buffer)
  checkRequest(small, 500)
})

test('an action line names the templates of its numbers, until its index says that it has none', () => {
  const queue = newQueue()
  const builder = new BulkBuilder(names)
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
    queue.push(wholeOf(batch))
    const { body } = builder.build(queue, { maxBytes: 1_000_000 })!
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
  builder.nameNoTemplates('archive-a-1970.01.01')
  assert.deepEqual(taken(), [undefined, named, undefined])
})
