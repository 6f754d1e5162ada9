import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ISocketFactoryArgs } from 'kafkajs'
import { brokerSocket } from '../../../src/kafka/broker-socket.ts'
import { processData } from '../../../src/kafka/repairs/frame-limit.ts'

/** A connection as kafkajs makes it, to a server that treats it so. */
async function connected(t: TestContext, serve: (socket: Socket) => void) {
  const server = createServer(serve).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  // kafkajs gives null without TLS.
  const ssl = null as unknown as ISocketFactoryArgs['ssl']
  const socket = brokerSocket({ host: '127.0.0.1', port, ssl, onConnect: () => {} })
  t.after(() => socket.destroy())
  const answers: { readonly correlationId: number; readonly payload: Buffer }[] = []
  const connection = {
    broker: `127.0.0.1:${port}`,
    authHandlers: null,
    authExpectResponse: false,
    requestQueue: {
      fulfillRequest: (answer: (typeof answers)[number]) => void answers.push(answer),
    },
    socket,
  }
  socket.on('data', (data) => processData.call(connection, data))
  return { socket, answers }
}

function answer(correlationId: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeInt32BE(payload.length + 4)
  head.writeInt32BE(correlationId, 4)
  return Buffer.concat([head, payload])
}

test('answers small and large, in any pieces, are what the broker sent', async (t) => {
  const payloads = [3, 5_000_000, 0, 70_000, 1].map((bytes) => randomBytes(bytes))
  const stream = Buffer.concat(payloads.map((payload, i) => answer(i, payload)))
  const send = async (peer: Socket) => {
    for (let at = 0, bytes = 1; at < stream.length; at += bytes, bytes = bytes * 3 + 1) {
      peer.write(stream.subarray(at, at + bytes))
      await sleep(1)
    }
    peer.end()
  }
  const { socket, answers } = await connected(t, (peer) => {
    send(peer).catch((error: unknown) => peer.destroy(error as Error))
  })
  await once(socket, 'end')
  assert.deepEqual(
    answers.map(({ correlationId, payload }) => [
      correlationId,
      payload.equals(payloads[correlationId]!),
    ]),
    payloads.map((_, i) => [i, true]),
  )
})

test('a broker that hangs up in the middle of an answer ends the connection', async (t) => {
  const { socket, answers } = await connected(t, (peer) => {
    peer.end(answer(1, randomBytes(200_000)).subarray(0, 150_000))
  })
  await once(socket, 'end')
  assert.deepEqual(answers, [])
})
