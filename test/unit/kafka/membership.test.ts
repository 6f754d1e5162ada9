import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { changeOf, membershipOf, noMembership } from '../../../src/kafka/membership.ts'
import { partitionKey, type TopicPartition } from '../../../src/record/record.ts'

const keys = (tps: readonly TopicPartition[]) => tps.map(partitionKey).sort()

test('a member that stays keeps what it had; any other may have lost it in between', () => {
  const before = membershipOf('m', { a: [0, 1], b: [0] })
  const now = { a: [1, 2], b: [0] }
  const cases = [
    [membershipOf('m', now), ['a/2'], ['a/1', 'b/0'], ['a/0']],
    [membershipOf('n', now), ['a/1', 'a/2', 'b/0'], [], ['a/0', 'a/1', 'b/0']],
  ] as const
  for (const [membership, gained, kept, lost] of cases) {
    const change = changeOf(before, membership)
    assert.deepEqual(
      [keys(change.gained), keys(change.kept), keys(change.lost)],
      [gained, kept, lost],
    )
  }
  const left = changeOf({ ...before, memberId: undefined }, membershipOf('m', now))
  assert.deepEqual([left.kept, keys(left.lost)], [[], keys(before.partitions)])
  assert.deepEqual(keys(changeOf(noMembership, before).gained), keys(before.partitions))
})

test('after any joins the worker has what the group gave it, and gave up what it took', () => {
  const join = fc.record({
    memberId: fc.constantFrom('m', 'n'),
    partitions: fc.uniqueArray(fc.nat(5)),
  })
  const agrees = fc.property(fc.array(join), (joins) => {
    let membership = noMembership
    const owned = new Set<string>()
    for (const { memberId, partitions } of joins) {
      const now = membershipOf(memberId, { events: partitions })
      const { gained, kept, lost } = changeOf(membership, now)
      for (const key of keys(lost)) assert.ok(owned.delete(key), 'only what it had is lost')
      assert.ok(
        keys(kept).every((key) => owned.has(key)),
        'what is kept was neither lost nor new',
      )
      if (memberId !== membership.memberId) assert.deepEqual(kept, [])
      for (const key of keys(gained)) {
        assert.ok(!owned.has(key), 'what is gained was given up first')
        owned.add(key)
      }
      assert.deepEqual([...owned].sort(), keys(now.partitions))
      membership = now
    }
  })
  fc.assert(agrees, { numRuns: 500 })
})
