import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import '../../../../src/kafka/kafkajs.ts'
import { prototypeOf } from '../../../../src/kafka/repairs/modules.ts'

interface Prototype {
  findReadReplicaForPartitions(
    this: object,
    topic: string,
    partitions: readonly number[],
  ): Record<number, number[]>
}

const group = prototypeOf<Prototype>('consumer/consumerGroup', ['findReadReplicaForPartitions'])
const cluster = prototypeOf<{
  findTopicPartitionMetadata(this: object, topic: string): readonly object[]
}>('cluster', ['findTopicPartitionMetadata'])

test('each partition is read from its leader, or from the replica that is preferred', () => {
  const partition = fc.record({
    leader: fc.nat(2),
    preferred: fc.option(fc.nat(2), { freq: 4, nil: undefined }),
    isAsked: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(partition, { maxLength: 12 }), (all) => {
      const partitionMetadata = all.map(({ leader }, partitionId) => ({ partitionId, leader }))
      const brokerPool = { metadata: { topicMetadata: [{ topic: 't', partitionMetadata }] } }
      const preferred = all.flatMap(({ preferred: nodeId }, id) =>
        nodeId === undefined ? [] : [[id, { nodeId, expireAt: Number.POSITIVE_INFINITY }]],
      )
      const clusterOf = { brokerPool }
      const self = {
        cluster: {
          brokerPool,
          findTopicPartitionMetadata: (topic: string) =>
            cluster.findTopicPartitionMetadata.call(clusterOf, topic),
        },
        logger: { debug: () => {} },
        preferredReadReplicasPerTopicPartition: { t: Object.fromEntries(preferred) },
      }
      const asked = all.flatMap(({ isAsked }, id) => (isAsked ? [id] : []))
      // Kafka may not know a partition that the group still has.
      const found = group.findReadReplicaForPartitions.call(self, 't', [...asked, 99])
      const expected = Map.groupBy(asked, (id) => all[id]!.preferred ?? all[id]!.leader)
      assert.deepEqual(found, Object.fromEntries(expected))
      assert.deepEqual(cluster.findTopicPartitionMetadata.call(clusterOf, 'other'), [])
    }),
  )
})
