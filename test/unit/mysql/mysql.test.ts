import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { mysqlConnection, mysqlGroup } from '../../../src/config/mysql.ts'
import { readOptions, related } from '../../../src/config/options.ts'
import { PartQueue } from '../../../src/delivery/part-queue.ts'
import { judge, type Verdict } from '../../../src/mysql/answer.ts'
import { collisionWith, reductionAfter } from '../../../src/mysql/reduction.ts'
import { insertSql, typeColumns } from '../../../src/mysql/row.ts'
import {
  asRecord,
  bytesOfPart,
  type Form,
  type Part,
  partsOf,
  type Row,
  rowOf,
  takeStatement,
} from '../../../src/mysql/statement.ts'
import { UnrecognizedErrors } from '../../../src/mysql/unrecognized-errors.ts'
import { LineEncoder } from '../../../src/record/line/encoder.ts'
import type { RecordBatch } from '../../../src/record/record.ts'
import { pendingBatch } from '../../helpers/pending-batch.ts'

test('errors are judged by their number', () => {
  const expected: Readonly<Record<Verdict, readonly (number | undefined)[]>> = {
    again: [
      undefined,
      1021,
      1030,
      1040,
      1047,
      1053,
      1114,
      1205,
      1213,
      1290,
      1317,
      1927,
      3024,
      9001,
    ],
    refused: [1044, 1045, 1049, 1054, 1142, 1146],
    exists: [1062],
    row: [1153, 1264, 1366, 1406, 2020, 3140, 3157, 3819, 4025],
    unknown: [1105, 9999],
  }
  for (const [verdict, numbers] of Object.entries(expected)) {
    for (const errno of numbers) assert.equal(judge(errno), verdict, String(errno))
  }
})

const optionsOf = (...argv: string[]) =>
  related(mysqlGroup, readOptions(mysqlGroup.options, { argv, env: {} }))

test('the address is taken apart, and a mistake shows no password', () => {
  const mysqlAddress = (url: string) => optionsOf('--mysql', url).mysql!
  assert.deepEqual(mysqlAddress('mysql://me%40home:p%2Fw@[::1]:3307/db'), {
    host: '::1',
    port: 3307,
    user: 'me@home',
    password: 'p/w',
    database: 'db',
  })
  assert.equal(mysqlAddress('mariadb://me@host/db').port, 3306)
  const wrong = [
    'host',
    'mysql://host/db',
    'mysql://u:secret@host',
    'http://u:secret@host/db',
    'mysql://u:secret@h/d/e',
  ]
  for (const url of [
    ...wrong,
    'mysql://u:secret@h/d?ssl=1',
    'u:secret@host/db',
    'mysql://u:secret%@h/d',
  ]) {
    assert.throws(
      () => mysqlAddress(url),
      (error: Error & { code?: string }) =>
        error.code === 'USAGE' && !error.message.includes('secret'),
      url,
    )
  }
})

test('options of MySQL that do not fit together are refused', () => {
  const check = (...argv: string[]) => mysqlConnection(optionsOf(...argv))
  assert.equal(check('--mysql', 'mysql://u@h/d', '--mysql-password', 'x')?.password, 'x')
  assert.equal(check('--mysql', 'mysql://u:x@h/d', '--mysql-table', 'a_1')?.password, 'x')
  for (const argv of [
    ['--mysql', 'mysql://u:x@h/d', '--mysql-password', 'x'],
    ['--mysql', 'mysql://u@h/d', '--mysql-password', 'x', '--mysql-password-file', 'y'],
    ['--mysql', 'mysql://u:x@h/d', '--mysql-password-file', 'y'],
    ['--mysql', 'mysql://u@h/d', '--mysql-tls-name', 'db'],
    ['--mysql-tls', '--mysql-tls-name', 'a b'],
    ['--mysql-table', 'a`b'],
    ['--mysql-table', '1a'],
    ['--mysql-table', 'a'.repeat(56)],
  ]) {
    assert.throws(() => check(...argv), { code: 'USAGE' }, argv.join(' '))
  }
})

test('types that a column cannot hold have different names in it', () => {
  assert.deepEqual(typeColumns(undefined), {})
  assert.deepEqual(typeColumns('a'), { name: 'a' })
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 400, maxLength: 700 }), (type) => {
      const { name, json } = typeColumns(type)
      assert.ok(name!.length <= 512 && name!.isWellFormed())
      assert.equal(json === undefined ? name : (JSON.parse(json) as string), type)
    }),
  )
  const [one, two] = ['\ud800', '\ud801'].map(typeColumns)
  assert.notEqual(one!.name, two!.name)
  assert.equal(one!.json, '"\\ud800"')
})

const encoder = new LineEncoder({ from: 'value', path: ['type'] })

function batchOf(topic: string, sizes: readonly number[]): RecordBatch {
  const records = sizes.map((size, offset) => ({
    offset,
    timestamp: 0,
    key: null,
    headers: [],
    value: Buffer.from(JSON.stringify({ text: "'".repeat(size) })),
  }))
  return encoder.encode({ topic, partition: 0, from: 0, next: sizes.length, records })
}

