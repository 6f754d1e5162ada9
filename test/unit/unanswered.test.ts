import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { describe, it } from 'node:test'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { guarded } from '../../src/elasticsearch/client/guarded.ts'
import { connectFailure } from '../../src/kafka/security.ts'
import { Kibana } from '../../src/kibana/client.ts'
import { Mysql } from '../../src/mysql/client.ts'
import { createLogger } from '../../src/runtime/log.ts'

/** Every message about a server that does not answer ends with the same question. */

/** A port without a listener. */
async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

describe('a server that is away', () => {
  const log = createLogger({ level: 'silent', stream: process.stderr })
  const question = (option: string) =>
    new RegExp(`ECONNREFUSED.*; is it running, and is ${option} right\\?$`)

  it('Elasticsearch', async () => {
    const nodes = [`http://127.0.0.1:${await closedPort()}`]
    const client = new Elasticsearch({ nodes, compression: false, requestTimeoutMs: 5000 })
    const message = question('--elasticsearch')
    try {
      await assert.rejects(client.detect(), { code: 'UNREACHABLE', message })
      // It went away since the start.
      const later = guarded(() => client.request('GET', ['_cluster', 'health']))
      await assert.rejects(later, { code: 'UNREACHABLE', message })
    } finally {
      await client.close()
    }
  })

  it('MySQL', async () => {
    // A host with several addresses: the error of the system has no message of its own.
    for (const host of ['127.0.0.1', 'localhost']) {
      const [port, user, database] = [await closedPort(), 'me', 'archive']
      const client = new Mysql({ host, port, user, password: 'p', database, timeoutMs: 5000 })
      try {
        const message = question('--mysql')
        await assert.rejects(client.detect(), { code: 'UNREACHABLE', message })
      } finally {
        await client.close()
      }
    }
  })

  it('Kibana, with a wait that is over', async () => {
    const none = { space: undefined, username: undefined, password: undefined, apiKey: undefined }
    const url = `http://localhost:${await closedPort()}`
    const kibana = new Kibana({ url, ...none, caFile: undefined, timeoutMs: 5000 })
    const message = question('--kibana')
    await assert.rejects(kibana.ready(0, log), { code: 'KIBANA', message })
    await assert.rejects(kibana.find([{ type: 'dashboard', id: 'x' }]), { code: 'KIBANA', message })
    await kibana.close()
  })

  it('Kafka', () => {
    assert.match(
      connectFailure(new Error('connect ECONNREFUSED'), 'b:1'),
      /does not answer: connect ECONNREFUSED; is it running, and is --brokers right\?$/,
    )
  })
})
