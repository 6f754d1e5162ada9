import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import type { LogEntry } from 'kafkajs'
import { kafkaLogger } from '../../../src/kafka/client.ts'
import { kafkajs } from '../../../src/kafka/kafkajs.ts'
import { connectFailure } from '../../../src/kafka/security.ts'
import { createLogger, type LogLevel } from '../../../src/runtime/log.ts'

const { logLevel } = kafkajs

function capture(level: LogLevel) {
  const lines: Record<string, unknown>[] = []
  let time = 0
  const log = createLogger({ level, stream: { write: (line) => lines.push(JSON.parse(line)) } })
  const write = kafkaLogger(log, () => time)
  const say = (
    namespace: string,
    kafkaLevel: number,
    message: string,
    fields: Record<string, unknown> = {},
  ) =>
    write({
      namespace,
      level: kafkaLevel,
      label: '',
      log: { timestamp: '2026-11-23T00:00:00.000Z', logger: 'kafkajs', message, ...fields },
    } as LogEntry)
  return {
    lines,
    say,
    advance: (ms: number) => (time += ms),
    levels: () => lines.map(({ level }) => level),
  }
}

test('levels are ours, INFO is debug, the namespace is one field', () => {
  const { lines, say } = capture('trace')
  say('Consumer', logLevel.ERROR, 'a')
  say('Consumer', logLevel.WARN, 'b')
  say('Consumer', logLevel.INFO, 'c', { groupId: 'g' })
  say('Consumer', logLevel.DEBUG, 'd')
  assert.deepEqual(
    lines.map(({ level }) => level),
    ['error', 'warn', 'debug', 'trace'],
  )
  const { time, ...rest } = lines[2]!
  assert.deepEqual(rest, {
    level: 'debug',
    event: 'kafka_client',
    kafkajs: 'Consumer',
    groupId: 'g',
    msg: 'c',
  })
})

test('an error that is repeated is logged once in 30 s', () => {
  const { say, advance, levels } = capture('warn')
  for (let second = 0; second < 65; second++, advance(1000)) say('Runner', logLevel.ERROR, 'same')
  assert.deepEqual(levels(), ['error', 'error', 'error'])
  say('Runner', logLevel.ERROR, 'another')
  assert.equal(levels().length, 4)
})

test('a connection that fails is a warning once that has lasted, and nothing if it recovers', () => {
  const { say, advance, levels } = capture('warn')
  say('Connection', logLevel.ERROR, 'refused', { broker: 'a:1' })
  advance(40_000)
  say('Connection', logLevel.ERROR, 'refused', { broker: 'a:1' })
  assert.deepEqual(levels(), [])
  for (let second = 0; second < 60; second++, advance(1000))
    say('Connection', logLevel.ERROR, 'refused', { broker: 'a:1' })
  assert.deepEqual(levels(), ['warn', 'warn'])
})

test('a request queue of kafkajs without pending requests sets no timer; with one it does', (t) => {
  interface Queue {
    pending: unknown[]
    throttleCheckTimeoutId: NodeJS.Timeout | null
    scheduleCheckPendingRequests(): void
    destroy(): void
  }
  const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as new (
    options: object,
  ) => Queue
  const queue = new RequestQueue({})
  t.after(() => queue.destroy())
  queue.scheduleCheckPendingRequests()
  assert.equal(queue.throttleCheckTimeoutId, null)
  queue.pending.push({})
  queue.scheduleCheckPendingRequests()
  assert.notEqual(queue.throttleCheckTimeoutId, null)
})

