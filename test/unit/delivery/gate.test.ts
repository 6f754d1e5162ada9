import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Gate } from '../../../src/delivery/gate.ts'

test('a request that fails closes the gate for a while, and one that succeeds opens it', () => {
  const gate = new Gate(() => 0)
  assert.deepEqual([gate.waitMs(0), gate.reason], [0, undefined])
  assert.deepEqual(gate.close('away', 0), { retryMs: 250, tries: 0, isNews: true })
  assert.deepEqual([gate.waitMs(0), gate.waitMs(249), gate.waitMs(250)], [250, 1, 0])
  assert.equal(gate.reason, 'away', 'the time is over, and nothing is known yet')
  assert.deepEqual(gate.close('away', 250), { retryMs: 500, tries: 1, isNews: false })
  assert.deepEqual(gate.open(400), { ms: 400, failures: 2 })
  assert.deepEqual([gate.waitMs(400), gate.reason, gate.open(400)], [0, undefined, undefined])
  assert.equal(gate.close('away', 400)?.retryMs, 250, 'the delays begin again')
})

test('of requests that fail together one counts', () => {
  const gate = new Gate(() => 0)
  gate.close('away', 0)
  assert.equal(gate.close('refused', 10), undefined)
  assert.equal(gate.pause(10), undefined)
  assert.deepEqual([gate.reason, gate.waitMs(10)], ['away', 240])
})

test('a pause makes requests wait, and is no outage', () => {
  const gate = new Gate(() => 0)
  assert.equal(gate.pause(0), 250)
  assert.deepEqual([gate.waitMs(100), gate.reason], [150, undefined])
  assert.equal(gate.open(250), undefined)
  gate.close('away', 300)
  assert.equal(gate.pause(600), 500)
  assert.equal(gate.reason, 'away', 'an outage ends with a request that succeeds, not with a pause')
})

const call = fc.oneof(
  fc.record({ is: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 15_000 }) }),
  fc.record({ is: fc.constant('close' as const), reason: fc.constantFrom('a', 'b') }),
  fc.record({ is: fc.constant('pause' as const) }),
  fc.record({ is: fc.constant('open' as const) }),
)

test('whatever comes of requests: bounded delays, one reason, one outage at a time', () => {
  fc.assert(
    fc.property(
      fc.array(call, { maxLength: 60 }),
      fc.double({ min: 0, max: 0.99, noNaN: true }),
      (calls, chance) => {
        const gate = new Gate(() => chance)
        let now = 0
        let since: number | undefined
        let failures = 0
        let last = 0
        for (const one of calls) {
          const isClosed = gate.waitMs(now) > 0
          if (one.is === 'wait') now += one.ms
          else if (one.is === 'open') {
            const past = gate.open(now)
            assert.deepEqual(past, since === undefined ? undefined : { ms: now - since, failures })
            assert.equal(gate.waitMs(now), 0)
            since = undefined
            failures = 0
            last = 0
          } else {
            const retryMs =
              one.is === 'close' ? gate.close(one.reason, now)?.retryMs : gate.pause(now)
            assert.equal(retryMs === undefined, isClosed)
            if (retryMs === undefined) continue
            assert.ok(retryMs >= 250 && retryMs <= 10_000, `${retryMs} ms`)
            assert.ok(retryMs >= last, `${retryMs} ms after ${last} ms`)
            last = retryMs
            if (one.is === 'close') {
              since ??= now
              failures++
              assert.equal(gate.reason, one.reason)
            }
          }
          assert.equal(gate.reason === undefined, since === undefined)
        }
      },
    ),
  )
})
