import { hash } from 'node:crypto'
import type { PlainEnd, PlainRecord } from './plain-consumer.ts'

/**
 * The account of a chaos run: every record that Kafka delivers against what a store holds, offset
 * by offset. A record is kept as 64 bits of a hash of its bytes and of where it belongs, so that
 * millions fit into memory. Nothing here uses code of the archiver.
 */

/** What a store should hold of one partition. */
class ExpectedPartition {
  readonly topic: string
  readonly partition: number
  start = 0
  end = 0
  records = 0
  #fingerprints = new BigUint64Array(1024)
  #delivered = new Uint8Array(1024)

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  add(offset: number, fingerprint: bigint): void {
    if (offset >= this.#fingerprints.length) {
      const length = Math.max(offset + 1, this.#fingerprints.length * 2)
      const fingerprints = new BigUint64Array(length)
      fingerprints.set(this.#fingerprints)
      this.#fingerprints = fingerprints
      const delivered = new Uint8Array(length)
      delivered.set(this.#delivered)
      this.#delivered = delivered
    }
    this.#fingerprints[offset] = fingerprint
    this.#delivered[offset] = 1
    this.records++
  }

  /** Undefined if Kafka has no record at that offset. */
  fingerprint(offset: number): bigint | undefined {
    return this.#delivered[offset] === 1 ? this.#fingerprints[offset] : undefined
  }
}

export type Store = 'files' | 'elasticsearch' | 'mysql'

/** A record as a store holds it. */
export interface HeldRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly fingerprint: bigint
}

/** What a store holds more, less or otherwise than Kafka delivered. */
export interface StoreAccount {
  records: number
  missing: number
  duplicate: number
  changed: number
  /** Records that Kafka does not have, of topics that are not compacted. */
  unexpected: number
  /** Of those, in compacted topics: Kafka removed them after they were archived. */
  compacted: number
  /** The first of each kind, for people. */
  readonly examples: string[]
}

const mostExamples = 20

/** Everything that Kafka delivers, and what must be true of the stores. */
export class Expected {
  readonly #partitions = new Map<string, ExpectedPartition>()
  readonly #compacted: ReadonlySet<string>
  readonly #indexPrefix: string
  readonly #fingerprints: Readonly<Record<Store, Map<string, ExpectedPartition>>> = {
    files: new Map(),
    elasticsearch: new Map(),
    mysql: new Map(),
  }
  readonly #stores: readonly Store[]
  readonly #maxRecordBytes: number
  readonly #refusedMark: string | undefined
  /**
   * Offsets of records larger than workers take, by `topic/partition`: each is a gap, and in no
   * store.
   */
  readonly oversized = new Map<string, Set<number>>()

  constructor(options: {
    indexPrefix: string
    compacted?: readonly string[]
    mysql?: boolean
    maxRecordBytes?: number
    /**
     * A value with this text never reaches Elasticsearch: there its record is a reject without
     * value.
     */
    refusedMark?: string
  }) {
    this.#maxRecordBytes = options.maxRecordBytes ?? Number.POSITIVE_INFINITY
    this.#refusedMark = options.refusedMark
    this.#stores = [
      'files',
      'elasticsearch',
      ...(options.mysql === true ? (['mysql'] as const) : []),
    ]
    this.#indexPrefix = options.indexPrefix
    this.#compacted = new Set(options.compacted ?? [])
  }

  async read(
    source: AsyncIterable<PlainRecord | PlainEnd>,
    progress: (records: number) => void = () => {},
  ): Promise<void> {
    let records = 0
    for await (const item of source) {
      this.take(item)
      if (++records % 10_000 === 0) progress(records)
    }
  }

  take(item: PlainRecord | PlainEnd): void {
    if ('end' in item) this.#end(item)
    else this.#add(item)
  }

