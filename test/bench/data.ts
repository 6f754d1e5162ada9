import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin, Kafka } from 'kafkajs'
import { compressionTypes } from '../../src/kafka/batch/codecs.ts'
import { speedUpProduceRequests } from '../../src/kafka/restore/produce-request.ts'
import { ArchiverError } from '../../src/runtime/errors.ts'
import type { Kind } from '../../src/traffic/data/kinds/kind.ts'
import { shop } from '../../src/traffic/data/kinds/shop.ts'
import { BatchSender, createProducer } from '../../src/traffic/data/producer.ts'
import { type MadeRecord, RecordMaker } from '../../src/traffic/data/record-maker.ts'

/** A topic full of records that every case and every round reads. */
export interface Data {
  readonly topic: string
  readonly records: number
  readonly partitions: number
  /** Of the values. */
  readonly bytes: number
}

/**
 * What kind of records: what the goals are about; as many types and hours as make 10,000 buckets
 * open at once; orders whose texts are dates, amounts and addresses, with lists of objects.
 */
export type Profile = 'plain' | 'buckets' | 'shop'

const partitions = 4
const msPerHour = 3_600_000
/**
 * Late in a day, so that the six hours belong to two days, as most hours of work do for an index a
 * day.
 */
const from = Date.parse('2026-01-14T21:00:00Z')

const profiles: Readonly<
  Record<Profile, { readonly types: number; readonly hours: number; readonly kind?: Kind }>
> = {
  plain: { types: 3, hours: 6 },
  buckets: { types: 50, hours: 50 },
  shop: { types: 1, hours: 6, kind: shop },
}

/** Types × hours × partitions. */
export function bucketsOf(profile: Profile): number {
  return profiles[profile].types * profiles[profile].hours * partitions
}

const typeNames = ['object.one', 'object.two', 'object.three']

/** Makes record `i` of a profile: the same at any time, on any machine. */
export function recordsOf(
  profile: Profile,
  topic: string,
  count: number,
): (index: number) => MadeRecord {
  const { types, hours, kind } = profiles[profile]
  const inOrder = profile !== 'buckets'
  const maker = new RecordMaker({
    seed: 7,
    ...(kind === undefined ? {} : { kind }),
    types: Array.from({ length: types }, (_, type) => typeNames[type] ?? `object.${type + 1}`),
    topics: [{ name: topic, partitions }],
    malformed: 0,
    history: inOrder ? { count, from, to: from + hours * msPerHour - 1 } : undefined,
  })
  if (inOrder) return (index) => maker.make(index)
  // Neighbours fall into different buckets: each partition goes round its hours, in steps that meet
  // all of them.
  return (index) => {
    const hour = (Math.floor(index / partitions) * 7) % hours
    return {
      ...maker.make(index, from + hour * msPerHour + (index % msPerHour)),
      partition: index % partitions,
    }
  }
}

/**
 * The name says what is in it: how many records, and a hash of the first, as the generator may
 * change.
 */
export function topicName(profile: Profile, count: number): string {
  const make = recordsOf(profile, 'bench', count)
  const hash = createHash('sha256')
  for (let i = 0; i < 200; i++) hash.update(JSON.stringify(make(i)))
  return `bench-${profile}-${count}-${hash.digest('hex').slice(0, 8)}`
}

/** The topic with its records, made unless it is there already. */
export async function openData(
  kafka: Kafka,
  profile: Profile,
  count: number,
  say: (line: string) => void,
): Promise<Data> {
  const topic = topicName(profile, count)
  const admin = kafka.admin()
  await admin.connect()
  try {
    const present = (await admin.listTopics()).includes(topic)
      ? await recordsIn(admin, topic)
      : undefined
    if (present !== count) {
      if (present !== undefined) await deleteTopic(admin, topic)
      await admin.createTopics({
        waitForLeaders: true,
        topics: [
          {
            topic,
            numPartitions: partitions,
            replicationFactor: 1,
            configEntries: [
              { name: 'retention.ms', value: '-1' },
              { name: 'retention.bytes', value: '-1' },
            ],
          },
        ],
      })
      say(`${topic}: making ${count.toLocaleString('en-US')} records`)
      await fill(kafka, recordsOf(profile, topic, count), topic, count)
      const made = await recordsIn(admin, topic)
      if (made !== count)
        throw new ArchiverError('INTERNAL', `${topic} has ${made} records instead of ${count}`)
    }
  } finally {
    await admin.disconnect()
  }
  return { topic, records: count, partitions, bytes: bytesOf(profile, count) }
}

/** Bytes of all values; by a sample, as records of one profile are alike. */
function bytesOf(profile: Profile, count: number): number {
  const make = recordsOf(profile, 'bench', count)
  const sample = Math.min(count, 10_000)
  const step = Math.floor(count / sample)
  let bytes = 0
  for (let i = 0; i < sample; i++) bytes += Buffer.byteLength(make(i * step).value ?? '')
  return Math.round((bytes / sample) * count)
}

async function recordsIn(admin: Admin, topic: string): Promise<number> {
  const offsets = await admin.fetchTopicOffsets(topic)
  return offsets.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0)
}

async function deleteTopic(admin: Admin, topic: string): Promise<void> {
  await admin.deleteTopics({ topics: [topic] })
  for (let tries = 0; (await admin.listTopics()).includes(topic); tries++) {
    if (tries > 100)
      throw new ArchiverError('UNREACHABLE', `${topic} is still there after it was deleted`)
    await sleep(100)
  }
}

async function fill(
  kafka: Kafka,
  make: (index: number) => MadeRecord,
  topic: string,
  count: number,
): Promise<void> {
  speedUpProduceRequests()
  const producer = createProducer(kafka)
  await producer.connect()
  try {
    const sender = new BatchSender([{ name: topic, partitions }], async (batch) => {
      await producer.sendBatch({
        topicMessages: [...batch],
        compression: compressionTypes.none,
        acks: -1,
      })
    })
    for (let i = 0; i < count; i++) {
      const full = sender.add(make(i))
      if (full !== undefined) await full
    }
    await sender.flush()
    await sender.settle()
  } finally {
    await producer.disconnect()
  }
}
