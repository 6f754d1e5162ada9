import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { compressSync } from 'snappy'
import { lz4Codec, snappyCodec } from '../../../src/kafka/batch/codecs.ts'
import { DamagedData } from '../../../src/kafka/batch/damaged-data.ts'
import type { FetchedBytes } from '../../../src/kafka/batch/fetched-batch.ts'
import { inflaterOf } from '../../../src/kafka/batch/inflate.ts'
import { registerCodecs } from '../../../src/kafka/batch/register-codecs.ts'
import { kafkajs } from '../../../src/kafka/kafkajs.ts'
import { type ConnectionState, processData } from '../../../src/kafka/repairs/frame-limit.ts'
import { LineEncoder } from '../../../src/record/line/encoder.ts'
import { ArchiverError, messageOf } from '../../../src/runtime/errors.ts'
import { binary, sourceBatch } from '../../helpers/arbitraries.ts'
import { damagedBytes, fuzz } from '../../helpers/fuzz.ts'
import { type WireBatch, wireBatch, withChecksum } from '../../helpers/record-set.ts'
import { fetchOf, unpacked } from '../../helpers/unpacked.ts'

const require = createRequire(import.meta.url)
const Decoder = require('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => unknown
const encodeSet = require('kafkajs/src/protocol/messageSet/index.js') as (options: unknown) => {
  buffer: Buffer
}

/** kafkajs's own reader of the old formats, as the program calls it. */
async function decodeOldOf(): Promise<FetchedBytes['decodeOld']> {
  assert.equal(typeof kafkajs.Kafka, 'function')
  registerCodecs()
  const decode = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js') as (
    decoder: unknown,
  ) => unknown
  const { decodeOld } = (await decode(new Decoder(Buffer.from([0, 0, 0, 1, 0])))) as FetchedBytes
  return decodeOld
}

const decodeOld = await decodeOldOf()
const limits = {
  pieceBytes: 4096,
  maxRecordBytes: 16_384,
  fetchedOffset: 0,
  highWatermark: 1000,
  decodeOld,
}

const plain = Buffer.from('{"type":"a","n":1}'.repeat(40))
const lz4Frame = await lz4Codec.compress({ buffer: plain })
const javaSnappy = await snappyCodec.compress({ buffer: plain })
const compressors: readonly ((bytes: Buffer) => Buffer)[] = [
  (bytes) => bytes,
  gzipSync,
  compressSync,
  (bytes) => bytes,
  zstdCompressSync,
]

const wireRecord = fc.record({
  key: fc.option(binary),
  value: fc.option(binary),
  headers: fc.constant([]),
})
const wire: fc.Arbitrary<Buffer> = fc
  .record({
    baseOffset: fc.nat({ max: 50 }),
    records: fc.array(wireRecord, { minLength: 1, maxLength: 5 }),
    codec: fc.constantFrom(0, 0, 0, 1, 2, 4),
    flags: fc.constantFrom(0, 0, 0x08, 0x10, 0x30),
  })
  .map(({ baseOffset, records, codec, flags }) => {
    const batch: WireBatch = {
      baseOffset,
      records: records.map((record, offsetDelta) => ({ offsetDelta, ...record })),
      attributes: codec | flags,
      compress: compressors[codec]!,
    }
    return wireBatch(batch)
  })

const oldEntry = fc.record({
  key: fc.constantFrom(null, 'k'),
  value: fc.constantFrom(null, 'v', '{"type":"a"}'),
  timestamp: fc.nat(),
})
const oldSet = fc
  .tuple(fc.constantFrom(0, 1), fc.array(oldEntry, { minLength: 1, maxLength: 4 }))
  .map(([version, entries]) => {
    const { buffer } = encodeSet({ messageVersion: version, entries })
    // kafkajs gives every message of a set the offset -1.
    for (let at = 0, offset = 0; at < buffer.length; at += 12 + buffer.readInt32BE(at + 8)) {
      buffer.writeBigInt64BE(BigInt(offset++), at)
    }
    return buffer
  })

/** Checksums are right for most: what a producer, not a disk, has done. */
const set = fc
  .tuple(
    fc.array(fc.tuple(damagedBytes(wire), fc.boolean(), fc.boolean()), { maxLength: 3 }),
    damagedBytes(wire),
  )
  .map(([batches, last]) =>
    Buffer.concat([...batches.map(([bytes, sum, length]) => repaired(bytes, sum, length)), last]),
  )

function repaired(bytes: Buffer, sum: boolean, length: boolean): Buffer {
  const copy = Buffer.from(bytes)
  if (copy.length < 61) return copy
  if (length) copy.writeInt32BE(copy.length - 12, 8)
  return sum ? withChecksum(copy) : copy
}

