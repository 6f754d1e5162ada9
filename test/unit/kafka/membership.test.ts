import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { changeOf, membershipOf, noMembership } from '../../../src/kafka/membership.ts'
import { partitionKey, type TopicPartition } from '../../../src/record/record.ts'

const keys = (tps: readonly TopicPartition[]) => tps.map(partitionKey).sort()

const membership = (
  memberId: string | undefined,
  generation: number,
  partitions: Readonly<Record<string, readonly number[]>>,
) => ({ ...membershipOf('', generation, new Map(Object.entries(partitions))), memberId })

test('a member that took part in every generation keeps what it had; any other may have lost it', () => {
  const had = { a: [0, 1], b: [0] }
  const has = { a: [1, 2], b: [0] }
  const before = membership('m', 4, had)
  const all = ['a/0', 'a/1', 'b/0']
  const kept = [['a/2'], ['a/1', 'b/0'], ['a/0'], []] as const
  const none = [['a/1', 'a/2', 'b/0'], [], all, []] as const
  const cases = [
    ['the next generation', membership('m', 5, has), {}, kept],
    ['the same generation', membership('m', 4, has), {}, kept],
    ['another id', membership('n', 5, has), {}, none],
    ['a generation was missed', membership('m', 6, has), {}, none],
    ['a missed one whose leader knew', membership('m', 6, has), { claimedIn: 5 }, kept],
    ['the group began again', membership('m', 1, has), {}, none],
    [
      'nobody gets it before it is given up',
      membership('m', 5, has),
      { mayLinger: true },
      [['a/2'], ['a/1', 'b/0'], [], ['a/0']],
    ],
    ['another id, whatever the protocol', membership('n', 5, has), { mayLinger: true }, none],
  ] as const
  for (const [name, now, how, expected] of cases) {
    const { gained, kept, lost, revoked } = changeOf(before, now, how)
    assert.deepEqual([gained, kept, lost, revoked].map(keys), expected, name)
  }
  const left = changeOf({ ...before, memberId: undefined }, membership('m', 5, has))
  assert.deepEqual([left.kept, keys(left.lost)], [[], all])
  assert.deepEqual(keys(changeOf(noMembership, before).gained), all)
})

test('after any joins the worker has what the group gave it, and gave up what it took', () => {
  const join = fc.record({
    memberId: fc.constantFrom('m', 'n'),
    skipped: fc.nat(2),
    mayLinger: fc.boolean(),
    partitions: fc.uniqueArray(fc.nat(5)),
  })
  const agrees = fc.property(fc.array(join), (joins) => {
    let before = noMembership
    const owned = new Set<string>()
    for (const { memberId, skipped, mayLinger, partitions } of joins) {
      const now = membership(memberId, before.generation + 1 + skipped, { events: partitions })
      const { gained, kept, lost, revoked } = changeOf(before, now, { mayLinger })
      for (const key of keys([...lost, ...revoked]))
        assert.ok(owned.delete(key), 'only what it had is lost')
      assert.ok(
        keys(kept).every((key) => owned.has(key)),
        'what is kept was neither lost nor new',
      )
      if (memberId !== before.memberId || skipped > 0) assert.deepEqual([kept, revoked], [[], []])
      for (const key of keys(gained)) {
        assert.ok(!owned.has(key), 'what is gained was given up first')
        owned.add(key)
      }
      assert.deepEqual([...owned].sort(), keys(now.partitions))
      before = now
    }
  })
  fc.assert(agrees, { numRuns: 500 })
})
