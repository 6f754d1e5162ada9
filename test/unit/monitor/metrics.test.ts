import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Metrics } from '../../../src/monitor/metrics.ts'
import { createCounts, type PartitionStatus } from '../../../src/pipeline/worker-status.ts'

/** Sums of a worker and of its topics, and single partitions while they are few. */

async function scrape(partitions: readonly PartitionStatus[], maxPartitions: number) {
  let asked = 0
  const metrics = new Metrics()
  metrics.watch({
    group: 'g',
    maxPartitions,
    counts: () => createCounts([]),
    silentMs: () => 0,
    partitions: () => {
      asked++
      return partitions
    },
    age: ({ partition }) => partition,
    sinks: [],
    files: undefined,
    lostLogLines: () => 0,
  })
  const { body } = await metrics.print()
  const lines = body.split('\n').filter((line) => /^archiver_(group|topic|partition)_/.test(line))
  return { lines, asked }
}

const partition = (topic: string, number: number, more: Partial<PartitionStatus> = {}) => ({
  ...{ topic, partition: number, state: 'open' as const, position: 5, committed: 5 },
  ...{ lag: 10, waiting: undefined },
  ...more,
})

it('sums the lag of the group and of topics, and counts what waits', async () => {
  const { lines, asked } = await scrape(
    [
      partition('a', 0),
      partition('a', 1, { lag: undefined, state: 'opening', waiting: 'no space left' }),
      partition('b', 7, { lag: 3, state: 'stopped', waiting: 'records are lost' }),
    ],
    500,
  )
  assert.equal(asked, 1, 'a scrape asks the worker once')
  for (const line of [
    'archiver_group_lag{group="g"} 13',
    'archiver_topic_lag{topic="a"} 10',
    'archiver_topic_lag{topic="b"} 3',
    'archiver_topic_partitions{topic="a"} 2',
    'archiver_topic_waiting_partitions{topic="a"} 1',
    'archiver_topic_opening_partitions{topic="a"} 1',
    'archiver_topic_stopped_partitions{topic="b"} 1',
    'archiver_topic_stopped_partitions{topic="a"} 0',
    'archiver_topic_oldest_unacknowledged_seconds{topic="b"} 7',
    'archiver_partition_lag{topic="a",partition="0"} 10',
  ])
    assert.ok(lines.includes(line), `${line}\n${lines.join('\n')}`)
})

it('leaves single partitions out when there are more than wanted', async () => {
  const many = Array.from({ length: 501 }, (_, i) => partition('a', i))
  const { lines } = await scrape(many, 500)
  assert.deepEqual(
    lines.filter((line) => line.startsWith('archiver_partition_')),
    [],
  )
  assert.ok(lines.includes('archiver_group_lag{group="g"} 5010'))
  const { lines: few } = await scrape(many.slice(1), 500)
  assert.equal(few.filter((line) => line.startsWith('archiver_partition_lag')).length, 500)
})
