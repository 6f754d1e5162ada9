import { crc32c } from '../../src/kafka/batch/crc32c.ts'
import type { Header } from '../../src/record/record.ts'

/**
 * A record in a batch of format 2; `offsetDelta` and `timestampDelta` as they are on the wire.
 */
export interface WireRecord {
  readonly offsetDelta: number
  readonly timestampDelta?: number | bigint
  readonly key?: Buffer | null
  readonly value?: Buffer | null
  readonly headers?: readonly (Omit<Header, 'key'> & { readonly key: string | null })[]
}

export interface WireBatch {
  readonly baseOffset: number | bigint
  readonly records: readonly WireRecord[]
  /** Bits 0 to 2 codec, 3 log append time, 4 transactional, 5 control. */
  readonly attributes?: number
  readonly baseTimestamp?: number | bigint
  readonly maxTimestamp?: number | bigint
  readonly producerId?: number
  /** That of the last record if it is not given; compaction leaves it as it was. */
  readonly lastOffsetDelta?: number
  /** That of the records if it is not given. */
  readonly count?: number
  readonly compress?: (bytes: Buffer) => Buffer
}

export const wireAttributes = { logAppendTime: 0x08, transactional: 0x10, control: 0x20 } as const

/** A zigzag varint of up to 64 bits (Protocol Buffers encoding). */
export function varint(value: number | bigint): Buffer {
  let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
  const bytes: number[] = []
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  return Buffer.from([...bytes, Number(rest)])
}

function sized(bytes: Buffer | null): Buffer {
  return bytes === null ? varint(-1) : Buffer.concat([varint(bytes.length), bytes])
}

function wireRecord({
  offsetDelta,
  timestampDelta = 0,
  key = null,
  value = null,
  headers = [],
}: WireRecord): Buffer {
  const body = Buffer.concat([
    Buffer.from([0]),
    varint(timestampDelta),
    varint(offsetDelta),
    sized(key),
    sized(value),
    varint(headers.length),
    ...headers.flatMap((header) => [
      sized(header.key === null ? null : Buffer.from(header.key)),
      sized(header.value),
    ]),
  ])
  return Buffer.concat([varint(body.length), body])
}

/**
 * A record batch as a broker sends it (Kafka documentation, "Record Batch"), written independently
 * of the program's own reader and producer.
 */
export function wireBatch(batch: WireBatch): Buffer {
  const { records, compress = (bytes: Buffer) => bytes } = batch
  const body = compress(Buffer.concat(records.map(wireRecord)))
  const head = Buffer.alloc(61)
  head.writeBigInt64BE(BigInt(batch.baseOffset), 0)
  head.writeInt32BE(61 - 12 + body.length, 8)
  head.writeInt32BE(0, 12)
  head[16] = 2
  head.writeInt16BE(batch.attributes ?? 0, 21)
  head.writeInt32BE(batch.lastOffsetDelta ?? records.at(-1)?.offsetDelta ?? 0, 23)
  head.writeBigInt64BE(BigInt(batch.baseTimestamp ?? 0), 27)
  head.writeBigInt64BE(BigInt(batch.maxTimestamp ?? batch.baseTimestamp ?? 0), 35)
  head.writeBigInt64BE(BigInt(batch.producerId ?? -1), 43)
  head.writeInt16BE(-1, 51)
  head.writeInt32BE(-1, 53)
  head.writeInt32BE(batch.count ?? records.length, 57)
  return withChecksum(Buffer.concat([head, body]))
}

/**
 * Sets the checksum of a batch to that of its bytes: what is wrong with it now was written so by
 * its producer.
 */
export function withChecksum(batch: Buffer): Buffer {
  // Of everything behind the checksum itself (Kafka documentation, "Record Batch").
  batch.writeInt32BE(crc32c(batch, 21, batch.length), 17)
  return batch
}

/**
 * The marker that ends a transaction: version 0, then 0 for an abort and 1 for a commit (KIP-98).
 */
export function transactionMarker(
  baseOffset: number,
  producerId: number,
  outcome: 'abort' | 'commit',
): WireBatch {
  const key = Buffer.from([0, 0, 0, outcome === 'abort' ? 0 : 1])
  const value = Buffer.alloc(6)
  const { transactional, control } = wireAttributes
  return {
    baseOffset,
    producerId,
    attributes: transactional | control,
    records: [{ offsetDelta: 0, key, value }],
  }
}
