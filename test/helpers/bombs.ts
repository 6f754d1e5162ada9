import { once } from 'node:events'
import type { Transform } from 'node:stream'
import { createGzip, createZstdCompress } from 'node:zlib'
import { compressFrameSync } from 'lz4-napi'
import { compressSync } from 'snappy'
import { varint } from './record-set.ts'

/**
 * A value as the bytes that it begins with, and its size; the rest are the letter `a`, and then the
 * end.
 */
export interface LargeValue {
  readonly bytes: number
  readonly begin?: string
  readonly end?: string
}

const step = Buffer.alloc(2 ** 20, 'a')

function* recordsOf(values: readonly LargeValue[]): Generator<Buffer> {
  for (const [offsetDelta, { bytes, begin = '', end = '' }] of values.entries()) {
    const head = Buffer.concat([
      Buffer.from([0]),
      varint(0),
      varint(offsetDelta),
      varint(-1),
      varint(bytes),
    ])
    yield Buffer.concat([varint(head.length + bytes + 1), head, Buffer.from(begin)])
    for (let left = bytes - begin.length - end.length; left > 0; left -= step.length)
      yield step.subarray(0, left)
    yield Buffer.concat([Buffer.from(end), Buffer.from([0])])
  }
}

async function streamed(values: readonly LargeValue[], stream: Transform): Promise<Buffer> {
  const compressed = stream.toArray()
  for (const part of recordsOf(values)) if (!stream.write(part)) await once(stream, 'drain')
  stream.end()
  return Buffer.concat(await compressed)
}

/**
 * The records of a batch that is small on the wire and large when it is inflated, by the number of
 * the codec.
 */
export const bombOf: Readonly<Record<number, (values: readonly LargeValue[]) => Promise<Buffer>>> =
  {
    1: (values) => streamed(values, createGzip()),
    2: async (values) => compressSync(Buffer.concat([...recordsOf(values)])),
    3: async (values) => compressFrameSync(Buffer.concat([...recordsOf(values)])),
    // As Java's producer does, without the size of the content.
    4: (values) => streamed(values, createZstdCompress()),
  }
