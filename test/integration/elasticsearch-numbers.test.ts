import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { mendMixedNumbers } from '../../src/elasticsearch/sink/mixed-numbers.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { batchOf, openSink, someDay, someTime } from '../helpers/elasticsearch-sink.ts'
import { idsOf, isSame, ordinaryNumber, statsOf, wideNumber } from '../helpers/numbers.ts'
import {
  createTopic,
  elasticsearch,
  elasticsearchUrl,
  indexPrefix,
  produce,
  temporaryDirectory,
  uniqueName,
  until,
} from '../helpers/servers.ts'

const msPerDay = 86_400_000
const quiet = createLogger({ level: 'silent', stream: process.stderr })
const days = [0, 1, 2].map((day) =>
  new Date(someTime + day * msPerDay).toISOString().slice(0, 10).replaceAll('-', '.'),
)

const term = (field: string, value: string) => ({ term: { [field]: value } })
const refresh = (prefix: string) => elasticsearch('POST', `/${prefix}*/_refresh`)
/** The mapping that the templates of 0.1.0 made before numbers were doubles. */
const oldMappings = {
  dynamic: true,
  date_detection: false,
  dynamic_templates: [
    {
      strings: {
        match_mapping_type: 'string',
        mapping: {
          type: 'keyword',
          ignore_above: 1024,
          fields: { text: { type: 'text', norms: false } },
        },
      },
    },
    { doubles: { match_mapping_type: 'double', mapping: { type: 'double' } } },
  ],
  properties: { value: { type: 'object', dynamic: true } },
}

/** A message as the producer writes it: field by field, the numbers in it as text. */
type Fields = Readonly<Record<string, string | readonly string[]>>

const fieldsOf: fc.Arbitrary<Fields> = fc
  .record(
    {
      reading: ordinaryNumber,
      id: wideNumber,
      // Small ones, fractions and wide ones in one field: sums are right, whichever came first.
      count: fc.oneof(fc.integer({ min: -5, max: 5 }).map(String), wideNumber),
      any: fc.oneof(ordinaryNumber, wideNumber),
      'nested.amount': ordinaryNumber,
      samples: fc.array(ordinaryNumber, { maxLength: 4 }),
      ids: fc.array(wideNumber, { maxLength: 3 }),
    },
    { requiredKeys: [] },
  )
  .map((fields) => fields as Fields)

function textOf(type: string, fields: Fields): string {
  const entries = Object.entries(fields).map(([name, value]) => {
    const text = typeof value === 'string' ? value : `[${value.join(',')}]`
    // One and the same field: a dot in a name, or an object.
    const [outer, inner] = name.split('.')
    return inner === undefined || text.length % 2 === 0
      ? `"${name}":${text}`
      : `"${outer}":{"${inner}":${text}}`
  })
  return `{"type":"${type}"${entries.map((entry) => `,${entry}`).join('')}}`
}

