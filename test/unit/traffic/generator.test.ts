import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { activity, DayCurve, isIncident } from '../../../src/traffic/data/day.ts'
import { malformations } from '../../../src/traffic/data/malformed.ts'
import {
  type MadeRecord,
  RecordMaker,
  type RecordMakerOptions,
} from '../../../src/traffic/data/record-maker.ts'

const from = Date.parse('2026-11-02T00:00:00Z')
const to = Date.parse('2026-11-04T00:00:00Z')
const count = 20_000
const base: RecordMakerOptions = {
  seed: 7,
  types: ['object.one', 'object.two', 'object.three'],
  topics: [
    { name: 'a', partitions: 4 },
    { name: 'b', partitions: 3 },
  ],
  malformed: 0,
  history: { count, from, to },
}

function makeAll(options: RecordMakerOptions, records = count): MadeRecord[] {
  const maker = new RecordMaker(options)
  return Array.from({ length: records }, (_, i) => maker.make(i))
}
const parsed = (record: MadeRecord) => JSON.parse(String(record.value)) as Record<string, unknown>

test('a seed makes the same records, in any order of making; another seed makes others', () => {
  const options = { ...base, malformed: 0.1 }
  const records = makeAll(options, 2_000)
  const again = new RecordMaker(options)
  for (let i = records.length - 1; i >= 0; i--) assert.deepEqual(again.make(i), records[i])
  assert.notDeepEqual(makeAll({ ...options, seed: 8 }, 10), records.slice(0, 10))
})

test('every value is valid JSON with its type, whatever the names of the types are', () => {
  const name = fc.string({ minLength: 1, unit: 'grapheme' })
  fc.assert(
    fc.property(
      fc.uniqueArray(name, { minLength: 1, maxLength: 7 }),
      fc.nat(),
      fc.nat(),
      (types, seed, index) => {
        const record = new RecordMaker({ ...base, types, seed, history: undefined }).make(
          index,
          from,
        )
        assert.ok(types.includes(record.type))
        assert.equal(parsed(record).type, record.type)
      },
    ),
    { numRuns: 2_000 },
  )
})

test('values are about 300 bytes, types are mixed on every topic, and no type is left out', () => {
  const records = makeAll(base)
  const bytes = records.reduce((sum, { value }) => sum + Buffer.byteLength(value!), 0)
  assert.ok(bytes / count > 260 && bytes / count < 340, `${bytes / count} bytes`)
  for (const topic of ['a', 'b']) {
    const types = records.filter((record) => record.topic === topic).map(({ type }) => type)
    assert.equal(types.length, count / 2)
    for (const type of base.types)
      assert.ok(types.filter((each) => each === type).length > count / 20, type)
  }
  const many = { ...base, types: Array.from({ length: 8 }, (_, i) => `t${i}`) }
  assert.equal(new Set(makeAll(many, 2_000).map(({ type }) => type)).size, 8)
})

test('partitions exist, and the same key stays in one', () => {
  const partitionOf = new Map<string, number>()
  for (const { topic, partition, key } of makeAll(base)) {
    assert.ok(Number.isInteger(partition) && partition >= 0 && partition < (topic === 'a' ? 4 : 3))
    if (key === null) continue
    const known = partitionOf.get(`${topic} ${key}`)
    assert.ok(known === undefined || known === partition)
    partitionOf.set(`${topic} ${key}`, partition)
  }
})

test('timestamps are in the range, almost in order, and most of them near noon', () => {
  const records = makeAll(base)
  let latest = 0
  let behind = 0
  const byHour = Array<number>(24).fill(0)
  for (const { timestamp } of records) {
    assert.ok(Number.isInteger(timestamp) && timestamp >= from && timestamp <= to)
    if (timestamp < latest) behind++
    latest = Math.max(latest, timestamp)
    byHour[new Date(timestamp).getUTCHours()]!++
  }
  assert.ok(behind > 0 && behind < count / 5, `${behind} of ${count} behind`)
  assert.ok(byHour[12]! > 4 * byHour[3]!, byHour.join(' '))
})

test('the day curve is ascending and spans its range, whatever that is', () => {
  const range = fc.record({
    begin: fc.nat({ max: 4e12 }),
    length: fc.integer({ min: 1, max: 1e12 }),
  })
  fc.assert(
    fc.property(
      range,
      fc.array(fc.double({ min: 0, max: 1, noNaN: true })),
      ({ begin, length }, shares) => {
        const curve = new DayCurve(begin, begin + length)
        let before = begin
        for (const share of shares.sort((a, b) => a - b)) {
          const at = curve.at(share)
          assert.ok(at >= before - 1 && at <= begin + length + 1)
          before = at
        }
      },
    ),
    { numRuns: 30 },
  )
})

test('the share of malformed records is kept, and each kind is what it says', () => {
  const spoilt = makeAll({ ...base, malformed: 0.2 }).filter(
    ({ malformation }) => malformation !== undefined,
  )
  assert.ok(spoilt.length > 0.18 * count && spoilt.length < 0.22 * count, `${spoilt.length}`)
  assert.equal(
    new Set(spoilt.map(({ malformation }) => malformation!.name)).size,
    malformations.length,
  )
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  for (const { value, malformation } of spoilt) {
    const read = (): unknown => JSON.parse(decoder.decode(Buffer.from(value ?? 'null')))
    if (malformation!.reservedType === '_malformed') assert.throws(read, malformation!.name)
    else {
      const type = (read() as { type?: unknown } | null)?.type
      assert.ok(typeof type !== 'string' || type === '', malformation!.name)
    }
  }
})

test('there is something to see: heavy users, rare errors, a bad half-hour, more activity at noon', () => {
  const records = makeAll(base)
  const requests = records.filter(({ type }) => type === 'object.two')
  const failed = requests.filter((record) => (parsed(record).status_code as number) >= 500)
  const inIncident = failed.filter(({ timestamp }) => isIncident(base.seed, timestamp))
  assert.ok(failed.length > 0 && failed.length < requests.length / 20)
  assert.ok(
    inIncident.length > failed.length / 4,
    'a fourth of all errors in a fiftieth of the time',
  )
  const heavy = records.filter(({ key }) => key === 'user-00000')
  assert.ok(heavy.length > count / 40)
  assert.ok(
    activity(Date.parse('2026-11-02T12:30:00Z')) > 4 * activity(Date.parse('2026-11-02T04:00:00Z')),
  )
})
