import { randomUUID } from 'node:crypto'
import type { Consumer, EachBatchPayload } from 'kafkajs'
import { runProgram, signalled } from '../cmd/lib/program.ts'
import { readableBytes, readableTimestamp, utf8OrUndefined } from '../cmd/lib/readable.ts'
import { everyOption } from '../config/commands.ts'
import { kafkaConnection, kafkaConnectionSet } from '../config/kafka.ts'
import { logGroup } from '../config/log.ts'
import {
  combine,
  describeOptions,
  exclusive,
  flag,
  integer,
  list,
  own,
  patterns,
  readOptions,
  related,
  text,
  type ValuesOf,
  wrapped,
} from '../config/options.ts'
import { FetchedPartitionBatch } from '../kafka/batch/fetched-batch.ts'
import { unpack } from '../kafka/batch/unpack.ts'
import { kafkaClient } from '../kafka/client.ts'
import { withAdmin } from '../kafka/topics.ts'
import type { SourceRecord } from '../record/record.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { createLogger } from '../runtime/log.ts'
import { Proxies } from '../runtime/proxies.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'

const set = combine(
  [
    own({
      topics: list({
        explanation: 'Topics to read. Without this and --topics-regex: events.',
        placeholder: '<a,b,…>',
      }),
      topicsRegex: patterns({
        explanation: 'Read every topic that exists at the start and whose name matches.',
      }),
      group: text({
        explanation:
          'Consumer group, which remembers what was read. By default a new group that leaves nothing behind.',
        placeholder: '<name>',
      }),
      fromBeginning: flag({
        explanation:
          'Start partitions without a position at their oldest record instead of the next new one.',
        default: false,
      }),
      count: integer({ explanation: 'Stop after this many records.', min: 1 }),
      json: flag({ explanation: 'Print one JSON object a line, for jq.', default: false }),
    }),
    kafkaConnectionSet,
    logGroup,
  ],
  [exclusive('topics', 'topicsRegex')],
)

const help = `${wrapped('Prints what it reads from Kafka: time, topic/partition@offset, key and value of each record on a line.', standardOutput.columns)}

  npm run echo-consumer -- [options]

${describeOptions(set, set.options, standardOutput.columns)}`

async function main(argv: readonly string[]): Promise<void> {
  const inFile = { ...everyOption, ...set.options }
  const values = related(set, readOptions(set.options, { argv, env: process.env }, inFile))
  const stop = signalled()
  const log = createLogger({ level: values.logLevel, stream: standardError })
  const connection = kafkaConnection(values, new Proxies(process.env))
  const kafka = kafkaClient(connection, { clientId: 'echo-consumer', log, retry: { retries: 4 } })
  const topics = await withAdmin(kafka, values.brokers, async (admin) =>
    chooseTopics(values, await admin.listTopics()),
  )
  const consumer = kafka.consumer({
    groupId: values.group ?? `echo-${randomUUID()}`,
    allowAutoTopicCreation: false,
    maxWaitTimeInMs: 500,
  })
  try {
    await consumer.connect()
    await consumer.subscribe({ topics, fromBeginning: values.fromBeginning })
    if (standardOutput.isTTY)
      standardError.print(
        `reading ${topics.join(', ')}, ${values.fromBeginning ? 'from the oldest record' : 'new records'}; Ctrl-C ends`,
      )
    await echo(consumer, values, stop)
  } finally {
    await consumer.disconnect()
  }
}

/** @throws ArchiverError `NO_SUCH_TOPIC` */
function chooseTopics(
  { topics, topicsRegex }: ValuesOf<typeof set>,
  existing: readonly string[],
): string[] {
  if (topicsRegex !== undefined) {
    const matching = existing.filter((topic) => !topic.startsWith('__') && topicsRegex.test(topic))
    if (matching.length === 0)
      throw new ArchiverError('NO_SUCH_TOPIC', `no topic matches ${topicsRegex.source}`)
    return matching
  }
  const named = topics ?? ['events']
  const missing = named.filter((topic) => !existing.includes(topic))
  if (missing.length > 0)
    throw new ArchiverError('NO_SUCH_TOPIC', `there is no topic ${missing.join(', ')}`)
  return [...named]
}

/** The max bytes that are printed at once, and of a record that is shown. */
const pieceBytes = 2 ** 20
const maxRecordBytes = 2 ** 27

/** Prints records until `stop` is aborted, the count is reached, or kafkajs gives up. */
async function echo(
  consumer: Consumer,
  values: ValuesOf<typeof set>,
  stop: AbortSignal,
): Promise<void> {
  const { promise: ended, resolve: end, reject: fail } = Promise.withResolvers<void>()
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (payload.restart) return
    const what = `reading from Kafka failed: ${messageOf(payload.error)}`
    fail(new ArchiverError('UNREACHABLE', what, {}, payload.error))
  })
  stop.addEventListener('abort', () => end(), { once: true })
  if (stop.aborted) return

  let left = values.count ?? Number.POSITIVE_INFINITY
  const format = values.json ? jsonLine : textLine
  const eachBatch = async ({
    batch,
    resolveOffset,
    heartbeat,
  }: EachBatchPayload): Promise<void> => {
    if (!(batch instanceof FetchedPartitionBatch)) {
      throw new ArchiverError(
        'INTERNAL',
        'kafkajs is not as expected (2.2.4): its batches are not replaced',
      )
    }
    const limits = {
      pieceBytes,
      maxRecordBytes,
      isWanted: () => left > 0 && !stop.aborted,
      room: async () => undefined,
    }
    for await (const { records, next } of unpack(batch, limits)) {
      const some = records.slice(0, left)
      left -= some.length
      const lines = some.map((record) => `${format(batch.topic, batch.partition, record)}\n`)
      await standardOutput.send(Buffer.from(lines.join('')), stop)
      resolveOffset(String(some.length < records.length ? some.at(-1)!.offset : next - 1))
      await heartbeat()
      if (!limits.isWanted()) break
    }
    if (left <= 0) end()
  }
  await consumer.run({
    autoCommit: values.group !== undefined,
    eachBatchAutoResolve: false,
    eachBatch,
  })
  await ended
}

function textLine(
  topic: string,
  partition: number,
  { offset, timestamp, key, value }: SourceRecord,
): string {
  const where = `${topic}/${partition}@${offset}`
  return `${readableTimestamp(String(timestamp))}  ${where}  key=${readableBytes(key)}  ${readableBytes(value)}`
}

function jsonLine(topic: string, partition: number, record: SourceRecord): string {
  const { offset, timestamp, key, value, headers } = record
  const listed = headers.map((header) => ({ key: header.key, ...jsonBytes('value', header.value) }))
  return JSON.stringify({
    topic,
    partition,
    offset,
    timestamp: readableTimestamp(String(timestamp)),
    ...jsonBytes('key', key),
    ...(listed.length === 0 ? {} : { headers: listed }),
    ...jsonBytes('value', value),
  })
}

/** `{ key: text }`, or `{ key_base64: … }` for bytes that are not UTF-8. */
function jsonBytes(name: string, bytes: Buffer | null): Record<string, string | null> {
  if (bytes === null) return { [name]: null }
  const text = utf8OrUndefined(bytes)
  return text === undefined ? { [`${name}_base64`]: bytes.toString('base64') } : { [name]: text }
}

await runProgram({ help, main, output: 'data' })
