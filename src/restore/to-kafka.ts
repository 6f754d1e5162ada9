import { createInterface } from 'node:readline/promises'
import type { Admin } from 'kafkajs'
import { listPartitions } from '../files/log/commit-log.ts'
import { linesByOffset, pathsOf, selectedFiles } from '../files/read/batches.ts'
import { expecting, ReadAhead } from '../files/read/read-ahead.ts'
import { kafkaClient } from '../kafka/client.ts'
import type { KafkaConnection } from '../kafka/connection.ts'
import { RecordLimits } from '../kafka/restore/record-limits.ts'
import { KafkaRestorer, type RestoreTarget, usualBatchBytes } from '../kafka/restore/restorer.ts'
import {
  brokerSettings,
  createTarget,
  describeTarget,
  type TargetTopic,
  unfitSettings,
} from '../kafka/restore/target.ts'
import { connectFailure } from '../kafka/security.ts'
import { withAdmin } from '../kafka/topics.ts'
import { decodeLine } from '../record/line/decoder.ts'
import type { TopicPartition } from '../record/record.ts'
import { untilAborted } from '../runtime/deadline.ts'
import { ArchiverError } from '../runtime/errors.ts'
import { plural, size } from '../runtime/format.ts'
import { standardError } from '../runtime/standard-streams.ts'
import { checkRecords, type Extent } from './check.ts'
import type { Restore } from './job.ts'
import { checkNotArchived, checkTargets } from './targets.ts'

/** One topic to restore to, and what is known of it before the first record is sent. */
interface Plan {
  readonly target: TargetTopic
  readonly sources: readonly TopicPartition[]
  readonly limits: RecordLimits
  /** What Kafka would refuse: nothing is sent. */
  readonly refusals: readonly string[]
  /** What the operator has to agree to. */
  readonly concerns: readonly string[]
}

/** Up to 8 s apart: two to three minutes in all. */
const outageRetries = 20
/** `message.max.bytes` of a broker whose settings cannot be read. */
const usualMaxMessageBytes = 1_048_588
/**
 * Longer than a batch is retried. A broker that forgets a producer sooner cannot detect a repeated
 * batch.
 */
const minProducerMemoryMs = 15 * 60_000

/**
 * To Kafka. What a topic cannot take is found before the first record is sent. The operator has to
 * agree to records that would be there twice, or be removed again.
 * @throws ArchiverError `USAGE`, `TARGET_UNFIT`, `UNREACHABLE`
 */
export async function restoreToKafka(job: Restore, connection: KafkaConnection): Promise<void> {
  const { log, partitions, damaged } = job
  const { brokers } = connection
  const targetOf = await checkTargets(job)
  const kafka = kafkaClient(connection, {
    clientId: 'archiver-restore',
    log,
    retry: { retries: 4 },
  })
  const batchBytes = new Map<string, number>()
  await withAdmin(
    kafka,
    brokers,
    async (admin) => {
      await checkNotArchived(job, admin, [
        ...new Set(partitions.map(({ topic }) => targetOf(topic))),
      ])
      const broker = await brokerSettings(admin)
      const plans: Plan[] = []
      for (const topic of new Set(partitions.map(({ topic }) => topic))) {
        const sources = partitions.filter((tp) => tp.topic === topic)
        plans.push(await planFor(job, admin, { topic: targetOf(topic), sources, broker }))
      }
      const refusals = plans.flatMap((plan) => plan.refusals)
      if (refusals.length > 0) {
        throw new ArchiverError('TARGET_UNFIT', `nothing was sent: ${refusals.join('; ')}`, {
          refusals,
        })
      }
      await agree(
        job,
        plans.flatMap((plan) => plan.concerns),
      )
      for (const { target, limits, sources } of plans) {
        batchBytes.set(target.topic, Math.min(usualBatchBytes, limits.batchBytes))
        if (target.partitions === 0)
          await create(job, admin, { target, limits, broker, source: sources[0]!.topic })
      }
    },
    job.signal,
  )
  // kafkajs gives up a batch when its retries to reach a broker end, so these have to outlast a
  // broker's restart.
  const patient = { clientId: 'archiver-restore', log, retry: { retries: outageRetries } }
  const restorer = new KafkaRestorer(kafkaClient(connection, patient))
  const connecting = restorer.connect().catch((error: unknown) => {
    throw new ArchiverError('UNREACHABLE', connectFailure(error, brokers.join(', ')), {}, error)
  })
  await untilAborted(connecting, job.signal)
  try {
    for (const tp of partitions) {
      // A later restore of the whole partition, once it is repaired, would duplicate what is sent
      // now.
      if (damaged.has(tp)) continue
      const topic = targetOf(tp.topic)
      const target = { topic, partition: tp.partition, batchBytes: batchBytes.get(topic)! }
      await damaged.attempt(tp, () => send(job, restorer, tp, target))
    }
    await restorer.flush()
  } finally {
    await restorer.disconnect()
  }
}

