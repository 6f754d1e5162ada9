import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  lineOfRejected,
  type RejectedSource,
  rejectedDocument,
} from '../../src/elasticsearch/rejected.ts'
import { LineEncoder } from '../../src/record/line/encoder.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { batchOf, openSink, someDay } from '../helpers/elasticsearch-sink.ts'
import { elasticsearch, elasticsearchUrl, indexPrefix, uniqueName } from '../helpers/servers.ts'

async function documents(pattern: string): Promise<Map<string, unknown>> {
  await elasticsearch('POST', `/${pattern}/_refresh?ignore_unavailable=true`)
  const { hits } = await elasticsearch<{
    hits: { hits: { _index: string; _id: string; _source: unknown }[] }
  }>('POST', `/${pattern}/_search?ignore_unavailable=true`, { size: 1000 })
  return new Map(hits.hits.map(({ _index, _id, _source }) => [`${_index}/${_id}`, _source]))
}

test('after the template is mended rejects go to their index, with the bytes they had, and leave the rejected index', async (t) => {
  const prefix = indexPrefix(t)
  const topic = uniqueName('topic')
  const template = (properties: unknown) =>
    elasticsearch('PUT', `/_index_template/${prefix}strict`, {
      index_patterns: [`${prefix}a-*`],
      priority: 500,
      template: { mappings: { dynamic: false, properties: { value: { properties } } } },
    })
  await template({ n: { type: 'long' }, o: { type: 'long' } })
  const { write } = await openSink(t, {
    nodes: [elasticsearchUrl],
    indexPrefix: prefix,
    installTemplates: true,
  })
  const values = [
    '{"type":"a","n":"abc","big":12345678901234567890,"x":1.0}',
    '{"type":"a","n":1}',
    '{ "type" : "a", "n": {"b":"\\u00e9é"} }',
    '{"type":"a","o":"abc"}',
    '{"type":"b","twice":1,"twice":2}',
    'not JSON',
  ]
  const batch = batchOf(topic, values)
  await write(batch)
  const rejected = `${prefix}_rejected-${someDay}`
  assert.equal((await documents(rejected)).size, 4)

  const dry = await runArchiver(t, [
    'retry-rejected',
    '--index-prefix',
    prefix,
    '--dry-run',
    '--json',
  ])
  assert.equal(dry.code, 0, dry.output)
  assert.deepEqual(
    dry.output
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { type: string; rejects: number }).rejects),
    [2, 1, 1],
  )
  assert.equal((await documents(rejected)).size, 4)

  // Mended, for what comes next: the existing index keeps its mapping, so it is recreated from the
  // files of its documents.
  await template({})
  const again = await runArchiver(t, ['retry-rejected', '--index-prefix', prefix, '--type', 'a'])
  assert.equal(again.code, 1, again.output)
  assert.match(again.output, /3 rejects left/)
  const kept = (await documents(`${prefix}a-*`)).size
  assert.equal(kept, 1)
  await elasticsearch('DELETE', `/${prefix}a-${someDay}`)

  const some = await runArchiver(t, [
    'retry-rejected',
    '--index-prefix',
    prefix,
    '--type',
    'a',
    '--reason',
    'field [value.n]',
  ])
  assert.equal(some.code, 0, some.output)
  assert.match(some.output, /type +rejects +stored +already there +left +reason/)
  assert.match(some.output, /a +2 +2 +0 +0 +document_parsing_exception/)
  assert.equal((await documents(rejected)).size, 2)

  const rest = await runArchiver(t, ['retry-rejected', '--index-prefix', prefix, '--json'])
  assert.equal(rest.code, 1)
  const tallies = rest.output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { type: string; stored: number; stay: number; why?: string })
  assert.deepEqual(
    tallies.map(({ type, stored, stay }) => [type, stored, stay]),
    [
      ['a', 1, 0],
      ['b', 0, 1],
    ],
  )
  assert.match(tallies[1]!.why!, /Duplicate field/)

  const stored = await documents(`${prefix}a-*`)
  for (const offset of [0, 2, 3]) {
    const start = offset === 0 ? 0 : batch.ends[offset - 1]!
    const line = batch.lines.toString('utf8', start, batch.ends[offset]! - 1)
    assert.deepEqual(stored.get(`${prefix}a-${someDay}/${topic}+0+${offset}`), JSON.parse(line))
    const response = await fetch(
      `${elasticsearchUrl}/${prefix}a-${someDay}/_source/${topic}+0+${offset}`,
    )
    assert.equal(await response.text(), line, 'byte for byte')
  }

  // A reject whose record came to its index by a replay is only removed; one that another record
  // keeps from it stays.
  const source = stored.get(`${prefix}a-${someDay}/${topic}+0+3`) as RejectedSource
  const put = (offset: number, timestamp: number) =>
    elasticsearch(
      'PUT',
      `/${rejected}/_doc/${encodeURIComponent(`${topic}+0+${offset}`)}?refresh=true`,
      {
        ...source,
        value: undefined,
        kafka: { ...source.kafka, offset, timestamp },
        value_text: '{}',
        error: { type: 'x', reason: 'y' },
      },
    )
  await put(3, source.kafka.timestamp)
  await put(2, source.kafka.timestamp + 1)
  const replayed = await runArchiver(t, [
    'retry-rejected',
    '--index-prefix',
    prefix,
    '--type',
    'a',
    '--json',
  ])
  assert.equal(replayed.code, 1, replayed.output)
  assert.match(
    replayed.output,
    /"rejects":2,"stored":0,"present":1,"stay":1,"why":"its index holds another record/,
  )
  assert.ok(!(await documents(rejected)).has(`${rejected}/${topic}+0+3`))

  const none = await runArchiver(t, ['retry-rejected', '--index-prefix', prefix, '--type', 'c'])
  assert.equal(none.code, 0)
  assert.match(none.output, /no such rejects/)
  assert.match(none.output, /there are rejects of a \(1, /)
})

