import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { LoopStalls } from '../../../src/runtime/loop-stalls.ts'

test('a stall of the event loop counts once, and what is none does not', async (t) => {
  const stalls = new LoopStalls()
  t.after(() => stalls.stop())
  await sleep(250)
  stalls.takeMs()
  const until = performance.now() + 1000
  while (performance.now() < until) {
    // The loop is blocked.
  }
  await sleep(250)
  const told = stalls.takeMs()
  assert.ok(told >= 850, `${told} ms`)
  await sleep(250)
  assert.ok(stalls.takeMs() < told / 2)
})
