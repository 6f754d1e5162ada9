import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCondition } from '../../../src/cmd/cat/where.ts'
import { lineOf } from '../../../src/cmd/cat.ts'
import { readLines, type Wanted } from '../../../src/files/read/lines.ts'
import type { Selection } from '../../../src/files/read/selection.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { august, makeArchive, records } from '../../helpers/archive.ts'
import { runArchiver } from '../../helpers/archiver.ts'
import { homeAt } from '../../helpers/home.ts'

const msPerHour = 3_600_000
const orders = { topic: 'orders', partition: 0 }
const users = { topic: 'users', partition: 3 }

/** Two topics whose records interleave in time, over two hours, in several flushes. */
function archive(t: Parameters<typeof makeArchive>[0]) {
  const late = records(40, 60).map((record) => ({
    ...record,
    timestamp: record.timestamp! + msPerHour,
  }))
  const between = records(0, 30).map((record) => ({
    ...record,
    timestamp: record.timestamp! + 500,
  }))
  return makeArchive(t, [
    { tp: orders, flushes: [records(0, 15), records(15, 40), late] },
    { tp: users, flushes: [between.filter(({ offset }) => offset !== 7)] },
  ])
}

async function offsetsOf(
  root: string,
  selection: Selection,
  order: 'oldest' | 'newest' = 'oldest',
): Promise<string[]> {
  const found: string[] = []
  for await (const { block, start, end } of readLines(homeAt(root), selection, { order })) {
    const { kafka } = JSON.parse(block.toString('utf8', start, end)) as {
      kafka: { topic: string; offset: number }
    }
    found.push(`${kafka.topic[0]}${kafka.offset}`)
  }
  return found
}

test('records come by time over partitions, types and files, in either direction', async (t) => {
  const root = await archive(t)
  const all = await offsetsOf(root, {})
  assert.equal(all.length, 89)
  assert.deepEqual(all.slice(0, 5), ['o0', 'u0', 'o1', 'u1', 'o2'])
  assert.deepEqual(all.slice(-2), ['o58', 'o59'])
  assert.deepEqual(await offsetsOf(root, {}, 'newest'), all.toReversed())
})

test('the newest of an hour are found among more types than are read side by side', async (t) => {
  const types = 600
  const many = Array.from({ length: types }, (_, offset) => ({
    offset,
    type: `t${offset}`,
    // In no order of types or offsets.
    timestamp: august + ((offset * 977) % 3_599) * 1000,
  }))
  const root = await makeArchive(t, [{ tp: orders, flushes: [many] }])
  const byTime = many
    .toSorted((a, b) => a.timestamp - b.timestamp)
    .map(({ timestamp }) => timestamp)
  const timesOf = async (wanted: Wanted) => {
    const times: number[] = []
    for await (const { block, start, end } of readLines(homeAt(root), {}, wanted)) {
      const line = JSON.parse(block.toString('utf8', start, end)) as {
        kafka: { timestamp: number }
      }
      times.push(line.kafka.timestamp)
    }
    return times
  }
  assert.deepEqual(await timesOf({ order: 'newest', limit: 10 }), byTime.toReversed().slice(0, 10))
  assert.deepEqual(await timesOf({ order: 'oldest', limit: 500 }), byTime.slice(0, 500))
  const even = (line: Buffer) =>
    (JSON.parse(line.toString()) as { kafka: { offset: number } }).kafka.offset % 2 === 0
  const evenTimes = many
    .filter(({ offset }) => offset % 2 === 0)
    .map(({ timestamp }) => timestamp)
    .sort((a, b) => b - a)
  assert.deepEqual(
    await timesOf({ order: 'newest', limit: 25, matches: even }),
    evenTimes.slice(0, 25),
  )
  assert.deepEqual((await timesOf({ order: 'newest' })).sort(), byTime)
})

test('a selection restricts types, topics, partitions and times', async (t) => {
  const root = await archive(t)
  assert.deepEqual(
    await offsetsOf(root, { types: [{ name: 'b', reserved: false }], topics: ['users'] }),
    ['u0', 'u3', 'u6', 'u9', 'u12', 'u15', 'u18', 'u21', 'u24', 'u27'],
  )
  assert.deepEqual(await offsetsOf(root, { from: august + 2000, to: august + 3000 }), ['o2', 'u2'])
  assert.deepEqual((await offsetsOf(root, { from: august + msPerHour })).length, 20)
  assert.deepEqual(await offsetsOf(root, { partitions: [3], to: august + 1000 }), ['u0'])
  assert.deepEqual(await offsetsOf(root, { topics: ['none'] }), [])
})

