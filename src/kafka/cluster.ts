import type { Kafka } from 'kafkajs'
import type { FetchedPartition } from './batch/fetched-batch.ts'
import type { GroupBroker } from './group/requests.ts'
import { unexpectedKafkajs } from './repairs/modules.ts'

/** What is used of a broker of kafkajs: a request of the protocol, without a consumer. */
export interface Broker {
  fetch(request: {
    /** Without a fetch session, which is the consumer's: see `repairs/fetch-sessions.ts`. */
    readonly isAlone: true
    readonly isolationLevel: number
    /** In ms. */
    readonly maxWaitTime: number
    readonly minBytes: number
    readonly maxBytes: number
    readonly topics: readonly {
      readonly topic: string
      readonly partitions: readonly {
        readonly partition: number
        readonly fetchOffset: string
        readonly maxBytes: number
      }[]
    }[]
  }): Promise<{
    readonly responses: readonly { readonly partitions: readonly FetchedPartition[] }[]
  }>
  listOffsets(request: {
    readonly isolationLevel: number
    readonly topics: readonly {
      readonly topic: string
      readonly partitions: readonly { readonly partition: number; readonly timestamp: string }[]
    }[]
  }): Promise<OffsetAnswer>
  offsetFetch(request: {
    readonly groupId: string
    readonly topics: readonly {
      readonly topic: string
      readonly partitions: readonly { readonly partition: number }[]
    }[]
  }): Promise<OffsetAnswer>
}

interface OffsetAnswer {
  readonly responses: readonly {
    readonly topic: string
    readonly partitions: readonly { readonly partition: number; readonly offset: string }[]
  }[]
}

/** What is used of the cluster behind every client of kafkajs. */
export interface Cluster {
  readonly targetTopics: Set<string>
  connect(): Promise<void>
  disconnect(): Promise<void>
  addTargetTopic(topic: string): Promise<void>
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
  refreshMetadata(): Promise<void>
  refreshMetadataIfNecessary(): Promise<void>
  /** The ids of the partitions by the id of the broker that leads them. */
  findLeaderForPartitions(
    topic: string,
    partitions: readonly number[],
  ): Readonly<Record<string, readonly number[]>>
  findTopicPartitionMetadata(
    topic: string,
  ): readonly { readonly partitionId: number; readonly leader: number }[]
  findGroupCoordinator(of: { readonly groupId: string }): Promise<Broker & GroupBroker>
  findBroker(of: { readonly nodeId: string }): Promise<Broker>
}

/** The broker names the records of aborted transactions, so that they can be left out. */
export const readCommitted = 1

type CreateCluster = (options: {
  readonly allowAutoTopicCreation: boolean
  readonly isolationLevel: number
  /** In ms. */
  readonly metadataMaxAge: number
}) => Cluster

/**
 * A cluster of kafkajs, as its own clients have one: kafkajs has no client that fetches without
 * joining a group.
 * @throws ArchiverError `INTERNAL` if kafkajs is not built as the version this was written for
 */
export function createCluster(kafka: Kafka): Cluster {
  const name = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === 'private:Kafka:createCluster',
  )
  const create = name && (kafka as unknown as Record<symbol, CreateCluster | undefined>)[name]
  if (create === undefined) throw unexpectedKafkajs('Kafka has no private createCluster')
  return create({
    allowAutoTopicCreation: false,
    isolationLevel: readCommitted,
    metadataMaxAge: 30_000,
  })
}
