import { ArchiverError } from '../../runtime/errors.ts'
import { frameReaderOf } from './frame-reader.ts'

/** What kafkajs's Connection has and `processData` uses. */
export interface ConnectionState {
  readonly broker: string
  readonly authHandlers: { onSuccess(raw: Buffer): void } | null
  readonly authExpectResponse: boolean
  readonly requestQueue: {
    fulfillRequest(answer: { size: number; correlationId: number; payload: Buffer }): void
  }
  readonly socket: { destroy(error: Error): void }
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
    this.authHandlers.onSuccess(Buffer.from(data))
    return
  }
  const refused = frameReaderOf(this.socket).take(
    data,
    // An answer to SASL has no correlation id, and may be empty.
    (size) => size <= maxFrameBytes && size >= (this.authHandlers === null ? correlationBytes : 0),
    (frame) => answered(this, frame),
  )
  if (refused !== undefined) refuse(this, refused)
}

function answered({ authHandlers, requestQueue }: ConnectionState, frame: Buffer): void {
  // SASL handlers take the frame with its length, one at a time.
  if (authHandlers !== null) {
    authHandlers.onSuccess(frame)
    return
  }
  requestQueue.fulfillRequest({
    size: frame.length - lengthBytes,
    correlationId: frame.readInt32BE(lengthBytes),
    payload: frame.subarray(lengthBytes + correlationBytes),
  })
}

function refuse({ broker, socket }: ConnectionState, length: Buffer): void {
  const protocol = otherProtocol(length)
  const answer =
    protocol === undefined
      ? `announced an answer of ${length.readInt32BE(0)} bytes, which is no answer of Kafka; the limit is ${maxFrameBytes}`
      : `answers with ${protocol}, which is no answer of Kafka`
  socket.destroy(new ArchiverError('UNREACHABLE', `${broker} ${answer}`, { broker }))
}

/** A TLS record begins with its type, alert or handshake, and a version 3.x (RFC 8446, 5.1). */
function otherProtocol(bytes: Buffer): string | undefined {
  if ((bytes[0] === 0x15 || bytes[0] === 0x16) && bytes[1] === 0x03) return 'TLS'
  return bytes.toString('latin1', 0, 4) === 'HTTP' ? 'HTTP' : undefined
}
