import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { AbortedTransaction } from '../../../../src/kafka/batch/aborted-transactions.ts'
import { FetchedPartitionBatch } from '../../../../src/kafka/batch/fetched-batch.ts'
import type { Piece } from '../../../../src/kafka/batch/piece.ts'
import { isRecordBatch, readRecordSet } from '../../../../src/kafka/batch/record-set.ts'
import { unpack } from '../../../../src/kafka/batch/unpack.ts'
import { kafkajs } from '../../../../src/kafka/kafkajs.ts'
import { binary } from '../../../helpers/arbitraries.ts'
import {
  transactionMarker,
  type WireBatch,
  wireAttributes,
  wireBatch,
  withChecksum,
} from '../../../helpers/record-set.ts'
import { fetchOf, type UnpackOptions, unpacked } from '../../../helpers/unpacked.ts'

const bytesOf = (...batches: readonly WireBatch[]) => Buffer.concat(batches.map(wireBatch))

/** The records of batches that are whole. */
async function read(...batches: readonly WireBatch[]) {
  const { records, error } = await unpacked(bytesOf(...batches))
  assert.equal(error, undefined)
  return records
}

const headerKey = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', '', 'a', 'b'),
  fc.string({ unit: 'grapheme', maxLength: 10 }),
)
const wireHeader = fc.record(
  { key: headerKey, value: fc.option(binary) },
  { noNullPrototype: true },
)
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
        assert.equal(
          BigInt(message.timestamp),
          BigInt(baseTimestamp) + BigInt(record.timestampDelta),
        )
        assert.equal(
          typeof message.timestamp === 'number',
          Number.isSafeInteger(Number(message.timestamp)),
        )
        assert.deepEqual(message.key, record.key)
        assert.deepEqual(message.value, record.value)
        assert.deepEqual([...message.headers], record.headers)
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
  const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (
    options: unknown,
  ) => unknown
  const { buffer } = await encodeBatch.RecordBatch({
    firstOffset: 7,
    firstTimestamp: 1000,
    maxTimestamp: 1001,
    lastOffsetDelta: 1,
    records: [
      encodeRecord({
        offsetDelta: 0,
        timestampDelta: 0,
        key: 'k',
        value: 'v',
        headers: { h: ['1', '2'] },
      }),
      encodeRecord({ offsetDelta: 1, timestampDelta: 1, key: null, value: null, headers: {} }),
    ],
  })
  const { records: messages } = await unpacked(buffer)
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
  const headers = ['a', '__proto__', 'a', 'constructor', 'a'].map((key, i) => ({
    key,
    value: Buffer.from(`${i}`),
  }))
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
    const [message] = await read({
      baseOffset: 0,
      baseTimestamp,
      records: [{ offsetDelta: 0, timestampDelta }],
    })
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
  const bytes = bytesOf(
    { baseOffset: 10, records: [], lastOffsetDelta: 4 },
    { baseOffset: 15, records: [{ offsetDelta: 1, value: Buffer.from('v') }], lastOffsetDelta: 3 },
  )
  const { pieces, fetched } = await unpacked(bytes, { fetchedOffset: 10 })
  assert.deepEqual(
    pieces.map(({ from, next, records }) => [from, next, records.map(({ offset }) => offset)]),
    [[10, 19, [16]]],
  )
  assert.deepEqual([fetched.next, fetched.lastOffset()], [19, '18'])
  const [emptied] = (await unpacked(wireBatch({ baseOffset: 10, records: [], lastOffsetDelta: 4 })))
    .pieces
  assert.deepEqual([emptied!.from, emptied!.next, emptied!.records], [0, 15, []])
})

test('a batch that is cut off at the end is left out', async () => {
  const whole = wireBatch({
    baseOffset: 0,
    records: [{ offsetDelta: 0, value: Buffer.alloc(100) }],
  })
  const second = wireBatch({
    baseOffset: 1,
    records: [{ offsetDelta: 0, value: Buffer.alloc(100) }],
  })
  for (let kept = 0; kept < second.length; kept++) {
    const { records, error, fetched } = await unpacked(
      Buffer.concat([whole, second.subarray(0, kept)]),
    )
    assert.deepEqual(
      records.map(({ offset }) => offset),
      [0],
    )
    assert.deepEqual([error, fetched.next], [undefined, 1])
  }
  assert.deepEqual(await read(), [])
})

