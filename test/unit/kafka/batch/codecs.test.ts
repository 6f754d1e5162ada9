import assert from 'node:assert/strict'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import fc from 'fast-check'
import { compressSync } from 'snappy'
import {
  type Codec,
  compressionTypes,
  lazyCodec,
  lz4Codec,
  snappyCodec,
  zstdCodec,
} from '../../../../src/kafka/batch/codecs.ts'
import { registerCodecs } from '../../../../src/kafka/batch/register-codecs.ts'
import { kafkajs } from '../../../../src/kafka/kafkajs.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'

const codecs: Readonly<Record<string, Codec>> = {
  snappy: snappyCodec,
  lz4: lz4Codec,
  zstd: zstdCodec,
}

/** Small and large, repetitive and not: across the blocks that codecs cut. */
const contents = fc.oneof(
  fc.uint8Array({ maxLength: 2_000 }).map((array) => Buffer.from(array)),
  fc
    .record({
      piece: fc.uint8Array({ minLength: 1, maxLength: 500 }),
      times: fc.integer({ min: 1, max: 1_000 }),
    })
    .map(({ piece, times }) => Buffer.concat(Array<Uint8Array>(times).fill(piece))),
)

for (const [name, codec] of Object.entries(codecs)) {
  test(`${name}: what is decompressed is what was compressed`, async () => {
    const round = fc.asyncProperty(contents, async (buffer) => {
      assert.ok((await codec.decompress(await codec.compress({ buffer }))).equals(buffer))
    })
    await fc.assert(round, { numRuns: 60 })
  })

  test(`${name}: bytes that are no such batch are a clear error, and not one of this program`, async () => {
    const failure = codec.decompress(Buffer.from('this was never compressed, not by anybody'))
    await assert.rejects(failure, (error) => {
      assert.ok(error instanceof Error && !(error instanceof ArchiverError))
      assert.match(error.message, new RegExp(`^41 bytes cannot be decompressed with ${name}: `))
      return true
    })
  })
}

test('snappy: blocks as Java writes them, and plain snappy, are read', async () => {
  const plain = Buffer.from('{"type":"object.one"}'.repeat(5_000))
  const blocks = [
    plain.subarray(0, 32_768),
    plain.subarray(32_768, 65_536),
    plain.subarray(65_536),
  ].flatMap((part) => {
    const block = compressSync(part)
    const length = Buffer.alloc(4)
    length.writeInt32BE(block.length)
    return [length, block]
  })
  const java = Buffer.concat([Buffer.from('82534e41505059000000000100000001', 'hex'), ...blocks])
  assert.ok((await snappyCodec.decompress(java)).equals(plain))
  assert.ok((await snappyCodec.decompress(compressSync(plain))).equals(plain))
})

test('snappy: a block that runs past the end is refused', async () => {
  const whole = await snappyCodec.compress({ buffer: Buffer.alloc(100_000, 'abc') })
  await assert.rejects(
    snappyCodec.decompress(whole.subarray(0, whole.length - 1)),
    /decompressed with snappy/,
  )
})

test('lz4: frames have independent blocks, the only kind that Java reads', async () => {
  const frame = await lz4Codec.compress({ buffer: Buffer.alloc(200_000, 'abc') })
  assert.equal(frame.readUInt32LE(0), 0x184d2204)
  assert.equal(frame[4]! & 0b1110_0000, 0b0110_0000, 'version 1, independent blocks')
})

test('zstd: another implementation reads ours, and we read its frames without a content size', async () => {
  const plain = Buffer.alloc(300_000, 'abcdef')
  assert.ok(
    (await promisify(zstdDecompress)(await zstdCodec.compress({ buffer: plain }))).equals(plain),
  )
  const params = { [constants.ZSTD_c_contentSizeFlag]: 0 }
  assert.ok(
    (await zstdCodec.decompress(await promisify(zstdCompress)(plain, { params }))).equals(plain),
  )
})

test('a missing native module fails only when its batch is met, and says what to do', async () => {
  const codec = lazyCodec('snappy', 'snappy', () =>
    Promise.reject(new Error('no binding for this platform')),
  )
  await assert.rejects(codec.decompress(Buffer.alloc(1)), {
    code: 'INTERNAL',
    retriable: false,
    message:
      'a batch is compressed with snappy and the module "snappy" cannot be loaded here (npm install on this machine may mend it): no binding for this platform',
  })
})

test('kafkajs finds every codec, however often they are registered', () => {
  registerCodecs()
  registerCodecs()
  const known: Record<number, () => unknown> = kafkajs.CompressionCodecs
  for (const type of [compressionTypes.snappy, compressionTypes.lz4, compressionTypes.zstd]) {
    assert.equal(known[type]!(), known[type]!())
    assert.equal(typeof known[type]!(), 'object')
  }
  assert.equal(typeof known[compressionTypes.gzip], 'function')
})
