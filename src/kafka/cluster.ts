import type { Kafka } from 'kafkajs'
import { ArchiverError } from '../runtime/errors.ts'
import type { FetchedPartition } from './batch/fetched-batch.ts'

/** What is used of a broker of kafkajs: a request of the protocol, without a consumer. */
export interface Broker {
  fetch(request: {
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
}

/** What is used of the cluster that stands behind every client of kafkajs. */
export interface Cluster {
  readonly targetTopics: Set<string>
  connect(): Promise<void>
  disconnect(): Promise<void>
  addTargetTopic(topic: string): Promise<void>
  refreshMetadataIfNecessary(): Promise<void>
  /** The ids of the partitions by the id of the broker that leads them. */
  findLeaderForPartitions(
    topic: string,
    partitions: readonly number[],
  ): Readonly<Record<string, readonly number[]>>
  findBroker(of: { readonly nodeId: string }): Promise<Broker>
}

/** Records of transactions that were aborted are named, so that they can be left out. */
export const readCommitted = 1

type CreateCluster = (options: {
  readonly allowAutoTopicCreation: boolean
  readonly isolationLevel: number
  /** In ms. */
  readonly metadataMaxAge: number
}) => Cluster

/**
 * A cluster of kafkajs as its own clients have one: kafkajs gives out no client that fetches
 * without joining a group.
 * @throws ArchiverError `INTERNAL` if kafkajs is not built as the version this was written for
 */
export function createCluster(kafka: Kafka): Cluster {
  const name = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === 'private:Kafka:createCluster',
  )
  const create = name && (kafka as unknown as Record<symbol, CreateCluster | undefined>)[name]
  if (create === undefined)
    throw new ArchiverError('INTERNAL', 'kafkajs is not as expected (2.2.4): its clusters')
  return create({
    allowAutoTopicCreation: false,
    isolationLevel: readCommitted,
    metadataMaxAge: 30_000,
  })
}
