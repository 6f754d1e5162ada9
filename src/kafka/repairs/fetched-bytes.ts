import { type FetchedBytes, FetchedPartitionBatch } from '../batch/fetched-batch.ts'
import type { OldMessage } from '../batch/old-messages.ts'
import { load, replaceModule } from './modules.ts'

interface Decoder {
  readInt32(): number
  canReadBytes(length: number): boolean
  readBytes(length: number): Buffer
}

type DecodeMessages = (
  decoder: Decoder,
) => Promise<FetchedBytes | readonly never[] | readonly OldMessage[]>

/**
 * Takes the bytes of a partition as they are: whoever has room for them inflates them
 * (`batch/unpack.ts`). kafkajs would inflate and decode all of an answer at once.
 */
export function repairFetchedBytes(): void {
  const Decoder = load('protocol/decoder') as new (bytes: Buffer) => Decoder
  replaceModule<DecodeMessages>('protocol/requests/fetch/v4/decodeMessages', (original) => {
    const decodeOld: FetchedBytes['decodeOld'] = (bytes) => {
      const length = Buffer.alloc(4)
      length.writeInt32BE(bytes.length)
      return original(new Decoder(Buffer.concat([length, bytes]))) as Promise<readonly OldMessage[]>
    }
    return async (decoder) => {
      const length = decoder.readInt32()
      if (length <= 0 || !decoder.canReadBytes(length)) return []
      return { bytes: decoder.readBytes(length), decodeOld }
    }
  })
  replaceModule<unknown>('consumer/batch', () => FetchedPartitionBatch)
}
