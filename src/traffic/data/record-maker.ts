import type { IHeaders } from 'kafkajs'
import { activity, DayCurve, isIncident } from './day.ts'
import type { Kind, Moment } from './kinds/kind.ts'
import { mixed } from './kinds/mixed.ts'
import { type Malformation, malformations, tombstone } from './malformed.ts'
import { hashText, Random } from './random.ts'

export interface RecordMakerOptions {
  readonly seed: number
  /** What the messages are; `mixed` unless it is given. */
  readonly kind?: Kind
  /**
   * Names of the message types: the first is that of the kind's first shape, and so on round. With
   * fewer names than shapes, the last shapes are left out.
   */
  readonly types: readonly string[]
  /** The topics with their number of partitions. Record `i` goes to topic `i % topics.length`. */
  readonly topics: readonly { readonly name: string; readonly partitions: number }[]
  /** The share of records, 0 to 1, that are no JSON message with a type. */
  readonly malformed: number
  /**
   * How many records are spread over which time (ms since 1970); undefined if the caller gives each
   * record its timestamp.
   */
  readonly history:
    | { readonly count: number; readonly from: number; readonly to: number }
    | undefined
}

/** A record to be sent. */
export interface MadeRecord {
  readonly topic: string
  readonly partition: number
  /** Milliseconds since 1970. */
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | Buffer | null
  readonly headers: IHeaders | undefined
  /** The type that it has, or would have if it were not spoilt. */
  readonly type: string
  readonly malformation: Malformation | undefined
}

const services = ['checkout', 'catalogue', 'gateway', 'warehouse']

/**
 * The data of the generator, without Kafka: record `i` depends only on the options and on `i`. So
 * any part of a run can be recreated and compared with the archive.
 */
export class RecordMaker {
  readonly #options: RecordMakerOptions
  readonly #kind: Kind
  /** The last key of the path of the type. */
  readonly #typeKey: string
  readonly #types: readonly { readonly name: string; readonly quoted: string }[]
  readonly #curve: DayCurve | undefined
  readonly #random = new Random()
  /**
   * The values that depend only on the minute, for the last minute that was used: records come
   * almost in order.
   */
  #minute = { number: Number.NaN, mood: { activity: 0, incident: false } }

  constructor(options: RecordMakerOptions) {
    this.#options = options
    this.#kind = options.kind ?? mixed
    this.#typeKey = this.#kind.typePath.split('.').at(-1)!
    this.#types = options.types.map((name) => ({ name, quoted: JSON.stringify(name) }))
    const { history } = options
    this.#curve = history === undefined ? undefined : new DayCurve(history.from, history.to)
  }

  /** @param now the timestamp (ms since 1970) of a record that is not history */
  make(index: number, now = Date.now()): MadeRecord {
    const deleted = this.#kind.tombstones === true ? this.#deletedBefore(index, now) : undefined
    if (deleted === undefined) return this.#plain(index, now).record
    return { ...deleted, value: null, malformation: tombstone }
  }

  /** The delete that record `index` is the tombstone of. It is the record before in its topic. */
  #deletedBefore(index: number, now: number): MadeRecord | undefined {
    const before = index - this.#options.topics.length
    if (before < 0) return undefined
    const { record, isDelete } = this.#plain(before, now)
    // What is itself a tombstone deletes nothing.
    return isDelete && this.#deletedBefore(before, now) === undefined ? record : undefined
  }

  #plain(index: number, now: number): { readonly record: MadeRecord; readonly isDelete: boolean } {
    const { seed, topics, malformed } = this.#options
    const { shapes } = this.#kind
    const random = this.#random
    random.reset(seed, index)
    const timestamp = this.#timestamp(index, now)
    const timeOf = (other: number) => this.#idealTime(other) ?? timestamp - 1000 * (index - other)
    const moment: Moment = { random, index, timestamp, timeOf, ...this.#mood(timestamp) }
    const typeIndex = this.#typeIndex()
    const { name, quoted } = this.#types[typeIndex]!
    const made = shapes[typeIndex % shapes.length]!.make(moment, quoted)
    const { key, json, isDelete = false } = made
    const malformation = random.chance(malformed) ? random.pick(malformations) : undefined
    const field = { key: this.#typeKey, value: quoted }
    const { name: topic, partitions } = topics[index % topics.length]!
    const record = {
      topic,
      // As with every keyed topic, records with the same key stay in order.
      partition: key === null ? random.below(partitions) : hashText(key) % partitions,
      timestamp,
      key,
      value: malformation === undefined ? json : malformation.spoil(json, field),
      headers: makeHeaders(random),
      type: name,
      malformation,
    }
    return { record, isDelete: isDelete && malformation === undefined }
  }

  #mood(timestamp: number): { readonly activity: number; readonly incident: boolean } {
    const number = Math.floor(timestamp / 60_000)
    if (number !== this.#minute.number) {
      const begin = number * 60_000
      const mood = { activity: activity(begin), incident: isIncident(this.#options.seed, begin) }
      this.#minute = { number, mood }
    }
    return this.#minute.mood
  }

  /** The shapes have fixed shares. With more types, those of one shape divide its share. */
  #typeIndex(): number {
    const count = this.#types.length
    const shares = this.#kind.shapes.slice(0, count).map(({ share }) => share)
    let roll =
      this.#random.unit() *
      (count >= this.#kind.shapes.length ? 1 : shares.reduce((sum, share) => sum + share, 0))
    let shape = 0
    while (shape < shares.length - 1 && roll >= shares[shape]!) roll -= shares[shape++]!
    const each = this.#kind.shapes.length
    return count <= each
      ? shape
      : shape + each * this.#random.below(Math.ceil((count - shape) / each))
  }

  /** When a record of the history is, if nothing is late. */
  #idealTime(index: number): number | undefined {
    return this.#curve?.at((index + 0.5) / this.#options.history!.count)
  }

  /**
   * Ascending as in a log: most are a little late, a few are very late. Always within the range.
   */
  #timestamp(index: number, now: number): number {
    const { history } = this.#options
    if (history === undefined) return now
    const roll = this.#random.unit()
    const late =
      roll < 0.9
        ? roll * 900
        : roll < 0.999
          ? this.#random.unit() * 20_000
          : this.#random.unit() * 900_000
    const ideal = this.#idealTime(index)!
    return Math.max(history.from, Math.min(history.to, Math.floor(ideal - late)))
  }
}

/** None on most records; sometimes one twice, sometimes a binary one. */
function makeHeaders(random: Random): IHeaders | undefined {
  const roll = random.unit()
  if (roll >= 0.25) return undefined
  const trace = random.uint32().toString(16).padStart(8, '0')
  if (roll < 0.005) return { trace, signature: Buffer.from([0xff, 0x00, roll * 25_000, 0xc3]) }
  if (roll < 0.02) return { trace, hop: ['edge', random.pick(services)] }
  return { trace, service: random.pick(services) }
}
