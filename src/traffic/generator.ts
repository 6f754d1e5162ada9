import { setTimeout as delay } from 'node:timers/promises'
import type { Producer, TopicMessages } from 'kafkajs'
import { runProgram, signalled } from '../cmd/lib/program.ts'
import { everyOption } from '../config/commands.ts'
import { kafkaConnection, kafkaConnectionSet } from '../config/kafka.ts'
import { logGroup } from '../config/log.ts'
import {
  combine,
  decimal,
  describeOptions,
  flag,
  integer,
  list,
  negatable,
  oneOf,
  own,
  paragraph,
  readOptions,
  related,
  text,
  texts,
  type ValuesOf,
  wrapped,
} from '../config/options.ts'
import { type Compression, compressionTypes } from '../kafka/batch/codecs.ts'
import { kafkaClient } from '../kafka/client.ts'
import { speedUpProduceRequests } from '../kafka/restore/produce-request.ts'
import { createTopics, withAdmin } from '../kafka/topics.ts'
import { msPerDay } from '../record/time.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { count as grouped } from '../runtime/format.ts'
import { createLogger, type Logger } from '../runtime/log.ts'
import { Proxies } from '../runtime/proxies.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { createTerminal, type Terminal } from '../runtime/terminal.ts'
import type { Kind } from './data/kinds/kind.ts'
import { type KindName, kinds } from './data/kinds.ts'
import { BatchSender, createProducer } from './data/producer.ts'
import { RecordMaker, type RecordMakerOptions } from './data/record-maker.ts'

const acknowledgements = { all: -1, leader: 1 } as const

const set = combine([
  own({
    topics: list({
      explanation: 'Topics to fill in turn. Missing topics are created.',
      placeholder: '<a,b,…>',
      default: 'events',
    }),
    kind: oneOf(Object.keys(kinds) as KindName[], {
      explanation: 'What the messages are; see below.',
      default: 'mixed',
    }),
    types: texts({
      explanation:
        'Names of the message types, mixed on every topic, instead of those of the kind and in their order. With fewer names there are fewer types.',
      placeholder: '<a,b,…>',
    }),
    count: negatable(
      integer({
        explanation: 'Number of records in all. --no-count with --live: until stopped.',
        min: 1,
        default: '100000',
      }),
    ),
    rate: decimal({
      explanation: 'Records per second. By default as fast as possible.',
      min: 0.01,
    }),
    partitions: integer({
      explanation: 'Partitions of topics that are created.',
      min: 1,
      max: 10_000,
      default: '4',
    }),
    seed: integer({
      explanation: 'The same seed makes the same records, if --from and --to are given.',
      min: 0,
      max: 2 ** 32 - 1,
      default: '1',
    }),
    from: text({
      explanation:
        'Earliest timestamp, e.g. 2026-11-01 or 2026-11-01T06:00:00Z. By default a day before --to.',
      placeholder: '<time>',
    }),
    to: text({
      explanation: 'Latest timestamp, or the word now.',
      placeholder: '<time>',
      default: 'now',
    }),
    live: flag({
      explanation: 'Give each record the time at which it is sent. --from and --to do not apply.',
      default: false,
    }),
    malformed: decimal({
      explanation:
        'Share of records that are not JSON messages with a type (broken, empty, tombstones …).',
      min: 0,
      max: 1,
      default: '0',
    }),
    compression: oneOf(Object.keys(compressionTypes) as Compression[], {
      explanation: 'Compression of batches.',
      default: 'none',
    }),
    acks: oneOf(Object.keys(acknowledgements) as (keyof typeof acknowledgements)[], {
      explanation: 'Which replicas must have a batch before it counts as sent.',
      default: 'all',
    }),
  }),
  kafkaConnectionSet,
  logGroup,
])

/** The kinds, each with what the archiver needs to know. */
const describedKinds = Object.entries(kinds)
  .map(([name, { summary, typePath, shapes }]: [string, Kind]) => {
    const types = shapes.map(({ type }) => type).join(', ')
    const option = typePath === 'type' ? '' : ` Archive them with --type-path ${typePath}.`
    return `  ${name}\n${paragraph(`${summary} Types: ${types}.${option}`, standardOutput.columns)}`
  })
  .join('\n')

const help = `${wrapped('Fills Kafka topics with realistic JSON, busiest at noon, with a few heavy users, rare errors, some dirty values and one bad half-hour a day.', standardOutput.columns)}

  npm run generator -- [options]

${describeOptions(set, set.options, standardOutput.columns)}

Kinds of messages:

${describedKinds}`

/**
 * How often it checks for a signal and, with a rate, the clock: ten times a second, so that the
 * rate is steady.
 */
const recordsPerTurn = 2_000
const progressMs = 5_000
const statusMs = 200

