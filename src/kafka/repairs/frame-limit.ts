import { ArchiverError } from '../../runtime/errors.ts'

/** What kafkajs's Connection has and `processData` uses. */
export interface ConnectionState {
  readonly broker: string
  readonly authHandlers: { onSuccess(raw: Buffer): void } | null
  readonly authExpectResponse: boolean
  readonly requestQueue: {
    fulfillRequest(answer: { size: number; correlationId: number; payload: Buffer }): void
  }
  readonly socket?: { destroy(error: Error): void }
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
}

const lengthBytes = 4
const correlationBytes = 4
/** A fetch of this program is 10 MiB at most, plus one batch as large as the topic allows. */
const maxFrameBytes = 256 * 2 ** 20

/**
 * kafkajs's `Connection.processData`, with a limit: kafkajs believes any length and keeps all that
 * comes. A length below zero or above 256 MiB is no answer of Kafka's; this closes the connection,
 * and the client connects again as after any other error.
 */
export function processData(this: ConnectionState, data: Buffer): void {
  if (this.authHandlers !== null && !this.authExpectResponse) {
    this.authHandlers.onSuccess(data)
    return
  }
  this.chunks.push(data)
  this.bytesBuffered += data.length
  while (this.bytesNeeded <= this.bytesBuffered) {
    const bytes = this.chunks.length > 1 ? Buffer.concat(this.chunks) : this.chunks[0]!
    const size = bytes.readInt32BE(0)
    // An answer to SASL has no correlation id, and may be empty.
    if (size > maxFrameBytes || size < (this.authHandlers === null ? correlationBytes : 0)) {
      refuse(this, bytes, size)
      return
    }
    const end = lengthBytes + size
    if (bytes.length < end) {
      keep(this, bytes, end)
      return
    }
    keep(this, bytes.subarray(end), lengthBytes)
    // SASL handlers take the frame with its length, one at a time.
    if (this.authHandlers !== null) {
      this.authHandlers.onSuccess(bytes.subarray(0, end))
      return
    }
    const correlationId = bytes.readInt32BE(lengthBytes)
    this.requestQueue.fulfillRequest({
      size,
      correlationId,
      payload: bytes.subarray(lengthBytes + correlationBytes, end),
    })
  }
}

function keep(connection: ConnectionState, bytes: Buffer, needed: number): void {
  connection.chunks = [bytes]
  connection.bytesBuffered = bytes.length
  connection.bytesNeeded = needed
}

function refuse(connection: ConnectionState, bytes: Buffer, size: number): void {
  const { broker } = connection
  const protocol = otherProtocol(bytes)
  const answer =
    protocol === undefined
      ? `announced an answer of ${size} bytes, which is no answer of Kafka; the limit is ${maxFrameBytes}`
      : `answers with ${protocol}, which is no answer of Kafka`
  keep(connection, Buffer.alloc(0), lengthBytes)
  connection.socket?.destroy(new ArchiverError('UNREACHABLE', `${broker} ${answer}`, { broker }))
}

/** A TLS record begins with its type, alert or handshake, and a version 3.x (RFC 8446, 5.1). */
function otherProtocol(bytes: Buffer): string | undefined {
  if ((bytes[0] === 0x15 || bytes[0] === 0x16) && bytes[1] === 0x03) return 'TLS'
  return bytes.toString('latin1', 0, 4) === 'HTTP' ? 'HTTP' : undefined
}
