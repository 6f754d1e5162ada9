import type { Admin, IHeaders, Kafka, Message, Producer } from 'kafkajs'
import { ArchiverError, messageOf } from '../errors.ts'
import type { DecodedLine } from '../line.ts'
import type { SourceRecord } from '../record.ts'
import { kafkajs } from './kafkajs.ts'
import { speedUpProduceRequests } from './produce-request.ts'

const batchRecords = 1000
const batchBytes = 512 * 1024

/**
 * Gives records back to Kafka: key, value, headers in their order, timestamp and partition as they were. One request is under way at a time
 * for each partition, so that records keep their order.
 */
export class KafkaRestorer {
  readonly #producer: Producer
  #messages: Message[] = []
  #bytes = 0
  #target: { readonly topic: string; readonly partition: number } | undefined
  #sending: Promise<unknown> = Promise.resolve()

  constructor(kafka: Kafka) {
    speedUpProduceRequests()
    const createPartitioner =
      () =>
      ({ message }: { message: Message }): number =>
        message.partition!
    this.#producer = kafka.producer({ allowAutoTopicCreation: false, createPartitioner })
  }

  connect(): Promise<void> {
    return this.#producer.connect()
  }

  disconnect(): Promise<void> {
    return this.#producer.disconnect()
  }

  /**
   * Adds a record of a partition; a promise where a full batch has to be sent first. A batch stays below what a broker takes by default
   * (`message.max.bytes`, 1 MiB), unless one record is as large by itself.
   */
  add(topic: string, { partition, record }: DecodedLine): Promise<void> | undefined {
    if (this.#target?.topic !== topic || this.#target.partition !== partition) {
      if (this.#messages.length > 0) throw new ArchiverError('INTERNAL', 'flush before the next partition')
      this.#target = { topic, partition }
    }
    const bytes = bytesOf(record)
    if (this.#messages.length === 0 || (this.#messages.length < batchRecords && this.#bytes + bytes <= batchBytes)) {
      this.#take(partition, record, bytes)
      return undefined
    }
    return this.#send().then(() => this.#take(partition, record, bytes))
  }

  #take(partition: number, { key, value, headers, timestamp }: SourceRecord, bytes: number): void {
    this.#messages.push({
      partition,
      key,
      value,
      timestamp: String(timestamp),
      // A list, where kafkajs has an object, which would lose the order: `produce-request.ts` takes both.
      ...(headers.length === 0 ? {} : { headers: headers as unknown as IHeaders }),
    })
    this.#bytes += bytes
  }

  async #send(): Promise<void> {
    const { topic, partition } = this.#target!
    await this.#sending
    const messages = this.#messages
    this.#messages = []
    this.#bytes = 0
    this.#sending = this.#producer.send({ topic, messages, acks: -1 }).catch((error: unknown) => {
      throw new ArchiverError(
        'UNREACHABLE',
        `Kafka did not take records of ${topic}/${partition}: ${messageOf(error)}`,
        {},
        error,
      )
    })
    this.#sending.catch(() => {})
  }

  /** Settles when all is acknowledged. */
  async flush(): Promise<void> {
    if (this.#messages.length > 0) await this.#send()
    await this.#sending
  }
}

/** What a record takes in a batch, at most. */
function bytesOf({ key, value, headers }: SourceRecord): number {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0) + 64
  for (const header of headers) bytes += Buffer.byteLength(header.key) + (header.value?.length ?? 0) + 10
  return bytes
}

/** What was done, or is to be known, about a topic that records go into. */
export interface TargetTopic {
  readonly topic: string
  readonly created: boolean
  /** How long the topic keeps records, in ms; -1: for ever. */
  readonly retentionMs: number
}

/** From Kafka 4.0 on a broker refuses timestamps more than an hour ahead, and an archive has those that were taken all the same (KIP-937). */
const anyTimestamp = { name: 'message.timestamp.after.max.ms', value: String(2n ** 63n - 1n) }

async function createForEver(admin: Admin, topic: string, numPartitions: number): Promise<void> {
  const create = (configEntries: { name: string; value: string }[]) =>
    admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic, numPartitions, replicationFactor: -1, configEntries }],
    })
  const forEver = { name: 'retention.ms', value: '-1' }
  try {
    await create([forEver, anyTimestamp])
  } catch (error) {
    // A broker before 3.6 does not know the setting, and refuses no timestamp.
    if (!isInvalidConfig(error)) throw error
    await create([forEver])
  }
}

function isInvalidConfig(error: unknown): boolean {
  return (
    error instanceof kafkajs.KafkaJSAggregateError &&
    error.errors.some((one) => one instanceof kafkajs.KafkaJSProtocolError && one.type === 'INVALID_CONFIG')
  )
}

/**
 * Makes sure that a topic has enough partitions. One that is made keeps its records for ever: they are older than any retention may allow.
 * @throws ArchiverError `NO_SUCH_TOPIC` where it has too few partitions.
 */
export async function prepareTopic(admin: Admin, topic: string, partitions: number): Promise<TargetTopic> {
  if (!(await admin.listTopics()).includes(topic)) {
    await createForEver(admin, topic, partitions)
    return { topic, created: true, retentionMs: -1 }
  }
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  const present = topics[0]?.partitions.length ?? 0
  if (present < partitions) {
    throw new ArchiverError('NO_SUCH_TOPIC', `topic ${topic} has ${present} partitions, the records need ${partitions}`)
  }
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms'] }],
  })
  const retention = resources[0]?.configEntries.find(({ configName }) => configName === 'retention.ms')?.configValue
  return { topic, created: false, retentionMs: Number(retention ?? -1) }
}