test('a batch that does not end, and is the first, is damaged: brokers cut off only the last of several', async () => {
  const whole = wireBatch({
    baseOffset: 7,
    records: [{ offsetDelta: 0, value: Buffer.alloc(100) }],
  })
  const { records, error } = await unpacked(whole.subarray(0, 120), {
    fetchedOffset: 7,
    highWatermark: 9,
  })
  assert.deepEqual(records, [])
  assert.deepEqual([error?.offset, error?.next, error?.isDamage], [7, 8, true])
})

test('more records than a call has room for arguments', async () => {
  const records = Array.from({ length: 200_000 }, (_, offsetDelta) => ({ offsetDelta }))
  const messages = await read({ baseOffset: 0, records })
  assert.equal(messages.length, 200_000)
  assert.equal(messages.at(-1)!.offset, 199_999)
})

test('a damaged batch is reported with its offsets, after the records before it', async () => {
  const before = wireBatch({ baseOffset: 40, records: [{ offsetDelta: 0 }, { offsetDelta: 1 }] })
  const good = wireBatch({
    baseOffset: 42,
    records: [{ offsetDelta: 0 }, { offsetDelta: 2, value: Buffer.alloc(20) }],
  })
  const behind = wireBatch({ baseOffset: 45, records: [{ offsetDelta: 0 }] })
  const change = (write: (bytes: Buffer) => void) => {
    const bytes = Buffer.from(good)
    write(bytes)
    return bytes
  }
  // The checksum finds it, or the checksum is right and the producer wrote nonsense.
  const damaged = [
    change((bytes) => bytes.writeUInt8(0x7f, 61)),
    change((bytes) => bytes.writeInt32BE(1, 57)),
    change((bytes) => bytes.writeInt32BE(1 << 20, 23)),
    change((bytes) => bytes.writeUInt8(1, bytes.length - 5)),
    change((bytes) => bytes.writeInt32BE(-1, 23)),
  ]
  const nonsense = [
    change((bytes) => bytes.writeUInt8(0x7f, 61)),
    change((bytes) => bytes.writeInt32BE(3, 57)),
    change((bytes) => bytes.writeInt32BE(1, 57)),
    change((bytes) => bytes.writeUInt8(0x7f, bytes.length - 22)),
    change((bytes) => bytes.writeInt16BE(1, 21)),
  ].map(withChecksum)
  for (const [bad, isTelling] of [
    ...damaged.map((bad) => [bad, true] as const),
    ...nonsense.map((bad) => [bad, false] as const),
  ]) {
    const { records, error, fetched } = await unpacked(Buffer.concat([before, bad, behind]), {
      fetchedOffset: 40,
    })
    assert.deepEqual(
      records.map(({ offset }) => offset),
      [40, 41],
    )
    assert.deepEqual([error?.offset, error?.next, error?.isDamage], [42, 45, true])
    assert.match(error!.message, /the record batch at offset 42 cannot be read/)
    assert.equal(fetched.damaged !== undefined, isTelling)
  }
  // The last offset of the batch itself is not to be believed: without a batch behind it, the log's
  // end is the limit.
  const jumps = damaged[2]!
  const { error } = await unpacked(jumps, { fetchedOffset: 42, highWatermark: 60 })
  assert.deepEqual([error?.offset, error?.next], [42, 60])
  assert.ok(isRecordBatch(good))
  assert.ok(!isRecordBatch(good.subarray(0, 16)))
})

