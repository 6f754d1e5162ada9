import type { Kafka } from 'kafkajs'
import { partitionKey, type SourceRecord, type TopicPartition } from '../record/record.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { Backoff, sleep } from '../runtime/retry.ts'
import { FetchedPartitionBatch } from './batch/fetched-batch.ts'
import { UnpackError } from './batch/piece.ts'
import { unpack } from './batch/unpack.ts'
import { type Cluster, createCluster, readCommitted } from './cluster.ts'
import { kafkajs } from './kafkajs.ts'
import { RenewedAdmin } from './repairs/renewed-admin.ts'

/** A broker gives at least one batch, so a large record is found, too. */
const fetchBytes = 64 * 1024
/** With each question kafkajs asks about every topic that it has asked about before. */
const maxTopics = 100
const maxRetries = 2
/** A few records are enough; a larger one is skipped. */
const limits = {
  pieceBytes: 2 ** 20,
  maxRecordBytes: 128 * 2 ** 20,
  isWanted: () => true,
  room: async () => {},
}

/** Fetches records at an offset, without a group. One question at a time: they are rare. */
export class RecordLookup {
  readonly #cluster: RenewedAdmin<Cluster>
  #asking: Promise<unknown> = Promise.resolve()

  constructor(kafka: Kafka, disconnectFailed: (error: unknown) => void) {
    this.#cluster = new RenewedAdmin(() => createCluster(kafka), disconnectFailed)
  }

  /**
   * The records from an offset on that one small fetch brings. None if Kafka has none there, or has
   * lost them. Records of aborted transactions are left out.
   *
   * @throws ArchiverError `UNREACHABLE` if Kafka does not answer, or rejects the request
   */
  async records(tp: TopicPartition, offset: number): Promise<readonly SourceRecord[]> {
    const fetched = await this.fetch(tp, offset, fetchBytes)
    return fetched === undefined ? [] : await recordsOf(fetched)
  }

  /**
   * What one fetch brings from an offset on; undefined if Kafka does not have the offset.
   * @throws ArchiverError `UNREACHABLE` if Kafka does not answer, or rejects the request
   */
  fetch(
    tp: TopicPartition,
    offset: number,
    bytes: number,
  ): Promise<FetchedPartitionBatch | undefined> {
    const answer = this.#asking.then(() => this.#ask(tp, offset, bytes))
    this.#asking = answer.catch(() => {})
    return answer
  }

  /**
   * The leader may have changed since the client fetched its metadata: a new client fetches it
   * again.
   */
  async #ask(
    tp: TopicPartition,
    offset: number,
    bytes: number,
  ): Promise<FetchedPartitionBatch | undefined> {
    const backoff = new Backoff({ firstMs: 200, maxMs: 2000 })
    for (;;) {
      try {
        return await this.#cluster.ask((cluster) => fetchOnce(cluster, tp, offset, bytes))
      } catch (error) {
        if (backoff.failures === maxRetries || isRefusal(error)) {
          const what = `Kafka does not give the record at offset ${offset} of ${partitionKey(tp)}`
          throw new ArchiverError(
            'UNREACHABLE',
            `${what}: ${messageOf(error)}`,
            { isRefusal: isRefusal(error) },
            error,
          )
        }
        await sleep(backoff.next())
      }
    }
  }

  disconnect(): Promise<void> {
    return this.#cluster.disconnect()
  }
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof kafkajs.KafkaJSProtocolError && error.type === 'TOPIC_AUTHORIZATION_FAILED'
  )
}

async function fetchOnce(
  cluster: Cluster,
  { topic, partition }: TopicPartition,
  offset: number,
  bytes: number,
): Promise<FetchedPartitionBatch | undefined> {
  if (cluster.targetTopics.size >= maxTopics && !cluster.targetTopics.has(topic))
    cluster.targetTopics.clear()
  await cluster.addTargetTopic(topic)
  await cluster.refreshMetadataIfNecessary()
  const [nodeId] = Object.keys(cluster.findLeaderForPartitions(topic, [partition]))
  if (nodeId === undefined) throw new Error(`Kafka does not know ${topic}/${partition}`)
  const broker = await cluster.findBroker({ nodeId })
  try {
    const { responses } = await broker.fetch({
      isAlone: true,
      isolationLevel: readCommitted,
      maxWaitTime: 0,
      minBytes: 0,
      maxBytes: bytes,
      topics: [
        { topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes: bytes }] },
      ],
    })
    const [fetched] = responses.flatMap(({ partitions }) => partitions)
    return fetched && new FetchedPartitionBatch(topic, offset, fetched)
  } catch (error) {
    if (error instanceof kafkajs.KafkaJSProtocolError && error.type === 'OFFSET_OUT_OF_RANGE')
      return undefined
    throw error
  }
}

/**
 * The first records; none of a damaged batch. They are copies: a piece of a stream is valid only
 * until the next one.
 */
async function recordsOf(fetched: FetchedPartitionBatch): Promise<readonly SourceRecord[]> {
  try {
    for await (const { records } of unpack(fetched, limits)) {
      if (records.length > 0) return records.map(copyOf)
    }
  } catch (error) {
    if (!(error instanceof UnpackError) || !error.isDamage) throw error
  }
  return []
}

/** Headers are not compared. */
function copyOf({ offset, timestamp, key, value }: SourceRecord): SourceRecord {
  const copy = (bytes: Buffer | null) => (bytes === null ? null : Buffer.from(bytes))
  return { offset, timestamp, key: copy(key), value: copy(value), headers: [] }
}
