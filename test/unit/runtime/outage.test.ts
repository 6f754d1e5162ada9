import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Outage } from '../../../src/runtime/outage.ts'

test('a log line is due when a reason comes up, and once a minute while it lasts', () => {
  const outage = new Outage()
  const fails = (now: number, reason: string) => outage.failed(reason, now)
  assert.deepEqual([fails(0, 'a'), fails(1000, 'a'), fails(2000, 'b')], [true, false, true])
  assert.deepEqual([fails(3000, 'a'), fails(59_999, 'b')], [false, false], 'in turns is no news')
  assert.deepEqual([fails(60_000, 'a'), fails(60_001, 'a')], [true, false])
  assert.deepEqual([outage.reason, outage.failures], ['a', 7])
  assert.deepEqual(outage.over(61_000), { ms: 61_000, failures: 7 })
  assert.deepEqual([outage.reason, outage.failures, outage.over(62_000)], [undefined, 0, undefined])
  assert.equal(fails(62_000, 'a'), true, 'the next outage is news')
})

test('an outage lasts from the second minute on', () => {
  const outage = new Outage()
  outage.failed('a', 0)
  assert.equal(outage.lasting(59_999), undefined)
  outage.failed('b', 59_999)
  assert.equal(outage.lasting(60_000), 'b')
  outage.over(60_000)
  assert.equal(outage.lasting(200_000), undefined)
})

test('reasons that differ each time are no flood, and none stays unlogged for two minutes', () => {
  const steps = fc.array(
    fc.record({ ms: fc.integer({ min: 1, max: 4000 }), reason: fc.nat({ max: 400 }) }),
    { minLength: 1, maxLength: 200 },
  )
  fc.assert(
    fc.property(steps, (failures) => {
      const outage = new Outage()
      const said: number[] = []
      let now = 0
      for (const { ms, reason } of failures) {
        now += ms
        if (outage.failed(`reason ${reason}`, now)) said.push(now)
        assert.ok(said.filter((at) => at > now - 60_000).length <= 10)
        assert.ok(now - said.at(-1)! < 120_000)
      }
    }),
  )
})
