import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  assignPartitions,
  type Claim,
  type GroupMember,
  type PartitionsByTopic,
  type Plan,
} from '../../../../src/kafka/group/assign.ts'

const everything = () => true

const layoutOf = (counts: Readonly<Record<string, number>>) => new Map(Object.entries(counts))

function member(
  id: string,
  claims: readonly Claim[] = [],
  wants: GroupMember['wants'] = everything,
): GroupMember {
  return { id, wants, claims }
}

function claim(generation: number, partitions: Readonly<Record<string, readonly number[]>>): Claim {
  return { generation, partitions: new Map(Object.entries(partitions)) }
}

const keysOf = (partitions: PartitionsByTopic) =>
  [...partitions].flatMap(([topic, numbers]) => numbers.map((n) => `${topic}/${n}`))
const keysOfClaims = (claims: readonly Claim[]) => claims.flatMap((one) => keysOf(one.partitions))

/** What each member gets, for people. */
const shown = ({ given }: Plan) =>
  Object.fromEntries([...given].map(([id, partitions]) => [id, keysOf(partitions).join(' ')]))

const spread = (counts: readonly number[]) => Math.max(...counts) - Math.min(...counts)

test('members that begin together share all partitions evenly, and those of each topic', () => {
  const plan = assignPartitions(
    ['c', 'a', 'b'].map((id) => member(id)),
    layoutOf({ x: 4, y: 2 }),
  )
  assert.deepEqual(shown(plan), { a: 'x/0 x/3', b: 'x/1 y/0', c: 'x/2 y/1' })
  assert.deepEqual([plan.givingUp.size, plan.unwanted], [0, 0])
})

test('a new member gets nothing before others have given something up for it', () => {
  const before = member('a', [claim(1, { x: [0, 1, 2, 3] })])
  const first = assignPartitions([before, member('b')], layoutOf({ x: 4 }))
  assert.deepEqual(shown(first), { a: 'x/0 x/1', b: '' })
  assert.deepEqual([...first.givingUp], ['a'])
  const second = assignPartitions(
    [member('a', [claim(2, { x: [0, 1] })]), member('b')],
    layoutOf({ x: 4 }),
  )
  assert.deepEqual(shown(second), { a: 'x/0 x/1', b: 'x/2 x/3' })
  assert.equal(second.givingUp.size, 0)
})

test('of two claims the one of the later generation counts; of equal ones, none', () => {
  const layout = layoutOf({ x: 2 })
  const late = assignPartitions(
    [member('a', [claim(3, { x: [0] })]), member('b', [claim(5, { x: [0] })])],
    layout,
  )
  assert.deepEqual(shown(late), { a: 'x/1', b: 'x/0' })
  assert.equal(late.givingUp.size, 0)
  const equal = assignPartitions(
    [member('a', [claim(5, { x: [0] })]), member('b', [claim(5, { x: [0] })])],
    layout,
  )
  assert.equal([...equal.given.values()].flatMap(keysOf).join(), 'x/1')
  assert.deepEqual([...equal.givingUp], ['a', 'b'])
})

test('a member gets only what it wants, and what nobody wants is counted', () => {
  const onlyX = (topic: string) => topic === 'x'
  const plan = assignPartitions(
    [member('a', [claim(1, { y: [0], gone: [7] })], onlyX), member('b', [], (t) => t !== 'z')],
    layoutOf({ x: 2, y: 2, z: 3 }),
  )
  // y/0 is given to b once a has given it up.
  assert.deepEqual(shown(plan), { a: 'x/0 x/1', b: 'y/1' })
  assert.deepEqual([[...plan.givingUp], plan.unwanted], [['a'], 3])
})

test('no members get no partitions, and members without topics get none', () => {
  assert.equal(assignPartitions([], layoutOf({ x: 2 })).unwanted, 2)
  assert.deepEqual(shown(assignPartitions([member('a')], new Map())), { a: '' })
})

/** The fewest moves that end in a balance: who has the most keeps one more. */
function fewestMoves(owned: readonly number[], total: number): number {
  const least = Math.floor(total / owned.length)
  const rest = total % owned.length
  return owned
    .toSorted((a, b) => b - a)
    .reduce((sum, count, i) => sum + Math.max(0, count - least - (i < rest ? 1 : 0)), 0)
}

const layouts = fc
  .array(fc.nat(9), { minLength: 1, maxLength: 6 })
  .map((counts) => new Map(counts.map((count, i) => [`topic-${i}`, count])))

/** Members that claim what they own, and no two the same. */
const groups = layouts.chain((layout) => {
  const all = [...layout].flatMap(([topic, count]) =>
    Array.from({ length: count }, (_, partition) => ({ topic, partition })),
  )
  return fc
    .record({
      count: fc.integer({ min: 1, max: 8 }),
      owners: fc.array(fc.integer({ min: -2, max: 7 }), {
        minLength: all.length,
        maxLength: all.length,
      }),
    })
    .map(({ count, owners }) => {
      const claims = Array.from({ length: count }, () => new Map<string, number[]>())
      all.forEach(({ topic, partition }, i) => {
        const ofOwner = claims[owners[i]!]
        ofOwner?.set(topic, [...(ofOwner.get(topic) ?? []), partition])
      })
      const members = claims.map((partitions, i) =>
        member(`m${i}`, [{ generation: 4, partitions }]),
      )
      return { layout, members, total: all.length }
    })
})