test('sum, average, minimum, maximum, count, range and sort are those of the messages, whichever came first', async (t) => {
  const prefix = indexPrefix(t)
  const { write, said } = await openSink(t, {
    nodes: [elasticsearchUrl],
    indexPrefix: prefix,
    installTemplates: true,
  })
  const messages = fc.array(fc.record({ day: fc.integer({ min: 0, max: 2 }), fields: fieldsOf }), {
    minLength: 1,
    maxLength: 40,
  })
  const client = new Elasticsearch({
    nodes: [elasticsearchUrl],
    compression: false,
    requestTimeoutMs: 30_000,
  })
  t.after(() => client.close())
  await client.detect()
  let run = 0
  const agree = fc.asyncProperty(messages, async (all) => {
    const type = `r${run++}`
    const topic = uniqueName(type)
    let offset = 0
    for (const day of days.keys()) {
      const values = all
        .filter((message) => message.day === day)
        .map(({ fields }) => textOf(type, fields))
      // One after another, so that the first of them makes the field.
      for (const part of [values.slice(0, 1), values.slice(1)]) {
        if (part.length === 0) continue
        await write(batchOf(topic, part, { from: offset, timestamp: someTime + day * msPerDay }))
        offset += part.length
      }
    }
    assert.deepEqual(
      await mendMixedNumbers(client, `${prefix}${type}-`, quiet, { refresh: true }),
      [],
    )
    const names = ['reading', 'id', 'count', 'any', 'nested.amount', 'samples', 'ids']
    for (const chosen of [undefined, 0, 1, 2]) {
      const some = all.filter(({ day }) => chosen === undefined || day === chosen)
      if (some.length === 0) continue
      const indices = `${prefix}${type}-${chosen === undefined ? '*' : days[chosen]!}`
      const found = await statsOf(
        indices,
        names.map((name) => `value.${name}`),
      )
      for (const name of names) {
        const numbers = some.flatMap(({ fields }) => fields[name] ?? []).map(Number)
        const { count, min, max, sum, avg } = found.get(`value.${name}`)!
        const expected = numbers.reduce((total, one) => total + one, 0)
        const scale = numbers.reduce((total, one) => total + Math.abs(one), 0)
        const where = `${name} in ${indices}`
        assert.equal(count, numbers.length, where)
        assert.ok(isSame(sum, expected, scale), `${where}: sum ${sum}, not ${expected}`)
        if (numbers.length === 0) continue
        assert.ok(isSame(avg, expected / numbers.length, scale), where)
        assert.equal(min! + 0, Math.min(...numbers) + 0, where)
        assert.equal(max! + 0, Math.max(...numbers) + 0, where)
        const middle = numbers[numbers.length >> 1]!
        const above = some.filter(({ fields }) =>
          [fields[name] ?? []].flat().some((one) => Number(one) >= middle),
        )
        if (Math.abs(middle) < 2 ** 53) {
          const range = await idsOf(indices, { range: { [`value.${name}`]: { gte: middle } } })
          assert.equal(range.length, above.length, `${where} from ${middle}`)
        }
        const { hits } = await elasticsearch<{ hits: { hits: { sort: number[] }[] } }>(
          'POST',
          `/${indices}/_search`,
          {
            size: 1,
            query: { exists: { field: `value.${name}` } },
            sort: [
              {
                [`value.${name}`]: {
                  order: 'desc',
                  unmapped_type: 'double',
                  numeric_type: 'double',
                },
              },
            ],
          },
        )
        assert.equal(
          Number(hits.hits[0]!.sort[0]) + 0,
          Math.max(...numbers) + 0,
          `${where}, sorted`,
        )
      }
    }
  })
  await fc.assert(agree, { numRuns: Number(process.env.NUMBERS_RUNS ?? 4), endOnFailure: true })
  assert.deepEqual(
    said('warn').filter((message) => !message.includes('template')),
    [],
  )
})

test('10 before 99.95: a CloudEvent and a reading, over days that began differently', async (t) => {
  const prefix = indexPrefix(t)
  const { write } = await openSink(t, {
    nodes: [elasticsearchUrl],
    indexPrefix: prefix,
    installTemplates: true,
  })
  const event = (amount: string) =>
    `{"specversion":"1.0","id":"A234","source":"/shop","type":"order.paid","time":"2019-08-01T03:23:03Z","sequence":1,"data":{"amount":${amount},"items":[{"price":${amount},"n":2}]}}`
  const topic = uniqueName('events')
  await write(batchOf(topic, [event('10')]))
  await write(batchOf(topic, [event('99.95'), event('0.05')], { from: 1 }))
  await write(batchOf(topic, [event('0.5')], { from: 3, timestamp: someTime + msPerDay }))
  await write(batchOf(topic, [event('7')], { from: 4, timestamp: someTime + msPerDay }))
  await refresh(prefix)
  const found = await statsOf(`${prefix}order.paid-*`, [
    'value.data.amount',
    'value.data.items.price',
    'value.sequence',
  ])
  for (const field of ['value.data.amount', 'value.data.items.price']) {
    assert.deepEqual(found.get(field), { count: 5, min: 0.05, max: 99.95, avg: 23.5, sum: 117.5 })
  }
  assert.equal(found.get('value.sequence')!.sum, 5)
})

