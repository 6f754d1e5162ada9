import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { FactsCollector } from '../../src/mapping/facts.ts'
import { valueMapping } from '../../src/mapping/index-mapping.ts'
import { proposalOf } from '../../src/mapping/proposal.ts'
import { makeArchive } from '../helpers/archive.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { batchOf, openSink, someDay, someTime } from '../helpers/elasticsearch-sink.ts'
import { isSame, ordinaryNumber, statsOf, wideNumber } from '../helpers/numbers.ts'
import { elasticsearch, elasticsearchUrl, indexPrefix, uniqueName } from '../helpers/servers.ts'

const refresh = (prefix: string) => elasticsearch('POST', `/${prefix}*/_refresh`)

const decimalText = fc
  .integer({ min: -1_000_000, max: 1_000_000 })
  .map((cents) => `"${(cents / 100).toFixed(2)}"`)
const isoText = fc
  .record({
    time: fc.date({
      min: new Date('1970-01-02T00:00:00Z'),
      max: new Date('2200-01-01T00:00:00Z'),
      noInvalidDate: true,
    }),
    form: fc.constantFrom('full', 'date', 'space', 'offset'),
  })
  .map(({ time, form }) => {
    const iso = time.toISOString()
    if (form === 'full') return `"${iso}"`
    if (form === 'date') return `"${iso.slice(0, 10)}"`
    if (form === 'space') return `"${iso.slice(0, 19).replace('T', ' ')}"`
    return `"${iso.slice(0, 19)}+02:00"`
  })
const anyText = fc.constantFrom('"x"', '"two words"', '"1d"', '" 5"', '"NaN"', '"10.0.0.1"', '""')

/** No number and no boolean, for Java as well. */
const otherText = fc.constantFrom('"n/a"', '"NaN"', '"-Infinity"', '"1,5"', '"1e400"', '"TRUE"')
/** So many that the others above are rare among them. */
const usual = '{"mostly":"1.25","numbers":1,"flag":true}'

const message = fc.record(
  {
    plain: ordinaryNumber,
    wide: wideNumber,
    mixed: fc.oneof(ordinaryNumber, wideNumber),
    texts: decimalText,
    both: fc.oneof(ordinaryNumber, decimalText),
    dirty: fc.oneof(ordinaryNumber, decimalText, anyText),
    any: fc.oneof(ordinaryNumber, anyText, fc.constantFrom('true', 'null')),
    mostly: fc.oneof(decimalText, ordinaryNumber, otherText),
    numbers: fc.oneof(ordinaryNumber, otherText, fc.constantFrom('true', '"5"')),
    flag: fc.oneof(fc.constantFrom('true', 'false', '"true"', '"false"', '1'), otherText),
    when: isoText,
    list: fc.array(ordinaryNumber, { maxLength: 3 }).map((all) => `[${all.join(',')}]`),
    items: fc
      .array(ordinaryNumber, { maxLength: 3 })
      .map((all) => `[${all.map((n) => `{"n":${n},"t":"${n}"}`).join(',')}]`),
    ts: fc.integer({ min: -1000, max: 1000 }).map((ms) => String(someTime + ms)),
  },
  { requiredKeys: [] },
)
type Message = Readonly<Record<string, string>>

const textOf = (type: string, fields: Message) =>
  `{"type":"${type}"${Object.entries(fields)
    .map(([name, value]) => `,"${name}":${value}`)
    .join('')}}`

/** Every number of a field of a message, and every text that is one, read without the program. */
function numbersIn(values: readonly string[], withTexts: boolean): number[] {
  const walk = (value: unknown): number[] => {
    if (Array.isArray(value)) return value.flatMap(walk)
    if (typeof value === 'number') return [value]
    const isNumber = typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value)
    return withTexts && isNumber ? [Number(value)] : []
  }
  return values.flatMap((text) => walk(JSON.parse(text)))
}

function timeOf(text: string): number {
  const iso = text.includes('T') ? text : text.includes(' ') ? `${text.replace(' ', 'T')}Z` : text
  return Date.parse(iso)
}

