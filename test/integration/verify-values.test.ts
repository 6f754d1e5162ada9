import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { runArchiver } from '../helpers/archiver.ts'
import { someDay, someTime } from '../helpers/elasticsearch-sink.ts'
import {
  createTopic,
  elasticsearch,
  indexPrefix,
  produce,
  temporaryDirectory,
} from '../helpers/servers.ts'

const msPerDay = 86_400_000
/** Whole numbers as `long`, as before: it leaves out what follows the point. */
const wholeAsLong = {
  dynamic_templates: [
    { whole_numbers: { match_mapping_type: 'long', mapping: { type: 'long', coerce: true } } },
  ],
}

interface Values {
  readonly proven: boolean
  readonly values: {
    readonly days: number
    readonly fields: number
    readonly ignored: number
    readonly differences: readonly {
      readonly type: string
      readonly day: string
      readonly field: string
      readonly mapped_as: string
      readonly differs: readonly string[]
      readonly files: { readonly sum: number }
      readonly elasticsearch: { readonly sum: number }
    }[]
    readonly not_compared: readonly { readonly type: string; readonly reason: string }[]
  }
}

/** Archives messages; those of a later day have `day` 1. */
async function archive(
  t: TestContext,
  messages: readonly { readonly value: string; readonly day?: number }[],
  before?: (prefix: string) => Promise<unknown>,
) {
  const prefix = indexPrefix(t)
  await before?.(prefix)
  const topic = await createTopic(t)
  const root = await temporaryDirectory(t)
  await produce(
    t,
    topic,
    messages.map(({ value, day = 0 }) => ({ value, timestamp: someTime + day * msPerDay })),
  )
  const options = ['--archive-dir', root, '--index-prefix', prefix]
  const ran = await runArchiver(t, [
    'run',
    '--topics',
    topic,
    '--group',
    topic,
    '--until-end',
    ...options,
  ])
  assert.equal(ran.code, 0, ran.output)
  const verify = async () => {
    const { code, output } = await runArchiver(t, [
      'verify',
      '--values',
      '--no-kafka',
      '--json',
      ...options,
    ])
    const json = output.split('\n').find((line) => line.startsWith('{"proven"'))
    assert.ok(json !== undefined, output)
    return { code, ...(JSON.parse(json) as Values) }
  }
  return { prefix, topic, root, options, verify }
}

const huge = '1.7e308'
const reading = (level: string, n = 1) => `{"type":"reading","level":${level},"inner":{"n":${n}}}`

test('verify --values names the field that an index of before truncated; restore into a new index mends it', async (t) => {
  const messages = [
    { value: reading('10') },
    { value: reading('99.95', 2) },
    // The sum of `huge` is no double, that of `both` none at all.
    {
      value: `{"type":"other","a":[1,2.5],"big":9007199254740993,"huge":[${huge},${huge}],"both":[${huge},${huge},-${huge},-${huge}]}`,
    },
    { value: reading('5'), day: 1 },
    { value: reading('0.05'), day: 1 },
    { value: '{"no":"type","level":1}' },
    { value: 'no JSON' },
  ]
  const { prefix, options, verify } = await archive(t, messages, async (prefix) => {
    const installed = await runArchiver(t, ['setup', '--index-prefix', prefix])
    assert.equal(installed.code, 0, installed.output)
    await elasticsearch('PUT', `/${prefix}reading-${someDay}`, { mappings: wholeAsLong })
  })
  const bad = await verify()
  assert.equal(bad.code, 1)
  assert.equal(bad.proven, false)
  assert.deepEqual(bad.values.not_compared, [])
  assert.equal(bad.values.days, 3)
  assert.deepEqual(
    bad.values.differences.map(({ type, day, field, mapped_as, differs }) => [
      type,
      day,
      field,
      mapped_as,
      differs,
    ]),
    [['reading', '2019-08-01', 'value.level', 'long', ['max', 'sum']]],
  )
  const [{ files, elasticsearch: found }] = bad.values.differences as [
    Values['values']['differences'][0],
  ]
  assert.deepEqual([files.sum, found.sum], [109.95, 109])
  const told = await runArchiver(t, ['verify', '--values', '--no-kafka', ...options])
  assert.equal(told.code, 1)
  assert.match(
    told.output,
    /BAD {2}value-differs: type reading, 2019-08-01, value\.level \(long\): max 99 instead of 99\.95, sum 109 instead of 109\.95/,
  )
  assert.match(told.output, /not proven: the numbers of 1 field; see above/)

  await elasticsearch('DELETE', `/${prefix}reading-${someDay}`)
  const restored = await runArchiver(t, ['restore', '--to', 'elasticsearch', ...options])
  assert.equal(restored.code, 0, restored.output)
  const good = await verify()
  assert.deepEqual([good.code, good.proven, good.values.differences], [0, true, []])
})

test('a fraction behind a number beyond 2^53 is named; a runtime field mends it for what is there already', async (t) => {
  const { prefix, verify } = await archive(t, [
    { value: reading('9007199254740993') },
    { value: reading('99.95') },
    { value: reading('12345678901234567890') },
  ])
  // The worker mended it when it ended.
  assert.equal((await verify()).code, 0)
  const read = (type: object | null) =>
    elasticsearch('PUT', `/${prefix}reading-${someDay}/_mapping`, {
      runtime: { 'value.level': type },
    })
  await read(null)
  const bad = await verify()
  assert.deepEqual(
    bad.values.differences.map(({ field, differs }) => [field, differs]),
    [['value.level', ['count', 'min', 'sum']]],
  )
  assert.equal(bad.values.ignored, 1)
  await read({ type: 'double' })
  const good = await verify()
  assert.deepEqual([good.code, good.values.differences], [0, []])
})

test('a field that a runtime field makes infinite is named', async (t) => {
  const { verify } = await archive(t, [
    { value: reading('9007199254740993') },
    { value: reading('99.95') },
    { value: reading('1e400') },
  ])
  const { code, values } = await verify()
  assert.equal(code, 1)
  assert.deepEqual(
    values.differences.map(({ field, differs }) => [field, differs]),
    [['value.level', ['count', 'max']]],
  )
})

test('records that were refused are left out; a day with other documents than records is not compared', async (t) => {
  const messages = [
    { value: reading('1') },
    { value: '{"type":"reading","level":7,"level":8}' },
    { value: '{"type":"reading","level":{"x":9}}' },
    { value: reading('2.5') },
  ]
  const { prefix, topic, verify } = await archive(t, messages)
  const good = await verify()
  assert.deepEqual([good.code, good.values.differences, good.values.not_compared], [0, [], []])
  assert.equal(good.values.fields, 2)
  await elasticsearch('DELETE', `/${prefix}reading-${someDay}/_doc/${topic}+0+3`)
  const bad = await verify()
  assert.equal(bad.code, 1)
  assert.deepEqual(
    bad.values.not_compared.map(({ type, reason }) => [type, reason]),
    [['reading', '1 documents for 2 records']],
  )
})

test('verify --values is refused with --fast and without Elasticsearch', async (t) => {
  for (const extra of ['--fast', '--no-elasticsearch']) {
    const { code, output } = await runArchiver(t, ['verify', '--values', extra])
    assert.equal(code, 2, output)
    assert.match(output, /--values/)
  }
})
