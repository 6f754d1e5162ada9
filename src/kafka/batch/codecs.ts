import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { DamagedData, isNativeDamage } from './damaged-data.ts'
import { snappyBlocks, xerialHeader } from './snappy-blocks.ts'

/** How kafkajs compresses and decompresses the records of a batch. */
export interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>
  decompress(buffer: Buffer): Promise<Buffer>
}

interface Compressor {
  compress(bytes: Buffer): Promise<Buffer> | Buffer
  decompress(bytes: Buffer): Promise<Buffer> | Buffer
}

const snappyBlockBytes = 64 * 1024

async function loadSnappy(): Promise<Compressor> {
  const { compressSync, uncompressSync } = await import('snappy')
  const uncompress = (bytes: Buffer): Buffer => uncompressSync(bytes, { asBuffer: true }) as Buffer
  return {
    compress: (bytes) => {
      const parts: Buffer[] = [xerialHeader]
      for (let at = 0; at < bytes.length; at += snappyBlockBytes) {
        const block = compressSync(bytes.subarray(at, at + snappyBlockBytes))
        const length = Buffer.allocUnsafe(4)
        length.writeInt32BE(block.length)
        parts.push(length, block)
      }
      return Buffer.concat(parts)
    },
    decompress: (bytes) => {
      const blocks = snappyBlocks(bytes).map(uncompress)
      return blocks.length === 1 ? blocks[0]! : Buffer.concat(blocks)
    },
  }
}

async function loadLz4(): Promise<Compressor> {
  const { compressFrame, decompressFrame } = await import('lz4-napi')
  return {
    compress: (bytes) => compressFrame(bytes),
    decompress: (bytes) => decompressFrame(bytes),
  }
}

async function loadZstd(): Promise<Compressor> {
  const { compress, decompress } = await import('@mongodb-js/zstd')
  return { compress: (bytes) => compress(bytes), decompress: (bytes) => decompress(bytes) }
}

/**
 * kafkajs gives up at once on an error with `retriable: false`. Another fetch cures neither of the
 * errors here.
 */
function codecError(message: string, cause: unknown): ArchiverError {
  return Object.assign(
    new ArchiverError('INTERNAL', `${message}: ${messageOf(cause)}`, {}, cause),
    {
      retriable: false,
    },
  )
}

/**
 * A codec that loads its native module with its first batch, so a platform without the module
 * still reads every other topic.
 *
 * When the module cannot be loaded, both ways throw ArchiverError `INTERNAL`, which kafkajs does
 * not retry. `decompress` throws DamagedData for bytes that cannot be decompressed; any other Error
 * of it says nothing about the bytes.
 */
export function lazyCodec(name: string, module: string, load: () => Promise<Compressor>): Codec {
  let loading: Promise<Compressor> | undefined
  const loaded = async (): Promise<Compressor> => {
    loading ??= load()
    try {
      return await loading
    } catch (error) {
      throw codecError(
        `a batch is compressed with ${name} and the module "${module}" cannot be loaded here (npm install on this machine may mend it)`,
        error,
      )
    }
  }
  return {
    compress: async ({ buffer }) => {
      const compressor = await loaded()
      try {
        return await compressor.compress(buffer)
      } catch (error) {
        throw codecError(`a batch cannot be compressed with ${name}`, error)
      }
    },
    decompress: async (buffer) => {
      const compressor = await loaded()
      try {
        return await compressor.decompress(buffer)
      } catch (error) {
        const message = `${buffer.length} bytes cannot be decompressed with ${name}: ${messageOf(error)}`
        throw error instanceof DamagedData || isNativeDamage(error)
          ? new DamagedData(message, { cause: error })
          : new Error(message, { cause: error })
      }
    },
  }
}

export const snappyCodec = lazyCodec('snappy', 'snappy', loadSnappy)
export const lz4Codec = lazyCodec('lz4', 'lz4-napi', loadLz4)
export const zstdCodec = lazyCodec('zstd', '@mongodb-js/zstd', loadZstd)

/** The `--compression` names and what kafkajs calls them. */
export const compressionTypes = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const
export type Compression = keyof typeof compressionTypes