interface FieldMapping {
  readonly type?: string
  readonly coerce?: boolean
  readonly fields?: Readonly<Record<string, FieldMapping>>
  readonly properties?: Readonly<Record<string, FieldMapping>>
}

test('with the proposed mapping, aggregates are those of the messages', async (t) => {
  const prefix = indexPrefix(t)
  const { write, said } = await openSink(t, {
    nodes: [elasticsearchUrl],
    indexPrefix: prefix,
    installTemplates: true,
  })
  let run = 0
  const usuals = Array.from({ length: 4000 }, () => usual)
  const agree = fc.asyncProperty(
    fc.array(message, { minLength: 1, maxLength: 30 }),
    fc.array(message, { maxLength: 10 }),
    async (known, later) => {
      const type = `m${run++}`
      const collector = new FactsCollector()
      for (const text of [...known.map((fields) => textOf(type, fields)), ...usuals]) {
        const bytes = Buffer.from(text)
        collector.addValue(bytes, { start: 0, end: bytes.length }, someTime)
      }
      const nested = run % 2 === 0 ? ['items'] : []
      const { mapping } = valueMapping(proposalOf(collector.facts()), { nested })
      const kinds = (mapping.properties ?? {}) as Record<string, FieldMapping>
      assert.deepEqual(
        [kinds.mostly?.coerce, kinds.numbers?.coerce, kinds.flag?.type],
        [true, false, 'boolean'],
      )
      await elasticsearch('PUT', `/_index_template/${prefix}${type}`, {
        index_patterns: [`${prefix}${type}-*`],
        priority: 900,
        composed_of: ['archive@settings', 'archive@envelope', 'archive@value'],
        template: { mappings: { properties: { value: mapping } } },
      })
      // What comes later is of the same kinds, and was not in the facts.
      const all = [...known, ...later]
      await write(
        batchOf(
          uniqueName(type),
          all.map((fields) => textOf(type, fields)),
        ),
      )
      await refresh(prefix)
      const properties = (mapping.properties ?? {}) as Record<string, FieldMapping>
      const numeric: { field: string; key: string; inner?: string; withTexts: boolean }[] = []
      for (const [key, field] of Object.entries(properties)) {
        if (field.type === 'double' || field.type === 'long')
          numeric.push({ field: key, key, withTexts: field.coerce === true })
        if (field.fields?.number !== undefined)
          numeric.push({ field: `${key}.number`, key, withTexts: false })
        if (field.properties?.n?.type === 'double')
          numeric.push({ field: `${key}.n`, key, inner: 'n', withTexts: false })
      }
      const index = `${prefix}${type}-${someDay}`
      const found = await statsOf(
        index,
        numeric.map(({ field }) => `value.${field}`),
      )
      for (const { field, key, inner, withTexts } of numeric) {
        const texts = all.flatMap((fields) => (fields as Message)[key] ?? [])
        const values =
          inner === undefined
            ? texts
            : texts.flatMap((text) =>
                (JSON.parse(text) as Record<string, unknown>[]).map((one) =>
                  JSON.stringify(one[inner]),
                ),
              )
        const isLong = properties[key]?.type === 'long'
        const numbers = numbersIn(values, withTexts).filter((n) => !isLong || Number.isInteger(n))
        const stats = found.get(`value.${field}`)!
        const where = `${field} ${JSON.stringify(properties[key])} of ${values.join(' ')}`
        // " 5" and "1d" count as numbers for Java: a field that has met one takes no texts.
        const met = known.flatMap((fields) => (fields as Message)[key] ?? [])
        const isSurprise = withTexts && values.some((v) => anyKind(v) && !met.includes(v))
        if (isSurprise) continue
        const sum = numbers.reduce((a, b) => a + b, 0)
        const scale = numbers.reduce((a, b) => a + Math.abs(b), 0)
        assert.equal(stats.count, numbers.length, where)
        assert.ok(isSame(stats.sum, sum, scale), `${where}: sum ${stats.sum}, not ${sum}`)
        if (numbers.length === 0) continue
        assert.equal(stats.min! + 0, Math.min(...numbers) + 0, where)
        assert.equal(stats.max! + 0, Math.max(...numbers) + 0, where)
      }
      if (properties.when?.type === 'date') {
        const times = all.flatMap((fields) => (fields.when === undefined ? [] : [fields.when]))
        const formats = known.flatMap((fields) => fields.when?.length ?? [])
        if (times.every((text) => formats.includes(text.length))) {
          const ms = times.map((text) => timeOf(JSON.parse(text) as string))
          const stats = (await statsOf(index, ['value.when'])).get('value.when')!
          assert.deepEqual(
            [stats.count, stats.min, stats.max],
            [ms.length, Math.min(...ms), Math.max(...ms)],
          )
        }
      }
      const flags = all.flatMap(({ flag = '' }) => /^"?(true|false)"?$/.exec(flag)?.[1] ?? [])
      const { aggregations } = await elasticsearch<{
        aggregations: { flags: { buckets: { key_as_string: string; doc_count: number }[] } }
      }>('POST', `/${index}/_search`, {
        size: 0,
        aggs: { flags: { terms: { field: 'value.flag' } } },
      })
      const words = aggregations.flags.buckets.map(({ key_as_string, doc_count }) => [
        key_as_string,
        doc_count,
      ])
      const counts = ['true', 'false'].map((word) => [word, flags.filter((f) => f === word).length])
      assert.deepEqual(
        Object.fromEntries(words),
        Object.fromEntries(counts.filter(([, n]) => n !== 0)),
      )
      const date = properties.ts?.fields?.date
      if (date !== undefined) {
        const [numbers, times] = await Promise.all(
          ['value.ts', 'value.ts.date'].map(
            async (field) => (await statsOf(index, [field])).get(field)!,
          ),
        )
        const { count, min, max, sum } = times!
        assert.deepEqual({ count, min, max, sum, avg: times!.avg }, numbers)
      }
    },
  )
  await fc.assert(agree, { numRuns: Number(process.env.MAPPING_RUNS ?? 6), endOnFailure: true })
  assert.deepEqual(
    said('warn').filter((line) => !line.includes('template')),
    [],
  )
})