test('offsets beyond 2^53, and those that go back or past the end of their batch, are damage', async () => {
  const wrong: readonly WireBatch[] = [
    { baseOffset: 2n ** 53n, records: [{ offsetDelta: 0 }] },
    { baseOffset: 0, records: [{ offsetDelta: 1 }, { offsetDelta: 1 }] },
    { baseOffset: 0, records: [{ offsetDelta: 1 }, { offsetDelta: 0 }], lastOffsetDelta: 5 },
    { baseOffset: 0, records: [{ offsetDelta: 6 }], lastOffsetDelta: 5 },
    { baseOffset: 0, records: [{ offsetDelta: -1 }], lastOffsetDelta: 5 },
    { baseOffset: 0, records: [{ offsetDelta: 0 }, { offsetDelta: 1 }], count: 1 },
  ]
  for (const batch of wrong) {
    const { error, records } = await unpacked(wireBatch(batch))
    assert.equal(
      error?.isDamage,
      true,
      JSON.stringify(batch, (_, value) => (typeof value === 'bigint' ? `${value}` : value)),
    )
    assert.deepEqual(records, [])
  }
})

test('a header counts for more than its bytes: a record of a hundred thousand empty ones may be too large', async () => {
  const headers = Array.from({ length: 100_000 }, () => ({ key: '', value: null }))
  const bytes = wireBatch({
    baseOffset: 0,
    records: [{ offsetDelta: 0, headers }, { offsetDelta: 1 }],
  })
  const { pieces, records, error } = await unpacked(bytes, { maxRecordBytes: 2 ** 20 })
  assert.equal(error, undefined)
  assert.equal(pieces[0]!.oversized?.offset, 0)
  assert.deepEqual(
    records.map(({ offset }) => offset),
    [1],
  )
  assert.equal((await unpacked(bytes)).records[0]!.headers.length, 100_000)
  // A count that the bytes cannot hold takes no memory.
  const lie = withChecksum(
    Buffer.concat([wireBatch({ baseOffset: 0, records: [{ offsetDelta: 0 }] })]),
  )
  lie[lie.length - 1] = 0x7e
  assert.equal((await unpacked(withChecksum(lie))).error?.isDamage, true)
})

test('a codec that is not known is no damage', async () => {
  const { error } = await unpacked(
    wireBatch({ baseOffset: 0, attributes: 5, records: [{ offsetDelta: 0 }] }),
  )
  assert.equal(error?.isDamage, false)
  assert.match(error!.message, /codec 5 is not known here/)
})

test('whatever byte is changed, and whatever it becomes: damage is found, or the records are the same', async () => {
  const records = [0, 1, 2].map((offsetDelta) => ({
    offsetDelta,
    key: Buffer.from('key'),
    value: Buffer.from(`value ${offsetDelta}`.repeat(10)),
  }))
  const sets = [
    wireBatch({ baseOffset: 3, records }),
    wireBatch({ baseOffset: 3, records, attributes: 1, compress: gzipSync }),
  ]
  const intact = (await unpacked(sets[0]!, { fetchedOffset: 3 })).records
  const isFound = fc.asyncProperty(
    fc.constantFrom(...sets),
    fc.nat(),
    fc.nat({ max: 254 }),
    async (good, where, by) => {
      const damaged = Buffer.from(good)
      const at = where % good.length
      damaged[at] = (damaged[at]! + 1 + by) & 0xff
      const {
        records: found,
        error,
        fetched,
      } = await unpacked(damaged, { fetchedOffset: 3, highWatermark: 6 })
      if (error === undefined && !fetched.isStalled && fetched.old === undefined) {
        // Not covered by the checksum: the offset, and the epoch of the leader, which says nothing
        // of records.
        if (at >= 8) assert.deepEqual(found, intact)
      } else assert.ok(found.length === 0)
    },
  )
  await fc.assert(isFound, { numRuns: 1500 })
})

// Transactions.

interface Transaction {
  readonly producerId: number
  readonly outcome: 'abort' | 'commit'
}

