import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PositionLookup } from '../../src/kafka/position-lookup.ts'
import { partitionKey } from '../../src/record/record.ts'
import { resetOffsets } from '../helpers/reset-offsets.ts'
import { createTopic, produce, testKafka, uniqueName, withAdmin } from '../helpers/servers.ts'

test('positions of many topics come with one question, and those that are gone are named', async (t) => {
  const admin = await withAdmin(t)
  const group = uniqueName('group')
  const lookup = new PositionLookup(testKafka(), group, (error) => assert.fail(String(error)))
  t.after(() => lookup.disconnect())
  const topics: string[] = []
  for (let i = 0; i < 5; i++) topics.push(await createTopic(t, { partitions: 2 }))
  const [first, gone] = topics as [string, string]
  await produce(t, first, [{ value: 'a' }, { value: 'b', partition: 1 }, { value: 'c' }])
  await resetOffsets(testKafka(), group, first, new Map([[1, 1]]))

  const tps = await lookup.partitionsOf(topics)
  assert.equal(tps.length, 10)
  const before = await lookup.bounds(tps)
  assert.deepEqual([before.found.size, before.refused.size], [10, 0])
  assert.deepEqual(before.found.get(`${first}/0`), { start: 0, end: 2 })
  const committed = await lookup.committedOffsets(tps)
  assert.deepEqual([...committed.found], [[`${first}/1`, 1]])

  // A partition that was made after the topic was first asked about.
  await admin.createPartitions({ topicPartitions: [{ topic: first, count: 3 }] })
  const more = { topic: first, partition: 2 }
  assert.deepEqual((await lookup.bounds([more])).found.get(partitionKey(more)), {
    start: 0,
    end: 0,
  })

  await admin.deleteTopics({ topics: [gone] })
  const after = await lookup.bounds([...tps, { topic: 'never-made', partition: 0 }])
  assert.deepEqual([...after.refused.keys()].sort(), [gone, 'never-made'].sort())
  assert.equal(after.found.size, 8)
  await admin.deleteGroups([group])
})
