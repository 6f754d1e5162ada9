import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MissingTypes, suspiciousMessages } from '../../../src/pipeline/missing-types.ts'
import { LineEncoder } from '../../../src/record/line/encoder.ts'
import type { SourceRecord } from '../../../src/record/record.ts'
import { parseTypePath, type TypeSource } from '../../../src/record/type-source.ts'
import { createLogger } from '../../../src/runtime/log.ts'

interface Warning {
  readonly event: string
  readonly topic: string
  readonly messages: number
  readonly option: string
  readonly type_path?: string
  readonly type_header?: string
  readonly keys: readonly string[]
  readonly has_more_keys: boolean
  readonly found_at: readonly string[]
}

/** What is warned of when these values come, `each` of them `times` over, in batches of 100. */
function watch(source: TypeSource = { from: 'value', path: ['type'] }) {
  const warnings: Warning[] = []
  const log = createLogger({
    level: 'warn',
    stream: { write: (line) => warnings.push(JSON.parse(line) as Warning) },
  })
  const encoder = new LineEncoder(source)
  const missing = new MissingTypes(source, log)
  let offset = 0
  const send = (
    value: string | Buffer | null,
    times = suspiciousMessages,
    { topic = 'events', headers = [] }: { topic?: string; headers?: SourceRecord['headers'] } = {},
  ) => {
    for (let left = times; left > 0; left -= 100) {
      const from = offset
      const records = Array.from({ length: Math.min(100, left) }, () => {
        const bytes = value === null ? null : Buffer.from(value)
        return { offset: offset++, timestamp: 0, key: null, value: bytes, headers }
      })
      missing.look(encoder.encode({ topic, partition: 0, from, next: offset, records }))
    }
  }
  return { warnings, send }
}

test('a thousand messages without a type are one warning per topic, with the names that are there', () => {
  const { warnings, send } = watch({ from: 'value', path: parseTypePath('events.0.type') })
  send('{"events":[{"type":"a"}],"id":"secret"}', 999)
  assert.equal(warnings.length, 0)
  send('{"events":[{"type":"a"}],"id":"secret"}', 5000)
  assert.equal(warnings.length, 1)
  const [{ event, topic, messages, keys, option, type_path, has_more_keys, found_at }] =
    warnings as [Warning]
  assert.deepEqual(
    [event, topic, messages, keys, has_more_keys],
    ['no_types', 'events', 1000, ['"events"', '"id"'], false],
  )
  assert.deepEqual([option, type_path, found_at], ['--type-path', 'events.0.type', []])
  assert.ok(!JSON.stringify(warnings).includes('secret'), 'names only')
  send('{"a":1}', 1000, { topic: 'others' })
  assert.deepEqual(
    warnings.map((warning) => [warning.topic, warning.keys]),
    [
      ['events', ['"events"', '"id"']],
      ['others', ['"a"']],
    ],
  )
})

test('one type in a topic says that the path is right', () => {
  const { warnings, send } = watch()
  send('{"n":1}', 999)
  send('{"type":"a"}', 1)
  send('{"n":1}', 5000)
  assert.deepEqual(warnings, [])
})

test('tombstones and broken messages alone say nothing of a path; framed JSON does', () => {
  const { warnings, send } = watch()
  send(null, 3000)
  send('null', 3000)
  send('{"a":', 3000)
  assert.deepEqual(warnings, [])
  send(Buffer.concat([Buffer.from([0, 0, 0, 0, 5]), Buffer.from('{"kind":"a"}')]))
  assert.deepEqual(
    warnings.map(({ keys }) => keys),
    [['"kind"']],
  )
})

test('names are bounded and escaped, and texts of that name deeper down are named', () => {
  const { warnings, send } = watch()
  const many = Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [`\u001b[31m${i}${'x'.repeat(200)}`, i]),
  )
  send(JSON.stringify({ payload: { 'a.b': { type: 'here' } }, ...many }))
  const [warning] = warnings as [Warning]
  const line = JSON.stringify(warning)
  assert.equal(warning.keys.length, 20)
  assert.ok(line.length < 3000, `${line.length}`)
  assert.ok(!line.includes('\u001b') && warning.keys.every((key) => !key.includes('\u001b')))
  assert.deepEqual([warning.has_more_keys, warning.found_at], [true, ['payload.a\\.b.type']])
  const values = watch()
  values.send('[{"type":"a"}]')
  assert.deepEqual(values.warnings[0]!.keys, [])
})

test('for a type in a header the names of headers; for the topic as the type nothing', () => {
  const { warnings, send } = watch({ from: 'header', header: 'kind' })
  send('{"type":"a"}', 1000, { headers: [{ key: 'ce_type', value: Buffer.from('secret') }] })
  assert.deepEqual(
    warnings.map(({ option, type_header, keys }) => ({ option, type_header, keys })),
    [{ option: '--type-header', type_header: 'kind', keys: ['"ce_type"'] }],
  )
  const topics = watch({ from: 'topic' })
  topics.send('{}', 2000)
  assert.deepEqual(topics.warnings, [])
})
