import { setTimeout as sleep } from 'node:timers/promises'
import { createKafka } from '../../src/kafka/client.ts'
import { KafkaSource } from '../../src/kafka/source.ts'
import type { FetchedBatch } from '../../src/pipeline/source.ts'
import { partitionKey } from '../../src/record/record.ts'
import { silentLog } from './servers.ts'

/**
 * Reads a topic from its first to its present last record with the worker's own source, and commits
 * nothing. `joined` is called when reading begins.
 */
export async function readTopic(
  options: { readonly brokers: readonly string[]; readonly topic: string; readonly group: string },
  take: (batch: FetchedBatch) => void,
  joined: () => void = () => {},
): Promise<void> {
  const { brokers, topic, group } = options
  const kafka = createKafka({ brokers, clientId: group, log: silentLog })
  const source = new KafkaSource(
    {
      kafka,
      impatient: kafka,
      brokers,
      group,
      topics: [topic],
      sessionTimeoutMs: 30_000,
      heartbeatIntervalMs: 1000,
      topicsRefreshMs: 30_000,
      connectTimeoutMs: 15_000,
      maxRecordBytes: 128 * 2 ** 20,
      memoryLimit: 32 * 2 ** 20,
    },
    silentLog,
  )
  await source.connect()
  try {
    const bounds = await source.allBounds([topic])
    const left = new Set(
      [...bounds].filter(([, { start, end }]) => end > start).map(([key]) => key),
    )
    let failure: { readonly error: unknown } | undefined
    await source.run({
      joined: ({ gained, kept }) => {
        joined()
        for (const tp of [...gained, ...kept]) {
          source.seek(tp, bounds.get(partitionKey(tp))?.start ?? 0)
          source.resume(tp)
        }
      },
      beforeJoin: async () => {},
      revoked: async () => {},
      batch: (batch) => {
        const key = partitionKey(batch)
        if (!left.has(key)) return
        take(batch)
        if (batch.next >= bounds.get(key)!.end) left.delete(key)
      },
      hasRoom: () => true,
      unreadable: ({ error }) => {
        failure ??= { error }
      },
      failed: (error) => {
        failure ??= { error }
      },
    })
    while (left.size > 0 && failure === undefined) await sleep(10)
    if (failure !== undefined) throw failure.error
  } finally {
    await source.stop()
  }
}