test('a term search for a whole number up to 2^63-1 finds its records and no neighbours', async (t) => {
  const prefix = indexPrefix(t)
  const { write } = await openSink(t, {
    nodes: [elasticsearchUrl],
    indexPrefix: prefix,
    installTemplates: true,
  })
  const ids = [
    '9007199254740993',
    '9007199254740992',
    '9007199254740991',
    '9223372036854775807',
    '9223372036854775806',
    '1152921504606846977',
    '-9007199254740993',
    '7',
  ]
  const beyond = ['9223372036854775808', '12345678901234567890', '1'.repeat(30), '1e400']
  const all = [...ids, ...beyond]
  const topic = uniqueName('ids')
  const value = (id: string) => `{"type":"ids","id":${id},"nested":[{"id":${id}}],"a.b":${id}}`
  await write(batchOf(topic, [value(all[0]!)]))
  await write(batchOf(topic, all.slice(1).map(value), { from: 1 }))
  await refresh(prefix)
  const index = `${prefix}ids-${someDay}`
  for (const field of ['value.id', 'value.nested.id', 'value.a.b']) {
    for (const [i, id] of ids.entries()) {
      assert.deepEqual(await idsOf(index, term(field, id)), [`${topic}+0+${i}`], `${field} ${id}`)
    }
    for (const [i, number] of beyond.entries()) {
      const id = `${topic}+0+${ids.length + i}`
      assert.deepEqual(
        await idsOf(index, term(`${field}.text`, number)),
        [id],
        `${field}.text ${number}`,
      )
      assert.ok(
        (await idsOf(index, term('_ignored', field))).includes(id),
        `${field} ${number} counts as ignored`,
      )
      assert.ok(
        (await idsOf(index, { query_string: { query: number } })).includes(id),
        `${number} in the search bar`,
      )
    }
    const { count, max } = (await statsOf(index, [field])).get(field)!
    assert.deepEqual([count, max], [ids.length, 2 ** 63], field)
  }
})

test('a field that begins with a small number has its whole numbers as text, exactly', async (t) => {
  const prefix = indexPrefix(t)
  const { write } = await openSink(t, {
    nodes: [elasticsearchUrl],
    indexPrefix: prefix,
    installTemplates: true,
  })
  const topic = uniqueName('ids')
  const all = ['0', '9007199254740993', '9007199254740992', '1'.repeat(30), '1e400', '99.95']
  const value = (id: string) => `{"type":"ids","id":${id}}`
  await write(batchOf(topic, [value('0')]))
  await write(batchOf(topic, all.slice(1).map(value), { from: 1 }))
  await refresh(prefix)
  const index = `${prefix}ids-${someDay}`
  for (const [i, id] of all.entries())
    assert.deepEqual(await idsOf(index, term('value.id.text', id)), [`${topic}+0+${i}`], id)
  assert.deepEqual(await idsOf(index, term('_ignored', 'value.id')), [`${topic}+0+4`])
})

test('a fraction behind a number beyond 2^53 counts: the field is read as double, and no other is', async (t) => {
  const prefix = indexPrefix(t)
  const value = (n: string, other = '7') =>
    `{"type":"mixed","n":${n},"id":9007199254740993,"other":{"x":${other}}}`
  const open = (templateCheckMs: number) =>
    openSink(t, {
      nodes: [elasticsearchUrl],
      indexPrefix: prefix,
      installTemplates: true,
      templateCheckMs,
    })
  const topic = uniqueName('mixed')
  const index = `${prefix}mixed-${someDay}`
  const sums = async () => {
    const found = await statsOf(index, ['value.n', 'value.other.x'])
    return [found.get('value.n')!.count, found.get('value.other.x')!.count]
  }
  const first = await open(300_000)
  await first.write(batchOf(topic, [value('9007199254740993', '9007199254740993')]))
  await first.write(
    batchOf(topic, [value('99.95', '1'.repeat(30)), value('5'), value('6', '"1.5"')], { from: 1 }),
  )
  // What was stored last counts when the sink goes.
  await first.sink.stop()
  assert.deepEqual(await sums(), [4, 2])
  assert.deepEqual(await idsOf(index, { range: { 'value.n': { gte: 99, lte: 100 } } }), [
    `${topic}+0+1`,
  ])
  // Text and thirty digits are no reason: ids are found as exactly as before.
  assert.deepEqual(await idsOf(index, term('value.other.x', '9007199254740993')), [`${topic}+0+0`])
  assert.deepEqual(await idsOf(index, term('value.other.x', '9007199254740992')), [])

  // Another worker that sees only fractions: the next one to look mends it.
  const second = await open(100)
  await second.write(batchOf(topic, [value('2', '0.5')], { from: 10 }))
  await refresh(prefix)
  // A field that is read from the documents has the text and the thirty digits as numbers.
  await until('the other field is mended too', async () => (await sums())[1] === 5)
  const mended = second.log
    .filter(({ event }) => event === 'mixed_numbers')
    .map(({ field }) => field)
  assert.deepEqual(mended, ['value.other.x'])
})