/**
 * A log of interleaved transactions and plain records, what of it is visible, and the aborted ones
 * as a broker lists them.
 */
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
      // A broker lists the transactions that were aborted behind the fetched position, also those
      // begun before it.
      const start = Math.floor(at * batches.length)
      const listed = aborted.filter(({ producerId, firstOffset }) => {
        const marker = batches.find(
          ({ baseOffset, producerId: of, attributes = 0 }) =>
            String(of) === producerId &&
            (attributes & wireAttributes.control) !== 0 &&
            Number(baseOffset) > Number(firstOffset),
        )
        return Number(marker!.baseOffset) >= start
      })
      const options = { fetchedOffset: start, aborted: listed }
      const { records, pieces, error } = await unpacked(bytesOf(...batches.slice(start)), options)
      assert.equal(error, undefined)
      assert.deepEqual(
        records.map(({ offset }) => offset),
        visible.filter((offset) => offset >= start),
      )
      // The position moves past markers, and past what was aborted.
      assert.equal(pieces.at(-1)?.next ?? start, batches.length)
    },
  )
  await fc.assert(agrees, { numRuns: 500 })
})

test('messages of the old formats are records without headers', async () => {
  const require = createRequire(import.meta.url)
  const Decoder = require('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => unknown
  const encodeSet = require('kafkajs/src/protocol/messageSet/index.js') as (options: unknown) => {
    buffer: Buffer
  }
  assert.equal(typeof kafkajs.Kafka, 'function')
  const decodeMessages = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js') as (
    decoder: unknown,
  ) => Promise<FetchedPartitionBatch['messages']>
  const limits = { pieceBytes: 1, maxRecordBytes: 1000, isWanted: () => true, room: async () => {} }
  for (const [messageVersion, timestamp] of [
    [0, -1],
    [1, 1_700_000_000_123],
  ] as const) {
    const entries = [
      { key: 'k', value: '{"type":"a"}', timestamp },
      { key: null, value: null, timestamp },
      { key: null, value: 'x'.repeat(1001), timestamp },
    ]
    const { buffer } = encodeSet({ messageVersion, entries })
    // kafkajs gives every message of a set the offset -1.
    for (let at = 0, offset = 5; at < buffer.length; at += 12 + buffer.readInt32BE(at + 8))
      buffer.writeBigInt64BE(BigInt(offset++), at)
    const length = Buffer.alloc(4)
    length.writeInt32BE(buffer.length)
    const messages = await decodeMessages(new Decoder(Buffer.concat([length, buffer])))
    const fetched = new FetchedPartitionBatch('events', 5, {
      partition: 0,
      highWatermark: '8',
      messages,
    })
    assert.deepEqual([fetched.next, fetched.isStalled], [8, false])
    const pieces: Piece[] = []
    for await (const piece of unpack(fetched, limits)) pieces.push(piece)
    assert.deepEqual(
      pieces.map(({ from, next, oversized }) => [from, next, oversized]),
      [
        [5, 6, undefined],
        [6, 8, { offset: 7, bytes: 1001 }],
      ],
    )
    const records = pieces.flatMap((piece) => piece.records)
    assert.deepEqual(
      records.map((record) => [record.timestamp, record.key?.toString(), record.value?.toString()]),
      [
        [timestamp, 'k', '{"type":"a"}'],
        [timestamp, undefined, undefined],
      ],
    )
    assert.ok(records.every(({ headers }) => headers.length === 0))
  }
})

test('a set that changes from an old format to the new one, or back, is read up to there', async () => {
  const recent = wireBatch({ baseOffset: 0, records: [{ offsetDelta: 0 }] })
  const old = Buffer.alloc(40)
  old.writeBigInt64BE(1n, 0)
  old.writeInt32BE(28, 8)
  old[16] = 1
  const { records, fetched, error } = await unpacked(Buffer.concat([recent, old, old]))
  assert.deepEqual([records.length, fetched.next, error], [1, 1, undefined])
  const back = fetchOf(
    Buffer.concat([old, wireBatch({ baseOffset: 2, records: [{ offsetDelta: 0 }] })]),
  )
  assert.deepEqual([back.old?.next, back.next], [2, 2])
})

