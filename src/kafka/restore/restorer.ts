import type { IHeaders, Kafka, Message, Producer } from 'kafkajs'
import { partitionKey, type SourceRecord, type TopicPartition } from '../../record/record.ts'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { batchOverhead, speedUpProduceRequests } from './produce-request.ts'

const batchRecords = 1000
/** A batch of this size fits the default limit of a broker (`message.max.bytes`, 1 MiB). */
export const usualBatchBytes = 512 * 1024
/**
 * Retries of a batch before the restore ends. They last some minutes, so a broker may restart. A
 * broker remembers a producer much longer (`producer.id.expiration.ms`, a day). Once it has
 * forgotten the producer, it would store a batch twice if its answer was lost.
 */
const retries = 30
/**
 * The sequence of a batch is an int32. kafkajs would wrap to 0 one too early; a new producer
 * rightly begins at 0.
 */
const maxSequence = 2 ** 31 - 1

/** Where records go. */
export interface RestoreTarget extends TopicPartition {
  /** The topic accepts batches of this size, in bytes before compression. */
  readonly batchBytes: number
}

/**
 * Sends records back to Kafka, with the same key, value, headers and their order, timestamp and
 * partition. The producer is idempotent (KIP-98), so a batch whose answer was lost is stored once.
 * One request is in flight at a time: records keep their order, and a producer can be replaced
 * between two batches.
 */
export class KafkaRestorer {
  readonly #kafka: Kafka
  readonly #renewAfter: number
  #producer: Producer
  /** Sequences given out to the partition. */
  #sequence = 0
  #isSpent = false
  #messages: Message[] = []
  #bytes = 0
  #offsets: { first: number; last: number } | undefined
  #target: RestoreTarget | undefined
  #acknowledged = 0
  #sending: Promise<unknown> = Promise.resolve()

  /**
   * `renewAfter`: records of a partition after which a new producer id is requested. Tests use a
   * small number.
   */
  constructor(kafka: Kafka, renewAfter: number = maxSequence - batchRecords) {
    speedUpProduceRequests()
    this.#kafka = kafka
    this.#renewAfter = renewAfter
    this.#producer = this.#createProducer()
  }

  #createProducer(): Producer {
    return this.#kafka.producer({
      allowAutoTopicCreation: false,
      idempotent: true,
      maxInFlightRequests: 1,
      retry: { retries },
      createPartitioner:
        () =>
        ({ message }: { message: Message }): number =>
          message.partition!,
    })
  }

  connect(): Promise<void> {
    return this.#producer.connect()
  }

  disconnect(): Promise<void> {
    return this.#producer.disconnect()
  }

  /**
   * From now on records go to this partition.
   *
   * @throws ArchiverError `INTERNAL` before the last partition was flushed.
   */
  begin(target: RestoreTarget): void {
    if (this.#messages.length > 0)
      throw new ArchiverError('INTERNAL', 'flush before the next partition')
    this.#target = target
    this.#sequence = 0
    this.#acknowledged = 0
  }

  /**
   * Adds a record. Returns a promise if a full batch must be sent first. A batch stays below the
   * target's limit, unless a single record is larger.
   */
  add(record: SourceRecord): Promise<void> | undefined {
    const bytes = bytesOf(record)
    const isRoom = batchOverhead + this.#bytes + bytes <= this.#target!.batchBytes
    if (this.#messages.length === 0 || (this.#messages.length < batchRecords && isRoom)) {
      this.#take(record, bytes)
      return undefined
    }
    return this.#send().then(() => this.#take(record, bytes))
  }

  #take({ offset, key, value, headers, timestamp }: SourceRecord, bytes: number): void {
    this.#messages.push({
      partition: this.#target!.partition,
      key,
      value,
      timestamp: String(timestamp),
      // A list keeps the order; kafkajs's object would not. `produce-request.ts` accepts both.
      ...(headers.length === 0 ? {} : { headers: headers as unknown as IHeaders }),
    })
    this.#bytes += bytes
    this.#offsets = { first: this.#offsets?.first ?? offset, last: offset }
  }

  async #send(): Promise<void> {
    await this.#sending
    if (this.#isSpent || this.#sequence + this.#messages.length > this.#renewAfter)
      await this.#renew()
    const target = this.#target!
    const messages = this.#messages
    const offsets = this.#offsets!
    this.#messages = []
    this.#bytes = 0
    this.#offsets = undefined
    this.#sequence += messages.length
    this.#sending = this.#produce(target, messages).then(
      () => {
        this.#acknowledged += messages.length
      },
      (error: unknown) => {
        throw notTaken(error, target, offsets, this.#acknowledged)
      },
    )
    this.#sending.catch(() => {})
  }

  async #produce({ topic }: RestoreTarget, messages: Message[]): Promise<void> {
    try {
      await this.#producer.send({ topic, messages, acks: -1 })
    } catch (error) {
      if (protocolErrorOf(error) !== 'DUPLICATE_SEQUENCE_NUMBER') throw error
      // The broker has these records. kafkajs counts them as not sent: its producer cannot go on.
      this.#isSpent = true
    }
  }

  /**
   * Makes the next batch the first of a new producer. Nothing is in flight: what was sent before is
   * acknowledged.
   */
  async #renew(): Promise<void> {
    await this.#producer.disconnect()
    this.#producer = this.#createProducer()
    await this.#producer.connect()
    this.#sequence = 0
    this.#isSpent = false
  }

  /**
   * Settles when all records are acknowledged.
   *
   * @throws ArchiverError `UNREACHABLE` if Kafka did not accept a batch.
   */
  async flush(): Promise<void> {
    if (this.#messages.length > 0) await this.#send()
    await this.#sending
  }
}

/** An upper bound for the bytes of a record in a batch. */
function bytesOf({ key, value, headers }: SourceRecord): number {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0) + 64
  for (const header of headers)
    bytes += Buffer.byteLength(header.key) + (header.value?.length ?? 0) + 10
  return bytes
}

/** Kafka's name of an error, which kafkajs wraps in the errors of its retries. */
export function protocolErrorOf(error: unknown): string | undefined {
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    if ('type' in one && typeof one.type === 'string') return one.type
  }
  return undefined
}

/** What an error of Kafka means for records that were sent. */
const meanings: Readonly<Record<string, string>> = {
  OUT_OF_ORDER_SEQUENCE_NUMBER:
    'it misses records that it had acknowledged: a replica without them became the leader, or the topic was recreated',
  UNKNOWN_PRODUCER_ID:
    'it has forgotten this producer (producer.id.expiration.ms, or retention removed what was sent), so it cannot tell whether these records are there',
  INVALID_PRODUCER_EPOCH: 'another producer has the same id',
}

function notTaken(
  error: unknown,
  target: TopicPartition,
  { first, last }: { first: number; last: number },
  acknowledged: number,
): ArchiverError {
  const type = protocolErrorOf(error)
  const meaning = type === undefined ? undefined : meanings[type]
  const why = meaning === undefined ? messageOf(error) : `${type}: ${meaning}`
  return new ArchiverError(
    'UNREACHABLE',
    `Kafka did not take the archive's offsets ${first} to ${last} for ${partitionKey(target)}: ${why}; ${acknowledged} records before them are there`,
    { topic: target.topic, partition: target.partition, first, last, acknowledged },
    error,
  )
}
