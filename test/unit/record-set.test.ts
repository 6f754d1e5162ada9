import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { ArchiverError } from '../../src/errors.ts'
import { FetchedPartitionBatch } from '../../src/kafka/fetched-batch.ts'
import { kafkajs } from '../../src/kafka/kafkajs.ts'
import {
  type AbortedTransaction,
  type CodecLookup,
  type FetchedMessage,
  isRecordBatch,
  readRecordSet,
  UnreadableMessage,
  withoutAborted,
} from '../../src/kafka/record-set.ts'
import { binary } from '../helpers/arbitraries.ts'
import { transactionMarker, type WireBatch, wireAttributes, wireBatch } from '../helpers/record-set.ts'

const noCodec: CodecLookup = () => null
const read = (...batches: readonly WireBatch[]) => readRecordSet(Buffer.concat(batches.map(wireBatch)), noCodec)

const headerKey = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', '', 'a', 'b'),
  fc.string({ unit: 'grapheme', maxLength: 10 }),
)
const wireHeader = fc.record({ key: headerKey, value: fc.option(binary) }, { noNullPrototype: true })
const wireRecords = fc
  .array(
    fc.record(
      {
        skipped: fc.nat({ max: 3 }),
        timestampDelta: fc.oneof(fc.integer({ min: -1000, max: 1_000_000 }), fc.maxSafeInteger()),
        key: fc.option(binary),
        value: fc.option(binary),
        headers: fc.array(wireHeader, { maxLength: 5 }),
      },
      { noNullPrototype: true },
    ),
    { minLength: 1, maxLength: 10 },
  )
  .map((made) => {
    let delta = -1
    return made.map(({ skipped, ...record }) => {
      delta += 1 + skipped
      return { ...record, offsetDelta: delta }
    })
  })

test('records come back as they were written: order and duplicates of headers, nulls, binary, odd timestamps', async () => {
  const roundTrip = fc.asyncProperty(
    fc.nat({ max: 2 ** 40 }),
    fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, -1, 1_700_000_000_000)),
    wireRecords,
    async (baseOffset, baseTimestamp, records) => {
      const messages = await read({ baseOffset, baseTimestamp, records })
      assert.equal(messages.length, records.length)
      messages.forEach((message, i) => {
        const record = records[i]!
        assert.equal(message.offset, baseOffset + record.offsetDelta)
        assert.equal(BigInt(message.timestamp), BigInt(baseTimestamp) + BigInt(record.timestampDelta))
        assert.equal(typeof message.timestamp === 'number', Number.isSafeInteger(Number(message.timestamp)))
        assert.deepEqual(message.key, record.key)
        assert.deepEqual(message.value, record.value)
        assert.deepEqual([...message.headers], record.headers)
        assert.equal(message.isControlRecord, false)
      })
    },
  )
  await fc.assert(roundTrip, { numRuns: 300 })
})

test('the batches of kafkajs are read', async () => {
  const require = createRequire(import.meta.url)
  const encodeBatch = require('kafkajs/src/protocol/recordBatch/v0/index.js') as {
    RecordBatch: (options: unknown) => Promise<{ buffer: Buffer }>
  }
  const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (options: unknown) => unknown
  const { buffer } = await encodeBatch.RecordBatch({
    firstOffset: 7,
    firstTimestamp: 1000,
    maxTimestamp: 1001,
    lastOffsetDelta: 1,
    records: [
      encodeRecord({ offsetDelta: 0, timestampDelta: 0, key: 'k', value: 'v', headers: { h: ['1', '2'] } }),
      encodeRecord({ offsetDelta: 1, timestampDelta: 1, key: null, value: null, headers: {} }),
    ],
  })
  const messages = await readRecordSet(buffer, noCodec)
  assert.deepEqual(
    messages.map(({ offset, timestamp, key, value, headers }) => [
      offset,
      timestamp,
      key?.toString(),
      value?.toString(),
      headers.map((header) => `${header.key}=${header.value?.toString()}`),
    ]),
    [
      [7, 1000, 'k', 'v', ['h=1', 'h=2']],
      [8, 1001, undefined, undefined, []],
    ],
  )
})

test('headers of one name keep their places between others', async () => {
  const headers = ['a', '__proto__', 'a', 'constructor', 'a'].map((key, i) => ({ key, value: Buffer.from(`${i}`) }))
  const [message] = await read({ baseOffset: 0, records: [{ offsetDelta: 0, headers }] })
  assert.deepEqual([...message!.headers], headers)
})

