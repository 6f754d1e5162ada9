import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin } from 'kafkajs'
import { ArchiverError } from '../../src/runtime/errors.ts'
import { createProducer } from '../../src/traffic/data/producer.ts'
import { makeTopics } from '../helpers/servers.ts'
import { type RunningChild, startNode } from './child.ts'
import type { Archive, Context, Program } from './context.ts'

/** A number of topics, and of partitions of each. */
export interface Spread {
  readonly topics: number
  readonly partitions: number
}

/** Topics of one stem; `--topics-regex` matches them. */
export interface MadeTopics extends Spread {
  readonly names: readonly string[]
  readonly pattern: string
}

const recordsPerPartition = 10
const pollMs = 20
const maxOpenMs = 5 * 60_000

/** An admin client for the time of a case. */
export async function withAdmin<T>(
  context: Context,
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const admin = context.servers.kafka.admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

/** Makes topics with a few records in each partition, and deletes them afterwards. */
export async function withTopics<T>(
  context: Context,
  { topics, partitions }: Spread,
  work: (made: MadeTopics) => Promise<T>,
): Promise<T> {
  const stem = `bench-many-${randomBytes(3).toString('hex')}`
  const names = Array.from({ length: topics }, (_, i) => `${stem}-${String(i).padStart(4, '0')}`)
  context.say(`making ${topics} topics with ${partitions} partitions each`)
  return await withAdmin(context, async (admin) => {
    try {
      // A controller takes at most 10,000 changes at once.
      for (const topic of names)
        await makeTopics(admin, [{ topic, numPartitions: partitions, replicationFactor: 1 }])
      await fill(context, names, partitions)
      return await work({ topics, partitions, names, pattern: `^${stem}-` })
    } finally {
      const present = new Set(await admin.listTopics())
      await admin.deleteTopics({ topics: names.filter((name) => present.has(name)) })
    }
  })
}

async function fill(context: Context, names: readonly string[], partitions: number): Promise<void> {
  const producer = createProducer(context.servers.kafka)
  await producer.connect()
  try {
    for (const topic of names) {
      const messages = Array.from({ length: partitions * recordsPerPartition }, (_, i) => ({
        partition: i % partitions,
        value: `{"type":"object.${i % 5}","n":${i}}`,
      }))
      await producer.send({ topic, messages })
    }
  } finally {
    await producer.disconnect()
  }
}

/** A worker that has opened all of its partitions. */
export interface OpenWorker {
  readonly child: RunningChild
  /** From the start of the process until it joined the group, in seconds. */
  readonly joined: number
  /** From then until the last partition was open, in seconds. */
  readonly opened: number
}

/** Starts a worker with files only, and waits until all partitions are open. */
export async function openWorker(
  context: Context,
  program: Program,
  archive: Archive,
  { pattern, topics, partitions }: MadeTopics,
  more: readonly string[] = [],
): Promise<OpenWorker> {
  const startedAt = Date.now()
  const { brokers } = context.servers
  const words = ['run', '--brokers', brokers, '--topics-regex', pattern]
  words.push('--group', archive.group, '--archive-dir', archive.directory, '--no-elasticsearch')
  const child = await startNode(
    join(program.root, 'src/cmd/archiver.ts'),
    [...words, '--log-level', 'debug', ...context.options.workerOptions, ...more],
    { cwd: program.root },
  )
  const wanted = topics * partitions
  const lines = new LineReader(child.output)
  const deadline = startedAt + maxOpenMs
  const times = { joined: 0, opened: 0, count: 0 }
  while (times.count < wanted) {
    if (Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new ArchiverError(
        'INTERNAL',
        `${times.count} of ${wanted} partitions are open after ${maxOpenMs / 60_000} minutes`,
      )
    }
    await sleep(pollMs)
    for (const line of lines.next()) {
      const isJoin = line.includes('"event":"group_joined"')
      if (!isJoin && !line.includes('"event":"partition_opened"')) continue
      const at = (Date.parse(/"time":"([^"]+)"/.exec(line)![1]!) - startedAt) / 1000
      if (isJoin) Object.assign(times, { joined: at, count: 0 })
      else Object.assign(times, { opened: at, count: times.count + 1 })
    }
  }
  return { child, joined: times.joined, opened: times.opened - times.joined }
}

/** The lines of a text that grows, each once. */
class LineReader {
  readonly #text: () => string
  #read = 0

  constructor(text: () => string) {
    this.#text = text
  }

  next(): readonly string[] {
    const text = this.#text()
    const end = text.lastIndexOf('\n') + 1
    if (end <= this.#read) return []
    const lines = text.slice(this.#read, end - 1).split('\n')
    this.#read = end
    return lines
  }
}

export async function stopWorker({ child }: OpenWorker): Promise<void> {
  child.kill('SIGTERM')
  await child.ended
}
