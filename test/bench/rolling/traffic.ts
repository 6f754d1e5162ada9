import { setTimeout as sleep } from 'node:timers/promises'
import type { Producer } from 'kafkajs'
import { createProducer } from '../../../src/traffic/data/producer.ts'
import type { Context } from '../context.ts'

export const recordsPerSecond = 2000
const intervalMs = 50
const filling = 'x'.repeat(250)

/** A steady stream of records over all partitions of some topics, until it is stopped. */
export class Traffic {
  readonly #producer: Producer
  readonly #topics: { readonly topic: string; readonly partitions: number }[]
  readonly #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #sent = 0

  private constructor(producer: Producer, topic: string, partitions: number) {
    this.#producer = producer
    this.#topics = [{ topic, partitions }]
  }

  static async start(context: Context, topic: string, partitions: number): Promise<Traffic> {
    const producer = createProducer(context.servers.kafka)
    await producer.connect()
    const traffic = new Traffic(producer, topic, partitions)
    traffic.#running = traffic.#run()
    traffic.#running.catch(() => {})
    return traffic
  }

  /** Also sends to another topic, as often to each of its partitions. */
  add(topic: string, partitions: number): void {
    this.#topics.push({ topic, partitions })
  }

  async #run(): Promise<void> {
    const perRound = (recordsPerSecond * intervalMs) / 1000 / this.#topics[0]!.partitions
    for (let round = 1, began = performance.now(); !this.#stopping.signal.aborted; round++) {
      const upTo = Math.floor(round * perRound)
      const from = Math.floor((round - 1) * perRound)
      await this.#producer.sendBatch({
        topicMessages: this.#topics.map(({ topic, partitions }) => ({
          topic,
          messages: Array.from({ length: (upTo - from) * partitions }, (_, i) => ({
            partition: i % partitions,
            value: `{"type":"rolling","n":${this.#sent++},"filling":"${filling}"}`,
          })),
        })),
      })
      await sleep(Math.max(0, began + round * intervalMs - performance.now()))
      // After a long pause the rounds that were missed are not made up for all at once.
      if (performance.now() - began > (round + 20) * intervalMs)
        began = performance.now() - round * intervalMs
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    try {
      await this.#running
    } finally {
      await this.#producer.disconnect()
    }
  }
}