test('timestamps of the whole int64', async () => {
  const most = 9_223_372_036_854_775_807n
  const cases: readonly (readonly [bigint, bigint])[] = [
    [most, 0n],
    [-most - 1n, 0n],
    [most, -most],
    [0n, most],
    [-1n, 0n],
    [9_007_199_254_740_991n, 1n],
    [9_007_199_254_740_992n, -1n],
  ]
  for (const [baseTimestamp, timestampDelta] of cases) {
    const [message] = await read({ baseOffset: 0, baseTimestamp, records: [{ offsetDelta: 0, timestampDelta }] })
    assert.equal(BigInt(message!.timestamp), baseTimestamp + timestampDelta)
  }
})

test('log append time: the time of the batch counts, for every record', async () => {
  const messages = await read({
    baseOffset: 0,
    attributes: wireAttributes.logAppendTime,
    baseTimestamp: 5,
    maxTimestamp: 99,
    records: [
      { offsetDelta: 0, timestampDelta: 1 },
      { offsetDelta: 1, timestampDelta: 2 },
    ],
  })
  assert.deepEqual(
    messages.map(({ timestamp }) => timestamp),
    [99, 99],
  )
})

test('a batch that compaction emptied, or whose end it removed, still moves the position', async () => {
  const messages = await read(
    { baseOffset: 10, records: [], lastOffsetDelta: 4 },
    { baseOffset: 15, records: [{ offsetDelta: 1, value: Buffer.from('v') }], lastOffsetDelta: 3 },
  )
  assert.deepEqual(
    messages.map(({ offset, isControlRecord }) => [offset, isControlRecord]),
    [
      [14, true],
      [16, false],
      [18, true],
    ],
  )
})

test('a batch that is cut off at the end is left out', async () => {
  const whole = wireBatch({ baseOffset: 0, records: [{ offsetDelta: 0, value: Buffer.alloc(100) }] })
  const second = wireBatch({ baseOffset: 1, records: [{ offsetDelta: 0, value: Buffer.alloc(100) }] })
  for (let kept = 0; kept < second.length; kept++) {
    const messages = await readRecordSet(Buffer.concat([whole, second.subarray(0, kept)]), noCodec)
    assert.deepEqual(
      messages.map(({ offset }) => offset),
      [0],
    )
  }
  assert.deepEqual(await readRecordSet(Buffer.alloc(0), noCodec), [])
})

test('compressed batches go through the codec of their attributes', async () => {
  const bytes = wireBatch({
    baseOffset: 3,
    attributes: 1,
    compress: gzipSync,
    records: [{ offsetDelta: 0, value: Buffer.from('zipped') }],
  })
  const asked: number[] = []
  const messages = await readRecordSet(bytes, (attributes) => {
    asked.push(attributes)
    return { decompress: async (compressed) => gunzipSync(compressed) }
  })
  assert.deepEqual(asked, [1])
  assert.equal(messages[0]!.value?.toString(), 'zipped')
})

test('more records than a call has room for arguments', async () => {
  const records = Array.from({ length: 200_000 }, (_, offsetDelta) => ({ offsetDelta }))
  const messages = await read({ baseOffset: 0, records })
  assert.equal(messages.length, 200_000)
  assert.equal(messages[199_999]!.offset, 199_999)
})

