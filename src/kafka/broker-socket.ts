import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ISocketFactory } from 'kafkajs'
import { FrameReader, readFrames } from './repairs/frame-reader.ts'

/** As kafkajs has it. */
const keepAliveMs = 60_000

/**
 * Connects to a broker like kafkajs does, and without TLS reads what comes to where it stays (see
 * `frame-reader.ts`): Node would else allocate 64 KiB for every read.
 */
export const brokerSocket: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  // kafkajs has no `ssl` here without TLS, whatever its types say.
  const socket = (ssl as typeof ssl | null | undefined)
    ? connectTls(
        { host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl },
        onConnect,
      )
    : connectInPlace(host, port, onConnect)
  return socket.setKeepAlive(true, keepAliveMs)
}

function connectInPlace(host: string, port: number, onConnect: () => void): Socket {
  const reader = new FrameReader()
  const socket: Socket = connectPlain(
    {
      host,
      port,
      onread: {
        buffer: () => reader.room,
        callback: (bytes, buffer) => {
          socket.emit('data', buffer.subarray(0, bytes))
          return true
        },
      },
    },
    onConnect,
  )
  readFrames(socket, reader)
  return socket
}
