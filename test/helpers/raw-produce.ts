import { once } from 'node:events'
import { connect } from 'node:net'
import { type WireBatch, wireBatch } from './record-set.ts'
import { brokers } from './servers.ts'

const produceApi = 0
/** The lowest that takes zstd (KIP-110). */
const produceVersion = 7

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(2)
  length.writeInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const int16 = (value: number) => int32(value).subarray(2)

/**
 * Writes one batch to partition 0 of a topic as it is, past every client: headers in any order,
 * null headers, and whatever else kafkajs cannot send. For a cluster of one broker. Throws if
 * the broker refuses it.
 */
export async function produceRaw(topic: string, batch: WireBatch): Promise<void> {
  const records = wireBatch(batch)
  const body = Buffer.concat([
    int16(-1), // no transaction
    int16(-1), // all replicas
    int32(10_000),
    int32(1),
    text(topic),
    int32(1),
    int32(0),
    int32(records.length),
    records,
  ])
  const request = Buffer.concat([
    int16(produceApi),
    int16(produceVersion),
    int32(1),
    text('archiver-test'),
    body,
  ])
  const [host, port] = brokers[0]!.split(':')
  const socket = connect(Number(port), host)
  try {
    socket.write(Buffer.concat([int32(request.length), request]))
    let answer = Buffer.alloc(0)
    while (answer.length < 4 || answer.length < 4 + answer.readInt32BE(0)) {
      const [chunk] = (await once(socket, 'data', { signal: AbortSignal.timeout(10_000) })) as [
        Buffer,
      ]
      answer = Buffer.concat([answer, chunk])
    }
    // Length, correlation, one topic by its name, one partition, its index, its error.
    const error = answer.readInt16BE(4 + 4 + 4 + text(topic).length + 4 + 4)
    if (error !== 0) throw new Error(`the broker refused the batch: error ${error}`)
  } finally {
    socket.destroy()
  }
}
