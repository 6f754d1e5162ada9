import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { integer, readOptions, text } from '../../src/config/options.ts'
import { readBodies } from './bodies.ts'

/**
 * The rival for Elasticsearch: posts bulk bodies that were made beforehand, a few at a time, and
 * does nothing else. What it needs is what the engine needs; no program that has to read and encode
 * first can be faster.
 */

const values = readOptions(
  {
    bodies: text({ explanation: 'File of bodies.', default: 'bodies.ndjson' }),
    elasticsearch: text({ explanation: 'Where to.', default: 'http://127.0.0.1:9200' }),
    inFlight: integer({ explanation: 'Requests in flight.', default: '4', min: 1 }),
  },
  { argv: process.argv.slice(2), env: {} },
)

const agent = new Agent({ keepAlive: true, maxSockets: values.inFlight })
const url = `${values.elasticsearch}/_bulk?filter_path=errors,items.*.error,items.*.status`

async function post(body: Buffer): Promise<{ status: number; text: string }> {
  const sent = request(url, {
    method: 'POST',
    agent,
    headers: { 'content-type': 'application/x-ndjson', 'content-length': body.length },
  })
  sent.end(body)
  const [answer] = (await once(sent, 'response')) as [import('node:http').IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk as Buffer)
  return { status: answer.statusCode!, text: Buffer.concat(chunks).toString() }
}

const bodies = await readBodies(values.bodies)
const file = await open(values.bodies, 'r')
let next = 0
let position = 0
let documents = 0
let retries = 0

async function postAll(): Promise<void> {
  while (next < bodies.length) {
    const { bytes, documents: count } = bodies[next++]!
    const body = Buffer.allocUnsafeSlow(bytes)
    const at = position
    position += bytes
    await file.read(body, 0, bytes, at)
    for (;;) {
      const { status, text: answer } = await post(body)
      if (status === 200 && answer.startsWith('{"errors":false')) break
      if (status !== 429) throw new Error(`${status} ${answer.slice(0, 500)}`)
      retries++
      await sleep(100)
    }
    documents += count
  }
}

console.log('posting')
await Promise.all(Array.from({ length: values.inFlight }, postAll))
agent.destroy()
await file.close()
console.log(JSON.stringify({ documents, retries }))
