import assert from 'node:assert/strict'
import { test } from 'node:test'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { compressFrameSync } from 'lz4-napi'
import { compressSync } from 'snappy'
import { DamagedData } from '../../../../src/kafka/batch/damaged-data.ts'
import { type Inflater, inflaterOf } from '../../../../src/kafka/batch/inflate.ts'
import { lz4Bound } from '../../../../src/kafka/batch/lz4-frame.ts'
import {
  snappyBlocks,
  snappyLength,
  xerialHeader,
} from '../../../../src/kafka/batch/snappy-blocks.ts'
import { zstdSizes } from '../../../../src/kafka/batch/zstd-frame.ts'
import { binary } from '../../../helpers/arbitraries.ts'
import { bombOf } from '../../../helpers/bombs.ts'
import { collectGarbage } from '../../../helpers/garbage.ts'
import { type WireBatch, wireBatch } from '../../../helpers/record-set.ts'
import { unpacked } from '../../../helpers/unpacked.ts'

function xerial(bytes: Buffer): Buffer {
  const parts: Buffer[] = [xerialHeader]
  for (let at = 0; at < bytes.length; at += 32 * 1024) {
    const block = compressSync(bytes.subarray(at, at + 32 * 1024))
    const length = Buffer.alloc(4)
    length.writeInt32BE(block.length)
    parts.push(length, block)
  }
  return Buffer.concat(parts)
}

const withoutSize = { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } }
const same = (bytes: Buffer): Buffer => bytes
/** How producers of each kind compress: the codec's number, and bytes as they are in a batch. */
const compressors: Readonly<Record<string, readonly [number, (bytes: Buffer) => Buffer]>> = {
  none: [0, same],
  gzip: [1, gzipSync],
  'gzip in two members': [
    1,
    (bytes) => Buffer.concat([gzipSync(bytes.subarray(0, 7)), gzipSync(bytes.subarray(7))]),
  ],
  'snappy of Java': [2, xerial],
  'snappy of librdkafka': [2, (bytes) => compressSync(bytes)],
  lz4: [3, (bytes) => compressFrameSync(bytes)],
  'lz4 with checksums': [
    3,
    (bytes) => compressFrameSync(bytes, { blockChecksums: true, contentChecksum: true }),
  ],
  zstd: [4, (bytes) => zstdCompressSync(bytes)],
  'zstd of Java': [4, (bytes) => zstdCompressSync(bytes, withoutSize)],
}

const value = fc.oneof(
  binary,
  fc
    .record({
      unit: fc.uint8Array({ minLength: 1, maxLength: 90 }),
      times: fc.integer({ min: 1, max: 300 }),
    })
    .map(({ unit, times }) => Buffer.concat(Array<Uint8Array>(times).fill(unit))),
)
const wireRecords = fc
  .array(
    fc.record(
      {
        skipped: fc.nat({ max: 3 }),
        key: fc.option(binary),
        value: fc.option(value),
        headers: fc.array(
          fc.record({ key: fc.string({ maxLength: 5 }), value: fc.option(binary) }),
          { maxLength: 3 },
        ),
      },
      { noNullPrototype: true },
    ),
    { minLength: 1, maxLength: 30 },
  )
  .map((made) => {
    let delta = -1
    return made.map(({ skipped, ...record }) => {
      delta += 1 + skipped
      return { ...record, offsetDelta: delta }
    })
  })

const plain = (
  records: readonly {
    offset: number
    key: Buffer | null
    value: Buffer | null
    headers: readonly object[]
  }[],
) =>
  records.map(({ offset, key, value, headers }) => ({
    offset,
    key,
    value,
    headers: headers.map((header) => ({ ...header })),
  }))

for (const [name, [codec, compress]] of Object.entries(compressors)) {
  test(`${name}: the pieces of a fetch are its batches, whatever the limits, from any offset`, async () => {
    const limits = fc.record({
      pieceBytes: fc.integer({ min: 1, max: 5_000 }),
      maxRecordBytes: fc.integer({ min: 10, max: 20_000 }),
    })
    const agrees = fc.asyncProperty(
      fc.array(wireRecords, { minLength: 1, maxLength: 3 }),
      limits,
      fc.nat(),
      async (made, limit, at) => {
        let baseOffset = 100
        const batches: WireBatch[] = made.map((records) => {
          const batch = { baseOffset, records, attributes: codec, compress }
          baseOffset += records.at(-1)!.offsetDelta + 1
          return batch
        })
        const fetchedOffset = 100 + (at % (baseOffset - 100))
        const bytes = Buffer.concat(batches.map(wireBatch))
        const whole = await unpacked(bytes, { fetchedOffset })
        assert.equal(whole.error, undefined)
        const expected = batches.flatMap((batch) =>
          batch.records.map(({ offsetDelta, key = null, value = null, headers = [] }) => ({
            offset: Number(batch.baseOffset) + offsetDelta,
            key,
            value,
            headers: headers.map((header) => ({ ...header })),
          })),
        )
        assert.deepEqual(
          plain(whole.records),
          expected.filter(({ offset }) => offset >= fetchedOffset),
        )

        const cut = await unpacked(bytes, { fetchedOffset, ...limit })
        assert.equal(cut.error, undefined)
        let next = fetchedOffset
        const oversized = new Set<number>()
        for (const piece of cut.pieces) {
          assert.equal(piece.from, next)
          next = piece.next
          if (piece.oversized === undefined) continue
          assert.equal(piece.oversized.offset, piece.next - 1)
          assert.ok(piece.oversized.bytes + 64 * 3 > limit.maxRecordBytes)
          oversized.add(piece.oversized.offset)
        }
        assert.equal(next, baseOffset)
        assert.deepEqual(
          cut.records,
          whole.records.filter(({ offset }) => !oversized.has(offset)),
        )
      },
    )
    await fc.assert(agrees, { numRuns: 60 })
  })
}

