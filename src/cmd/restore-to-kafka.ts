import { ArchiverError, messageOf } from '../errors.ts'
import { linesByOffset, selectedFiles } from '../files/batches.ts'
import { listPartitions } from '../files/catalog.ts'
import { KafkaRestorer, prepareTopic } from '../kafka/restore.ts'
import { withAdmin } from '../kafka/topics.ts'
import { decodeLine } from '../line.ts'
import type { TopicPartition } from '../record.ts'
import { kafkaClient } from './kafka-client.ts'
import type { Restore } from './restore-job.ts'

const msPerDay = 86_400_000

export async function restoreToKafka(job: Restore): Promise<void> {
  const { options, log, partitions, root } = job
  const sources = [...new Set(partitions.map(({ topic }) => topic))]
  if (options.toTopic !== undefined && sources.length > 1) {
    throw new ArchiverError(
      'USAGE',
      `--to-topic: records of ${sources.length} topics would be mixed; name one with --topic`,
    )
  }
  const targetOf = (topic: string) => options.toTopic ?? topic
  const archived = new Set((await listPartitions(root)).map(({ topic }) => topic))
  const feedback = sources.map(targetOf).filter((topic) => archived.has(topic))
  if (feedback.length > 0 && !options.intoArchived) {
    throw new ArchiverError(
      'USAGE',
      `topic ${feedback.join(', ')} is archived into ${root}: its workers would archive the restored records again; name another with --to-topic, or say --into-archived`,
    )
  }
  const kafka = kafkaClient(options, { clientId: 'archiver-restore', log, retry: { retries: 4 } })
  await withAdmin(kafka, options.brokers, async (admin) => {
    for (const topic of sources) {
      const most = Math.max(...partitions.filter((tp) => tp.topic === topic).map(({ partition }) => partition))
      const target = await prepareTopic(admin, targetOf(topic), most + 1)
      if (target.created)
        log.info(
          `made topic ${target.topic} with ${most + 1} partitions, which keeps its records for ever (retention.ms=-1)`,
        )
      else if (target.retentionMs >= 0) {
        log.warn(
          `topic ${target.topic} keeps records for ${(target.retentionMs / msPerDay).toFixed(1)} days: restored records that are older are removed soon; raise its retention.ms`,
        )
      }
    }
  })
  const restorer = new KafkaRestorer(kafka)
  await restorer.connect().catch((error: unknown) => {
    throw new ArchiverError(
      'UNREACHABLE',
      `Kafka at ${options.brokers.join(', ')} does not answer: ${messageOf(error)}`,
      {},
      error,
    )
  })
  try {
    for (const tp of partitions) await send(job, restorer, tp, targetOf(tp.topic))
  } finally {
    await restorer.disconnect()
  }
}

async function send(job: Restore, restorer: KafkaRestorer, tp: TopicPartition, target: string): Promise<void> {
  const { root, selection, signal, account, progress } = job
  for await (const selected of selectedFiles(root, tp, selection)) {
    for await (const line of linesByOffset(root, selected, selection)) {
      const full = restorer.add(target, decodeLine(line))
      account.records++
      if (full === undefined) continue
      await full
      signal.throwIfAborted()
      progress(tp)
    }
  }
  await restorer.flush()
}