test('a request that takes too long is found within a tenth of its time, and a fast one is left alone', async (t) => {
  const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as new (
    options: object,
  ) => { inflight: Map<number, object>; scheduleRequestTimeoutCheck(): void; destroy(): void }
  const queue = new RequestQueue({ requestTimeout: 100, enforceRequestTimeout: true })
  t.after(() => queue.destroy())
  const request = (requestTimeout: number, timeoutRequest: () => void) => ({
    sentAt: performance.now(),
    requestTimeout,
    timeoutRequest,
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  queue.inflight.set(
    1,
    request(60_000, () => reject(new Error('has time'))),
  )
  queue.inflight.set(2, request(100, resolve))
  queue.scheduleRequestTimeoutCheck()
  await promise
})

test('a fetch with all its partitions paused continues as soon as one is resumed', async () => {
  const { prototype } = createRequire(import.meta.url)('kafkajs/src/consumer/consumerGroup') as {
    prototype: { fetch(nodeId: number): Promise<unknown[]>; resume(topicPartitions: unknown): void }
  }
  let active = new Set<number>()
  const group = {
    maxWaitTime: 60_000,
    logger: { info: () => {} },
    cluster: { refreshMetadataIfNecessary: async () => {} },
    checkForStaleAssignment: () => {},
    recoverFromFetch: async (error: unknown) => {
      throw error
    },
    getActiveTopicPartitions: () => ({ events: active }),
    subscriptionState: {
      resume: () => {
        active = new Set([0])
      },
    },
  }
  const fetched = prototype.fetch.call(group, 0)
  let settled = false
  void fetched.then(() => {
    settled = true
  })
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(settled, false)
  prototype.resume.call(group, [{ topic: 'events', partitions: [0] }])
  assert.deepEqual(await fetched, [])
})

test('an answer that announces too many bytes, or fewer than none, closes the connection', async (t) => {
  const lengths = [0x7f_ff_ff_ff, 256 * 2 ** 20 + 1, -1, -0x80_00_00_00, 3]
  for (const length of lengths) {
    const sockets: Socket[] = []
    const server = createServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => {})
      socket.once('data', () => {
        const head = Buffer.alloc(4)
        head.writeInt32BE(length)
        socket.write(head)
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const logged: string[] = []
    const client = new kafkajs.Kafka({
      brokers: [`127.0.0.1:${(server.address() as AddressInfo).port}`],
      retry: { retries: 0 },
      logCreator: () => (entry) => void logged.push(entry.log.message),
    })
    // A client that believes the length waits for its request's timeout of 30 s.
    await assert.rejects(client.admin().connect(), /announced an answer of/, String(length))
    await Promise.all(sockets.map((socket) => socket.destroyed || once(socket, 'close')))
    assert.match(logged.join('\n'), new RegExp(`announced an answer of ${length} bytes`))
  }
})

test('a port that speaks TLS or HTTP is named as what it is', async (t) => {
  const answers: readonly (readonly [Buffer, RegExp])[] = [
    [
      Buffer.from([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a]),
      /answers with TLS.*does this port want --kafka-tls\?$/,
    ],
    [
      Buffer.from([0x16, 0x03, 0x01, 0x00, 0x02, 0x02, 0x0a]),
      /answers with TLS.*does this port want --kafka-tls\?$/,
    ],
    [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), /answers with HTTP.*is --brokers right\?$/],
  ]
  for (const [answer, expected] of answers) {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.write(answer))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const where = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const client = new kafkajs.Kafka({ brokers: [where], retry: { retries: 0 }, logLevel: 0 })
    await assert.rejects(client.admin().connect(), (error) => {
      assert.match(connectFailure(error, where), expected)
      return true
    })
  }
})

test('answers are read however they are cut, several in one piece', () => {
  const Connection = createRequire(import.meta.url)('kafkajs/src/network/connection') as {
    readonly prototype: { processData(data: Buffer): void }
  }
  const frames = [5, 6, 7].map((correlationId) => {
    const frame = Buffer.alloc(4 + 4 + correlationId, correlationId)
    frame.writeInt32BE(4 + correlationId, 0)
    frame.writeInt32BE(correlationId, 4)
    return frame
  })
  const bytes = Buffer.concat(frames)
  for (let piece = 1; piece <= bytes.length; piece++) {
    const answers: [number, Buffer][] = []
    const connection = {
      socket: {},
      authHandlers: null,
      requestQueue: {
        fulfillRequest: ({ correlationId, payload }: { correlationId: number; payload: Buffer }) =>
          answers.push([correlationId, payload]),
      },
    }
    for (let at = 0; at < bytes.length; at += piece)
      Connection.prototype.processData.call(connection, bytes.subarray(at, at + piece))
    assert.deepEqual(
      answers,
      [5, 6, 7].map((id) => [id, Buffer.alloc(id, id)]),
    )
  }
})
