import { kafkajs } from '../kafkajs.ts'
import { type Codec, compressionTypes, lz4Codec, snappyCodec, zstdCodec } from './codecs.ts'
import { type Inflater, inflaterOf } from './inflate.ts'

/**
 * kafkajs itself inflates a message of the formats before Kafka 0.11, and whole. No such broker
 * wrote anything near this size. More than that is an error, and the partition waits for a person.
 */
const maxOldMessageBytes = 256 * 2 ** 20

function bounded(codec: Pick<Codec, 'compress'>, inflater: Inflater): Codec {
  return {
    compress: (encoder) => codec.compress(encoder),
    decompress: async (bytes) => {
      const whole = await inflater.whole(bytes, maxOldMessageBytes)
      if (whole !== undefined) return whole
      throw new RangeError(
        `a message of an old format inflates to more than ${maxOldMessageBytes} bytes`,
      )
    },
  }
}

const own = {
  [compressionTypes.snappy]: snappyCodec,
  [compressionTypes.lz4]: lz4Codec,
  [compressionTypes.zstd]: zstdCodec,
}
const registered = new Map<number, Codec>()

/**
 * kafkajs has only gzip. This adds the other three codecs, for producing and for messages of the
 * old formats, and a limit to all four. Harmless when repeated.
 */
export function registerCodecs(): void {
  // kafkajs declares the type for gzip alone.
  const codecs: Record<number, () => unknown> = kafkajs.CompressionCodecs
  for (const type of [
    compressionTypes.gzip,
    compressionTypes.snappy,
    compressionTypes.lz4,
    compressionTypes.zstd,
  ]) {
    if (registered.has(type)) continue
    const compressor = type === compressionTypes.gzip ? (codecs[type]!() as Codec) : own[type]
    const codec = bounded(compressor, inflaterOf(type)!)
    registered.set(type, codec)
    codecs[type] = () => codec
  }
}