function partOf(topic: string, sizes: readonly number[]): { part: Part; close: () => void } {
  const { pending, close } = pendingBatch(batchOf(topic, sizes))
  return { part: { pending, start: 0, end: sizes.length, form: asRecord }, close }
}

test('statements hold every row once, in order, and stay below what the server takes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.nat({ max: 3000 }), { minLength: 1, maxLength: 20 }), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.integer({ min: 1000, max: 20_000 }),
      fc.integer({ min: 4000, max: 12_000 }),
      (batches, maxBytes, maxPacketBytes) => {
        const queue = new PartQueue(bytesOfPart)
        for (const [i, sizes] of batches.entries()) queue.push(partOf(`t${i}`, sizes).part)
        const taken: Row[] = []
        const refused: Row[] = []
        while (!queue.isEmpty) {
          const { rows, tooLarge } = takeStatement(queue, maxBytes, maxPacketBytes)
          const sql = insertSql(
            '`archive_records`',
            rows.map((row) => row.sql),
          )
          assert.ok(Buffer.byteLength(sql) < maxPacketBytes)
          assert.ok(rows.length <= 1 || Buffer.byteLength(sql) <= maxBytes)
          assert.equal(rows.length + tooLarge.length > 0, true)
          taken.push(...rows)
          refused.push(...tooLarge)
        }
        assert.equal(queue.bytes, 0)
        const named = [...taken, ...refused].map(({ pending, i }) => `${pending.batch.topic}/${i}`)
        const expected = batches.flatMap((sizes, batch) => sizes.map((_, i) => `t${batch}/${i}`))
        assert.deepEqual(named.toSorted(), expected.toSorted())
        // Given back, they are the same again.
        queue.pushFirst(partsOf(taken))
        const { rows: again } = takeStatement(queue, Infinity, Infinity)
        assert.deepEqual(
          again.map(({ sql }) => sql),
          taken.map(({ sql }) => sql),
        )
      },
    ),
  )
})

test('what was given up is not sent', () => {
  const queue = new PartQueue(bytesOfPart)
  const [kept, given] = [partOf('kept', [1, 2]), partOf('given', [1, 2])]
  queue.push(given.part)
  queue.push(kept.part)
  given.close()
  assert.equal(takeStatement(queue, 1e6, 1e6).rows.length, 2)
  queue.push(given.part)
  queue.dropClosed()
  assert.equal(queue.isEmpty, true)
  assert.equal(queue.bytes, 0)
})

test('a collision has a statement to itself', () => {
  const queue = new PartQueue(bytesOfPart)
  const { part } = partOf('t', [1, 2, 3])
  const reduction = { kept: undefined, errorType: 'position_taken', reason: 'r' }
  queue.push({ ...part, end: 1 })
  queue.push({ ...part, start: 1, end: 2, form: { is: 'collision', reduction } })
  queue.push({ ...part, start: 2 })
  const taken: (readonly number[])[] = []
  while (!queue.isEmpty) taken.push(takeStatement(queue, 1e6, 1e6).rows.map(({ i }) => i))
  assert.deepEqual(taken, [[0], [1], [2]])
})

test('an unrecognized error lasts once it has come for the whole time without a long break', () => {
  const errors = new UnrecognizedErrors(1000)
  const comesAt = (now: number, errno = 7777) => errors.isLasting(errno, now)
  assert.deepEqual([comesAt(0), comesAt(999), comesAt(1000)], [false, false, true])
  assert.equal(comesAt(1000, 8888), false, 'each number has a time of its own')
  assert.equal(comesAt(121_001), false, 'after two minutes of silence it is another error')
  assert.equal(comesAt(122_001), true)
})

test('what is kept of a record shrinks until nothing can be left out', () => {
  const { pending } = partOf('t', [1]).part
  const steps = (isTooLarge: boolean, form: Form) => {
    const kept: (string | undefined)[] = []
    for (let next: Form = form; ; ) {
      const reduction = reductionAfter(rowOf({ pending, form: next }, 0), {
        reason: 'r',
        isTooLarge,
      })
      if (reduction === undefined) return kept
      kept.push(`${reduction.kept} ${reduction.errorType}`)
      next = { is: form.is === 'collision' ? 'collision' : 'reduced', reduction }
    }
  }
  const smaller = ['envelope value_omitted', 'position all_omitted']
  assert.deepEqual(steps(false, asRecord), ['text refused_as_json', ...smaller])
  assert.deepEqual(steps(true, asRecord), smaller, 'as text it is no smaller')
  const collision = {
    is: 'collision',
    reduction: collisionWith(rowOf({ pending, form: asRecord }, 0), '5'),
  } as const
  assert.deepEqual(steps(false, collision), [
    'text position_taken',
    'envelope position_taken',
    'position position_taken',
  ])
})