test('a reject that cannot be removed is named and fails the command: the record is in both places', async (t) => {
  const prefix = indexPrefix(t)
  const topic = uniqueName('topic')
  const template = (properties: unknown) =>
    elasticsearch('PUT', `/_index_template/${prefix}strict`, {
      index_patterns: [`${prefix}a-*`],
      priority: 500,
      template: { mappings: { dynamic: false, properties: { value: { properties } } } },
    })
  await template({ n: { type: 'long' } })
  const { write } = await openSink(t, {
    nodes: [elasticsearchUrl],
    indexPrefix: prefix,
    installTemplates: true,
  })
  await write(batchOf(topic, ['{"type":"a","n":"abc"}', '{"type":"a","n":"abc"}']))
  const rejected = `${prefix}_rejected-${someDay}`
  await template({})
  await elasticsearch('DELETE', `/${prefix}a-${someDay}`)
  await elasticsearch('PUT', `/${rejected}/_settings`, { 'index.blocks.write': true })
  const blocked = await runArchiver(t, ['retry-rejected', '--index-prefix', prefix, '--json'])
  assert.equal(blocked.code, 1, blocked.output)
  assert.match(blocked.output, /"rejects":2,"stored":0,"present":0,"stay":2/)
  assert.match(
    blocked.output,
    /it is in its index, but the reject could not be removed: .*index write/,
  )
  assert.equal((await documents(`${prefix}a-*`)).size, 2)

  await elasticsearch('PUT', `/${rejected}/_settings`, { 'index.blocks.write': null })
  const freed = await runArchiver(t, ['retry-rejected', '--index-prefix', prefix, '--json'])
  assert.equal(freed.code, 0, freed.output)
  assert.match(freed.output, /"rejects":2,"stored":0,"present":2,"stay":0/)
  assert.equal((await documents(rejected)).size, 0)
})

test('a reject gives back the line it was made of, whatever it holds', () => {
  const encoder = new LineEncoder({ from: 'value', path: ['type'] })
  const key = Buffer.from([0xff, 0x00])
  const headers = [
    { key: 'ü"', value: Buffer.from('é\n') },
    { key: 'h', value: null },
    { key: 'h', value: Buffer.from([0x80]) },
  ]
  const values = [
    '{"type":"a","x":"\\ud800 é 𝄞","n":1E400}',
    '[1]',
    '"text"',
    ' 1.0 ',
    'not JSON',
    '',
    '\ufeff{}',
  ]
  const records = values.map((value, offset) => ({
    offset,
    timestamp: offset === 3 ? -1 : 1_564_629_783_000,
    key: offset % 2 === 0 ? key : Buffer.from('k"ü'),
    value: Buffer.from(value),
    headers: offset === 1 ? [] : headers,
  }))
  const batch = encoder.encode({ topic: 't', partition: 0, from: 0, next: records.length, records })
  for (let i = 0; i < records.length; i++) {
    const reject = rejectedDocument(batch, i, { type: 'x', reason: 'y' }).toString('utf8')
    const line = lineOfRejected(JSON.parse(reject) as RejectedSource)
    assert.equal(
      line?.toString('utf8'),
      batch.lines.toString('utf8', i === 0 ? 0 : batch.ends[i - 1]!, batch.ends[i]!),
    )
  }
  const omitted = JSON.parse(
    rejectedDocument(batch, 0, { type: 'x', reason: 'y' }, false).toString('utf8'),
  ) as RejectedSource
  assert.equal(lineOfRejected(omitted), undefined)
})