test('a batch that cannot be read is told with its offsets, behind the records before it', async () => {
  const before = wireBatch({ baseOffset: 40, records: [{ offsetDelta: 0 }, { offsetDelta: 1 }] })
  const good = wireBatch({
    baseOffset: 42,
    records: [{ offsetDelta: 0 }, { offsetDelta: 2, value: Buffer.alloc(20) }],
  })
  const behind = wireBatch({ baseOffset: 45, records: [{ offsetDelta: 0 }] })
  const damaged = Buffer.from(good)
  damaged[61] = 0x7f
  const claimsMore = Buffer.from(good)
  claimsMore.writeInt32BE(3, 57)
  const endsInTheMiddle = Buffer.from(good)
  endsInTheMiddle[good.length - 22] = 0x7f
  for (const bad of [damaged, claimsMore, endsInTheMiddle]) {
    const messages = await readRecordSet(Buffer.concat([before, bad, behind]), noCodec)
    assert.deepEqual(
      messages.map(({ offset }) => offset),
      [40, 41, 44],
    )
    const last = messages.at(-1)
    assert.ok(last instanceof UnreadableMessage)
    assert.deepEqual([last.range.from, last.range.next], [42, 45])
    assert.match(last.range.trouble, /the record batch at offset 42 cannot be read/)
  }
  const zipped = Buffer.from(good)
  zipped.writeInt16BE(1, 21)
  const failing = (message: string, isOurs: boolean) => () => ({
    decompress: async () => {
      throw isOurs ? new ArchiverError('INTERNAL', message) : new Error(message)
    },
  })
  const [unzippable] = await readRecordSet(zipped, failing('bad data', false))
  assert.ok(unzippable instanceof UnreadableMessage)
  assert.match(unzippable.range.trouble, /offset 42 cannot be read: bad data/)
  // No module for a codec is no damage: nothing is passed over.
  await assert.rejects(readRecordSet(zipped, failing('no module', true)), /offset 42 cannot be read: no module/)
  const negative = Buffer.from(damaged)
  negative.writeInt32BE(-1, 23)
  await assert.rejects(readRecordSet(negative, noCodec), /offset 42/)
  const beyond = wireBatch({ baseOffset: 2n ** 53n, records: [{ offsetDelta: 0 }] })
  await assert.rejects(readRecordSet(beyond, noCodec), /beyond 2\^53/)
  assert.ok(isRecordBatch(good))
  assert.ok(!isRecordBatch(good.subarray(0, 16)))
})

test('damaged bytes never make up records in silence: they are read or refused', async () => {
  const good = wireBatch({
    baseOffset: 0,
    records: [0, 1, 2].map((offsetDelta) => ({ offsetDelta, key: Buffer.from('key'), value: Buffer.from('value') })),
  })
  const ends = fc.asyncProperty(
    fc.integer({ min: 61, max: good.length - 1 }),
    fc.nat({ max: 255 }),
    async (at, byte) => {
      const damaged = Buffer.from(good)
      damaged[at] = byte
      const messages = await readRecordSet(damaged, noCodec)
      if (messages.at(-1) instanceof UnreadableMessage) assert.equal(messages.length, 1)
      else assert.ok(messages.length >= 3)
    },
  )
  await fc.assert(ends, { numRuns: 500 })
})

// Transactions.

interface Transaction {
  readonly producerId: number
  readonly outcome: 'abort' | 'commit'
}

/** A log of interleaved transactions and plain records, what of it is visible, and the aborted ones as a broker lists them. */
function transactionalLog(steps: readonly { readonly producer: number; readonly what: string }[]) {
  const batches: WireBatch[] = []
  const open = new Map<number, { first: number; offsets: number[] }>()
  const visible: number[] = []
  const aborted: AbortedTransaction[] = []
  let offset = 0
  const end = ({ producerId, outcome }: Transaction) => {
    const transaction = open.get(producerId)
    if (transaction === undefined) return
    batches.push(transactionMarker(offset++, producerId, outcome))
    if (outcome === 'commit') visible.push(...transaction.offsets)
    else aborted.push({ producerId: String(producerId), firstOffset: String(transaction.first) })
    open.delete(producerId)
  }
  for (const { producer, what } of steps) {
    if (what === 'abort' || what === 'commit') end({ producerId: producer, outcome: what })
    else if (what === 'plain') {
      // Four zero bytes: kafkajs would take this key for an abort marker.
      batches.push({ baseOffset: offset, records: [{ offsetDelta: 0, key: Buffer.alloc(4) }] })
      visible.push(offset++)
    } else {
      const transaction = open.get(producer) ?? { first: offset, offsets: [] }
      open.set(producer, transaction)
      transaction.offsets.push(offset)
      batches.push({
        baseOffset: offset++,
        producerId: producer,
        attributes: wireAttributes.transactional,
        records: [{ offsetDelta: 0, key: Buffer.alloc(4) }],
      })
    }
  }
  for (const producer of [...open.keys()]) end({ producerId: producer, outcome: 'abort' })
  return { batches, visible: visible.sort((a, b) => a - b), aborted }
}

