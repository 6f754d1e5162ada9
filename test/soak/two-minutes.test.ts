import '../chaos/stack.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { describeAccount } from '../chaos/report.ts'
import { type ChaosOptions, isProven, runChaos } from '../chaos/run.ts'
import { stack, useStack } from '../chaos/stack.ts'

useStack()

/** The younger kinds have tests of their own, and come with `npm run chaos`. */
const kinds = ['kill', 'stop', 'term', 'broker', 'elasticsearch', 'disk'] as const
const usual = [
  /^kill$|^crash$/,
  /^freeze$/,
  /^term$|^scale$/,
  /^broker-/,
  /^engine-/,
  /^disk-/,
] as const

/** Two minutes of everything at once: every record is exactly once in every store. */
async function survive(
  t: TestContext,
  more: Pick<ChaosOptions, 'kinds' | 'mysql' | 'bucket' | 'seed'>,
  happened: readonly RegExp[],
): Promise<void> {
  const account = await runChaos(
    {
      stack,
      dir: stack.settings.dir,
      seconds: 120,
      workers: 3,
      staticMembers: 1,
      ...more,
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
  for (const one of happened) {
    assert.ok(
      actions.some((action) => one.test(action)),
      `nothing like ${one} happened: ${actions}`,
    )
  }
}

test('two minutes of everything at once, with MySQL as a third store', async (t) => {
  await survive(t, { kinds: [...kinds, 'mysql'], mysql: true, seed: 7 }, [...usual, /^mysql-/])
})

test('two minutes of everything at once, with the archive in a bucket', async (t) => {
  await survive(t, { kinds: [...kinds, 'store'], bucket: 's3proxy', seed: 8 }, [
    ...usual,
    /^store-/,
  ])
})
