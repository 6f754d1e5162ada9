import type { Kafka, Message, Producer, TopicMessages } from 'kafkajs'
import type { MadeRecord } from './record-maker.ts'

/** A producer that keeps each record in its chosen partition, and creates no topic by itself. */
export function createProducer(kafka: Kafka): Producer {
  const createPartitioner =
    () =>
    ({ message }: { message: Message }): number =>
      message.partition!
  return kafka.producer({ allowAutoTopicCreation: false, createPartitioner })
}

/** A made record as kafkajs sends it. */
export function kafkaMessage({ partition, key, value, headers, timestamp }: MadeRecord): Message {
  const message = { partition, key, value, timestamp: String(timestamp) }
  return headers === undefined ? message : { ...message, headers }
}

/** Sends the messages of some topics and settles when they are acknowledged. */
export type SendBatch = (batch: readonly TopicMessages[]) => Promise<void>

/**
 * The time in which kafkajs groups a batch by partition grows with the square of its size. A broker
 * takes a megabyte for each.
 */
const batchRecords = 1000
const mostLanes = 6

interface Lane {
  topics: Map<string, TopicMessages>
  records: number
  sending: Promise<void> | undefined
}

/**
 * Sends records in batches, several at a time, in order within each partition. kafkajs sends over
 * two connections to a broker, so two open requests may change places. So each partition belongs to
 * one lane, and a lane has one open request.
 */
export class BatchSender {
  readonly #send: SendBatch
  readonly #lanes: readonly Lane[]
  /** The lane of partition 0 of each topic; its other partitions take the lanes after it. */
  readonly #firstLane = new Map<string, number>()
  #failure: { readonly error: unknown } | undefined

  constructor(
    topics: readonly { readonly name: string; readonly partitions: number }[],
    send: SendBatch,
  ) {
    this.#send = send
    let partitions = 0
    for (const topic of topics) {
      this.#firstLane.set(topic.name, partitions)
      partitions += topic.partitions
    }
    const count = Math.min(partitions, mostLanes)
    this.#lanes = Array.from({ length: count }, () => ({
      topics: new Map(),
      records: 0,
      sending: undefined,
    }))
  }

  /**
   * A promise to wait for before the next record, if the record filled a batch. Throws, or rejects
   * with, the error of a failed batch.
   */
  add(record: MadeRecord): Promise<void> | undefined {
    const lane =
      this.#lanes[(this.#firstLane.get(record.topic)! + record.partition) % this.#lanes.length]!
    let topic = lane.topics.get(record.topic)
    if (topic === undefined) {
      topic = { topic: record.topic, messages: [] }
      lane.topics.set(record.topic, topic)
    }
    topic.messages.push(kafkaMessage(record))
    lane.records++
    return lane.records < batchRecords ? undefined : this.#begin(lane)
  }

  /** Sends the records that wait, after the requests that are open. */
  async flush(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => this.#begin(lane)))
  }

  /** Waits for all open requests. */
  async settle(): Promise<void> {
    await Promise.all(this.#lanes.map(({ sending }) => sending))
    this.#throwFailure()
  }

  async #begin(lane: Lane): Promise<void> {
    await lane.sending
    this.#throwFailure()
    if (lane.records === 0) return
    const batch = [...lane.topics.values()]
    lane.topics = new Map()
    lane.records = 0
    lane.sending = this.#send(batch).catch((error: unknown) => {
      this.#failure ??= { error }
    })
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