function anyKind(value: string): boolean {
  return ['"1d"', '" 5"'].includes(value)
}

test('Elasticsearch takes the mapping of odd types, and every record of them', async (t) => {
  const prefix = indexPrefix(t)
  const { write, counts } = await openSink(t, {
    nodes: [elasticsearchUrl],
    indexPrefix: prefix,
    installTemplates: true,
  })
  const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
  const kinds = ['1', '1.5', '"x"', 'true', 'null', '[]', '{"a":1}', '[{"a":2},3]', '"2019-08-01"']
  const types: Readonly<Record<string, readonly string[]>> = {
    wide: [0, 1].map(
      (i) => `{${Array.from({ length: 1500 }, (_, k) => `"f${k}":"w ${i} ${k}"`).join(',')}}`,
    ),
    deep: [deep(60), deep(3)],
    dotted: ['{"a.b":1,"a":{"c":2}}', '{"d":1}', '{"d.e":2}', '{"x.y.z":[1,2]}'],
    kinds: kinds.map((value) => `{"k":${value},"__proto__":{"x":${value}}}`),
    crossed: [
      '{"a":1,"b":{"c":"x"},"d":{"e":{"f":1}},"p":{"lat":1,"lon":2},"i":[{"q":1},{"q":2}]}',
      '{"a.b":2,"b.c.d":"x","d.e":1,"p.lat":3,"i.q":3,"p.lon":4}',
      ...Array.from({ length: 120 }, (_, i) => `{"m":{"u${i}":1},"m.v${i}":1}`),
    ],
    maps: Array.from({ length: 120 }, (_, i) => `{"m":{"u${i}":${i % 2 ? i : `{"a":"b${i}"}`}}}`),
    empty: [
      '{"a":null,"b":{"c":null,"d":{}},"e":{},"f":[{},{"g":[]}],"h":{"i":1}}',
      '{"a":{},"b":{"c":{}}}',
    ],
  }
  for (const [type, values] of Object.entries(types)) {
    const collector = new FactsCollector()
    for (const value of values) {
      const bytes = Buffer.from(value)
      collector.addValue(bytes, { start: 0, end: bytes.length }, someTime)
    }
    const options = type === 'empty' ? { nested: ['f'], own: ['b.d', 'h.i'] } : {}
    const { mapping, size } = valueMapping(proposalOf(collector.facts()), options)
    await elasticsearch('PUT', `/_index_template/${prefix}${type}`, {
      index_patterns: [`${prefix}${type}-*`],
      priority: 900,
      composed_of: ['archive@settings', 'archive@envelope', 'archive@value'],
      template: {
        settings: { index: { mapping: { total_fields: { limit: size + 500 } } } },
        mappings: { properties: { value: mapping } },
      },
    })
    const lines = values.map((value) => `{"type":"${type}",${value.slice(1)}`)
    await write(batchOf(uniqueName(type), lines))
    assert.equal(counts.rejected, 0, type)
  }
})