test('what is left of a log of transactions is what was committed, from wherever it is read', async () => {
  const step = fc.record({
    producer: fc.integer({ min: 1, max: 3 }),
    what: fc.constantFrom('record', 'record', 'record', 'abort', 'commit', 'plain'),
  })
  const agrees = fc.asyncProperty(
    fc.array(step, { maxLength: 40 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    async (steps, at) => {
      const { batches, visible, aborted } = transactionalLog(steps)
      // A broker lists the transactions that were aborted behind the fetched position, also those begun before it.
      const start = Math.floor(at * batches.length)
      const messages = await read(...batches.slice(start))
      const listed = aborted.filter(({ producerId, firstOffset }) => {
        const marker = batches.find(
          ({ baseOffset, producerId: of, attributes = 0 }) =>
            String(of) === producerId &&
            (attributes & wireAttributes.control) !== 0 &&
            Number(baseOffset) > Number(firstOffset),
        )
        return Number(marker!.baseOffset) >= start
      })
      const left = withoutAborted({ messages, abortedTransactions: listed })
      assert.deepEqual(
        left.filter(({ isControlRecord }) => !isControlRecord).map(({ offset }) => offset),
        visible.filter((offset) => offset >= start),
      )
      // Markers stay: the position moves past them.
      const isMarker = (message: FetchedMessage) => message.isControlRecord
      assert.deepEqual(left.filter(isMarker), messages.filter(isMarker))
    },
  )
  await fc.assert(agrees, { numRuns: 500 })
})

test('messages of the old formats are records without headers', async () => {
  const require = createRequire(import.meta.url)
  const Decoder = require('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => unknown
  const encodeSet = require('kafkajs/src/protocol/messageSet/index.js') as (options: unknown) => { buffer: Buffer }
  assert.equal(typeof kafkajs.Kafka, 'function')
  const decodeMessages = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js') as (
    decoder: unknown,
  ) => Promise<readonly FetchedMessage[]>
  for (const [messageVersion, timestamp] of [
    [0, -1],
    [1, 1_700_000_000_123],
  ] as const) {
    const entries = [
      { key: 'k', value: '{"type":"a"}', timestamp },
      { key: null, value: null, timestamp },
    ]
    const { buffer } = encodeSet({ messageVersion, entries })
    const length = Buffer.alloc(4)
    length.writeInt32BE(buffer.length)
    const messages = await decodeMessages(new Decoder(Buffer.concat([length, buffer])))
    assert.deepEqual(
      messages.map((message) => [message.timestamp, message.key?.toString(), message.value?.toString()]),
      [
        [timestamp, 'k', '{"type":"a"}'],
        [timestamp, undefined, undefined],
      ],
    )
    assert.ok(messages.every(({ headers, isControlRecord }) => headers.length === 0 && !isControlRecord))
  }
})

test('without aborted transactions nothing is looked at', () => {
  const messages: readonly FetchedMessage[] = []
  assert.equal(withoutAborted({ messages }), messages)
  assert.equal(withoutAborted({ messages, abortedTransactions: [] }), messages)
  assert.equal(withoutAborted({ messages, abortedTransactions: null }), messages)
})

test('a batch of kafkajs: only what was asked for, no markers, and a position behind all of it', async () => {
  const record = (offsetDelta: number) => ({ offsetDelta, value: Buffer.from(`${offsetDelta}`) })
  const messages = await read(
    { baseOffset: 10, records: [record(0), record(1), record(2)] },
    { baseOffset: 13, producerId: 1, attributes: wireAttributes.transactional, records: [record(0), record(1)] },
    transactionMarker(15, 1, 'abort'),
  )
  const batchAt = (fetchedOffset: string, abortedTransactions: readonly AbortedTransaction[] = []) =>
    new FetchedPartitionBatch('events', fetchedOffset, {
      partition: 2,
      highWatermark: '20',
      messages,
      abortedTransactions,
    })
  const offsets = (batch: FetchedPartitionBatch) => batch.messages.map(({ offset }) => offset)
  const all = batchAt('10')
  assert.deepEqual(offsets(all), [10, 11, 12, 13, 14])
  assert.deepEqual([all.firstOffset(), all.lastOffset(), all.offsetLag(), all.offsetLagLow()], ['10', '15', '4', '9'])
  assert.deepEqual(offsets(batchAt('12', [{ producerId: '1', firstOffset: '13' }])), [12])
  const marker = batchAt('15')
  assert.deepEqual([offsets(marker), marker.lastOffset(), marker.isEmpty()], [[], '15', false])
  const nothing = new FetchedPartitionBatch('events', '20', { partition: 2, highWatermark: '20', messages: [] })
  assert.deepEqual([nothing.isEmpty(), nothing.firstOffset(), nothing.lastOffset()], [true, null, '19'])
})
