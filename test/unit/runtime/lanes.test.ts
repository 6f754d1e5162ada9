import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { mapAhead, mapInLanes, mapStreamAhead } from '../../../src/runtime/lanes.ts'

test('results come in order, and no more tasks run at once than were asked for', async () => {
  const property = fc.asyncProperty(
    fc.array(fc.nat(4), { maxLength: 20 }),
    fc.integer({ min: 1, max: 6 }),
    async (delays, ahead) => {
      let running = 0
      let most = 0
      const results = await mapInLanes(delays.entries(), ahead, async ([i, ms]) => {
        most = Math.max(most, ++running)
        await sleep(ms)
        running--
        return i
      })
      assert.deepEqual(results, [...delays.keys()])
      assert.equal(most, Math.min(ahead, delays.length))
    },
  )
  await fc.assert(property, { numRuns: 30 })
})

test('a failure comes when its turn comes, and then no task is running any more', async () => {
  let running = 0
  const seen: number[] = []
  const task = async (n: number) => {
    running++
    await sleep(n === 2 ? 1 : 20)
    running--
    if (n === 2) throw new Error('two')
    return n
  }
  await assert.rejects(
    async () => {
      for await (const n of mapAhead([0, 1, 2, 3, 4, 5], 4, task)) seen.push(n)
    },
    { message: 'two' },
  )
  assert.deepEqual(seen, [0, 1])
  assert.equal(running, 0)
})

test('who stops early starts no further task, and waits for those that run', async () => {
  let started = 0
  let running = 0
  for await (const n of mapAhead([0, 1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    started++
    running++
    await sleep(5)
    running--
    return item
  }))
    if (n === 1) break
  assert.equal(started, 4)
  assert.equal(running, 0)
})

async function* numbers(next: number, failsAt?: number): AsyncGenerator<number> {
  for (let n = 0; n < next; n++) {
    if (n === failsAt) throw new Error(`source at ${n}`)
    yield n
  }
}

test('a stream: results in order, its own failure behind the results before it', async () => {
  let running = 0
  let most = 0
  const task = async (n: number) => {
    most = Math.max(most, ++running)
    await sleep(n % 3)
    running--
    return n
  }
  const seen: number[] = []
  for await (const n of mapStreamAhead(numbers(20), 3, task)) seen.push(n)
  assert.deepEqual(seen, [...Array(20).keys()])
  assert.equal(most, 4)
  const before: number[] = []
  await assert.rejects(
    async () => {
      for await (const n of mapStreamAhead(numbers(20, 5), 3, task)) before.push(n)
    },
    { message: 'source at 5' },
  )
  assert.deepEqual(before, [0, 1, 2, 3, 4])
})

test('a stream that is left early ends its source and its tasks', async () => {
  let isOpen = true
  let running = 0
  async function* source() {
    try {
      yield* numbers(100)
    } finally {
      isOpen = false
    }
  }
  const task = async (n: number) => {
    running++
    await sleep(2)
    running--
    return n
  }
  for await (const n of mapStreamAhead(source(), 3, task)) if (n === 4) break
  assert.deepEqual([isOpen, running], [false, 0])
})
