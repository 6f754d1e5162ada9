import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import { messageOf } from '../../runtime/errors.ts'
import { lz4Codec, snappyCodec, zstdCodec } from './codecs.ts'
import { DamagedData, isZlibDamage } from './damaged-data.ts'
import { inflateLz4, lz4Bound } from './lz4-frame.ts'
import { inflateSnappy, snappyBlocks, snappyLength } from './snappy-blocks.ts'
import { zstdSizes } from './zstd-frame.ts'

/**
 * Inflates the records of a batch and never holds more than was asked for. A few bytes may inflate
 * to gigabytes: 32 KB of zstd to 1 GiB.
 */
export interface Inflater {
  /**
   * All of it in one piece, or undefined if that is, or may be, more than `limit` bytes. The fast
   * way, for ordinary batches.
   *
   * @throws DamagedData; any other error says nothing about the batch.
   */
  whole(bytes: Buffer, limit: number): Promise<Buffer | undefined>
  /**
   * All of it in small chunks, each inflated when it is taken: memory does not depend on the size.
   *
   * @throws as `whole`
   */
  chunks(bytes: Buffer): AsyncIterable<Buffer> | Iterable<Buffer>
  /** What a stream keeps while it waits, in bytes. */
  windowBytes(bytes: Buffer): number
}

const chunkBytes = 256 * 1024
const minChunkBytes = 64
/** Node before 22.15 has no zstd. There a batch of up to this size is inflated whole. */
const maxWholeZstdBytes = 64 * 2 ** 20

function blamed(name: string, bytes: Buffer, error: unknown): unknown {
  if (!isZlibDamage(error)) return error
  const message = `${bytes.length} bytes cannot be decompressed with ${name}: ${messageOf(error)}`
  return new DamagedData(message, { cause: error })
}

async function* streamed(
  name: string,
  bytes: Buffer,
  inflate: zlib.Unzip | zlib.ZstdDecompress,
): AsyncGenerator<Buffer> {
  inflate.end(bytes)
  try {
    for await (const chunk of inflate) yield chunk as Buffer
  } catch (error) {
    throw blamed(name, bytes, error)
  } finally {
    inflate.destroy()
  }
}

const unzip = promisify(zlib.unzip) as (bytes: Buffer, options: zlib.ZlibOptions) => Promise<Buffer>

const gzip: Inflater = {
  whole: async (bytes, limit) => {
    // The last four bytes are the size modulo 2^32 (RFC 1952, ISIZE). They may lie, or belong to
    // the last of several members.
    const size = bytes.length < 4 ? 0 : bytes.readUInt32LE(bytes.length - 4)
    if (size > limit) return undefined
    try {
      return await unzip(bytes, {
        maxOutputLength: limit,
        chunkSize: Math.max(minChunkBytes, size + 1),
      })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined
      throw blamed('gzip', bytes, error)
    }
  },
  chunks: (bytes) => streamed('gzip', bytes, zlib.createUnzip({ chunkSize: chunkBytes })),
  windowBytes: () => 32 * 1024,
}

const snappy: Inflater = {
  whole: async (bytes, limit) => {
    const size = snappyBlocks(bytes).reduce((sum, block) => sum + snappyLength(block), 0)
    return size > limit ? undefined : snappyCodec.decompress(bytes)
  },
  chunks: (bytes) => inflateSnappy(snappyBlocks(bytes)),
  windowBytes: () => chunkBytes,
}

const lz4: Inflater = {
  whole: async (bytes, limit) => (lz4Bound(bytes) > limit ? undefined : lz4Codec.decompress(bytes)),
  chunks: inflateLz4,
  windowBytes: () => chunkBytes,
}

const zstd: Inflater = {
  whole: async (bytes, limit) => {
    const { bound, claimed } = zstdSizes(bytes)
    // The codec allocates what a frame claims, even when that is a lie.
    return bound > limit || claimed > limit ? undefined : zstdCodec.decompress(bytes)
  },
  chunks: (bytes) => {
    if (typeof zlib.createZstdDecompress === 'function') {
      return streamed('zstd', bytes, zlib.createZstdDecompress({ chunkSize: chunkBytes }))
    }
    return wholeZstd(bytes)
  },
  windowBytes: (bytes) => zstdSizes(bytes).windowBytes,
}

async function* wholeZstd(bytes: Buffer): AsyncGenerator<Buffer> {
  const { bound } = zstdSizes(bytes)
  if (bound > maxWholeZstdBytes)
    throw new Error(`zstd of up to ${bound} bytes needs Node 22.15 or newer to be inflated`)
  yield await zstdCodec.decompress(bytes)
}

const inflaters = [undefined, gzip, snappy, lz4, zstd] as const
const codecMask = 0x07

/**
 * What inflates a batch of these attributes; undefined for one that is not compressed.
 *
 * @throws Error for an unknown codec.
 */
export function inflaterOf(attributes: number): Inflater | undefined {
  const codec = attributes & codecMask
  if (codec >= inflaters.length) throw new Error(`codec ${codec} is not known here`)
  return inflaters[codec]
}
