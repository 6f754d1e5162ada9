import type { Kafka, Message, Producer, TopicMessages } from 'kafkajs'
import { createProducer, kafkaMessage } from '../../src/traffic/data/producer.ts'
import { RecordMaker } from '../../src/traffic/data/record-maker.ts'

/** A topic of a run. */
export interface LoadTopic {
  readonly name: string
  readonly partitions: number
  /** In transactions; some are aborted. */
  readonly transactional: boolean
}

export interface LoadOptions {
  readonly kafka: Kafka
  readonly seed: number
  readonly topics: readonly LoadTopic[]
  readonly types: readonly string[]
  /** Records a second, all topics together. */
  readonly rate: number
  readonly seconds: number
}

const tickMs = 250
const abortedShare = 0.25
/**
 * The coordinator ends a transaction that its producer left open after this; until then nobody
 * reads past it.
 */
const transactionTimeoutMs = 8000
const dayMs = 86_400_000
/** One record in this number is sent as a Schema Registry's serializer would send it. */
const framedEvery = 41
const frameHead = Buffer.from([0, 0, 0, 1, 7])

function framed(message: Message): Message {
  const { value } = message
  return value === null
    ? message
    : { ...message, value: Buffer.concat([frameHead, Buffer.from(value)]) }
}

/**
 * Produces at a steady rate until it is stopped, whatever becomes of the broker. What a request
 * that failed has left in Kafka does not matter: the account asks Kafka what it holds.
 */
export class Load {
  readonly #options: LoadOptions
  readonly #maker: RecordMaker
  readonly #producers = new Map<string, Producer>()
  #stopping = false
  #running: Promise<void> = Promise.resolve()
  #next = 0
  sent = 0
  aborted = 0
  failures = 0

  constructor(options: LoadOptions) {
    this.#options = options
    const from = Date.UTC(2026, 0, 10)
    this.#maker = new RecordMaker({
      seed: options.seed,
      types: options.types,
      topics: options.topics,
      malformed: 0.02,
      // Some records of each second are late, so that several hours are open at once.
      history: { count: options.rate * options.seconds * 2, from, to: from + 2 * dayMs },
    })
  }

  start(): void {
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#running
    for (const name of [...this.#producers.keys()]) await this.#forget(name)
  }

  async #run(): Promise<void> {
    let due = performance.now()
    while (!this.#stopping) {
      const records = Math.round((this.#options.rate * tickMs) / 1000)
      const byTopic = new Map<string, TopicMessages>()
      for (let i = 0; i < records; i++) {
        const record = this.#maker.make(this.#next++)
        let topic = byTopic.get(record.topic)
        if (topic === undefined) {
          topic = { topic: record.topic, messages: [] }
          byTopic.set(record.topic, topic)
        }
        topic.messages.push(
          this.#next % framedEvery === 0 ? framed(kafkaMessage(record)) : kafkaMessage(record),
        )
      }
      await Promise.all(
        this.#options.topics.map((topic) => this.#send(topic, byTopic.get(topic.name))),
      )
      due = Math.max(due + tickMs, performance.now() - 4 * tickMs)
      const pause = due - performance.now()
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }

  async #send(
    { name, transactional }: LoadTopic,
    messages: TopicMessages | undefined,
  ): Promise<void> {
    if (messages === undefined) return
    try {
      if (transactional) await this.#sendInTransaction(name, messages)
      else await (await this.#producer('plain')).sendBatch({ topicMessages: [messages] })
      this.sent += messages.messages.length
    } catch {
      // The broker is away, or a transaction was fenced off: a new producer continues.
      this.failures++
      await this.#forget(transactional ? name : 'plain')
    }
  }

  async #sendInTransaction(name: string, messages: TopicMessages): Promise<void> {
    const transaction = await (await this.#producer(name, name)).transaction()
    await transaction.sendBatch({ topicMessages: [messages] })
    if (Math.random() < abortedShare) {
      this.aborted += messages.messages.length
      await transaction.abort()
    } else await transaction.commit()
  }

  async #producer(name: string, transactionalId?: string): Promise<Producer> {
    const present = this.#producers.get(name)
    if (present !== undefined) return present
    const producer =
      transactionalId === undefined
        ? createProducer(this.#options.kafka)
        : this.#options.kafka.producer({
            allowAutoTopicCreation: false,
            transactionalId,
            idempotent: true,
            maxInFlightRequests: 1,
            transactionTimeout: transactionTimeoutMs,
          })
    await producer.connect()
    this.#producers.set(name, producer)
    return producer
  }

  async #forget(name: string): Promise<void> {
    const producer = this.#producers.get(name)
    this.#producers.delete(name)
    await producer?.disconnect().catch(() => {}) // It is given up because it does not work.
  }
}
