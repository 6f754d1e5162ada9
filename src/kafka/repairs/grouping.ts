import { replaceModule } from './modules.ts'

interface Grouping<M> {
  readonly topic: string
  readonly partitionMetadata: readonly unknown[]
  readonly messages: readonly M[]
  readonly partitioner: (about: {
    topic: string
    partitionMetadata: readonly unknown[]
    message: M
  }) => number
}

/**
 * kafkajs copies the list of a partition for every message that it adds to it, so its time grows
 * with the square of a batch.
 */
export function repairGrouping(): void {
  replaceModule<(grouping: Grouping<object>) => Record<number, object[]>>(
    'producer/groupMessagesPerPartition',
    () =>
      ({ topic, partitionMetadata, messages, partitioner }) => {
        const grouped: Record<number, object[]> = {}
        if (partitionMetadata.length === 0) return grouped
        for (const message of messages) {
          const partition = partitioner({ topic, partitionMetadata, message })
          grouped[partition] ??= []
          grouped[partition].push(message)
        }
        return grouped
      },
  )
}
