import type { Kafka, Message } from 'kafkajs'
import { mebibyte } from '../../stack/settings.ts'

/** `--max-record-bytes` of the workers of a run: no record of the ordinary load comes near it. */
export const maxRecordBytes = 4 * mebibyte

/**
 * The proxy resets every request that carries this text, as a firewall with a rule against it does.
 */
export const refusedMark = 'refused-by-the-firewall'

const gzip = 1
const keptRecords = 24
const keptBytes = mebibyte / 2
const oversizedBytes = 3 * maxRecordBytes
const timestamp = String(Date.UTC(2026, 0, 10, 5))

/** Records that were made to stop a worker, sent to one topic in a batch of a few kilobytes. */
export class Poison {
  readonly #kafka: Kafka
  readonly #topic: string
  #count = 0

  constructor(kafka: Kafka, topic: string) {
    this.#kafka = kafka
    this.#topic = topic
  }

  /** Inflates to several times the flush size; every record of it is to be kept. */
  async keptBomb(partition: number): Promise<void> {
    const padding = 'x'.repeat(keptBytes)
    await this.#send(
      partition,
      Array.from({ length: keptRecords }, () =>
        JSON.stringify({ type: 'object.one', n: this.#count++, padding }),
      ),
    )
  }

  /** One record between two good ones is larger than workers take. */
  async oversizedBomb(partition: number): Promise<void> {
    await this.#send(partition, [
      JSON.stringify({ type: 'object.two', n: this.#count++ }),
      Buffer.alloc(oversizedBytes),
      JSON.stringify({ type: 'object.two', n: this.#count++ }),
    ])
  }

  /** One document that never passes the proxy, among others that do. */
  async refusedDocument(partition: number): Promise<void> {
    await this.#send(partition, [
      JSON.stringify({ type: 'object.one', n: this.#count++ }),
      JSON.stringify({ type: 'object.one', n: this.#count++, note: refusedMark }),
      JSON.stringify({ type: 'object.two', n: this.#count++ }),
    ])
  }

  async #send(partition: number, values: readonly (string | Buffer)[]): Promise<void> {
    const producer = this.#kafka.producer({ allowAutoTopicCreation: false, retry: { retries: 2 } })
    try {
      await producer.connect()
      const messages: Message[] = values.map((value) => ({ partition, value, timestamp }))
      await producer.send({ topic: this.#topic, compression: gzip, messages })
    } finally {
      await producer.disconnect()
    }
  }
}