test('an older index has no such templates: its documents are stored as they were, without a reject', async (t) => {
  const prefix = indexPrefix(t)
  await elasticsearch('PUT', `/${prefix}ids-${someDay}`, { mappings: oldMappings })
  const { write, said, counts, events } = await openSink(t, {
    nodes: [elasticsearchUrl],
    indexPrefix: prefix,
    installTemplates: true,
    rejectBreaker: 2,
  })
  const topic = uniqueName('ids')
  const value = (i: number) => `{"type":"ids","id":${9007199254740993n + BigInt(i)},"small":${i}.5}`
  await write(
    batchOf(
      topic,
      Array.from({ length: 20 }, (_, i) => value(i)),
    ),
  )
  await write(batchOf(topic, [value(20)], { from: 20 }))
  await write(batchOf(topic, [value(21)], { from: 21, timestamp: someTime + msPerDay }))
  await refresh(prefix)
  assert.equal(counts.rejected, 0)
  assert.deepEqual([...events('sink_waiting'), ...events('documents_put_off')], [])
  assert.deepEqual(said('error'), [])
  assert.equal((await statsOf(`${prefix}ids-*`, ['value.id'])).get('value.id')!.count, 22)
  assert.deepEqual(
    await idsOf(`${prefix}ids-*`, term('value.id', String(9007199254740993n + 21n))),
    [`${topic}+0+21`],
  )
})

test('restore and retry-rejected name the same templates, and fall back in the same way', async (t) => {
  const prefix = indexPrefix(t)
  const topic = await createTopic(t)
  const root = await temporaryDirectory(t)
  const template = `${prefix}strict`
  // Priority above ours: the index refuses what it does not know, until that is mended.
  await elasticsearch('PUT', `/_index_template/${template}`, {
    index_patterns: [`${prefix}ids-*`],
    priority: 900,
    template: { mappings: { dynamic: 'strict' } },
  })
  const ids = ['9007199254740993', '9007199254740992', '5']
  await produce(
    t,
    topic,
    ids.map((id) => ({ value: `{"type":"ids","id":${id}}`, timestamp: someTime })),
  )
  const options = ['--index-prefix', prefix, '--archive-dir', root]
  const ran = await runArchiver(t, [
    'run',
    '--topics',
    topic,
    '--group',
    topic,
    '--until-end',
    '--reject-breaker',
    '0',
    ...options,
  ])
  assert.equal(ran.code, 0, ran.output)
  const index = `${prefix}ids-${someDay}`
  await elasticsearch('DELETE', `/_index_template/${template}`)
  const mend = async (mappings: unknown) => {
    await elasticsearch('DELETE', `/${index}`, undefined, [404])
    if (mappings !== undefined) await elasticsearch('PUT', `/${index}`, { mappings })
  }
  const check = async () => {
    await refresh(prefix)
    assert.equal((await statsOf(index, ['value.id'])).get('value.id')!.count, ids.length)
  }
  const exact = async () => {
    for (const [i, id] of ids.entries())
      assert.deepEqual(await idsOf(index, term('value.id', id)), [`${topic}+0+${i}`], id)
  }
  await mend(undefined)
  const retried = await runArchiver(t, ['retry-rejected', '--index-prefix', prefix])
  assert.equal(retried.code, 0, retried.output)
  await check()
  await exact()
  for (const mappings of [oldMappings, undefined]) {
    await mend(mappings)
    const restored = await runArchiver(t, ['restore', '--to', 'elasticsearch', ...options])
    assert.equal(restored.code, 0, restored.output)
    await check()
  }
  await exact()
})
