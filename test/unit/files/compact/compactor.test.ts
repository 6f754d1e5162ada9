import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Compaction } from '../../../../src/files/compact/compaction.ts'
import { Compactor, type CompactorOptions } from '../../../../src/files/compact/compactor.ts'
import { partitionKey, type TopicPartition } from '../../../../src/record/record.ts'
import { createLogger } from '../../../../src/runtime/log.ts'
import { homeAt } from '../../../helpers/home.ts'

const nothing: Compaction = { merged: 0, replaced: 0, bytes: 0, folded: 0, isMore: false }
const msPerHour = 3_600_000
/** One pass begins in a tick of the clock. */
const tickMs = 100

/** A compactor on a clock that tests move, the passes that it began, and what it logged. */
function createCompactor(t: TestContext, pass: CompactorOptions['pass'] = async () => nothing) {
  const clock = { monotonic: 0, wall: Date.UTC(2026, 0, 1, 12, 30) }
  t.mock.timers.enable({ apis: ['setTimeout'] })
  t.mock.method(Date, 'now', () => clock.wall)
  const passes: string[] = []
  const lines: Record<string, unknown>[] = []
  let running = 0
  const compactor = new Compactor(
    {
      home: homeAt('/archive'),
      worker: 'w',
      log: createLogger({
        level: 'info',
        stream: { write: (line) => void lines.push(JSON.parse(line)) },
      }),
    },
    {
      compactAfterMs: msPerHour,
      clock: () => clock.monotonic,
      pass: async (tp, options) => {
        assert.equal(++running, 1, 'one at a time')
        passes.push(partitionKey(tp))
        try {
          return await pass(tp, options)
        } finally {
          running--
        }
      },
    },
  )
  t.after(() => compactor.stop())
  const advance = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += tickMs) {
      clock.monotonic += tickMs
      clock.wall += tickMs
      t.mock.timers.tick(tickMs)
      await turn()
    }
  }
  return { compactor, passes, lines, advance, clock }
}

function partitions(count: number): TopicPartition[] {
  return Array.from({ length: count }, (_, partition) => ({ topic: 'events', partition }))
}

test('three thousand partitions of a worker each have their pass within an interval', async (t) => {
  const { compactor, passes, advance } = createCompactor(t)
  for (const tp of partitions(3000)) compactor.add(tp)
  await advance(msPerHour / 6 + 60_000)
  assert.equal(new Set(passes).size, 3000)
})

test('the next partition that is due begins when a pass ends, and one with more to do takes its turn', async (t) => {
  let left = 5
  const { compactor, passes, advance } = createCompactor(t, async ({ partition }) => ({
    ...nothing,
    isMore: partition === 0 && --left > 0,
  }))
  for (const tp of partitions(3)) compactor.add(tp)
  await advance(msPerHour / 6 + 1000)
  assert.equal(passes.filter((key) => key === 'events/0').length, 5)
  assert.equal(passes.length, 7)
})

test('a partition that was given up gets no pass, and others go on', async (t) => {
  const { compactor, passes, advance } = createCompactor(t)
  const [first, second] = partitions(2) as [TopicPartition, TopicPartition]
  compactor.add(first)
  compactor.add(second)
  compactor.remove(first)
  await advance(msPerHour / 6 + 1000)
  assert.deepEqual(passes, ['events/1'])
})

test('too little room is logged once with path and bytes, and retried', async (t) => {
  const shortage = { needed: 2000, free: 1000, reserve: 500 }
  let isShort = true
  const { compactor, passes, lines, advance } = createCompactor(t, async () =>
    isShort ? { ...nothing, shortage } : { ...nothing, merged: 1 },
  )
  for (const tp of partitions(2)) compactor.add(tp)
  await advance(msPerHour / 2)
  assert.ok(passes.length >= 4, `${passes.length} passes`)
  assert.equal(lines.length, 1)
  const [{ path, needed_bytes, free_bytes, reserve_bytes }] = lines as [Record<string, unknown>]
  assert.deepEqual(
    { path, needed_bytes, free_bytes, reserve_bytes },
    {
      path: '/archive',
      needed_bytes: 2000,
      free_bytes: 1000,
      reserve_bytes: 500,
    },
  )
  isShort = false
  await advance(msPerHour / 2)
  isShort = true
  await advance(3 * msPerHour)
  assert.equal(lines.length, 2, 'said again after a merge had room')
})

test('a clock that is set back by a day delays no pass', async (t) => {
  const { compactor, passes, advance, clock } = createCompactor(t)
  compactor.add({ topic: 'events', partition: 0 })
  await advance(msPerHour / 6 + 1000)
  assert.equal(passes.length, 1)
  clock.wall -= 24 * msPerHour
  await advance(1.2 * msPerHour)
  assert.equal(passes.length, 2)
})
