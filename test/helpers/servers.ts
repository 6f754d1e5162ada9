import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Admin, IHeaders, ITopicConfig, Kafka, Producer } from 'kafkajs'
import { compressionTypes } from '../../src/kafka/batch/codecs.ts'
import { createKafka } from '../../src/kafka/client.ts'
import { createLogger } from '../../src/runtime/log.ts'

/**
 * The servers that integration tests use: those of the environment, else the development stack.
 * `npm test` starts its own.
 */
export const brokers: readonly string[] = (process.env.ARCHIVER_BROKERS ?? '127.0.0.1:9092').split(
  ',',
)
export const elasticsearchUrl: string =
  process.env.ARCHIVER_ELASTICSEARCH ?? 'http://127.0.0.1:9200'
/**
 * With a user who may make databases and tables whose names begin with `archive`; `root` has the
 * same password.
 */
export const mysqlUrl: string =
  process.env.ARCHIVER_TEST_MYSQL ?? 'mysql://archiver:archiver@127.0.0.1:3306/archive'

const quiet = createLogger({ level: 'silent', stream: process.stderr })

/** A kafkajs client of the tests. */
export function testKafka(): Kafka {
  return createKafka({ brokers, clientId: 'archiver-test', log: quiet })
}

/** A name that no other test and no earlier run has: `<stem>-3f9c21a0`. */
export function uniqueName(stem: string): string {
  return `${stem}-${randomBytes(4).toString('hex')}`
}

/** An admin client for the time of a test. */
export async function withAdmin(t: TestContext): Promise<Admin> {
  const admin = testKafka().admin()
  await admin.connect()
  t.after(() => admin.disconnect())
  return admin
}

/**
 * Creates topics, and returns when all their partitions have leaders. kafkajs's own
 * `waitForLeaders` fails on a topic that the broker does not know yet.
 */
export async function makeTopics(admin: Admin, topics: readonly ITopicConfig[]): Promise<void> {
  // False while a topic of that name is being deleted.
  await until('the topics are made', () =>
    admin.createTopics({ waitForLeaders: false, topics: [...topics] }),
  )
  const names = topics.map(({ topic }) => topic)
  await until(`${names.join(', ')} have leaders`, async () => {
    try {
      const { topics: found } = await admin.fetchTopicMetadata({ topics: names })
      const partitions = found.flatMap(({ partitions }) => partitions)
      return found.length === names.length && partitions.every(({ leader }) => leader >= 0)
    } catch (error) {
      if ((error as { retriable?: boolean }).retriable === true) return false
      throw error
    }
  })
}

/** Deletes a topic and makes it again, with one partition. */
export async function recreateTopic(admin: Admin, topic: string): Promise<void> {
  await admin.deleteTopics({ topics: [topic] })
  await until('the topic is gone', async () => !(await admin.listTopics()).includes(topic))
  await makeTopics(admin, [{ topic, numPartitions: 1, replicationFactor: 1 }])
}

/** A topic that is there for the time of a test. */
export async function createTopic(
  t: TestContext,
  options: { stem?: string; partitions?: number; config?: Record<string, string> } = {},
): Promise<string> {
  const topic = uniqueName(options.stem ?? 'test')
  const admin = testKafka().admin()
  await admin.connect()
  t.after(async () => {
    // kafkajs tries for half a minute to delete a topic that the test itself deleted.
    const present = await admin.listTopics().catch(() => [topic])
    if (present.includes(topic)) await admin.deleteTopics({ topics: [topic] }).catch(() => {})
    await admin.disconnect()
  })
  await makeTopics(admin, [
    {
      topic,
      numPartitions: options.partitions ?? 1,
      replicationFactor: 1,
      configEntries: Object.entries(options.config ?? {}).map(([name, value]) => ({ name, value })),
    },
  ])
  return topic
}

/** A message as tests write it. */
export interface TestMessage {
  readonly key?: string | Buffer | null
  readonly value: string | Buffer | null
  readonly timestamp?: number | string
  readonly headers?: IHeaders
  readonly partition?: number
}

/**
 * A producer for the time of a test. Idempotent: kafkajs sends all partitions of a request again if
 * one of them has no leader yet, and these tests look for records that are there twice.
 */
export async function createProducer(
  t: TestContext,
  options: Parameters<Kafka['producer']>[0] = {},
): Promise<Producer> {
  const producer = testKafka().producer({
    allowAutoTopicCreation: false,
    idempotent: true,
    ...options,
  })
  await producer.connect()
  t.after(() => producer.disconnect())
  return producer
}

/**
 * Sends messages to a topic, all to partition 0 if they name none, and waits for the
 * acknowledgement.
 */
export async function produce(
  t: TestContext,
  topic: string,
  messages: readonly TestMessage[],
  compression: (typeof compressionTypes)[keyof typeof compressionTypes] = compressionTypes.none,
): Promise<void> {
  const producer = await createProducer(t)
  for (let start = 0; start < messages.length; start += 5000) {
    await producer.send({
      topic,
      compression,
      messages: messages
        .slice(start, start + 5000)
        .map(({ key, value, timestamp, headers, partition }) => ({
          key: key ?? null,
          value,
          partition: partition ?? 0,
          ...(timestamp === undefined ? {} : { timestamp: String(timestamp) }),
          ...(headers === undefined ? {} : { headers }),
        })),
    })
  }
}

/** A directory that is there for the time of a test. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'archiver-test-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** A port of the loopback address that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/**
 * One request to Elasticsearch; throws for a status of 400 and above unless `allow` has it. While
 * an index that was just made has no shard, the request is repeated.
 */
export async function elasticsearch<T = Record<string, unknown>>(
  method: string,
  path: string,
  body?: unknown,
  allow: readonly number[] = [],
): Promise<T> {
  const ask = async () => {
    const response = await fetch(`${elasticsearchUrl}${path}`, {
      method,
      ...(body === undefined
        ? {}
        : {
            headers: {
              'content-type':
                typeof body === 'string' ? 'application/x-ndjson' : 'application/json',
            },
            body: typeof body === 'string' ? body : JSON.stringify(body),
          }),
    })
    return { response, text: await response.text() }
  }
  let { response, text } = await ask()
  await until('the index has a shard', async () => {
    if (response.status !== 503 || !text.includes('no_shard_available_action_exception'))
      return true
    ;({ response, text } = await ask())
    return false
  })
  if (response.status >= 400 && !allow.includes(response.status))
    throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return (text === '' ? {} : JSON.parse(text)) as T
}

/** An index prefix for the time of a test; its indices and templates go with it. */
export function indexPrefix(t: TestContext): string {
  const prefix = `${uniqueName('t')}-`
  t.after(async () => {
    // A server refuses to delete by a wildcard (action.destructive_requires_name).
    const indices = await elasticsearch<{ index: string }[]>(
      'GET',
      `/_cat/indices/${prefix}*,rebuilt-${prefix}*?format=json&h=index&expand_wildcards=all`,
      undefined,
      [404],
    )
    if (Array.isArray(indices))
      for (const { index } of indices)
        await elasticsearch('DELETE', `/${encodeURIComponent(index)}`, undefined, [404])
    const { index_templates: templates } = await elasticsearch<{
      index_templates: { name: string }[]
    }>('GET', '/_index_template')
    for (const { name } of templates)
      if (name.startsWith(prefix)) await elasticsearch('DELETE', `/_index_template/${name}`)
  })
  return prefix
}

/** Polls until the condition holds; throws with what was waited for when the deadline is over. */
export async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
  deadlineMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${deadlineMs / 1000} s for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