test('an offset is found, or the output says why it is not there', async (t) => {
  const root = await archive(t)
  for (const offset of [0, 14, 15, 39, 40, 59]) {
    const line = JSON.parse(
      (await lineOf(homeAt(root), offset, { topics: ['orders'] })).toString('utf8'),
    ) as {
      kafka: { offset: number; topic: string }
    }
    assert.deepEqual([line.kafka.topic, line.kafka.offset], ['orders', offset])
  }
  const refusal = (offset: number, selection: Selection, code: string, words: RegExp) =>
    assert.rejects(lineOf(homeAt(root), offset, selection), (error: unknown) => {
      assert.ok(error instanceof ArchiverError)
      assert.equal(error.code, code)
      assert.match(error.message, words)
      return true
    })
  await refusal(
    7,
    { topics: ['users'] },
    'NOT_FOUND',
    /users\/3 has no offset 7: Kafka delivered no record/,
  )
  await refusal(60, { topics: ['orders'] }, 'NOT_FOUND', /holds 0 to 59/)
  await refusal(1, {}, 'USAGE', /--topic and the --partition.*orders\/0, users\/3/)
  await refusal(1, { topics: ['nothing'] }, 'NOT_FOUND', /no such topic/)
})

test('a condition on a field', () => {
  const line = Buffer.from(
    '{"kafka":{"key":"k1"},"value":{"amount":12.5,"user":{"id":"u1"},"tags":["x","y"],"a.b":true,"none":null}}',
  )
  const fits = (text: string) => parseCondition(text)(line)
  for (const yes of [
    'kafka.key=k1',
    'value.amount>=12.5',
    'value.amount<100',
    'value.user.id!=u2',
    'value.tags=y',
    'value.a\\.b=true',
    'value.none=null',
    'value.absent!=1',
  ]) {
    assert.equal(fits(yes), true, yes)
  }
  for (const no of [
    'kafka.key=k',
    'value.amount>12.5',
    'value.amount<9',
    'value.tags=z',
    'value.tags!=x',
    'value.absent=1',
    'value.user=u1',
  ]) {
    assert.equal(fits(no), false, no)
  }
  for (const wrong of ['value', '=1', 'value.amount~1']) {
    assert.throws(
      () => parseCondition(wrong),
      (error) => error instanceof ArchiverError && error.code === 'USAGE',
    )
  }
})

test('a condition bears any depth and any number of digits', () => {
  const deep = (open: string, close: string, value: string) =>
    `${open.repeat(100_000)}${value}${close.repeat(100_000)}`
  const line = (text: string) => Buffer.from(`{"kafka":{"offset":1},"value":{${text}}}`)
  assert.equal(parseCondition('value.n=1')(line(`"n":${deep('[', ']', '1')}`)), true)
  // Compared as text: both are infinite as doubles.
  assert.equal(
    parseCondition('value.n<1e401')(line(`"n":1e400,"x":${deep('{"a":', '}', '1')}`)),
    true,
  )
  // A regular expression for the zeros at the end takes minutes here.
  const long = `0.1${'0'.repeat(500_000)}1`
  assert.equal(parseCondition('value.n=0.1')(line(`"n":${long}`)), false)
  assert.equal(parseCondition('value.n>0.1')(line(`"n":${long}`)), true)
  assert.equal(parseCondition(`value.n=${long}`)(line(`"n":[1,${long}000]`)), true)
})

test('the commands print what is there', async (t) => {
  const root = await archive(t)
  const here = ['--archive-dir', root]
  const cat = await runArchiver(t, [
    'cat',
    ...here,
    '--topic',
    'orders',
    '--where',
    'value.n>=58',
    '--value-only',
  ])
  assert.deepEqual([cat.code, cat.output], [0, '{"type":"a","n":58}\n{"type":"a","n":59}\n'])
  const newest = await runArchiver(t, [
    'cat',
    ...here,
    '--order',
    'newest',
    '--limit',
    '1',
    '--type',
    'b',
  ])
  assert.equal((newest.log[0] as { kafka: { offset: number } }).kafka.offset, 57)
  const ls = await runArchiver(t, ['ls', ...here, '--by', 'partition', '--json'])
  assert.deepEqual(
    ls.log.map(({ name, records, files, first_offset, last_offset }) => [
      name,
      records,
      files,
      first_offset,
      last_offset,
    ]),
    [
      ['orders/0', 60, 6, 0, 59],
      ['users/3', 29, 2, 0, 29],
    ],
  )
  const table = await runArchiver(t, [
    'ls',
    ...here,
    '--topic',
    'orders',
    '--from',
    '2019-08-01T04',
  ])
  assert.match(
    table.output,
    /^type +records +files +bytes +lines +first time +last time\na +14 +1 /,
  )
  const none = await runArchiver(t, ['ls', '--archive-dir', `${root}/type=a`])
  assert.equal(none.code, 1)
  assert.match(none.output, /is not an archive/)
})