async function planFor(
  job: Restore,
  admin: Admin,
  about: { topic: string; sources: readonly TopicPartition[]; broker: ReadonlyMap<string, string> },
): Promise<Plan> {
  const { topic, sources, broker } = about
  const target = await describeTarget(admin, topic)
  const isNew = target.partitions === 0
  const limits = new RecordLimits(
    topic,
    isNew ? settingsOfNew(broker) : target.settings,
    broker,
    Date.now(),
  )
  const extents = new Map<TopicPartition, Extent>()
  for (const tp of sources) {
    const extent = await job.damaged.attempt(tp, () => checkRecords(job, tp, limits))
    if (extent !== undefined) extents.set(tp, extent)
  }
  // A topic that this restore creates accepts records of any size that fits into a request.
  const refused = limits.refused.filter(({ setting }) => !isNew || setting !== 'max.message.bytes')
  const refusals = [
    ...(isNew ? [] : unfitSettings(target)),
    ...refused.map((finding) => limits.describe(finding)),
  ]
  const max = Math.max(...sources.map(({ partition }) => partition))
  if (!isNew && target.partitions <= max) {
    const has = plural(target.partitions, 'partition')
    refusals.push(`topic ${topic} has ${has}, the records need ${max + 1}`)
  }
  if (target.unread !== undefined) {
    job.log.warn(
      { event: 'topic_settings_unread', topic, err: target.unread },
      'the settings of the topic cannot be read',
    )
  }
  return {
    target,
    sources,
    limits,
    refusals,
    concerns: concernsOf(target, limits, extents, broker),
  }
}

function settingsOfNew(broker: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([
    ['max.message.bytes', broker.get('message.max.bytes') ?? String(usualMaxMessageBytes)],
  ])
}

function concernsOf(
  { topic, held, settings }: TargetTopic,
  limits: RecordLimits,
  extents: ReadonlyMap<TopicPartition, Extent>,
  broker: ReadonlyMap<string, string>,
): string[] {
  const concerns = limits.expired.map((finding) => limits.describe(finding))
  const sent = [...extents.values()].reduce((sum, { records }) => sum + records, 0)
  const full = [...extents.keys()].filter(({ partition }) => held.has(partition))
  if (full.length > 0) {
    const ranges = full.map(({ partition }) => ({ partition, ...held.get(partition)! }))
    const present = ranges.reduce((sum, { low, high }) => sum + high - low, 0)
    const where = ranges.map(
      ({ partition, low, high }) => `${partition}: offsets ${low} to ${high - 1}`,
    )
    concerns.push(
      `topic ${topic} holds ${plural(present, 'record')} already (partition ${where.join(', ')}), and ${plural(sent, 'record')} would be added: records of an earlier restore would be duplicated`,
    )
  }
  if (limits.needsKeys) {
    concerns.push(
      `topic ${topic}: cleanup.policy=${settings.get('cleanup.policy')} keeps only the last record of each key`,
    )
  }
  const retained = Number(settings.get('retention.bytes') ?? -1)
  for (const [tp, { bytes }] of extents) {
    if (retained < 0 || bytes <= retained) continue
    concerns.push(
      `topic ${topic}: retention.bytes=${retained} keeps less than the ${size(bytes)} of partition ${tp.partition}`,
    )
  }
  const memory = Number(broker.get('producer.id.expiration.ms') ?? minProducerMemoryMs)
  if (memory < minProducerMemoryMs) {
    concerns.push(
      `producer.id.expiration.ms=${memory} of the brokers is so short that a retry after an outage may duplicate a record`,
    )
  }
  return concerns
}

/** @throws ArchiverError `USAGE` if the answer is no, or if there is no terminal and no --yes */
async function agree(
  { options, log, signal, status }: Restore,
  concerns: readonly string[],
): Promise<void> {
  if (concerns.length === 0) return
  if (options.yes) {
    for (const concern of concerns)
      log.warn({ event: 'restore_concern', concern }, 'restoring anyway because of --yes')
    return
  }
  if (process.stdin.isTTY && standardError.isTTY) {
    status(undefined)
    standardError.print(concerns.join('\n'))
    const terminal = createInterface({ input: process.stdin, output: process.stderr })
    try {
      const answer = await terminal.question('restore anyway? [y/N] ', { signal })
      if (/^y(es)?$/i.test(answer.trim())) return
    } finally {
      terminal.close()
    }
    throw new ArchiverError('USAGE', 'nothing was sent')
  }
  throw new ArchiverError(
    'USAGE',
    `nothing was sent: ${concerns.join('; ')}; name another topic with --to-topic, or use --yes`,
  )
}

async function create(
  { home, log }: Restore,
  admin: Admin,
  about: {
    target: TargetTopic
    limits: RecordLimits
    broker: ReadonlyMap<string, string>
    source: string
  },
): Promise<void> {
  const { target, limits, broker, source } = about
  const { topic } = target
  // All partitions of the archive, so that a later restore of others fits into the same topic.
  const archived = (await listPartitions(home)).filter((tp) => tp.topic === source)
  const partitions = Math.max(...archived.map(({ partition }) => partition)) + 1
  const usual = Number(broker.get('message.max.bytes') ?? usualMaxMessageBytes)
  const maxMessageBytes = limits.largest > usual ? limits.largest : undefined
  await createTarget(admin, { topic, partitions, maxMessageBytes })
  log.info(
    { event: 'topic_created', topic, partitions, maxMessageBytes, 'retention.ms': -1 },
    'created the topic, which keeps its records for ever',
  )
  const unfit = unfitSettings(await describeTarget(admin, topic))
  if (unfit.length > 0)
    throw new ArchiverError('TARGET_UNFIT', `nothing was sent: ${unfit.join('; ')}`, { topic })
}

async function send(
  job: Restore,
  restorer: KafkaRestorer,
  tp: TopicPartition,
  target: RestoreTarget,
): Promise<void> {
  const { home, selection, signal, account, progress } = job
  restorer.begin(target)
  await using ahead = new ReadAhead(home)
  for await (const selected of expecting(ahead, selectedFiles(home, tp, selection), pathsOf)) {
    for await (const line of linesByOffset(ahead, selected, selection)) {
      const full = restorer.add(decodeLine(line).record)
      account.records++
      if (full === undefined) continue
      await untilAborted(full, signal)
      progress(tp)
    }
  }
  await untilAborted(restorer.flush(), signal)
}
