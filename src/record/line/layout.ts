import type { RecordType, TopicPartition } from '../record.ts'

/**
 * The one home of the line's format: its fields, their order, and the bytes that mark them.
 *
 *     {"@timestamp":"2019-08-01T03:23:03.000Z","type":"…","kafka":{"topic":"…","partition":3,
 *     "offset":120045,"timestamp":1564629783000,"key":"…","headers":[…],"schema_id":7},"value":…}
 *
 * All of it is one line. The envelope is everything before the value. Quotes inside a string are
 * escaped and a topic has none, so the first match of a mark is the envelope's own.
 */

/** The text before the digits of the time. A timestamp without a day has no `@timestamp`. */
export const timeOpen = '{"@timestamp":"'

/** `{"@timestamp":"2019-08-01T03:23:03.000Z",` */
export const timeFieldBytes = timeOpen.length + '2019-08-01T03:23:03.000Z",'.length

const typeName = '"type":'
const kafkaOpen = '"kafka":{"topic":"'

/** The names of fields with the comma before them. */
export const fields = {
  offset: ',"offset":',
  timestamp: ',"timestamp":',
  key: ',"key":',
  keyBase64: ',"key_base64":',
  headers: ',"headers":',
  schemaId: ',"schema_id":',
  value: ',"value":',
  valueBase64: ',"value_base64":',
  error: ',"error":',
} as const

/** What to search a line for. */
export const marks = {
  type: Buffer.from(typeName),
  kafka: Buffer.from(kafkaOpen),
  offset: Buffer.from(fields.offset),
  timestamp: Buffer.from(fields.timestamp),
  /** Where the envelope ends and the value begins. */
  value: Buffer.from(`}${fields.value}`),
  valueBase64: Buffer.from(`}${fields.valueBase64}`),
} as const

/** `"type":"…",` with the comma; nothing for a reserved type. */
export function typeField({ name, reserved }: RecordType): string {
  return reserved ? '' : typeFieldOf(JSON.stringify(name))
}

function typeFieldOf(json: string): string {
  return `${typeName}${json},`
}

/** `"kafka":{"topic":"…","partition":3`, up to the offset. */
export function partitionField({ topic, partition }: TopicPartition): string {
  return `${kafkaOpen}${topic}","partition":${partition}`
}

/** The text between time and offset, the same in every line of one type and topic-partition. */
export function envelopeOf(type: RecordType, tp: TopicPartition): string {
  return `${typeField(type)}${partitionField(tp)}`
}

/** The parts of an envelope; absent and undefined are the same. */
export interface EnvelopeParts extends TopicPartition {
  /** ISO 8601 with ms, in UTC. */
  readonly time: string | undefined
  /** As JSON writes it, with its quotes. */
  readonly typeJson: string | undefined
  readonly offset: number | string
  readonly timestamp: number | string
  readonly key: string | undefined
  readonly keyBase64: string | undefined
  /** As JSON writes them. */
  readonly headersJson: string | undefined
  readonly schemaId: number | string | undefined
}

/** The envelope of a record from its separate parts, without `}` and the rest of the line. */
export function envelopeText(parts: EnvelopeParts): string {
  const { time, typeJson, offset, timestamp, key, keyBase64, headersJson, schemaId } = parts
  return [
    time === undefined ? '{' : `${timeOpen}${time}",`,
    typeJson === undefined ? '' : typeFieldOf(typeJson),
    partitionField(parts),
    `${fields.offset}${offset}${fields.timestamp}${timestamp}`,
    key === undefined ? '' : `${fields.key}${JSON.stringify(key)}`,
    keyBase64 === undefined ? '' : `${fields.keyBase64}"${keyBase64}"`,
    headersJson === undefined ? '' : `${fields.headers}${headersJson}`,
    schemaId === undefined ? '' : `${fields.schemaId}${schemaId}`,
  ].join('')
}

/** A header as a line has it. */
export interface LineHeader {
  readonly key: string
  readonly value?: string | null
  readonly value_base64?: string
}

/** Why a value is kept as base64. */
export interface LineError {
  readonly type: string
  readonly reason: string
}

/** The envelope as `JSON.parse` gives it. */
export interface Envelope {
  readonly '@timestamp'?: string
  /** Absent for a reserved type. */
  readonly type?: string
  readonly kafka: {
    readonly topic: string
    readonly partition: number
    readonly offset: number
    readonly timestamp: number
    readonly key?: string
    readonly key_base64?: string
    readonly headers?: readonly LineHeader[]
    readonly schema_id?: number
  }
}

/** What a line has in place of a value that is no JSON. */
export interface MalformedPart {
  readonly value_base64?: string
  readonly error?: LineError
}