  #add(record: PlainRecord): void {
    const { topic, partition, offset } = record
    if ((record.value?.length ?? 0) > this.#maxRecordBytes) {
      const key = `${topic}/${partition}`
      const offsets = this.oversized.get(key) ?? new Set()
      this.oversized.set(key, offsets.add(offset))
      return
    }
    const shown = describe(record)
    const day = dayOf(Number(record.timestamp))
    this.#of('files', topic, partition).add(
      offset,
      fingerprint(shown, directoryOf(shown.type, day)),
    )
    const isRefused = this.#refusedMark !== undefined && shown.value.includes(this.#refusedMark)
    const document = isRefused ? { ...shown, value: Buffer.alloc(0) } : shown
    this.#of('elasticsearch', topic, partition).add(
      offset,
      fingerprint(document, indexOf(this.#indexPrefix, shown.type, day)),
    )
    if (this.#stores.includes('mysql'))
      this.#of('mysql', topic, partition).add(offset, fingerprint(shown, anyTable))
  }

  #end({ topic, partition, start, end }: PlainEnd): void {
    for (const store of this.#stores) {
      const expected = this.#of(store, topic, partition)
      expected.start = start
      expected.end = end
    }
  }

  #of(store: Store, topic: string, partition: number): ExpectedPartition {
    const key = `${topic}/${partition}`
    let found = this.#fingerprints[store].get(key)
    if (found === undefined) {
      found = new ExpectedPartition(topic, partition)
      this.#fingerprints[store].set(key, found)
      if (store === 'files') this.#partitions.set(key, found)
    }
    return found
  }

  get partitions(): readonly {
    readonly topic: string
    readonly partition: number
    readonly start: number
    readonly end: number
    readonly records: number
  }[] {
    return [...this.#partitions.values()]
  }

  get records(): number {
    let records = 0
    for (const partition of this.#partitions.values()) records += partition.records
    return records
  }

  isCompacted(topic: string): boolean {
    return this.#compacted.has(topic)
  }

  /** Counts what a store holds. */
  async account(
    store: Store,
    held: AsyncIterable<HeldRecord>,
    progress: (records: number) => void = () => {},
  ): Promise<StoreAccount> {
    const account: StoreAccount = {
      records: 0,
      missing: 0,
      duplicate: 0,
      changed: 0,
      unexpected: 0,
      compacted: 0,
      examples: [],
    }
    const example = (kind: string, topic: string, partition: number, offset: number) => {
      if (account.examples.length < mostExamples)
        account.examples.push(`${kind} ${topic}/${partition}/${offset}`)
    }
    const seen = new Map<string, Uint8Array>()
    for (const [key, { end }] of this.#fingerprints[store]) seen.set(key, new Uint8Array(end))
    for await (const { topic, partition, offset, fingerprint: found } of held) {
      account.records++
      if (account.records % 10_000 === 0) progress(account.records)
      const key = `${topic}/${partition}`
      const ofPartition = seen.get(key)
      const expected = this.#fingerprints[store].get(key)?.fingerprint(offset)
      if (
        ofPartition === undefined ||
        offset >= ofPartition.length ||
        (expected === undefined && !this.#compacted.has(topic))
      ) {
        account.unexpected++
        example('unexpected', topic, partition, offset)
        continue
      }
      if (ofPartition[offset] !== 0) {
        account.duplicate++
        example('duplicate', topic, partition, offset)
        continue
      }
      ofPartition[offset] = 1
      if (expected === undefined) account.compacted++
      else if (expected !== found) {
        account.changed++
        example('changed', topic, partition, offset)
      }
    }
    for (const [key, expected] of this.#fingerprints[store]) {
      const ofPartition = seen.get(key)!
      for (let offset = 0; offset < ofPartition.length; offset++) {
        if (ofPartition[offset] === 0 && expected.fingerprint(offset) !== undefined) {
          account.missing++
          example('missing', expected.topic, expected.partition, offset)
        }
      }
    }
    return account
  }
}

/** Whether nothing is wrong. */
export function isClean({ missing, duplicate, changed, unexpected }: StoreAccount): boolean {
  return missing + duplicate + changed + unexpected === 0
}

/** What both forms of a record, Kafka's and the line's, say of it. */
interface Shown {
  /** The reserved types are `_malformed` and `_untyped`. */
  readonly type: string
  readonly timestamp: string
  readonly time: string | undefined
  readonly key: Buffer | null
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[]
  readonly value: Buffer
}

const nullText = Buffer.from('null')

function describe(record: PlainRecord): Shown {
  const { key, value, headers, timestamp } = record
  const day = dayOf(Number(timestamp))
  const inside = value === null ? undefined : framedText(value)
  if (inside !== undefined) {
    return {
      ...describe({ ...record, value: inside }),
      value: frame(value!.readUInt32BE(1), spacesForBreaks(inside)),
    }
  }
  return {
    type: typeOf(value),
    timestamp: String(timestamp),
    time: day === undefined ? undefined : new Date(Number(timestamp)).toISOString(),
    key,
    headers,
    // A tombstone and a JSON null are one line. Raw line breaks, which valid JSON has only between
    // tokens, become spaces.
    value:
      value === null ? nullText : typeOf(value) === '_malformed' ? value : spacesForBreaks(value),
  }
}

/** What is behind a zero byte and four bytes of schema id, if that is JSON. */
function framedText(value: Buffer): Buffer | undefined {
  if (value.length < 6 || value[0] !== 0) return undefined
  const inside = value.subarray(5)
  return typeOf(inside) === '_malformed' ? undefined : inside
}

function frame(schemaId: number, inside: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(schemaId, 1)
  return Buffer.concat([head, inside])
}

/** By `JSON.parse`, which says what JSON is. */
function typeOf(value: Buffer | null): string {
  if (value === null) return '_untyped'
  const text = value.toString('utf8')
  if (!Buffer.from(text, 'utf8').equals(value)) return '_malformed'
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return '_malformed' // The question was whether it is JSON.
  }
  if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) return '_untyped'
  const { type } = parsed as { type?: unknown }
  return typeof type === 'string' && type !== '' ? type : '_untyped'
}

function spacesForBreaks(value: Buffer): Buffer {
  if (!value.includes(0x0a) && !value.includes(0x0d)) return value
  return Buffer.from(value.map((byte) => (byte === 0x0a || byte === 0x0d ? 0x20 : byte)))
}

interface Day {
  readonly date: string
  readonly hour: string
}

function dayOf(timestamp: number): Day | undefined {
  if (!(timestamp >= 0 && timestamp < Date.UTC(10_000, 0, 1))) return undefined
  const iso = new Date(timestamp).toISOString()
  return { date: iso.slice(0, 10), hour: iso.slice(11, 13) }
}

/**
 * The types of the chaos tests have no character that `encodeURIComponent` leaves alone and an
 * archive does not.
 */
function directoryOf(type: string, day: Day | undefined): string {
  return `type=${encodeURIComponent(type)}/dt=${day?.date ?? 'unknown'}/hr=${day?.hour ?? 'unknown'}`
}

function indexOf(prefix: string, type: string, day: Day | undefined): string {
  return `${prefix}${encodeURIComponent(type.toLowerCase()).toLowerCase()}-${day?.date.replaceAll('-', '.') ?? 'unknown'}`
}

function fingerprint({ type, timestamp, time, key, headers, value }: Shown, place: string): bigint {
  const head = JSON.stringify([
    place,
    type,
    timestamp,
    time ?? null,
    key?.toString('base64') ?? null,
    headers.map((header) => [header.key, header.value?.toString('base64') ?? null]),
  ])
  return hash('sha1', Buffer.concat([Buffer.from(head), value]), 'buffer').readBigUInt64LE(0)
}

interface Line {
  readonly '@timestamp'?: string
  readonly type?: string
  readonly kafka: {
    readonly topic: string
    readonly partition: number
    readonly offset: number
    readonly timestamp: number
    readonly key?: string
    readonly key_base64?: string
    readonly headers?: readonly {
      readonly key: string
      readonly value?: string | null
      readonly value_base64?: string
    }[]
    readonly schema_id?: number
  }
  readonly value_base64?: string
  readonly value_text?: string
}

/** A row of MySQL as mysql2 gives it back, with large integers as texts. */
export interface HeldRow {
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly timestamp: string
  readonly time: string | null
  readonly type: string | null
  readonly key_text: string | null
  readonly key_bytes: Buffer | null
  readonly headers: string | null
  readonly schema_id: number | null
  readonly value_text: string | null
  readonly value_bytes: Buffer | null
}

const anyTable = 'mysql'

/** A row as it counts. */
export function heldInRow(row: HeldRow): HeldRecord {
  const isMalformed = row.value_bytes !== null
  const text = row.value_text === null ? nullText : Buffer.from(row.value_text, 'utf8')
  const shown: Shown = {
    type: row.type ?? (isMalformed ? '_malformed' : '_untyped'),
    timestamp: row.timestamp,
    time: row.time === null ? undefined : `${row.time.replace(' ', 'T')}Z`,
    key: row.key_text === null ? row.key_bytes : Buffer.from(row.key_text, 'utf8'),
    headers: ((JSON.parse(row.headers ?? '[]') as Line['kafka']['headers']) ?? []).map(
      (header) => ({
        key: header.key,
        value: bytesOf(header.value ?? undefined, header.value_base64),
      }),
    ),
    value: row.value_bytes ?? (row.schema_id === null ? text : frame(Number(row.schema_id), text)),
  }
  return {
    topic: row.topic,
    partition: row.partition,
    offset: Number(row.offset),
    fingerprint: fingerprint(shown, anyTable),
  }
}

const valueMark = Buffer.from('},"value":')

/** A line of a file, without its line break, as it counts; `place` is its directory. */
export function heldInFile(line: Buffer, place: string): HeldRecord {
  return held(line, place)
}

/**
 * A document as Elasticsearch gave it back; one that it refused counts as if it lay in the index of
 * its type.
 */
export function heldInIndex(source: Buffer, index: string, prefix: string): HeldRecord {
  const rejected = `${prefix}_rejected-`
  return held(
    source,
    index.startsWith(rejected) ? { prefix, day: index.slice(rejected.length) } : index,
  )
}

function held(line: Buffer, place: string | { prefix: string; day: string }): HeldRecord {
  const mark = line.indexOf(valueMark)
  const hasValue = mark !== -1
  const parsed = JSON.parse(
    hasValue ? `${line.toString('utf8', 0, mark)}}}` : line.toString('utf8'),
  ) as Line
  const { kafka } = parsed
  let value: Buffer
  if (hasValue) value = line.subarray(mark + valueMark.length, line.length - 1)
  else if (parsed.value_text !== undefined) value = Buffer.from(parsed.value_text, 'utf8')
  else value = Buffer.from(parsed.value_base64 ?? '', 'base64')
  if (kafka.schema_id !== undefined) value = frame(kafka.schema_id, value)
  const isMalformed = parsed.value_base64 !== undefined
  const type = parsed.type ?? (isMalformed ? '_malformed' : '_untyped')
  const shown: Shown = {
    type,
    timestamp: String(kafka.timestamp),
    time: parsed['@timestamp'],
    key: bytesOf(kafka.key, kafka.key_base64),
    headers: (kafka.headers ?? []).map((header) => ({
      key: header.key,
      value: bytesOf(header.value ?? undefined, header.value_base64),
    })),
    value,
  }
  const where =
    typeof place === 'string'
      ? place
      : `${place.prefix}${encodeURIComponent(type.toLowerCase()).toLowerCase()}-${place.day}`
  return {
    topic: kafka.topic,
    partition: kafka.partition,
    offset: kafka.offset,
    fingerprint: fingerprint(shown, where),
  }
}

function bytesOf(text: string | undefined, base64: string | undefined): Buffer | null {
  if (text !== undefined) return Buffer.from(text, 'utf8')
  return base64 === undefined ? null : Buffer.from(base64, 'base64')
}
