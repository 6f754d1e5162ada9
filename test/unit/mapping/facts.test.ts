import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FactsCollector, factsOf, type TypeFacts } from '../../../src/mapping/facts.ts'
import { ordinaryNumber, wideNumber } from '../../helpers/numbers.ts'
import { seeded } from '../../helpers/seeded.ts'

const key = fc.constantFrom('a', 'b', 'c', 'a.b', '', '__proto__', 'päth', 'q"uote')
const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.constantFrom(
    '2019-08-01T03:23:03Z',
    '2019-08-01',
    '2019-08-01 03:23:03.123456',
    '12.50',
    '1564629783',
    '10.0.0.1',
    '::1',
    'true',
    'yes',
    '52.5,13.4',
    'https://example.com/a b',
    '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
    ' 1d',
  ),
)
const scalar = fc.oneof(
  text.map((value) => JSON.stringify(value)),
  ordinaryNumber,
  wideNumber,
  fc.constantFrom('true', 'false', 'null', '1e400', '-0.0', '0.10', '0.1', '1'.repeat(200)),
)
const value: fc.Arbitrary<string> = fc.letrec<{ any: string; object: string }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    scalar,
    fc.array(tie('any'), { maxLength: 3 }).map((all) => `[${all.join(',')}]`),
    tie('object'),
  ),
  object: fc
    .array(fc.tuple(key, tie('any')), { maxLength: 5 })
    .map((all) => `{${all.map(([name, one]) => `${JSON.stringify(name)}:${one}`).join(',')}}`),
})).object

interface Message {
  readonly json: string
  readonly at: number
}

function collect(messages: readonly Message[]): FactsCollector {
  const collector = new FactsCollector()
  for (const { json, at } of messages) {
    const bytes = Buffer.from(json)
    collector.addValue(bytes, { start: 0, end: bytes.length }, at)
  }
  return collector
}

const messages = fc.array(
  fc.record({ json: value, at: fc.constantFrom(1_564_629_783_000, 9_000_000_000) }),
  { maxLength: 30 },
)

test('facts of two halves, merged in any order, are those of the whole', () => {
  fc.assert(
    fc.property(messages, fc.nat(), fc.boolean(), (all, cut, reversed) => {
      const whole = collect(all).facts()
      const at = all.length === 0 ? 0 : cut % all.length
      const halves = [collect(all.slice(0, at)), collect(all.slice(at))]
      if (reversed) halves.reverse()
      const merged = new FactsCollector()
      for (const half of halves) merged.merge(half)
      assert.deepEqual(merged.facts(), whole)
      assert.deepEqual(collect(all.toReversed()).facts(), whole)
    }),
    { numRuns: 300 },
  )
})

const one = (facts: TypeFacts, name: string) => {
  const found = facts.fields.find((field) => field.name === name)
  assert.ok(found !== undefined, name)
  return found
}

test('numbers keep every digit, whatever a double makes of them', () => {
  const facts = factsOf([
    '{"n":9007199254740993}',
    '{"n":9007199254740992}',
    '{"n":18446744073709551615}',
    '{"n":0.1000}',
  ])
  const { numbers } = one(facts, 'n')
  assert.deepEqual(
    [numbers?.min, numbers?.max, numbers?.beyondDouble, numbers?.beyondLong],
    ['0.1000', '18446744073709551615', 3, 1],
  )
  assert.deepEqual([numbers?.wholeDigits, numbers?.fractionDigits], [20, 4])
  const neighbours = factsOf(['{"n":9007199254740993}', '{"n":9007199254740992}'])
  assert.equal(one(neighbours, 'n').numbers?.max, '9007199254740993')
  assert.equal(one(neighbours, 'n').distinct, 2)
})

test('lists are flattened, and lists of objects are known', () => {
  const facts = factsOf([
    '{"items":[{"qty":1},{"qty":2,"tags":["a",["b"]]}],"n":[]}',
    '{"items":{"qty":3},"n":[1,null]}',
  ])
  const items = one(facts, 'items')
  assert.deepEqual(
    [items.records, items.kinds.object, items.lists?.ofObjects, items.lists?.maxObjects],
    [2, 3, 1, 2],
  )
  assert.deepEqual([one(facts, 'items.qty').occurrences, one(facts, 'items.qty').parents], [3, 3])
  assert.equal(one(facts, 'items.tags').kinds.text, 2)
  const { kinds, lists } = one(facts, 'n')
  assert.deepEqual([kinds.number, kinds.null, lists?.empty], [1, 1, 1])
})

