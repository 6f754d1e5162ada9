import type { Admin } from 'kafkajs'
import { ArchiverError } from '../../runtime/errors.ts'
import { kafkajs } from '../kafkajs.ts'
import { protocolErrorOf } from './restorer.ts'

/** The topic of a restore, as it is now. */
export interface TargetTopic {
  readonly topic: string
  /** 0 if it does not exist. */
  readonly partitions: number
  /** The settings in force; empty when reading them is not allowed. */
  readonly settings: ReadonlyMap<string, string>
  /** Kafka's error when reading the settings is not allowed. */
  readonly unread: string | undefined
  /** The offsets of each partition that is not empty. */
  readonly held: ReadonlyMap<number, { readonly low: number; readonly high: number }>
  /** The min number of in-sync replicas over all partitions. */
  readonly inSync: number
}

const settingNames = [
  'cleanup.policy',
  'max.message.bytes',
  'message.format.version',
  'message.timestamp.after.max.ms',
  'message.timestamp.before.max.ms',
  'message.timestamp.difference.max.ms',
  'message.timestamp.type',
  'min.insync.replicas',
  'retention.bytes',
  'retention.ms',
  'segment.bytes',
]
const brokerSettingNames = [
  'message.max.bytes',
  'producer.id.expiration.ms',
  'socket.request.max.bytes',
]

/**
 * The topic's settings and what it holds now.
 *
 * @throws kafkajs's error
 */
export async function describeTarget(admin: Admin, topic: string): Promise<TargetTopic> {
  if (!(await admin.listTopics()).includes(topic)) {
    return {
      topic,
      partitions: 0,
      settings: new Map(),
      unread: undefined,
      held: new Map(),
      inSync: 0,
    }
  }
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  const partitions = topics[0]?.partitions ?? []
  const { settings, unread } = await readSettings(
    admin,
    kafkajs.ConfigResourceTypes.TOPIC,
    topic,
    settingNames,
  )
  const held = new Map(
    (await admin.fetchTopicOffsets(topic))
      .map(({ partition, low, high }): [number, { low: number; high: number }] => [
        partition,
        { low: Number(low), high: Number(high) },
      ])
      .filter(([, { low, high }]) => high > low),
  )
  const inSync = Math.min(...partitions.map(({ isr }) => isr.length))
  return { topic, partitions: partitions.length, settings, unread, held, inSync }
}

/** The lowest value of each broker setting; empty when reading them is not allowed. */
export async function brokerSettings(admin: Admin): Promise<ReadonlyMap<string, string>> {
  const lowest = new Map<string, string>()
  for (const { nodeId } of (await admin.describeCluster()).brokers) {
    const type = kafkajs.ConfigResourceTypes.BROKER
    const { settings } = await readSettings(admin, type, String(nodeId), brokerSettingNames)
    for (const [name, value] of settings) {
      if (Number(value) < Number(lowest.get(name) ?? Number.POSITIVE_INFINITY))
        lowest.set(name, value)
    }
  }
  return lowest
}

async function readSettings(
  admin: Admin,
  type: number,
  name: string,
  configNames: readonly string[],
): Promise<{
  readonly settings: ReadonlyMap<string, string>
  readonly unread: string | undefined
}> {
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type, name, configNames: [...configNames] }],
    })
    const entries = resources[0]?.configEntries ?? []
    const known = entries.flatMap(({ configName, configValue }): [string, string][] =>
      typeof configValue === 'string' ? [[configName, configValue]] : [],
    )
    return { settings: new Map(known), unread: undefined }
  } catch (error) {
    const refusal = protocolErrorOf(error)
    // Reading settings is a right of its own (DescribeConfigs); a restore does not need it.
    if (refusal === undefined || !refusal.endsWith('AUTHORIZATION_FAILED')) throw error
    return { settings: new Map(), unread: refusal }
  }
}

/** Why the settings of a topic do not fit a restore, whatever the records are. */
export function unfitSettings({ topic, settings, inSync }: TargetTopic): string[] {
  const unfit: string[] = []
  const say = (name: string, why: string) =>
    unfit.push(`topic ${topic}: ${name}=${settings.get(name)} ${why}`)
  if (settings.get('message.timestamp.type') === 'LogAppendTime') {
    say(
      'message.timestamp.type',
      'replaces the timestamp of every record by the time of the restore',
    )
  }
  const [major = 1, minor = 0] = (settings.get('message.format.version') ?? '1.0')
    .split(/[.-]/)
    .map(Number)
  if (major === 0 && minor < 11)
    say('message.format.version', 'holds no headers, and knows no idempotent producer')
  if (Number(settings.get('min.insync.replicas') ?? 1) > inSync) {
    say('min.insync.replicas', `takes no record while a partition has ${inSync} replicas in sync`)
  }
  return unfit
}

const forEver = String(2n ** 63n - 1n)

/**
 * Creates a topic that accepts records of any age and keeps them forever. `maxMessageBytes`:
 * undefined for the broker's default.
 *
 * @throws ArchiverError `TARGET_UNFIT` if Kafka refuses.
 */
export async function createTarget(
  admin: Admin,
  {
    topic,
    partitions,
    maxMessageBytes,
  }: { topic: string; partitions: number; maxMessageBytes: number | undefined },
): Promise<void> {
  const always = {
    'cleanup.policy': 'delete',
    'retention.ms': '-1',
    'retention.bytes': '-1',
    'message.timestamp.type': 'CreateTime',
    ...(maxMessageBytes === undefined ? {} : { 'max.message.bytes': String(maxMessageBytes) }),
  }
  // Since 3.6 two settings limit timestamps (KIP-937), before that one. 4.0 does not know the old
  // one.
  const limits = [
    { 'message.timestamp.before.max.ms': forEver, 'message.timestamp.after.max.ms': forEver },
    { 'message.timestamp.difference.max.ms': forEver },
  ]
  for (const [i, limit] of limits.entries()) {
    const configEntries = Object.entries({ ...always, ...limit }).map(([name, value]) => ({
      name,
      value,
    }))
    try {
      await admin.createTopics({
        waitForLeaders: true,
        topics: [{ topic, numPartitions: partitions, replicationFactor: -1, configEntries }],
      })
      return
    } catch (error) {
      const [first] = reasonsOf(error)
      if (first?.type === 'INVALID_CONFIG' && i + 1 < limits.length) continue
      throw new ArchiverError(
        'TARGET_UNFIT',
        `topic ${topic} cannot be created: ${first === undefined ? String(error) : `${first.type}: ${first.message}`}; create it with what the archive needs, ${configEntries.map(({ name, value }) => `${name}=${value}`).join(', ')}`,
        { topic },
        error,
      )
    }
  }
}

function reasonsOf(error: unknown): readonly { readonly type: string; readonly message: string }[] {
  if (!(error instanceof kafkajs.KafkaJSAggregateError)) return []
  return error.errors.filter((one) => one instanceof kafkajs.KafkaJSProtocolError)
}
