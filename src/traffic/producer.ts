import { setTimeout as delay } from 'node:timers/promises'
import { runProgram, signalled } from '../cmd/lib/program.ts'
import { readableBytes } from '../cmd/lib/readable.ts'
import { everyOption } from '../config/commands.ts'
import { kafkaConnection, kafkaConnectionSet } from '../config/kafka.ts'
import { logGroup } from '../config/log.ts'
import {
  combine,
  describeOptions,
  integer,
  own,
  readOptions,
  related,
  text,
  texts,
} from '../config/options.ts'
import { kafkaClient } from '../kafka/client.ts'
import { createTopics, withAdmin } from '../kafka/topics.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { createLogger } from '../runtime/log.ts'
import { Proxies } from '../runtime/proxies.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { createProducer, kafkaMessage } from './data/producer.ts'
import { RecordMaker } from './data/record-maker.ts'

const set = combine([
  own({
    topic: text({
      explanation: 'Topic to send to. A missing topic is created.',
      placeholder: '<topic>',
      default: 'events',
    }),
    types: texts({
      explanation: 'Names of the message types.',
      placeholder: '<a,b,…>',
      default: 'object.one,object.two,object.three',
    }),
    interval: integer({
      explanation: 'Interval between messages.',
      min: 1,
      unit: 'ms',
      default: '1000',
    }),
    count: integer({
      explanation: 'Number of messages. By default until stopped.',
      min: 1,
    }),
    partitions: integer({
      explanation: 'Partitions of a topic that is created.',
      min: 1,
      max: 10_000,
      default: '4',
    }),
    seed: integer({
      explanation: 'The same seed makes the same messages, except for their time.',
      min: 0,
      max: 2 ** 32 - 1,
      default: '1',
    }),
  }),
  kafkaConnectionSet,
  logGroup,
])

const help = `Sends one message a second, each shown on a line as it goes.

  npm run producer -- [options]

${describeOptions(set, set.options, standardOutput.columns)}`

async function main(argv: readonly string[]): Promise<void> {
  const inFile = { ...everyOption, ...set.options }
  const values = related(set, readOptions(set.options, { argv, env: process.env }, inFile))
  const stop = signalled()
  const log = createLogger({ level: values.logLevel, stream: standardError })
  const connection = kafkaConnection(values, new Proxies(process.env))
  const kafka = kafkaClient(connection, { clientId: 'producer', log, retry: { retries: 4 } })
  const topics = await withAdmin(kafka, values.brokers, (admin) =>
    createTopics(admin, [values.topic], values.partitions),
  )
  const maker = new RecordMaker({
    seed: values.seed,
    types: values.types,
    topics,
    malformed: 0,
    history: undefined,
  })
  const producer = createProducer(kafka)
  try {
    await producer.connect()
    const begin = performance.now()
    for (let i = 0; i < (values.count ?? Number.POSITIVE_INFINITY) && !stop.aborted; i++) {
      const ahead = begin + i * values.interval - performance.now()
      if (ahead > 0) await delay(ahead, undefined, { signal: stop })
      const record = maker.make(i)
      const [answer] = await producer.send({
        topic: record.topic,
        messages: [kafkaMessage(record)],
      })
      const key = record.key === null ? 'null' : record.key
      const where = `${record.topic}/${record.partition}@${answer?.baseOffset ?? '?'}`
      const value = typeof record.value === 'string' ? Buffer.from(record.value) : record.value
      standardOutput.print(
        `${new Date(record.timestamp).toISOString()}  ${where}  ${record.type}  key=${key}  ${readableBytes(value)}`,
      )
    }
  } catch (error) {
    if (stop.aborted) throw error
    const what = `Kafka at ${values.brokers.join(',')} did not take a message: ${messageOf(error)}`
    throw new ArchiverError('UNREACHABLE', what, {}, error)
  } finally {
    await producer.disconnect()
  }
}

await runProgram({ help, main, output: 'data' })
