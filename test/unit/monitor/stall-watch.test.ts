import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StallWatch } from '../../../src/monitor/stall-watch.ts'
import type { PartitionStatus } from '../../../src/pipeline/worker-status.ts'
import { createLogger } from '../../../src/runtime/log.ts'

test('records that wait for longer than a flush and three timeouts are warned of, with their age', () => {
  const lines: Record<string, unknown>[] = []
  const log = createLogger({
    level: 'warn',
    stream: { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  })
  let now = 0
  const partition = (number: number, committed: number, position = 100): PartitionStatus => ({
    topic: 't',
    partition: number,
    state: 'open',
    position,
    committed,
    lag: 0,
    waiting: undefined,
  })
  let partitions: PartitionStatus[] = [partition(0, 50, 50), partition(1, 50, 50)]
  const watch = new StallWatch(
    { flushIntervalMs: 60_000, requestTimeoutMs: 20_000 },
    {
      status: () => partitions,
      sinks: [{ name: 'elasticsearch', waiting: 'no answer in time' }],
      log,
      now: () => now,
    },
  )
  const lookUntil = (end: number) => {
    for (; now <= end; now += 1000) watch.check()
  }
  watch.check()
  partitions = [partition(0, 100), partition(1, 50)]
  lookUntil(120_000)
  assert.deepEqual(lines, [], 'a slow flush is no stall')
  lookUntil(150_000)
  assert.deepEqual(
    lines.map(({ msg, topic, partition, age_s, waiting }) => ({
      msg,
      topic,
      partition,
      age_s,
      waiting,
    })),
    [
      {
        msg: 'records are not acknowledged',
        topic: 't',
        partition: 1,
        age_s: 121,
        waiting: ['elasticsearch: no answer in time'],
      },
    ],
  )
  lookUntil(190_000)
  assert.equal(lines.length, 2, 'said again once a minute')
  partitions = [partition(0, 100), partition(1, 100)]
  lookUntil(400_000)
  assert.equal(lines.length, 2)
})
