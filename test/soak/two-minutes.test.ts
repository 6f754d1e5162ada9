import '../chaos/stack.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeAccount } from '../chaos/report.ts'
import { isProven, runChaos } from '../chaos/run.ts'
import { stack, useStack } from '../chaos/stack.ts'

useStack()

test('two minutes of everything at once, with MySQL as a third store', async (t) => {
  const account = await runChaos(
    {
      stack,
      dir: stack.settings.dir,
      seconds: 120,
      workers: 3,
      // The younger kinds have tests of their own, and come with `npm run chaos`.
      kinds: ['kill', 'stop', 'term', 'broker', 'elasticsearch', 'disk', 'mysql'],
      mysql: true,
      seed: 7,
      rate: 300,
      everyMs: 3000,
      sessionTimeoutMs: 6000,
      flushIntervalSeconds: 2,
      compactAfterSeconds: 3,
      drainSeconds: 120,
      keep: false,
    },
    { say: (line) => t.diagnostic(line), status: () => {} },
  )
  assert.ok(isProven(account), describeAccount(account))
  assert.ok(account.records > 6000)
  const actions = Object.keys(account.faultsByAction)
  for (const one of [
    /^kill$|^crash$/,
    /^freeze$/,
    /^term$|^scale$/,
    /^broker-/,
    /^engine-/,
    /^disk-/,
    /^mysql-/,
  ]) {
    assert.ok(
      actions.some((action) => one.test(action)),
      `nothing like ${one} happened: ${actions}`,
    )
  }
})