test('fuzz: any record set: records, or damage that is named', async (t) => {
  await fuzz(t, 1500, set, async (bytes) => {
    const fetch = fetchOf(bytes, limits)
    if (fetch.failure !== undefined) {
      // A failure of its partition, which another fetch may end.
      assert.match(messageOf(fetch.failure), /its offset is -?\d+, and nothing follows it yet$/)
      return
    }
    const { pieces, error, records } = await unpacked(bytes, limits)
    let position = 0
    for (const { from, next } of pieces) {
      assert.ok(from === position && next > from, `a piece [${from}, ${next}) behind ${position}`)
      position = next
    }
    if (error !== undefined) {
      assert.ok(error.next > error.offset, `damage [${error.offset}, ${error.next})`)
      // Anything else would be retried for ever.
      if (!error.isDamage && !/codec \d is not known|a copy reaches/.test(error.message))
        throw error
    }
    for (const { key, value } of records) {
      assert.ok((key?.length ?? 0) + (value?.length ?? 0) <= limits.maxRecordBytes)
    }
  })
})

test('fuzz: any set of the old formats: records, or trouble that is named', async (t) => {
  await fuzz(t, 500, damagedBytes(oldSet), async (bytes) => {
    const { fetched, pieces, error } = await unpacked(bytes, limits)
    if (fetched.failure !== undefined) throw fetched.failure
    let position = 0
    for (const { from, next } of pieces) {
      assert.ok(from === position && next > from, `a piece [${from}, ${next}) behind ${position}`)
      position = next
    }
    if (error === undefined) return
    assert.ok(error.next > error.offset, `trouble [${error.offset}, ${error.next})`)
    if (!error.isDamage) throw error
  })
})

const bombs = [
  gzipSync(Buffer.alloc(2 ** 20)),
  compressSync(Buffer.alloc(2 ** 20)),
  zstdCompressSync(Buffer.alloc(2 ** 20)),
]
const [gzipBomb, snappyBomb, zstdBomb] = bombs as [Buffer, Buffer, Buffer]
const lz4Bomb = await lz4Codec.compress({ buffer: Buffer.alloc(2 ** 20) })
const compressed: Readonly<
  Record<string, { readonly attributes: number; readonly good: readonly Buffer[] }>
> = {
  gzip: {
    attributes: 1,
    good: [
      gzipSync(plain),
      gzipBomb,
      Buffer.concat([gzipSync(plain), gzipSync(plain)]),
      deflateRawSync(plain),
    ],
  },
  snappy: { attributes: 2, good: [compressSync(plain), snappyBomb, javaSnappy] },
  lz4: { attributes: 3, good: [lz4Frame, lz4Bomb, Buffer.concat([lz4Frame, lz4Frame])] },
  zstd: { attributes: 4, good: [zstdCompressSync(plain), zstdBomb] },
}

for (const [name, { attributes, good }] of Object.entries(compressed)) {
  test(`fuzz: ${name} of anybody: bytes within the limit, or damage`, async (t) => {
    const limit = 65_536
    await fuzz(t, 300, damagedBytes(fc.constantFrom(...good)), async (bytes) => {
      const inflater = inflaterOf(attributes)!
      try {
        const whole = await inflater.whole(bytes, limit)
        assert.ok(whole === undefined || whole.length <= limit)
        if (whole !== undefined) return
        let total = 0
        for await (const chunk of inflater.chunks(bytes)) {
          assert.ok(chunk.length <= 2 ** 20, `a chunk of ${chunk.length} bytes`)
          total += chunk.length
          if (total > 2 ** 23) break
        }
      } catch (error) {
        // Copies of snappy may reach further than any compressor lets them; such a batch waits for
        // a program that reads it.
        if (!(error instanceof DamagedData) && !/^a copy reaches/.test((error as Error).message))
          throw error
      }
    })
  })
}

test('fuzz: frames of any broker: answers, or the end of the connection', async (t) => {
  const frame = fc
    .tuple(fc.integer(), fc.uint8Array({ maxLength: 30 }))
    .map(([correlation, payload]) => {
      const head = Buffer.alloc(8)
      head.writeInt32BE(payload.length + 4, 0)
      head.writeInt32BE(correlation, 4)
      return Buffer.concat([head, payload])
    })
  const stream = damagedBytes(
    fc.array(frame, { maxLength: 4 }).map((frames) => Buffer.concat(frames)),
  )
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 })
  await fuzz(t, 1000, fc.tuple(stream, cuts), ([bytes, sizes]) => {
    let given = 0
    let closed: Error | undefined
    const connection: ConnectionState = {
      broker: 'b',
      authHandlers: null,
      authExpectResponse: false,
      requestQueue: {
        fulfillRequest: ({ size, payload }) => {
          assert.equal(payload.length, size - 4)
          given += size + 4
        },
      },
      socket: { destroy: (error) => (closed = error) },
    }
    for (let at = 0, i = 0; at < bytes.length && closed === undefined; i++) {
      const size = sizes[i % sizes.length]!
      processData.call(connection, bytes.subarray(at, at + size))
      at += size
    }
    assert.ok(given <= bytes.length)
    if (closed !== undefined) assert.ok(closed instanceof ArchiverError)
  })
})

test('fuzz: whatever was produced becomes lines', async (t) => {
  const encoder = new LineEncoder({ from: 'value', path: ['type'] })
  await fuzz(t, 300, sourceBatch(), (batch) => {
    const { lines, ends } = encoder.encode(batch)
    let start = 0
    for (const end of ends) {
      JSON.parse(lines.toString('utf8', start, end))
      start = end
    }
  })
})