const inflaters = Object.entries(compressors).filter(([, [codec]]) => codec !== 0)

async function inflated(inflater: Inflater, bytes: Buffer): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of inflater.chunks(bytes)) {
    assert.ok(chunk.length <= 320 * 1024)
    chunks.push(Buffer.from(chunk))
  }
  return Buffer.concat(chunks)
}

for (const [name, [codec, compress]] of inflaters) {
  test(`${name}: a stream gives what a whole one does, and damage in it is an error, never other bytes in silence`, async () => {
    const inflater = inflaterOf(codec)!
    const contents = fc
      .array(fc.tuple(value, fc.integer({ min: 1, max: 40 })), { minLength: 1, maxLength: 12 })
      .map((parts) =>
        Buffer.concat(parts.flatMap(([bytes, times]) => Array<Buffer>(times).fill(bytes))),
      )
    const agrees = fc.asyncProperty(contents, fc.nat(), async (bytes, cut) => {
      const compressed = compress(bytes)
      assert.ok((await inflated(inflater, compressed)).equals(bytes))
      assert.ok((await inflater.whole(compressed, 64 * 2 ** 20))?.equals(bytes))
      if (bytes.length > 100) assert.equal(await inflater.whole(compressed, 100), undefined)
      const end = cut % compressed.length
      const rest = await inflated(inflater, compressed.subarray(0, end)).catch((error: unknown) => {
        assert.ok(error instanceof DamagedData, String(error))
        return undefined
      })
      // Formats of several parts may end between two; the reader of records finds that.
      if (rest !== undefined) assert.ok(bytes.subarray(0, rest.length).equals(rest))
    })
    await fc.assert(agrees, { numRuns: 40 })
  })
}

test('the sizes that headers tell are those of the bytes, or more', () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 20 }), (parts) => {
      const bytes = Buffer.concat(parts)
      assert.ok(lz4Bound(compressFrameSync(bytes)) >= bytes.length)
      assert.equal(
        snappyBlocks(xerial(bytes)).reduce((sum, block) => sum + snappyLength(block), 0),
        bytes.length,
      )
      const { bound, claimed } = zstdSizes(zstdCompressSync(bytes))
      assert.ok(bound >= bytes.length)
      assert.equal(claimed, bytes.length)
      assert.equal(zstdSizes(zstdCompressSync(bytes, withoutSize)).claimed, 0)
    }),
    { numRuns: 50 },
  )
})

test('a frame of LZ4 whose blocks refer to each other is read as a stream', async () => {
  // Two blocks: eight literals, then a copy of eight bytes from the block before.
  const head = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0])
  const block = (bytes: Buffer) => {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(bytes.length)
    return Buffer.concat([length, bytes])
  }
  const literals = block(Buffer.concat([Buffer.from([0x80]), Buffer.from('abcdefgh')]))
  const copy = block(Buffer.concat([Buffer.from([0x04, 8, 0, 0x50]), Buffer.from('12345')]))
  const frame = Buffer.concat([head, literals, copy, Buffer.alloc(4)])
  assert.equal((await inflated(inflaterOf(3)!, frame)).toString(), 'abcdefghabcdefgh12345')
  // The same with independent blocks reaches before its beginning.
  frame[4] = 0x60
  await assert.rejects(inflated(inflaterOf(3)!, frame), DamagedData)
})

test('a snappy block that claims more than any can be is refused before memory is taken for it', async () => {
  const claims = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0x61])
  await assert.rejects(inflaterOf(2)!.whole(claims, 2 ** 40), DamagedData)
  await assert.rejects(inflated(inflaterOf(2)!, claims), DamagedData)
})

/** A third of the record. */
const maxHeld = 100 * 2 ** 20

for (const [codec, name] of [
  [1, 'gzip'],
  [2, 'snappy'],
  [3, 'lz4'],
  [4, 'zstd'],
] as const) {
  test(`${name}: a record that is too large passes by without being held, and the next one is read`, async () => {
    const body = await bombOf[codec]!([{ bytes: 300 * 2 ** 20 }, { bytes: 2 }])
    const bytes = wireBatch({
      baseOffset: 5,
      attributes: codec,
      lastOffsetDelta: 1,
      count: 2,
      records: [],
      compress: () => body,
    })
    let peak = 0
    const before = process.memoryUsage().arrayBuffers
    const held = () => process.memoryUsage().arrayBuffers - before
    const timer = setInterval(() => {
      // What is held, not what the collector has yet to find: on a busy machine that is a lot.
      if (held() > maxHeld) collectGarbage()
      peak = Math.max(peak, held())
    }, 2)
    const { pieces, error } = await unpacked(bytes, { fetchedOffset: 5 })
    clearInterval(timer)
    assert.equal(error, undefined)
    assert.deepEqual(
      pieces.map(({ from, next, oversized, records }) => [
        from,
        next,
        oversized?.offset,
        records.map(({ offset }) => offset),
      ]),
      [
        [5, 6, 5, []],
        [6, 7, undefined, [6]],
      ],
    )
    assert.ok(pieces[0]!.oversized!.bytes > 300 * 2 ** 20)
    assert.ok(peak <= maxHeld, `${peak} bytes of buffers for ${bytes.length} bytes that came`)
  })
}
