import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { runArchiver } from '../helpers/archiver.ts'
import { relay } from '../helpers/relay.ts'
import {
  brokers,
  createTopic,
  elasticsearchUrl,
  temporaryDirectory,
  uniqueName,
} from '../helpers/servers.ts'

/**
 * Every command takes an address of IPv6, in brackets. A relay represents servers that listen
 * there.
 */

const tool = async (name: string, ...words: readonly string[]): Promise<string> => {
  const program = fileURLToPath(new URL(`../../src/traffic/${name}.ts`, import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...words], {
    timeout: 60_000,
  })
  return stdout
}

it('run, verify, status, restore, producer, generator and echo-consumer reach Kafka at [::1]', async (t) => {
  const kafka = await relay(t, '::1', brokers[0]!)
  const elasticsearch = await relay(t, '::1', new URL(elasticsearchUrl).host)
  const at = `[::1]:${kafka.port}`
  const topic = await createTopic(t, { stem: 'options-ipv6' })
  const target = await createTopic(t, { stem: 'options-ipv6' })
  const root = join(await temporaryDirectory(t), 'archive')
  const prefix = `${uniqueName('options')}-`
  const servers = [
    '--brokers',
    at,
    '--elasticsearch',
    `http://[::1]:${elasticsearch.port}`,
    '--index-prefix',
    prefix,
  ]
  t.after(() => fetch(`${elasticsearchUrl}/${prefix}*`, { method: 'DELETE' }))

  let before = 0
  const came = (what: string) => {
    assert.ok(kafka.connections > before, `${what} did not connect to ${at}`)
    before = kafka.connections
  }
  const archiver = async (t: TestContext, ...words: readonly string[]) => {
    const { code, output } = await runArchiver(t, [...words, '--archive-dir', root])
    assert.equal(code, 0, `${words[0]}: ${output}`)
    came(words[0]!)
    return output
  }
  await tool('producer', '--brokers', at, '--topic', topic, '--count', '1', '--interval', '1')
  came('producer')
  await tool('generator', '--brokers', at, '--topics', topic, '--count', '9')
  came('generator')
  const echoed = await tool(
    'echo-consumer',
    '--brokers',
    at,
    '--topics',
    topic,
    '--from-beginning',
    '--count',
    '10',
  )
  came('echo-consumer')
  assert.ok(echoed.trimEnd().split('\n').length >= 10, echoed)
  await archiver(
    t,
    'run',
    ...servers,
    '--topics',
    topic,
    '--group',
    root,
    '--no-status-documents',
    '--until-end',
  )
  assert.ok(elasticsearch.connections > 0)
  assert.match(await archiver(t, 'verify', ...servers), /10 records/)
  assert.match(await archiver(t, 'status', '--brokers', at), new RegExp(`${topic}/0 +10 +10`))
  await archiver(
    t,
    'restore',
    '--brokers',
    at,
    '--to',
    'kafka',
    '--to-topic',
    target,
    '--no-elasticsearch',
  )
})