/** An archive of orders: decimals and dates in texts, and a type whose name begins alike. */
async function orders(t: TestContext) {
  const prefix = indexPrefix(t)
  const topic = uniqueName('orders')
  const records = Array.from({ length: 300 }, (_, i) => ({
    offset: i,
    timestamp: someTime + i * 1000,
    value: Buffer.from(
      i % 10 === 9
        ? `{"type":"shop-eu","price":"${i}.50"}`
        : `{"type":"shop","typ":"two words","empty":{"none":null},"price":"${i}.50","rate":"${i === 100 ? 'n/a' : `${i}.25`}","paid":${i === 200 ? '"?"' : i % 2 === 0},"created":"2019-08-01T03:23:03Z","id":${i},"items":[{"qty":1,"price":2},{"qty":2,"price":1}]}`,
    ),
  }))
  const root = await makeArchive(t, [{ tp: { topic, partition: 0 }, flushes: [records] }])
  const options = ['--archive-dir', root, '--index-prefix', prefix]
  t.after(async () => {
    await elasticsearch('DELETE', `/_index_template/${prefix}shop@mapping`, undefined, [404])
    await elasticsearch('DELETE', `/_component_template/${prefix}shop@mapping`, undefined, [404])
  })
  const mapping = (...more: readonly string[]) =>
    runArchiver(t, ['mapping', '--type', 'shop', ...options, ...more])
  return { prefix, topic, root, options, mapping }
}