async function main(argv: readonly string[]): Promise<void> {
  const inFile = { ...everyOption, ...set.options }
  const values = related(set, readOptions(set.options, { argv, env: process.env }, inFile))
  const history = timeRange(values, Date.now())
  const stop = signalled()
  const terminal = createTerminal(standardError)
  const log = createLogger({ level: values.logLevel, stream: terminal })
  const connection = kafkaConnection(values, new Proxies(process.env))
  const kafka = kafkaClient(connection, { clientId: 'generator', log, retry: { retries: 4 } })
  speedUpProduceRequests()

  const topics = await withAdmin(kafka, values.brokers, (admin) =>
    createTopics(admin, [...new Set(values.topics)], values.partitions),
  )
  const kind: Kind = kinds[values.kind]
  const maker = new RecordMaker({
    seed: values.seed,
    kind,
    types: values.types ?? kind.shapes.map(({ type }) => type),
    topics,
    malformed: values.malformed,
    history,
  })
  const producer = createProducer(kafka)
  const sent = new Account(topics.map(({ name }) => name))
  const report = startReport({ terminal, log, sent, count: values.count })
  try {
    await producer.connect()
    await send({ producer, maker, topics, sent, stop, values })
  } catch (error) {
    if (stop.aborted) throw error
    throw new ArchiverError(
      'UNREACHABLE',
      `Kafka at ${values.brokers.join(',')} did not take a batch: ${messageOf(error)}; ${sent.total} records were acknowledged before`,
      {},
      error,
    )
  } finally {
    report.stop()
    await producer.disconnect()
    for (const line of sent.lines()) standardOutput.print(line)
  }
}

/** The time range of the records; undefined with --live. */
function timeRange(values: ValuesOf<typeof set>, now: number): RecordMakerOptions['history'] {
  const { count } = values
  if (values.live) return undefined
  if (count === undefined) throw new ArchiverError('USAGE', '--no-count: only together with --live')
  const to = values.to === 'now' ? now : parseTime('--to', values.to)
  const from = values.from === undefined ? to - msPerDay : parseTime('--from', values.from)
  if (from >= to)
    throw new ArchiverError('USAGE', `--from: "${values.from}" is not before --to ${values.to}`)
  return { count, from, to }
}

function parseTime(name: string, given: string): number {
  const time = /^\d{4}-\d\d-\d\d/.test(given) ? Date.parse(given) : Number.NaN
  if (Number.isNaN(time) || time < 0) {
    const allowed = 'a time since 1970 such as 2026-11-01 or 2026-11-01T06:00:00Z'
    throw new ArchiverError('USAGE', `${name}: "${given}" is not allowed; expected ${allowed}`)
  }
  return time
}

interface Sending {
  readonly producer: Producer
  readonly maker: RecordMaker
  readonly topics: RecordMakerOptions['topics']
  readonly sent: Account
  readonly stop: AbortSignal
  readonly values: ValuesOf<typeof set>
}

/**
 * Makes and sends records until all are acknowledged or `stop` is aborted. In both cases it waits
 * for the requests that are open.
 */
async function send({ producer, maker, topics, sent, stop, values }: Sending): Promise<void> {
  const { count = Number.POSITIVE_INFINITY, rate } = values
  const sender = new BatchSender(topics, async (batch) => {
    await producer.sendBatch({
      topicMessages: [...batch],
      compression: compressionTypes[values.compression],
      acks: acknowledgements[values.acks],
    })
    sent.add(batch)
  })
  const begin = performance.now()
  const turn =
    rate === undefined
      ? recordsPerTurn
      : Math.max(1, Math.min(recordsPerTurn, Math.round(rate / 10)))
  for (let next = 0; next < count && !stop.aborted; ) {
    if (rate !== undefined) {
      const ahead = (next / rate) * 1000 - (performance.now() - begin)
      if (ahead > 0) await delay(ahead, undefined, { signal: stop }).catch(() => undefined)
      if (stop.aborted) break
    }
    for (const end = Math.min(next + turn, count); next < end; next++) {
      const full = sender.add(maker.make(next))
      if (full !== undefined) await full
    }
    if (rate !== undefined) await sender.flush()
  }
  await sender.flush()
  await sender.settle()
}

/** What Kafka has acknowledged. */
class Account {
  readonly #topics: Map<string, number>
  readonly #begin = performance.now()

  constructor(topics: readonly string[]) {
    this.#topics = new Map(topics.map((topic) => [topic, 0]))
  }

  add(batch: readonly TopicMessages[]): void {
    for (const { topic, messages } of batch)
      this.#topics.set(topic, this.#topics.get(topic)! + messages.length)
  }

  get total(): number {
    return [...this.#topics.values()].reduce((sum, count) => sum + count, 0)
  }

  get seconds(): number {
    return (performance.now() - this.#begin) / 1000
  }

  /** Records per second since the beginning. */
  get rate(): number {
    return Math.round(this.total / Math.max(this.seconds, 0.001))
  }

  lines(): string[] {
    const width = Math.max(...[...this.#topics.keys()].map((topic) => topic.length))
    return [...this.#topics].map(
      ([topic, count]) => `${topic.padEnd(width)}  ${grouped(count)} records`,
    )
  }
}

/**
 * Shows the progress: a line in place on a terminal, else a log line every few seconds and one at
 * the end.
 */
function startReport(about: {
  terminal: Terminal
  log: Logger
  sent: Account
  count: number | undefined
}) {
  const { terminal, log, sent, count } = about
  const fields = () => ({
    records: sent.total,
    ...(count === undefined ? {} : { of: count }),
    perSecond: sent.rate,
  })
  const show = () => {
    const share =
      count === undefined
        ? ''
        : ` of ${grouped(count)} (${Math.floor((sent.total / count) * 100)} %)`
    terminal.setStatus(
      `${grouped(sent.total)} records${share}, ${grouped(sent.rate)}/s, ${sent.seconds.toFixed(0)} s`,
    )
  }
  const timer = terminal.isTTY
    ? setInterval(show, statusMs)
    : setInterval(() => log.info(fields(), 'generating'), progressMs)
  return {
    stop: () => {
      clearInterval(timer)
      terminal.close()
      log.info({ ...fields(), seconds: Number(sent.seconds.toFixed(1)) }, 'generated')
    },
  }
}

await runProgram({ help, main })
