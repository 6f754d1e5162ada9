import type { Kafka, Message, Producer } from 'kafkajs'
import type { MadeRecord } from './record-maker.ts'

/** A producer that leaves each record in the partition that was chosen for it, and makes no topic by itself. */
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