test('the number of different values is exact up to 64, and within 10 % beyond', () => {
  for (const many of [1, 64, 65, 1000, 50_000, 300_000]) {
    const facts = factsOf(Array.from({ length: many }, (_, i) => `{"id":"user-${i}"}`))
    const { distinct, isDistinctExact } = one(facts, 'id')
    assert.equal(isDistinctExact, many <= 64)
    const error = Math.abs(distinct - many) / many
    assert.ok(many <= 64 ? error === 0 : error < 0.1, `${distinct} for ${many}`)
    assert.ok(distinct <= many, 'never more than there are values')
  }
})

test('ids as names of fields fill no memory, and what is regular among them stays by name', () => {
  const random = seeded(7)
  const collector = new FactsCollector()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 60_000; i++) {
    const id = Math.floor(random() * 2 ** 32)
    const json = `{"type":"x","n":${i},"k${id}":{"a":${i},"b${id}":"t"},"map":{"u${id}":1}}`
    const bytes = Buffer.from(json)
    collector.addValue(bytes, { start: 0, end: bytes.length })
  }
  const facts = collector.facts()
  assert.ok(process.memoryUsage().heapUsed - before < 200 * 2 ** 20)
  assert.ok(facts.isCapped)
  assert.ok(facts.fields.length < 10_000, `${facts.fields.length}`)
  assert.equal(one(facts, 'n').records, 60_000)
  assert.equal(one(facts, 'n').numbers?.max, '59999')
  const named = facts.fields.filter(({ path }) => path.length === 1)
  assert.equal(
    named.reduce((sum, { occurrences }) => sum + occurrences, 0),
    4 * 60_000,
  )
  assert.ok(facts.fields.some(({ isAnyKey, path }) => isAnyKey && path[0] === 'map'))
})

test('capped collectors merge without a count that is too low', () => {
  const limits = { keys: 10, keptKeys: 5, fields: 1000, levels: 10, keyLength: 512, textLength: 99 }
  const record = fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(fc.array(record, { maxLength: 40 }), fc.nat(), (records, cut) => {
      const at = records.length === 0 ? 0 : cut % records.length
      const halves = [records.slice(0, at), records.slice(at)].map((some) => {
        const collector = new FactsCollector(limits)
        for (const keys of some) {
          const json = `{${[...new Set(keys)].map((name) => `"k${name}":1`).join(',')}}`
          const bytes = Buffer.from(json)
          collector.addValue(bytes, { start: 0, end: bytes.length })
        }
        return collector
      })
      halves[0]!.merge(halves[1]!)
      const { fields } = halves[0]!.facts()
      const counted = new Map<string, number>()
      for (const keys of records)
        for (const name of new Set(keys))
          counted.set(`k${name}`, (counted.get(`k${name}`) ?? 0) + 1)
      for (const { name, isAnyKey, occurrences } of fields)
        if (!isAnyKey) assert.equal(occurrences, counted.get(name), name)
      assert.equal(
        fields.reduce((sum, { occurrences }) => sum + occurrences, 0),
        [...counted.values()].reduce((sum, count) => sum + count, 0),
      )
    }),
  )
})

test('depth and size of values are no danger', () => {
  const deep = `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`
  const lists = `{"l":${'['.repeat(100_000)}1${']'.repeat(100_000)}}`
  const huge = `{"text":"${'long '.repeat(400_000)}","${'k'.repeat(100_000)}":1}`
  const facts = factsOf([deep, lists, huge, '42', '[1]', '[{"b":1}]', 'null'])
  assert.equal(facts.records, 7)
  assert.equal(facts.notObjects, 2)
  assert.ok(facts.fields.some(({ tooDeep }) => tooDeep > 0))
  assert.equal(one(facts, 'l').numbers?.count, 1)
  assert.equal(one(facts, 'text').texts?.maxLength, 65_536)
  assert.ok(facts.fields.every(({ name }) => name.length < 1000))
})