test('any group: nothing twice, the fewest moves, balance, and two rebalances are enough', () => {
  const property = fc.property(groups, ({ layout, members, total }) => {
    const first = assignPartitions(members, layout)
    const claimedBy = new Map(
      members.flatMap(({ id, claims }) => keysOfClaims(claims).map((key) => [key, id])),
    )
    const given = [...first.given].flatMap(([id, partitions]) =>
      keysOf(partitions).map((key) => [key, id] as const),
    )
    assert.equal(new Set(given.map(([key]) => key)).size, given.length)
    for (const [key, id] of given) assert.ok([id, undefined].includes(claimedBy.get(key)))
    const kept = given.filter(([key]) => claimedBy.has(key)).length
    const owned = members.map(({ claims }) => keysOfClaims(claims).length)
    assert.equal(claimedBy.size - kept, fewestMoves(owned, total))
    assert.equal(first.givingUp.size > 0, given.length < total)

    const again = members.map(({ id }) =>
      member(id, [{ generation: 5, partitions: first.given.get(id)! }]),
    )
    const second = assignPartitions(again, layout)
    const counts = [...second.given.values()].map((partitions) => keysOf(partitions).length)
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      total,
    )
    assert.ok(spread(counts) <= 1, `balanced: ${counts}`)
    assert.equal(second.givingUp.size, 0)
    for (const [id, partitions] of first.given) {
      const now = keysOf(second.given.get(id)!)
      for (const key of keysOf(partitions)) assert.ok(now.includes(key), 'nothing moves twice')
    }
    // The order in which the broker lists the members means nothing.
    assert.deepEqual(
      Object.entries(shown(assignPartitions(members.toReversed(), layout))).sort(),
      Object.entries(shown(first)).sort(),
    )
  })
  fc.assert(property, { numRuns: 1500 })
})

test('a group that begins spreads each topic too', () => {
  const property = fc.property(layouts, fc.integer({ min: 1, max: 9 }), (layout, count) => {
    const members = Array.from({ length: count }, (_, i) => member(`m${i}`))
    const { given } = assignPartitions(members, layout)
    for (const topic of layout.keys()) {
      const counts = [...given.values()].map((partitions) => partitions.get(topic)?.length ?? 0)
      assert.ok(spread(counts) <= 1, `${topic}: ${counts}`)
    }
  })
  fc.assert(property, { numRuns: 500 })
})

test('members with different wishes: nothing twice, nothing unwanted, nothing forgotten', () => {
  const wishes = fc.array(fc.nat(63), { minLength: 1, maxLength: 6 })
  const property = fc.property(groups, wishes, ({ layout, members }, bits) => {
    const wishing = members.map(({ id, claims }, i) => {
      const wish = bits[i % bits.length]!
      return member(id, claims, (topic) => ((wish >> Number(topic.split('-')[1])) & 1) === 1)
    })
    let plan = assignPartitions(wishing, layout)
    for (let rebalance = 0; plan.givingUp.size > 0; rebalance++) {
      assert.ok(rebalance < 5, 'it does not settle')
      const { given } = plan
      const claiming = wishing.map(({ id, wants }) =>
        member(id, [{ generation: 5, partitions: given.get(id)! }], wants),
      )
      plan = assignPartitions(claiming, layout)
    }
    const { given, unwanted } = plan
    const keys = [...given.values()].flatMap(keysOf)
    assert.equal(new Set(keys).size, keys.length)
    let wanted = 0
    for (const [topic, count] of layout)
      if (wishing.some(({ wants }) => wants(topic))) wanted += count
      else assert.ok(!keys.some((key) => key.startsWith(`${topic}/`)))
    assert.equal(keys.length, wanted)
    assert.equal(
      [...layout.values()].reduce((sum, count) => sum + count, -wanted),
      unwanted,
    )
    for (const { id, wants } of wishing)
      for (const topic of given.get(id)!.keys()) assert.ok(wants(topic))
  })
  fc.assert(property, { numRuns: 500 })
})

test('fifty members share ten thousand partitions of a thousand topics in a moment', () => {
  const layout = new Map(Array.from({ length: 1000 }, (_, i) => [`events.team-${i}`, 10]))
  const ids = Array.from({ length: 50 }, (_, i) => `worker-${i}`)
  const began = performance.now()
  let plan = assignPartitions(
    ids.map((id) => member(id)),
    layout,
  )
  const claims = (generation: number) =>
    [...plan.given].map(([id, partitions]) => member(id, [{ generation, partitions }]))
  const before = claims(1)
  plan = assignPartitions([...before, member('new')], layout)
  assert.equal(plan.givingUp.size, 50)
  plan = assignPartitions(claims(2), layout)
  assert.equal(keysOf(plan.given.get('new')!).length, 196)
  // The worst of all: one had everything.
  plan = assignPartitions(
    [
      member('all', [
        {
          generation: 2,
          partitions: new Map([...layout.keys()].map((t) => [t, [...Array(10).keys()]])),
        },
      ]),
      ...ids.map((id) => member(id)),
    ],
    layout,
  )
  assert.equal(keysOf(plan.given.get('all')!).length, 197)
  const ms = performance.now() - began
  assert.ok(ms < 5000, `${ms} ms`)
})