test('mapping --apply installs a template of the type alone; verify proves its values', async (t) => {
  const { prefix, options, mapping } = await orders(t)
  const dry = await mapping('--apply', '--dry-run')
  assert.equal(dry.code, 0, dry.output)
  for (const field of ['price', 'rate'])
    assert.match(
      dry.output,
      new RegExp(`\\+ value\\.${field}: double \\(texts count\\), \\.text keyword`),
    )
  const applied = await mapping('--apply')
  assert.equal(applied.code, 0, applied.output)
  assert.match(applied.output, /installed .*shop@mapping, version 1/)
  const again = await mapping('--apply')
  assert.match(again.output, /nothing to install/)
  const restored = await runArchiver(t, ['restore', '--to', 'elasticsearch', ...options])
  assert.equal(restored.code, 0, restored.output)
  const stats = await statsOf(`${prefix}shop-2019.08.01`, [
    'value.price',
    'value.rate',
    'value.paid',
  ])
  const counts = [...stats.values()].map(({ count }) => count)
  assert.deepEqual(counts, [270, 269, 269])
  const { hits } = await elasticsearch<{ hits: { total: { value: number } } }>(
    'GET',
    `/${prefix}shop-2019.08.01/_search?q=value.rate.text:"n/a"%20OR%20value.paid.text:"?"`,
  )
  assert.equal(hits.total.value, 2)
  const caps = await elasticsearch<{ fields: Record<string, Record<string, unknown>> }>(
    'GET',
    `/${prefix}shop-eu-2019.08.01/_field_caps?fields=value.price`,
  )
  assert.deepEqual(Object.keys(caps.fields['value.price']!), ['keyword'])
  const verified = await runArchiver(t, ['verify', '--values', '--deep', '--no-kafka', ...options])
  assert.equal(verified.code, 0, verified.output)
  const today = await mapping()
  assert.match(today.output, /^created .* date +date /m)
  assert.match(today.output, /^typ .* keyword\+text +keyword\+text /m)
  assert.match(today.output, /^type .* keyword +keyword /m)
  const check = await runArchiver(t, ['setup', '--check', '--index-prefix', prefix])
  assert.equal(check.code, 0, check.output)

  await t.test('an edit of somebody is not overwritten, and setup --check names it', async () => {
    const name = `${prefix}shop@mapping`
    const { component_templates: all } = await elasticsearch<{
      component_templates: { component_template: Record<string, unknown> }[]
    }>('GET', `/_component_template/${name}`)
    const own = Object.entries(all[0]!.component_template).filter(([key]) => !key.includes('_date'))
    const edited = structuredClone(Object.fromEntries(own)) as {
      template: { mappings: { properties: { value: { properties: Record<string, unknown> } } } }
    }
    edited.template.mappings.properties.value.properties.mine = { type: 'ip' }
    await elasticsearch('PUT', `/_component_template/${name}`, edited)
    const refused = await mapping('--apply', '--nested', 'items')
    assert.equal(refused.code, 2, refused.output)
    assert.match(refused.output, new RegExp(`${name} was edited`))
    const found = await runArchiver(t, ['setup', '--check', '--index-prefix', prefix])
    assert.equal(found.code, 1, found.output)
    assert.match(found.output, new RegExp(`${name} of a type was edited`))
  })
})

test("mapping --apply refuses a type that somebody's template has, by its name", async (t) => {
  const { prefix, mapping } = await orders(t)
  const theirs = uniqueName('theirs')
  await elasticsearch('PUT', `/_index_template/${theirs}`, {
    index_patterns: [`${prefix}shop-*`],
    priority: 200,
  })
  t.after(() => elasticsearch('DELETE', `/_index_template/${theirs}`, undefined, [404]))
  const refused = await mapping('--apply')
  assert.equal(refused.code, 2, refused.output)
  assert.match(refused.output, new RegExp(`template ${theirs} .*priority 200`))
})

test('facts and schemas need no Elasticsearch; a type that is not there is named', async (t) => {
  const { root } = await orders(t)
  const run = (...argv: readonly string[]) =>
    runArchiver(t, ['mapping', '--archive-dir', root, '--no-elasticsearch', ...argv])
  const shown = await run('--type', 'shop')
  assert.equal(shown.code, 0, shown.output)
  assert.match(
    shown.output,
    /^rate .* double .*1 of 270 \(0\.37 %\) are none: kept, found by \.text$/m,
  )
  assert.match(shown.output, /^price +100 % +text, decimal.*double +numbers written as texts/m)
  const json = await run('--type', 'shop', '--json')
  const printed = JSON.parse(json.output) as { facts: { records: number }; today?: unknown }
  assert.deepEqual([printed.facts.records, printed.today], [270, undefined])
  const sampled = await run('--type', 'shop', '--sample', '10')
  assert.match(sampled.output, /^10 records/m)
  const missing = await run('--type', 'nope')
  assert.equal(missing.code, 1)
  assert.match(missing.output, /holds no record of type nope; it has shop, shop-eu/)
  const away = await runArchiver(t, [
    'mapping',
    '--archive-dir',
    root,
    '--type',
    'shop',
    '--elasticsearch',
    'http://127.0.0.1:1',
  ])
  assert.equal(away.code, 0, away.output)
  assert.match(away.output, /the column "today" is left out/)
})
