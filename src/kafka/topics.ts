import type { Admin, Kafka } from 'kafkajs'
import { untilAborted } from '../runtime/deadline.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { connectFailure } from './security.ts'

/**
 * Connects, does something with the admin client, and disconnects, whatever happens.
 *
 * @param signal ends the wait for a connection; its reason is thrown then.
 * @throws ArchiverError `UNREACHABLE` if no broker answers.
 */
export async function withAdmin<T>(
  kafka: Kafka,
  brokers: readonly string[],
  use: (admin: Admin) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const admin = kafka.admin()
  const connecting = admin.connect().catch((error: unknown) => {
    throw new ArchiverError('UNREACHABLE', connectFailure(error, brokers.join(', ')), {}, error)
  })
  if (signal !== undefined) {
    await untilAborted(connecting, signal).catch((error: unknown) => {
      // kafkajs disconnects only after the connection that may never come.
      if (signal.aborted) throw error
    })
  }
  try {
    await connecting
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

/**
 * The number of partitions of each topic. A topic that does not exist is created with `partitions`
 * of them and the broker's replication.
 *
 * @throws ArchiverError `UNREACHABLE` if one cannot be created
 */
export async function createTopics(
  admin: Admin,
  topics: readonly string[],
  partitions: number,
): Promise<readonly { readonly name: string; readonly partitions: number }[]> {
  const existing = new Set(await admin.listTopics())
  const missing = topics.filter((topic) => !existing.has(topic))
  if (missing.length > 0) {
    try {
      await admin.createTopics({
        topics: missing.map((topic) => ({
          topic,
          numPartitions: partitions,
          replicationFactor: -1,
        })),
        waitForLeaders: true,
      })
    } catch (error) {
      throw new ArchiverError(
        'UNREACHABLE',
        `topics ${missing.join(', ')} cannot be created: ${reasonOf(error)}`,
        {},
        error,
      )
    }
  }
  const metadata = await admin.fetchTopicMetadata({ topics: [...topics] })
  const counts = new Map(metadata.topics.map(({ name, partitions }) => [name, partitions.length]))
  return topics.map((name) => ({ name, partitions: counts.get(name)! }))
}

/** kafkajs keeps the reason of each topic in a list of errors. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error) || !('errors' in error) || !Array.isArray(error.errors))
    return messageOf(error)
  return error.errors.map(messageOf).join('; ')
}
