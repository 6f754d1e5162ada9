import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin } from 'kafkajs'
import { createProducer, kafkaMessage } from '../../src/traffic/data/producer.ts'
import { RecordMaker } from '../../src/traffic/data/record-maker.ts'
import { startNode } from './child.ts'
import { type Context, dataFiles, entryOf, thisProgram } from './context.ts'
import { processTimes } from './proc.ts'
import { atMost, type Result } from './run.ts'
import { median } from './statistics.ts'

const messages = 150
/** While these are sent V8 still compiles: what a worker does once is no cost of a message. */
const firstMessages = 30
const intervalMs = 1000
const flushSeconds = 10
const pollMs = 100

/**
 * One message a second: from its acknowledgement by Kafka until the group's offset passes it, which
 * means that both hold it.
 */
export async function trickle(context: Context): Promise<Result> {
  const topic = `bench-trickle-${randomBytes(3).toString('hex')}`
  const { kafka } = context.servers
  const admin = kafka.admin()
  const producer = createProducer(kafka)
  await admin.connect()
  await producer.connect()
  await admin.createTopics({
    topics: [{ topic, numPartitions: 1, replicationFactor: 1 }],
    waitForLeaders: true,
  })
  const archive = context.archive('trickle')
  const words = context.workerWords(archive, topic, { files: true, elasticsearch: true }, [
    '--flush-interval',
    String(flushSeconds),
  ])
  const worker = await startNode(entryOf(thisProgram), words, {
    cwd: thisProgram.root,
  })
  try {
    while (!worker.output().includes('joined the group')) await sleep(pollMs)
    const types = ['object.one', 'object.two', 'object.three']
    const topics = [{ name: topic, partitions: 1 }]
    const maker = new RecordMaker({ seed: 7, types, topics, malformed: 0, history: undefined })
    const sent: number[] = []
    const delays: number[] = []
    const watching = watch(admin, archive.group, topic, sent, delays)
    const startedAt = performance.now()
    let measuredFrom = startedAt
    let cpuBefore = 0
    for (let i = 0; i < messages; i++) {
      await sleep(Math.max(0, startedAt + i * intervalMs - performance.now()))
      if (i === firstMessages) {
        measuredFrom = performance.now()
        cpuBefore = processTimes(worker.pid)!.own
      }
      await producer.send({ topic, messages: [kafkaMessage(maker.make(i))] })
      sent.push(performance.now())
    }
    await watching
    const seconds = (performance.now() - measuredFrom) / 1000
    const share = (processTimes(worker.pid)!.own - cpuBefore) / seconds
    worker.kill('SIGTERM')
    await worker.ended
    const files = (await dataFiles(archive.directory)).length
    return {
      title: `one message a second, flushed every ${flushSeconds} s`,
      summaries: [],
      goals: [
        atMost(flushSeconds + 2, 'seconds until both hold it, the slowest', Math.max(...delays)),
        atMost(1, 'CPU of the worker, % of a core', share * 100),
        atMost(0.5, 'files a message', files / messages),
      ],
      notes: [
        `median ${median(delays)!.toFixed(2)} s of ${messages} messages; ${files} files of three types`,
      ],
    }
  } finally {
    worker.kill('SIGKILL')
    await worker.ended.catch(() => {})
    await context.deleteArchive(archive, { files: true, elasticsearch: true })
    await admin.deleteTopics({ topics: [topic] })
    await producer.disconnect()
    await admin.disconnect()
  }
}

/**
 * Looks at the committed offset until it has passed all messages; how long each took goes to
 * `delays`, in seconds.
 */
async function watch(
  admin: Admin,
  groupId: string,
  topic: string,
  sent: readonly number[],
  delays: number[],
): Promise<void> {
  const deadline = performance.now() + messages * intervalMs + (flushSeconds + 60) * 1000
  while (delays.length < messages) {
    if (performance.now() > deadline)
      throw new Error(`${delays.length} of ${messages} messages are acknowledged`)
    await sleep(pollMs)
    const [answer] = await admin.fetchOffsets({ groupId, topics: [topic] })
    const committed = Number(answer?.partitions[0]?.offset ?? -1)
    while (delays.length < Math.min(committed, sent.length)) {
      delays.push((performance.now() - sent[delays.length]!) / 1000)
    }
  }
}
