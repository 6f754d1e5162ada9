import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StepQueue } from '../../../src/pipeline/steps.ts'

test('steps of one key run one after another, those of other keys in parallel', async () => {
  const ran: string[] = []
  const failures: unknown[] = []
  const steps = new StepQueue((error) => failures.push(error))
  const gates = [1, 2].map(() => Promise.withResolvers<void>())
  steps.add('a', async () => {
    await gates[0]!.promise
    ran.push('a1')
    throw new Error('a mistake')
  })
  steps.add('a', async () => {
    await gates[1]!.promise
    ran.push('a2')
  })
  steps.add('b', async () => {
    ran.push('b1')
    gates[1]!.resolve()
  })
  const idle = steps.idle()
  await gates[1]!.promise
  assert.deepEqual(ran, ['b1'])
  gates[0]!.resolve()
  await idle
  assert.deepEqual(ran, ['b1', 'a1', 'a2'])
  assert.deepEqual(failures.map(String), ['Error: a mistake'], 'what follows runs all the same')
})
