import type { Kafka } from 'kafkajs'
import { createCluster } from '../../src/kafka/cluster.ts'

interface Coordinator {
  offsetCommit(request: {
    readonly groupId: string
    /** -1 and no member: a commit from outside, which Kafka takes while the group is empty. */
    readonly groupGenerationId: number
    readonly memberId: string
    readonly topics: readonly {
      readonly topic: string
      readonly partitions: readonly { readonly partition: number; readonly offset: string }[]
    }[]
  }): Promise<unknown>
}

/**
 * Commits offsets for a group without members, as `kafka-consumer-groups --reset-offsets` does.
 * kafkajs's own `setOffsets` commits with a consumer that never reads a paused topic. With our
 * repairs such a consumer never reaches its commit.
 *
 * @throws if Kafka refuses it, and if it is not committed afterwards
 */
export async function resetOffsets(
  kafka: Kafka,
  groupId: string,
  topic: string,
  offsets: ReadonlyMap<number, number>,
): Promise<void> {
  const partitions = [...offsets].map(([partition, offset]) => ({
    partition,
    offset: String(offset),
  }))
  const cluster = createCluster(kafka) as unknown as {
    connect(): Promise<void>
    disconnect(): Promise<void>
    findGroupCoordinator(group: { readonly groupId: string }): Promise<Coordinator>
  }
  await cluster.connect()
  try {
    const coordinator = await cluster.findGroupCoordinator({ groupId })
    await coordinator.offsetCommit({
      groupId,
      groupGenerationId: -1,
      memberId: '',
      topics: [{ topic, partitions }],
    })
  } finally {
    await cluster.disconnect()
  }
  const admin = kafka.admin()
  await admin.connect()
  try {
    const [committed] = await admin.fetchOffsets({ groupId, topics: [topic] })
    for (const { partition, offset } of partitions) {
      const found = committed?.partitions.find((one) => one.partition === partition)?.offset
      if (found !== offset)
        throw new Error(`${topic}/${partition} of ${groupId}: ${found} instead of ${offset}`)
    }
  } finally {
    await admin.disconnect()
  }
}