test('a batch of kafkajs: only what was asked for, no markers, and a position behind all of it', async () => {
  const record = (offsetDelta: number) => ({ offsetDelta, value: Buffer.from(`${offsetDelta}`) })
  const bytes = bytesOf(
    { baseOffset: 10, records: [record(0), record(1), record(2)] },
    {
      baseOffset: 13,
      producerId: 1,
      attributes: wireAttributes.transactional,
      records: [record(0), record(1)],
    },
    transactionMarker(15, 1, 'abort'),
  )
  const at = async (fetchedOffset: number, aborted: readonly AbortedTransaction[] = []) => {
    const options: UnpackOptions = { fetchedOffset, highWatermark: 20, aborted }
    const { records, fetched } = await unpacked(bytes, options)
    return { offsets: records.map(({ offset }) => offset), fetched }
  }
  const all = await at(10)
  assert.deepEqual(all.offsets, [10, 11, 12, 13, 14])
  const { fetched } = all
  assert.deepEqual(
    [fetched.firstOffset(), fetched.lastOffset(), fetched.offsetLag(), fetched.offsetLagLow()],
    ['10', '15', '4', '9'],
  )
  assert.deepEqual((await at(12, [{ producerId: '1', firstOffset: '13' }])).offsets, [12])
  const marker = await at(15)
  assert.deepEqual(
    [marker.offsets, marker.fetched.lastOffset(), marker.fetched.isEmpty()],
    [[], '15', false],
  )
  const nothing = new FetchedPartitionBatch('events', '20', {
    partition: 2,
    highWatermark: '20',
    messages: [],
  })
  assert.deepEqual(
    [nothing.isEmpty(), nothing.firstOffset(), nothing.lastOffset()],
    [true, null, '19'],
  )
  assert.equal(nothing.isStalled, false)
})

test('a fetch that brings only what lies below its offset moves nothing', async () => {
  const below = wireBatch({ baseOffset: 10, records: [{ offsetDelta: 0 }, { offsetDelta: 1 }] })
  for (const fetchedOffset of [12, 13, 2000]) {
    const { records, pieces, fetched } = await unpacked(below, { fetchedOffset })
    assert.deepEqual(
      [records, pieces, fetched.isStalled, fetched.next],
      [[], [], true, fetchedOffset],
    )
  }
  assert.equal(fetchOf(below, { fetchedOffset: 11 }).isStalled, false)
})

test('a batch whose offset was damaged is not taken for one of another offset: no checksum guards it', () => {
  const at = (baseOffset: number, says = BigInt(baseOffset)) => {
    const bytes = wireBatch({
      baseOffset,
      records: [{ offsetDelta: 0, value: Buffer.from('{"type":"a"}') }],
    })
    bytes.writeBigInt64BE(says, 0)
    return bytes
  }
  const read = (fetchedOffset: number, ...batches: Buffer[]) => {
    const set = readRecordSet(Buffer.concat(batches), { fetchedOffset, highWatermark: 1000 })
    return [
      set.batches.map(({ baseOffset }) => baseOffset),
      set.damaged && [set.damaged.from, set.damaged.next],
    ]
  }
  for (let bit = 0n; bit < 64n; bit++) {
    const says = BigInt.asIntN(64, 500n ^ (1n << bit))
    // A fetch for the offset, and one for an offset before it.
    // Nothing reads a batch that claims to lie before the requested offset.
    const isBefore = says >= 0n && says < 500n
    if (!isBefore)
      assert.deepEqual(read(500, at(500, says), at(501)), [[], [500, 501]], `bit ${bit}`)
    assert.deepEqual(read(499, at(499), at(500, says), at(501)), [[499], [500, 501]], `bit ${bit}`)
    // A broker that looks for the next one begins with the same batch.
    const read501 = read(501, at(500, says), at(501), at(502))
    assert.deepEqual(
      read501,
      [[...(isBefore ? [Number(says)] : []), 501, 502], undefined],
      `bit ${bit}`,
    )
    if (says >= 1000n && says < 2n ** 53n) {
      assert.deepEqual(read(499, at(499), at(500, says)), [[499], undefined])
      assert.throws(
        () => read(500, at(500, says)),
        /at offset 500 cannot be read: its offset is .* nothing follows/,
      )
    }
  }
  // What compaction leaves, and a position inside a batch.
  assert.deepEqual(read(500, at(480), at(700), at(999)), [[480, 700, 999], undefined])
})
