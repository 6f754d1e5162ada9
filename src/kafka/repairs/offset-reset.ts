import { prototypeOf } from './modules.ts'

type Offsets = Record<string, Record<number, string>>

interface OffsetManager {
  readonly cluster: {
    fetchTopicsOffset(
      topics: readonly {
        topic: string
        partitions: readonly { partition: number }[]
        fromBeginning: boolean
      }[],
    ): Promise<readonly { readonly partitions: readonly { readonly offset: string }[] }[]>
  }
  readonly topicConfigurations: Readonly<Record<string, { readonly fromBeginning: boolean }>>
  readonly resolvedOffsets: Offsets
  committedOffsets(): Offsets
}

interface OffsetManagerPrototype {
  setDefaultOffset(
    this: OffsetManager,
    tp: { readonly topic: string; readonly partition: number },
  ): Promise<void>
}

/**
 * When an offset is out of range, kafkajs commits "earliest" over what the group had, and with that
 * goes what tells lost records from those that were never wanted. This one only moves the position.
 * The group's offset stays the worker's, which finds that the next batch does not begin where it
 * should.
 */
export function repairOffsetReset(): void {
  const prototype = prototypeOf<OffsetManagerPrototype>('consumer/offsetManager', [
    'setDefaultOffset',
  ])
  prototype.setDefaultOffset = async function ({ topic, partition }) {
    const { fromBeginning } = this.topicConfigurations[topic]!
    const [found] = await this.cluster.fetchTopicsOffset([
      { topic, partitions: [{ partition }], fromBeginning },
    ])
    const offset = found?.partitions[0]?.offset
    if (offset === undefined)
      throw new Error(`Kafka does not say where the log of ${topic}/${partition} begins`)
    this.committedOffsets()[topic]![partition] = offset
    this.resolvedOffsets[topic]![partition] = offset
  }
}
