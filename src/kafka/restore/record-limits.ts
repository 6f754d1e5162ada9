import type { SourceRecord } from '../../record/record.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { singleBatchBytes } from './produce-request.ts'

/**
 * Which records a topic accepts or rejects by its settings. Pure: settings and the time are
 * arguments. Names and meanings are those of Kafka's topic and broker configuration
 * (https://kafka.apache.org/documentation/#topicconfigs).
 */

/**
 * The first record that breaks a limit, and how many do. `figure`: bytes, or a timestamp in ms.
 */
export interface Finding {
  readonly setting: string
  readonly limit: string
  readonly partition: number
  /** In the archive. */
  readonly offset: number
  readonly figure: number
  records: number
}

export interface RecordFacts {
  readonly partition: number
  readonly offset: number
  /** In ms; -1 means no time, and breaks no limit. */
  readonly timestamp: number
}

/** No timestamp of 64 bits breaks a limit from here on. */
const unlimited = 2 ** 62

/** The bytes of a request around one batch, apart from the names of client and topic. */
const requestOverhead = 200

interface SizeLimit {
  readonly setting: string
  readonly bytes: number
}

export class RecordLimits {
  readonly #topic: string
  readonly #sizes: readonly SizeLimit[]
  readonly #before: readonly [setting: string, ms: number]
  readonly #after: readonly [setting: string, ms: number]
  readonly #retentionMs: number
  readonly #now: number
  /** The topic rejects records without a key. */
  readonly needsKeys: boolean
  readonly #refused = new Map<string, Finding>()
  readonly #expired = new Map<string, Finding>()
  #largest = 0

  /**
   * `settings` are those in force for the topic, `broker` is the lowest value of each broker
   * setting.
   */
  constructor(
    topic: string,
    settings: ReadonlyMap<string, string>,
    broker: ReadonlyMap<string, string>,
    now: number,
  ) {
    this.#topic = topic
    this.#now = now
    const number = (
      from: ReadonlyMap<string, string>,
      name: string,
      absent = Number.POSITIVE_INFINITY,
    ) => (from.has(name) ? Number(from.get(name)) : absent)
    this.#sizes = [
      { setting: 'max.message.bytes', bytes: number(settings, 'max.message.bytes') },
      { setting: 'segment.bytes', bytes: number(settings, 'segment.bytes') },
      {
        setting: 'socket.request.max.bytes of the brokers',
        bytes: number(broker, 'socket.request.max.bytes') - requestOverhead - 2 * topic.length,
      },
    ]
    // A broker before 3.6 has one setting for both directions. Brokers from 4.0 on do not know it.
    const difference = number(settings, 'message.timestamp.difference.max.ms')
    const time = (name: string): readonly [string, number] => {
      const ms = number(settings, name)
      return difference < ms ? ['message.timestamp.difference.max.ms', difference] : [name, ms]
    }
    this.#before = time('message.timestamp.before.max.ms')
    this.#after = time('message.timestamp.after.max.ms')
    const policies = settings.get('cleanup.policy')?.split(',') ?? []
    this.needsKeys = policies.includes('compact')
    const retention = policies.includes('delete') ? number(settings, 'retention.ms', -1) : -1
    this.#retentionMs = retention < 0 ? Number.POSITIVE_INFINITY : retention
  }

  /** The largest batch that every limit allows, in bytes. */
  get batchBytes(): number {
    return Math.min(...this.#sizes.map(({ bytes }) => bytes))
  }

  /**
   * The largest record whose size was checked, as the bytes of a batch that holds it alone.
   */
  get largest(): number {
    return this.#largest
  }

  /** What the topic would reject, one finding for each setting. */
  get refused(): readonly Finding[] {
    return [...this.#refused.values()]
  }

  /** What retention would remove. */
  get expired(): readonly Finding[] {
    return [...this.#expired.values()]
  }

  /**
   * True if no record with a line of up to this size is too large: a record is smaller than its
   * line.
   */
  takesLines(bytes: number): boolean {
    return bytes <= this.batchBytes
  }

  /** True if every record with a timestamp between these two is accepted and kept. */
  takesTimes(min: number, max: number): boolean {
    return [min, max].every((timestamp) => this.#timeTroubles(timestamp).length === 0)
  }

  #timeTroubles(timestamp: number): [into: Map<string, Finding>, setting: string, limit: number][] {
    if (timestamp === -1) return []
    const troubles: [Map<string, Finding>, string, number][] = []
    const [beforeSetting, before] = this.#before
    const [afterSetting, after] = this.#after
    if (before < unlimited && this.#now - timestamp > before)
      troubles.push([this.#refused, beforeSetting, before])
    if (after < unlimited && timestamp - this.#now > after)
      troubles.push([this.#refused, afterSetting, after])
    if (this.#now - timestamp > this.#retentionMs)
      troubles.push([this.#expired, 'retention.ms', this.#retentionMs])
    return troubles
  }

  /** Checks the time of a record. */
  checkTime(facts: RecordFacts): void {
    for (const [into, setting, limit] of this.#timeTroubles(facts.timestamp)) {
      note(into, setting, `${limit}`, facts, facts.timestamp)
    }
  }

  /** Checks the size and the key of a record. */
  checkRecord(facts: RecordFacts, record: SourceRecord): void {
    const bytes = singleBatchBytes(record)
    this.#largest = Math.max(this.#largest, bytes)
    for (const size of this.#sizes) {
      if (bytes > size.bytes) note(this.#refused, size.setting, `${size.bytes}`, facts, bytes)
    }
    if (this.needsKeys && record.key === null)
      note(this.#refused, 'cleanup.policy', 'compact', facts, facts.timestamp)
  }

  /** A finding for people. */
  describe({ setting, limit, partition, offset, figure, records }: Finding): string {
    const more = records === 1 ? '' : ` (and ${records - 1} more)`
    const where = `topic ${this.#topic}: ${setting}=${limit}`
    const record = `the record at offset ${offset} of partition ${partition}${more}`
    if (setting === 'cleanup.policy')
      return `${where} takes no record without a key, such as ${record}`
    if (setting === 'retention.ms') return `${where} removes ${record} soon, of ${timeOf(figure)}`
    if (setting.startsWith('message.timestamp'))
      return `${where} refuses ${record}, of ${timeOf(figure)}`
    return `${where} refuses ${record}, of ${figure} bytes`
  }
}

function note(
  into: Map<string, Finding>,
  setting: string,
  limit: string,
  facts: RecordFacts,
  figure: number,
): void {
  const known = into.get(setting)
  if (known === undefined) {
    into.set(setting, {
      setting,
      limit,
      partition: facts.partition,
      offset: facts.offset,
      figure,
      records: 1,
    })
  } else known.records++
}

function timeOf(timestamp: number): string {
  const isDate = Math.abs(timestamp) <= 8.64e15
  return `timestamp ${timestamp}${isDate ? ` (${new Date(timestamp).toISOString()})` : ''}`
}

/** @throws ArchiverError `USAGE` for a name that Kafka does not allow (its `Topic.validate`). */
export function checkTopicName(topic: string): void {
  if (
    /^[a-zA-Z0-9._-]{1,249}$/.test(topic) &&
    topic !== '.' &&
    topic !== '..' &&
    !topic.startsWith('__')
  )
    return
  throw new ArchiverError(
    'USAGE',
    `--to-topic: "${topic}" is not allowed; expected up to 249 of a-z A-Z 0-9 . _ - that do not begin with __`,
  )
}
