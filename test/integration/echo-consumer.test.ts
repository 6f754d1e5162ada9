import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { produceRaw } from '../helpers/raw-produce.ts'
import { brokers, createTopic } from '../helpers/servers.ts'

const program = fileURLToPath(new URL('../../src/traffic/echo-consumer.ts', import.meta.url))

it('echo-consumer --json prints what a record holds, headers in order', async (t) => {
  const topic = await createTopic(t)
  const headers = [
    { key: 'trace', value: Buffer.from('a1') },
    { key: 'bytes', value: Buffer.from([0xff]) },
    { key: 'trace', value: Buffer.from('a2') },
    { key: 'none', value: null },
  ]
  const records = [
    { offsetDelta: 0, key: Buffer.from('k'), value: Buffer.from('{"n":1}'), headers },
    { offsetDelta: 1, key: null, value: null },
  ]
  await produceRaw(topic, {
    baseOffset: 0,
    baseTimestamp: 1_700_000_000_000,
    maxTimestamp: 1_700_000_000_000,
    records,
  })
  const words = [
    '--brokers',
    brokers.join(','),
    '--topics',
    topic,
    '--from-beginning',
    '--count',
    '2',
    '--json',
  ]
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...words], {
    timeout: 60_000,
  })
  const where = { topic, partition: 0, timestamp: '2023-11-14T22:13:20.000Z' }
  assert.deepEqual(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
    [
      {
        ...where,
        offset: 0,
        key: 'k',
        headers: [
          { key: 'trace', value: 'a1' },
          { key: 'bytes', value_base64: '/w==' },
          { key: 'trace', value: 'a2' },
          { key: 'none', value: null },
        ],
        value: '{"n":1}',
      },
      { ...where, offset: 1, key: null, value: null },
    ],
  )
})
