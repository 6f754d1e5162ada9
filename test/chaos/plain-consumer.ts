import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { kafkaVersion } from '../../stack/fetch.ts'
import { chooseJava, findJavas } from '../../stack/java.ts'

/**
 * A record as Kafka's own Java client delivered it. The buffers are valid until the next one is
 * asked for.
 */
export interface PlainRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[]
}

/** A partition was read to its end, which comes after its records. */
export interface PlainEnd {
  readonly topic: string
  readonly partition: number
  readonly start: number
  readonly end: number
}

const program = fileURLToPath(new URL('PlainConsumer.java', import.meta.url))
const tags = { end: 0, record: 1, partition: 2 } as const

/**
 * Every committed record of some topics, partition after partition, in order of offsets: what
 * Kafka's own Java client says, which shares no line of code with the archiver.
 *
 * @param cacheDir where the stack keeps its downloads: Kafka's jars are among them.
 */
export async function* readKafka(
  cacheDir: string,
  brokers: string,
  topics: readonly string[],
): AsyncGenerator<PlainRecord | PlainEnd> {
  const java = chooseJava(findJavas(), 17, 'the consumer of the chaos tests')
  const jars = join(cacheDir, `kafka-${kafkaVersion()}`, '*')
  const child = spawn(
    join(java.home, 'bin', 'java'),
    [
      '-Xmx384m',
      '-XX:+UseSerialGC',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=off',
      '-cp',
      jars,
      program,
      brokers,
      ...topics,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-4000)
  })
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  const bytes = new ByteStream(child.stdout)
  let complete = false
  try {
    for (;;) {
      if (!(await bytes.has(1))) break
      const tag = bytes.int8()
      if (tag === tags.end) {
        complete = true
        break
      }
      await bytes.need(8)
      const topic = topics[bytes.int32()]!
      const partition = bytes.int32()
      await bytes.need(16)
      if (tag === tags.partition) {
        yield { topic, partition, start: Number(bytes.int64()), end: Number(bytes.int64()) }
        continue
      }
      const offset = Number(bytes.int64())
      const timestamp = bytes.int64()
      const key = await bytes.bytes()
      const value = await bytes.bytes()
      await bytes.need(4)
      const headers: { key: string; value: Buffer | null }[] = []
      for (let count = bytes.int32(); count > 0; count--) {
        const name = await bytes.bytes()
        headers.push({ key: name!.toString('utf8'), value: await bytes.bytes() })
      }
      yield { topic, partition, offset, timestamp, key, value, headers }
    }
  } finally {
    if (!complete) child.kill('SIGKILL')
    child.stdout.resume()
    await ended
  }
  if (!complete) throw new Error(`reading Kafka ended early: ${complaint}`)
}

/** Numbers and bytes out of a stream. */
class ByteStream {
  readonly #chunks: AsyncIterator<Buffer>
  #buffer: Buffer = Buffer.alloc(0)
  #position = 0

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]()
  }

  /** True if there are that many more. */
  async has(count: number): Promise<boolean> {
    if (this.#buffer.length - this.#position >= count) return true
    const parts = [this.#buffer.subarray(this.#position)]
    let length = parts[0]!.length
    while (length < count) {
      const { value, done } = await this.#chunks.next()
      if (done === true) return false
      parts.push(value)
      length += value.length
    }
    this.#buffer = Buffer.concat(parts)
    this.#position = 0
    return true
  }

  async need(count: number): Promise<void> {
    if (!(await this.has(count)))
      throw new Error('the consumer of the chaos tests ended in the middle of a record')
  }

  int8(): number {
    return this.#buffer.readInt8(this.#take(1))
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#take(4))
  }

  int64(): bigint {
    return this.#buffer.readBigInt64BE(this.#take(8))
  }

  async bytes(): Promise<Buffer | null> {
    await this.need(4)
    const length = this.int32()
    if (length < 0) return null
    await this.need(length)
    const start = this.#take(length)
    return this.#buffer.subarray(start, start + length)
  }

  #take(count: number): number {
    const start = this.#position
    this.#position += count
    return start
  }
}
